"""Removal: the objects of an image that nobody will ask for, whoever wrote them and whenever."""

from jobs.images import Image, variants_prefix
from jobs.ports import Services


async def remove_objects(image: Image, services: Services) -> None:
    """Remove the source and every variant of every attempt; nothing there is no error.

    Raises:
        Unavailable: some of them may remain.
    """
    await services.storage.delete({image.source_key} | await _variant_keys(image, services))


async def remove_unnamed(image: Image, services: Services) -> bool:
    """Remove what the record of a finished image does not name; whether it still stood as given.

    That is variants that were replaced, or that attempts left behind, and an original that is not kept.

    Raises:
        Unavailable: some of them may remain.
    """
    keys = await _variant_keys(image, services)
    current = await services.catalog.get(image.id)
    if current is None or current.version != image.version:
        return False  # what was found may belong to an attempt that has begun since
    keys -= {variant.key for variant in image.variants}
    await services.storage.delete(keys if image.source else keys | {image.source_key})
    return True


async def _variant_keys(image: Image, services: Services) -> set[str]:
    return {listed.key async for listed in services.storage.listing(variants_prefix(image.id))}
