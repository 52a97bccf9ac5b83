"""What those are told who watch some images: the current state first, then changes; never an older one."""

from collections.abc import AsyncGenerator, Sequence

from api.hub import Hub
from jobs.errors import InvalidInput, NotFound
from jobs.images import Image
from jobs.ports import Catalog

MAX_IDS = 200  # images that one subscription can watch


async def image_updates(
    image_ids: Sequence[str], *, owner: str, hub: Hub, catalog: Catalog
) -> AsyncGenerator[Image, None]:
    """Each image's current state, then its changes; ends when all of them are at rest.

    It listens before it reads, so that nothing falls between the two. While it waits it keeps no image: a
    record takes 12 kB.

    Raises:
        InvalidInput: no ids, or too many.
        NotFound: `owner` has no such image.
    """
    wanted = list(dict.fromkeys(image_ids))
    if not 0 < len(wanted) <= MAX_IDS:
        raise InvalidInput(f"Ask for 1 to {MAX_IDS} ids.")
    with hub.watch_images(wanted) as watcher:
        current = await catalog.get_many(wanted, owner=owner)
        if unknown := [image_id for image_id in wanted if image_id not in current]:
            raise NotFound(f"There is no such image: {', '.join(unknown)}")
        states = [current[image_id] for image_id in wanted]
        for image in states:
            hub.offer(image)  # whoever missed it hears of it now
        versions: dict[str, int] = {}
        moving = set(wanted)
        del current, wanted
        while True:
            for image in states:
                if image.version > versions.get(image.id, 0):
                    versions[image.id] = image.version
                    (moving.discard if image.status.at_rest else moving.add)(image.id)
                    yield image
                del image
            if not moving:
                return
            states.clear()
            states = await watcher.take()
