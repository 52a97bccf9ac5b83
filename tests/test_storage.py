"""The contract of the storage, held to each kind of it, and what only a real store shows."""

import asyncio
import base64
import hashlib
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import aioboto3
import httpx
import pytest
from pydantic import SecretStr

from jobs.bucket import make_bucket
from jobs.clock import now
from jobs.errors import SettingsError, Unavailable
from jobs.ports import ObjectChanged, ObjectMissing, Storage, Stored, Target
from jobs.settings import Settings
from jobs.storage import open_storage, public_base
from tests.faulty import FaultyStorage
from tests.memory import MemoryStorage

KEY = "sources/a"
BODY = bytes(range(256)) * 40
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
async def settings(each_store: Settings) -> Settings:
    """A bucket in each of the stores that are servers."""
    await make_bucket(each_store)
    return each_store


@pytest.fixture
async def real_storage(settings: Settings) -> AsyncIterator[Storage]:
    """An empty bucket."""
    async with open_storage(settings, now) as opened:
        yield opened


@pytest.fixture
def memory() -> MemoryStorage:
    """An empty one that is no server's."""
    return MemoryStorage(now)


@pytest.fixture(params=["embedded", "ceph", "faulty", "memory"])
def kind(request: pytest.FixtureRequest) -> str:
    """Who is held to the contract."""
    return str(request.param)


@pytest.fixture
def own_corner(kind: str, request: pytest.FixtureRequest) -> Settings:
    """Settings for it; there is no bucket yet."""
    corner: Settings = request.getfixturevalue("ceph_corner" if kind == "ceph" else "corner")
    return corner


@pytest.fixture
async def storage(kind: str, own_corner: Settings, memory: MemoryStorage) -> AsyncIterator[Storage]:
    """An empty bucket, of each kind in turn; the faulty one has no faults here."""
    if kind == "memory":
        yield memory
        return
    await make_bucket(own_corner)
    async with open_storage(own_corner, now) as real:
        yield FaultyStorage(real, random.Random(0)) if kind == "faulty" else real  # noqa: S311 - not for secrets


class MemoryTransport(httpx.AsyncBaseTransport):
    """Carries uploads to the storage in memory."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as a server does."""
        target = Target(request.method, str(request.url), dict(request.headers))
        return httpx.Response(self._storage.upload(target, await request.aread()))


