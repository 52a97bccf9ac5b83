"""Key sets change, and the place where they are published is not always there."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.auth import Authenticator
from api.hooks import fetch_body
from api.keysets import MAX_AGE, PAUSE, KeySet, open_key_set, parse_key_set
from jobs.errors import SettingsError, Unauthenticated, Unavailable
from tests.tokens import (
    EC_KEY,
    NEXT_RSA_KEY,
    RSA_KEY,
    bearer,
    claims,
    jwk,
    key_set,
    nowhere,
    settings_with,
    signed,
)

FIRST = key_set(jwk(RSA_KEY, kid="first"))
BOTH = key_set(jwk(RSA_KEY, kid="first"), jwk(NEXT_RSA_KEY, kid="next"))
NEXT = key_set(jwk(NEXT_RSA_KEY, kid="next"))


class Publisher:
    """What is published now, how often it was read, and the time."""

    def __init__(self, published: bytes | None = FIRST) -> None:
        self.published = published
        self.readings = 0
        self.now = 1_000.0

    async def read(self) -> bytes:
        """The set, unless it is away."""
        self.readings += 1
        await asyncio.sleep(0)  # as everything that is read from elsewhere
        if self.published is None:
            raise Unavailable("Nobody answers.")
        return self.published

    def clock(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def publisher() -> Publisher:
    """With the first key."""
    return Publisher()


@pytest.fixture
def keys(publisher: Publisher) -> KeySet:
    """Ours."""
    return KeySet(publisher.read, clock=publisher.clock)


async def test_the_set_is_read_when_it_is_needed_and_not_again(keys: KeySet, publisher: Publisher) -> None:
    """However many tokens come."""
    assert publisher.readings == 0
    found = await asyncio.gather(*(keys.find("RS256", "first") for _ in range(50)))
    assert {key.key_id for key in found} == {"first"}
    assert publisher.readings == 1


async def test_a_key_that_is_new_is_found(keys: KeySet, publisher: Publisher) -> None:
    """As soon as a token names it, if the last reading is a minute ago; both are good meanwhile."""
    await keys.find("RS256", "first")
    publisher.published = BOTH
    publisher.now += PAUSE
    assert (await keys.find("RS256", "next")).key_id == "next"
    assert (await keys.find("RS256", "first")).key_id == "first"


async def test_tokens_that_name_unknown_keys_cause_one_reading_a_minute(
    keys: KeySet, publisher: Publisher
) -> None:
    """Anybody can send them, many at once."""
    await keys.find("RS256", "first")
    for minute in range(3):
        publisher.now += PAUSE
        refused = await asyncio.gather(
            *(keys.find("RS256", f"{minute}-{n}") for n in range(50)), return_exceptions=True
        )
        assert all(isinstance(item, Unauthenticated) for item in refused)
        publisher.now += PAUSE / 2
        with pytest.raises(Unauthenticated):
            await keys.find("ES256", "first")
        assert publisher.readings == 2 + minute
        publisher.now -= PAUSE / 2


async def test_a_key_that_was_withdrawn_is_not_believed_for_ever(keys: KeySet, publisher: Publisher) -> None:
    """Though no token names another."""
    await keys.find("RS256", "first")
    publisher.published = NEXT
    publisher.now += MAX_AGE - 1
    await keys.find("RS256", "first")
    publisher.now += 1
    with pytest.raises(Unauthenticated):
        await keys.find("RS256", "first")
    assert publisher.readings == 2


@pytest.mark.parametrize("published", [None, b"<html>", b'{"keys": []}'])
async def test_known_keys_stay_good_while_the_set_cannot_be_read(
    keys: KeySet, publisher: Publisher, published: bytes | None
) -> None:
    """It is asked for once a minute, and nobody but who asks waits."""
    await keys.find("RS256", "first")
    publisher.published = published
    publisher.now += 10 * MAX_AGE
    for _ in range(50):
        assert (await keys.find("RS256", "first")).key_id == "first"
    assert publisher.readings == 2
    with pytest.raises(Unauthenticated):
        await keys.find("RS256", "next")
    publisher.published = BOTH
    publisher.now += PAUSE
    assert (await keys.find("RS256", "next")).key_id == "next"


async def test_nobody_waits_for_a_reading_who_has_a_key(publisher: Publisher) -> None:
    """Where the publisher does not answer, one request waits and the others go on."""
    asked, answered = asyncio.Event(), asyncio.Event()

    async def read() -> bytes:
        if publisher.readings:
            asked.set()
            await answered.wait()
        return await publisher.read()

    keys = KeySet(read, clock=publisher.clock)
    await keys.find("RS256", "first")
    publisher.now += MAX_AGE
    waiting = asyncio.create_task(keys.find("RS256", "first"))
    await asked.wait()
    assert (await keys.find("RS256", "first")).key_id == "first"
    assert not waiting.done()
    answered.set()
    assert (await waiting).key_id == "first"


async def test_without_any_key_nothing_can_be_said(keys: KeySet, publisher: Publisher) -> None:
    """That is not the caller's fault; and it is tried again soon."""
    publisher.published = None
    for _ in range(50):
        with pytest.raises(Unavailable):
            await keys.find("RS256", "first")
    assert publisher.readings == 1
    publisher.published = FIRST
    publisher.now += PAUSE / 10
    assert (await keys.find("RS256", "first")).key_id == "first"


