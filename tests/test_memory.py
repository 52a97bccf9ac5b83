"""What the storage in memory does where the contract of all storages says nothing."""

import hashlib
from datetime import timedelta

import pytest

from jobs.ports import Target
from tests.memory import MemoryStorage
from tests.records import NOON

BODY = b"what is uploaded"


def target(storage: MemoryStorage, body: bytes = BODY) -> Target:
    """A target for exactly `body`, for a minute."""
    return storage.presign_upload(
        "sources/a",
        byte_size=len(body),
        content_type="image/png",
        sha256=hashlib.sha256(body).hexdigest(),
        expires_in=60,
    )


@pytest.mark.parametrize(("seconds", "status"), [(59.999, 200), (60, 403)])
async def test_a_target_is_good_until_it_expires(seconds: float, status: int) -> None:
    """And no longer."""
    now = NOON
    storage = MemoryStorage(lambda: now)
    upload = target(storage)
    now += timedelta(seconds=seconds)
    assert storage.upload(upload, BODY) == status


async def test_an_upload_that_began_in_time_may_end_late() -> None:
    """As a server asks when the headers come, not when the body has."""
    now = NOON
    storage = MemoryStorage(lambda: now)
    upload = target(storage)
    now += timedelta(hours=1)
    assert storage.upload(upload, BODY, begun=NOON) == 200


async def test_it_may_be_a_store_that_verifies_no_checksum() -> None:
    """There are some."""
    storage = MemoryStorage(lambda: NOON, verifies_sha256=False)
    assert storage.upload(target(storage), BODY[::-1]) == 200
