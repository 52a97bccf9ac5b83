"""Removal: the objects of a deleted image, whoever wrote them and whenever."""

from jobs.images import Image, variants_prefix
from jobs.ports import Services


async def remove_objects(image: Image, services: Services) -> None:
    """Remove the source and every variant of every attempt; nothing there is no error.

    Raises:
        Unavailable: some of them may remain.
    """
    keys = [listed.key async for listed in services.storage.listing(variants_prefix(image.id))]
    await services.storage.delete([image.source_key, *keys])