@pytest.fixture
async def browser(memory: MemoryStorage) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without any key."""
    async with httpx.AsyncClient(mounts={"memory://": MemoryTransport(memory)}) as http:
        yield http


def target(storage: Storage, *, sha256: str | None = None, expires_in: int = 60) -> Target:
    """A target for exactly `BODY`."""
    return storage.presign_upload(
        KEY, byte_size=len(BODY), content_type="image/png", sha256=sha256, expires_in=expires_in
    )


async def send(
    browser: httpx.AsyncClient, upload: Target, body: bytes = BODY, headers: dict[str, str] | None = None
) -> int:
    """The status that the store answers."""
    answer = await browser.request(
        upload.method, upload.url, content=body, headers=upload.headers | (headers or {})
    )
    return answer.status_code


async def read(storage: Storage, key: str = KEY, **options: object) -> bytes:
    """All that `Storage.read` gives."""
    return b"".join([chunk async for chunk in storage.read(key, **options)])  # type: ignore[arg-type]


async def test_an_upload_stores_exactly_what_was_declared(
    storage: Storage, browser: httpx.AsyncClient
) -> None:
    """The browser sends what the target says, and nothing else."""
    assert await send(browser, target(storage, sha256=SHA256)) == 200
    stored = await storage.head(KEY)
    assert stored is not None
    assert (stored.byte_size, stored.content_type) == (len(BODY), "image/png")
    assert await read(storage) == BODY


async def test_another_length_is_refused(storage: Storage, browser: httpx.AsyncClient) -> None:
    """Nobody fills the bucket with more than was asked for."""
    upload = target(storage)
    assert await send(browser, upload, BODY + b"!") == 403
    assert await send(browser, upload, BODY[:-1]) == 403
    assert await storage.head(KEY) is None


async def test_another_type_is_refused(storage: Storage, browser: httpx.AsyncClient) -> None:
    """What was signed as a picture is not stored as a page."""
    assert await send(browser, target(storage), headers={"Content-Type": "text/html"}) == 403
    assert await storage.head(KEY) is None


async def test_other_bytes_are_refused(storage: Storage, browser: httpx.AsyncClient, kind: str) -> None:
    """A checksum that was declared is held to, at the latest by the worker."""
    upload = target(storage, sha256=SHA256)
    other = BODY[::-1]
    honest_but_unsigned = base64.b64encode(hashlib.sha256(other).digest()).decode()
    assert await send(browser, upload, other, headers={"x-amz-checksum-sha256": honest_but_unsigned}) == 403
    assert await storage.head(KEY) is None
    verifies = kind != "ceph"  # what Ceph does not, the worker finds out
    assert await send(browser, upload, other) == (400 if verifies else 200)
    assert (await storage.head(KEY) is None) is verifies


async def test_an_expired_target_is_refused(real_storage: Storage, browser: httpx.AsyncClient) -> None:
    """After its time, and not before."""
    upload = target(real_storage, expires_in=3)  # signed in whole seconds, so two at least
    signed_at = httpx.URL(upload.url).params["X-Amz-Date"]
    assert signed_at
    statuses = [await send(browser, upload)]
    async with asyncio.timeout(10):
        while statuses[-1] != 403:  # 412 as long as it is valid: the first one got through
            statuses.append(await send(browser, upload))
    assert statuses[0] == 200
    assert set(statuses) <= {200, 412, 403}


async def test_a_target_for_no_time_is_good_for_nothing(storage: Storage, browser: httpx.AsyncClient) -> None:
    """Not even for a moment."""
    assert await send(browser, target(storage, expires_in=0)) == 403
    assert await storage.head(KEY) is None


async def test_a_second_upload_is_refused(storage: Storage, browser: httpx.AsyncClient) -> None:
    """An upload happens once: what was stored stays what it is."""
    upload = target(storage)
    assert await send(browser, upload) == 200
    assert await send(browser, upload, BODY[::-1]) == 412
    assert await read(storage) == BODY


async def test_of_many_uploads_at_once_one_wins(storage: Storage, browser: httpx.AsyncClient) -> None:
    """Even when they race."""
    upload = target(storage)
    statuses = await asyncio.gather(*(send(browser, upload) for _ in range(8)))
    assert sorted(statuses) == [200] + [412] * 7


async def test_another_method_or_key_is_refused(storage: Storage, browser: httpx.AsyncClient) -> None:
    """A target is good for one request only."""
    upload = target(storage)
    assert await send(browser, upload._replace(method="POST")) in {403, 405}
    assert await send(browser, upload._replace(url=upload.url.replace("/a?", "/b?"))) == 403


async def test_a_browser_may_send_it_from_another_origin(
    real_storage: Storage, browser: httpx.AsyncClient
) -> None:
    """The bucket answers the preflight for every header of a target."""
    upload = target(real_storage, sha256=SHA256)
    preflight = await browser.options(
        upload.url,
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": upload.method,
            "Access-Control-Request-Headers": ", ".join(sorted(name.lower() for name in upload.headers)),
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] in {"*", "https://app.example"}


async def test_a_target_is_signed_for_the_address_that_the_browser_sees(settings: Settings) -> None:
    """Behind a proxy, the store has two names; reading goes by the other."""
    seen = settings.model_copy(update={"s3_public_endpoint": "https://uploads.example"})
    async with open_storage(seen, now) as storage:
        assert (target(storage)).url.startswith("https://uploads.example/")
        assert storage.download_url(KEY, expires_in=60).startswith("https://uploads.example/")
        assert await storage.head(KEY) is None


async def test_nothing_is_stored_under_an_unknown_key(storage: Storage) -> None:
    """Asking is no error; reading is."""
    assert await storage.head("sources/unknown") is None
    with pytest.raises(ObjectMissing):
        await read(storage, "sources/unknown")


async def test_what_is_written_can_be_read(storage: Storage) -> None:
    """With its type, and for caches to keep."""
    await storage.write("variants/a", BODY, content_type="image/webp")
    stored = await storage.head("variants/a")
    assert isinstance(stored, Stored)
    assert (stored.byte_size, stored.content_type) == (len(BODY), "image/webp")
    assert await read(storage, "variants/a") == BODY


@pytest.mark.parametrize(("start", "stop"), [(0, 10), (5, 6), (100, None), (0, len(BODY)), (0, 1)])
async def test_a_range_is_read(storage: Storage, start: int, stop: int | None) -> None:
    """From `start` up to, not including, `stop`, as slices are."""
    await storage.write("variants/a", BODY, content_type="image/webp")
    assert await read(storage, "variants/a", start=start, stop=stop) == BODY[start:stop]


async def test_there_is_no_range_behind_the_end(storage: Storage) -> None:
    """It is refused, not empty."""
    await storage.write("variants/a", BODY, content_type="image/webp")
    with pytest.raises(Unavailable, match="InvalidRange"):
        await read(storage, "variants/a", start=len(BODY))


async def test_a_pinned_object_is_read_or_refused(storage: Storage) -> None:
    """Bytes that changed since they were looked at are never taken for the old ones."""
    await storage.write("variants/a", BODY, content_type="image/webp")
    before = await storage.head("variants/a")
    assert before is not None
    assert await read(storage, "variants/a", etag=before.etag) == BODY
    await storage.write("variants/a", BODY[::-1], content_type="image/webp")
    with pytest.raises(ObjectChanged):
        await read(storage, "variants/a", etag=before.etag)


async def test_a_download_url_works_for_anybody(real_storage: Storage, browser: httpx.AsyncClient) -> None:
    """With the headers that let a cache keep it for good."""
    await real_storage.write("variants/a", BODY, content_type="image/webp")
    answer = await browser.get(real_storage.download_url("variants/a", expires_in=60))
    assert answer.status_code == 200
    assert answer.content == BODY
    assert answer.headers["content-type"] == "image/webp"
    assert "immutable" in answer.headers["cache-control"]


async def test_unchecked_bytes_come_as_an_attachment(
    real_storage: Storage, browser: httpx.AsyncClient
) -> None:
    """A page that was uploaded as a picture is saved, never shown."""
    await send(browser, target(real_storage))
    answer = await browser.get(real_storage.attachment_url(KEY, expires_in=60))
    assert answer.content == BODY
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"


async def test_a_public_base_url_replaces_signatures(settings: Settings) -> None:
    """Behind a CDN, variants have plain addresses; sources do not."""
    public = settings.model_copy(update={"variants_base_url": "https://cdn.example/pictures/"})
    async with open_storage(public, now) as storage:
        url = storage.download_url("variants/a b", expires_in=60)
        assert url == "https://cdn.example/pictures/variants/a%20b"
        assert "X-Amz-Signature" in storage.attachment_url(KEY, expires_in=60)


async def test_deleting_twice_is_no_error(storage: Storage) -> None:
    """What is gone is gone."""
    await storage.write("variants/a", BODY, content_type="image/webp")
    await storage.write("variants/b", BODY, content_type="image/webp")
    await storage.delete(["variants/a", "variants/never-was"])
    await storage.delete(["variants/a"])
    await storage.delete([])
    assert [listed.key async for listed in storage.listing("variants/")] == ["variants/b"]


@pytest.mark.parametrize("page_size", [1, 2, 1_000])
async def test_a_listing_tells_of_every_object_in_the_order_of_keys(storage: Storage, page_size: int) -> None:
    """Across pages, with sizes and times, and of no other prefix."""
    before = now() - timedelta(seconds=5)
    for key in ("variants/b/1", "variants/c", "sources/a", "variants/a", "variants/b-1"):
        await storage.write(key, key.encode(), content_type="image/webp")
    listing = [listed async for listed in storage.listing("variants/", page_size=page_size)]
    keys = ["variants/a", "variants/b-1", "variants/b/1", "variants/c"]
    assert [listed.key for listed in listing] == keys
    assert [listed.byte_size for listed in listing] == [len(key) for key in keys]
    for listed in listing[:3]:
        stored = await storage.head(listed.key)
        assert stored is not None
        assert listed.etag == stored.etag
    assert all(before <= listed.last_modified <= now() + timedelta(seconds=5) for listed in listing)
    assert [listed async for listed in storage.listing("nothing/", page_size=page_size)] == []


async def test_a_missing_bucket_ends_the_start(settings: Settings) -> None:
    """The line names the bucket and the settings."""
    with pytest.raises(Unavailable, match=r"no-such-bucket.*DARKROOM_S3"):
        async with open_storage(settings.model_copy(update={"s3_bucket": "no-such-bucket"}), now):
            pass


async def test_a_wrong_key_ends_the_start(settings: Settings) -> None:
    """The store's refusal is told, not retried."""
    with pytest.raises(Unavailable, match="DARKROOM_S3"):
        async with open_storage(settings.model_copy(update={"s3_access_key": "AKIAUNKNOWN"}), now):
            pass