async def test_whoever_gives_up_does_not_keep_others_from_the_keys(publisher: Publisher) -> None:
    """A reading that was cut off was none."""
    keys = KeySet(publisher.read, clock=publisher.clock)
    first = asyncio.create_task(keys.find("RS256", "first"))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await keys.find("RS256", "first")).key_id == "first"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b'{"keys": null}',
        b'{"keys": [7]}',
        b'{"keys": [{}]}',
        b'{"keys": [{"kty": "RSA", "alg": ["RS256"]}]}',
        b'{"keys": {"kty": "RSA"}}',
        b"[" * 100_000,
        key_set({"kty": "oct", "k": "c2VjcmV0"}),
        key_set(jwk(RSA_KEY, use="enc")),
        key_set(jwk(RSA_KEY, alg="RS512")),
        key_set(jwk(RSA_KEY, alg="ES256")),
        key_set(jwk(RSA_KEY) | {"n": "!"}),
    ],
)
async def test_a_file_without_usable_keys_ends_the_start(body: bytes, tmp_path: Path) -> None:
    """With a line that names the setting and the file."""
    path = tmp_path / "jwks.json"
    path.write_bytes(body)
    with pytest.raises(SettingsError, match=f"DARKROOM_JWT_JWKS is wrong: {path}: "):
        open_key_set(str(path), nowhere)


def test_a_file_that_is_not_there_ends_the_start(tmp_path: Path) -> None:
    """The same for a folder."""
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(SettingsError, match=f"DARKROOM_JWT_JWKS cannot be read: {path}: "):
            Authenticator(settings_with(auth="jwt", jwt_jwks=str(path)), nowhere)


def test_each_kind_of_key_is_for_its_algorithm() -> None:
    """Whether the set says so or not."""
    keys = parse_key_set(key_set(jwk(RSA_KEY), jwk(EC_KEY), jwk(NEXT_RSA_KEY, alg="RS256")))
    assert [key.algorithm_name for key in keys] == ["RS256", "ES256", "RS256"]


async def test_a_file_can_be_replaced(tmp_path: Path) -> None:
    """A new key is found without a restart."""
    path = tmp_path / "jwks.json"
    path.write_bytes(FIRST)
    authenticator = Authenticator(settings_with(auth="jwt", jwt_jwks=str(path)), nowhere)
    path.write_bytes(BOTH)
    for key, key_id in ((NEXT_RSA_KEY, "next"), (RSA_KEY, "first")):
        token = signed(claims(), key, kid=key_id)
        assert (await authenticator.caller(bearer(token))).owner == "ada"


@pytest.fixture
async def published() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A URL at which the last of these is published; without any, the connection breaks off."""
    pages = [FIRST]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if pages:
            length = f"Content-Length: {len(pages[-1])}\r\n"
            writer.write(f"HTTP/1.1 200 OK\r\n{length}Connection: close\r\n\r\n".encode() + pages[-1])
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks.json", pages


async def test_keys_are_fetched_from_their_url(published: tuple[str, list[bytes]]) -> None:
    """And known from then on, wherever it has gone."""
    url, pages = published
    authenticator = Authenticator(settings_with(auth="jwt", jwt_jwks=url), fetch_body)
    token = signed(claims(), RSA_KEY, kid="first")
    assert (await authenticator.caller(bearer(token))).owner == "ada"
    pages.clear()
    assert (await authenticator.caller(bearer(token))).owner == "ada"
    with pytest.raises(Unauthenticated):
        await authenticator.caller(bearer(signed(claims(), NEXT_RSA_KEY, kid="next")))


async def test_a_url_that_has_no_keys_is_a_service_that_is_away(published: tuple[str, list[bytes]]) -> None:
    """Broken off, no key set, or without an end."""
    url, pages = published
    for page in (None, b"<html>", b" " * 2**21):
        pages[:] = [page] if page else []
        authenticator = Authenticator(settings_with(auth="jwt", jwt_jwks=url), fetch_body)
        with pytest.raises(Unavailable):
            await authenticator.caller(bearer(signed(claims(), RSA_KEY, kid="first")))
