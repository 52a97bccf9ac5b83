"""The whole way over Ceph, which tells our webhook what was uploaded; nobody and nothing else does."""

import hashlib
from collections import Counter
from dataclasses import replace
from datetime import datetime

import pytest

from jobs.bucket import make_bucket
from jobs.errors import Unavailable
from jobs.images import Image
from jobs.ports import Queue
from jobs.settings import Settings
from tests.ceph import Ceph
from tests.system import running_system, serving, until
from tests.test_system import COMPLETE, a_photo, create, followed, is_ready, put, the_image, uploaded

TOLD_WITHIN = 60.0  # seconds: Ceph may have to find its topic first


@pytest.fixture
async def settings(ceph_corner: Settings) -> Settings:
    """A bucket in Ceph; the sweep comes tomorrow."""
    await make_bucket(ceph_corner)
    return ceph_corner.model_copy(update={"sweep_seconds": 86_400})


def push_endpoint(url: str, settings: Settings) -> str:
    """The webhook of the API at `url`, with the token where Ceph has a place for it."""
    assert settings.hook_token is not None
    scheme, host = url.split("://")
    return f"{scheme}://ceph:{settings.hook_token.get_secret_value()}@{host}/hooks/storage"


async def test_bytes_that_the_store_did_not_check_are_rejected(settings: Settings) -> None:
    """Whatever let them in, the declared SHA-256 is held to."""
    async with running_system(settings, events=False) as system:
        body = a_photo()
        target = await create(system, body, sha256=hashlib.sha256(body).hexdigest())
        assert await put(system, target, body[::-1]) == 200
        image_id = target["image"]["id"]
        await system.execute(COMPLETE, id=image_id)
        last = (await followed(system, image_id))[-1]
        assert (last["status"], last["problem"]["code"]) == ("REJECTED", "CHECKSUM_MISMATCH")


async def test_the_webhook_alone_is_enough(settings: Settings, ceph: Ceph) -> None:
    """From the upload to variants that anybody can see."""
    async with (
        running_system(settings, events=False) as system,
        ceph.notifying(settings.s3_bucket, "calm", push_endpoint(system.url, settings)),
    ):
        image_id = await uploaded(system, a_photo())
        await until(lambda: is_ready(system, image_id), within=TOLD_WITHIN)
        for variant in (await the_image(system, image_id))["variants"]:
            answer = await system.http.get(variant["url"])
            assert (answer.status_code, len(answer.content)) == (200, variant["byteSize"])


class FaultyQueue:
    """A queue that, for each image, fails at first, then succeeds without saying so."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.asked: Counter[str] = Counter()

    async def enqueue(self, image: Image) -> None:
        """Fail twice."""
        self.asked[image.id] += 1
        if self.asked[image.id] > 1:
            await self._queue.enqueue(image)
        if self.asked[image.id] <= 2:
            raise Unavailable("The broker does not answer.")

    async def depth(self) -> int:
        """As it is."""
        return await self._queue.depth()

    async def oldest(self) -> datetime | None:
        """As it is."""
        return await self._queue.oldest()

    async def ping(self) -> None:
        """As it is."""
        await self._queue.ping()


async def test_what_is_delivered_again_and_again_is_completed_once(settings: Settings, ceph: Ceph) -> None:
    """The webhook answers 503; Ceph delivers what failed once more, and what it delivered along with that."""
    async with running_system(settings, events=False) as system:
        queue = FaultyQueue(system.services.queue)
        async with (
            serving(replace(system.services, queue=queue)) as url,
            ceph.notifying(settings.s3_bucket, "faulty", push_endpoint(url, settings)),
        ):
            images = [await uploaded(system, a_photo()) for _ in range(4)]
            for image_id in images:
                await until(lambda image_id=image_id: is_ready(system, image_id), within=TOLD_WITHIN)
                image = await the_image(system, image_id)
                assert image["attempts"] == 1
                assert [change["status"] for change in image["timeline"]] == [
                    "PENDING", "UPLOADED", "PROCESSING", "READY",
                ]  # fmt: skip
        assert min(queue.asked[image_id] for image_id in images) >= 2