async def test_a_store_that_is_away_is_unavailable(corner: Settings) -> None:
    """Whatever the SDK raises, callers see one error."""
    with pytest.raises(Unavailable, match="does not answer"):
        async with open_storage(corner.model_copy(update={"s3_endpoint": "http://127.0.0.1:9"}), now):
            pass


@pytest.mark.parametrize("wrong", [{"s3_endpoint": "http://a_b:9000"}, {"s3_region": "eu west"}])
async def test_an_address_that_makes_no_sense_is_named(corner: Settings, wrong: dict[str, str]) -> None:
    """Before anything is asked of it."""
    with pytest.raises(SettingsError, match=r"DARKROOM_S3_ENDPOINT or DARKROOM_S3_REGION"):
        async with open_storage(corner.model_copy(update=wrong), now):
            pass


@pytest.mark.parametrize(
    ("endpoint", "base"),
    [
        (None, "https://pictures.s3.eu-west-1.amazonaws.com"),
        ("https://s3.example:9000", "https://pictures.s3.example:9000"),
    ],
)
def test_a_bucket_can_be_named_in_the_host(corner: Settings, endpoint: str | None, base: str) -> None:
    """As Amazon's newer regions want it."""
    chosen = {"s3_addressing": "virtual", "s3_bucket": "pictures", "s3_endpoint": endpoint}
    settings = corner.model_copy(update=chosen | {"s3_region": "eu-west-1"})
    assert public_base(settings) == base


async def test_a_variant_has_the_same_url_for_a_while(settings: Settings, browser: httpx.AsyncClient) -> None:
    """So that a browser finds it in its cache; it is good for at least as long as was asked."""
    begin = datetime.fromtimestamp(250 * 7_000_000, UTC)
    times = iter(begin + timedelta(seconds=seconds) for seconds in (0, 249, 250))
    async with open_storage(settings, lambda: next(times)) as storage:
        first, again, later = [storage.download_url("variants/a", expires_in=1_000) for _ in range(3)]
    assert first == again != later
    assert int(dict(parse_qsl(urlsplit(first).query))["X-Amz-Expires"]) >= 1_000 + 249
    async with open_storage(settings, now) as storage:
        await storage.write("variants/a", b"a", content_type="image/webp")
        for expires_in in (60, 61, 3_600, 7 * 86_400):
            url = storage.download_url("variants/a", expires_in=expires_in)
            assert (await browser.get(url)).status_code == 200


async def test_temporary_credentials_sign_with_their_token(
    corner: Settings, browser: httpx.AsyncClient
) -> None:
    """What they sign is taken; without the token, the store knows no such key."""
    await make_bucket(corner)
    session = aioboto3.Session(
        corner.s3_access_key, corner.s3_secret_key.get_secret_value(), region_name=corner.s3_region
    )
    async with session.client("sts", endpoint_url=corner.s3_endpoint) as sts:
        lent = (await sts.get_session_token())["Credentials"]
    values = {
        "s3_access_key": lent["AccessKeyId"],
        "s3_secret_key": SecretStr(lent["SecretAccessKey"]),
        "s3_session_token": SecretStr(lent["SessionToken"]),
    }
    async with open_storage(corner.model_copy(update=values), now) as storage:
        upload = target(storage)
        assert await send(browser, upload) == 200
        assert (await browser.get(storage.download_url(KEY, expires_in=60))).content == BODY
        without = [part for part in upload.url.split("&") if not part.startswith("X-Amz-Security-Token=")]
        assert await send(browser, upload._replace(url="&".join(without))) == 400  # InvalidToken
