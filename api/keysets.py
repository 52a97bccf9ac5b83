"""The public keys that tokens are checked with: a JSON Web Key Set (RFC 7517), in a file or at a URL.

Who issues tokens changes his keys now and then, so the set is read again when a token names a key that is not
in it, and every ten minutes besides, so that a key that was withdrawn is not believed for ever. While it
cannot be read, the keys that are known go on being good.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
from jwt import PyJWK, PyJWKSet
from jwt.exceptions import PyJWTError

from jobs.errors import SettingsError, Unauthenticated, Unavailable
from jobs.settings import PREFIX
from jobs.sns import Fetch

log = structlog.get_logger(__name__)

ALGORITHMS = ("RS256", "ES256")
MAX_AGE = 600.0  # seconds after which the set is read again though nothing is missing
PAUSE = 60.0  # seconds between two readings, whatever tokens ask for
_FIRST_PAUSE = 5.0  # the same, as long as there is no key at all

Read = Callable[[], Awaitable[bytes]]  # the set as it is now; Unavailable if it cannot be had


class KeySet:
    """The keys as they were last read."""

    def __init__(
        self, read: Read, keys: tuple[PyJWK, ...] = (), *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            keys: those that are known already.
            clock: seconds from any moment on, that never go back.
        """
        self._read = read
        self._keys = keys
        self._clock = clock
        self._reading = asyncio.Lock()
        self._pause_ends = clock()
        self._stale_at = clock() + MAX_AGE if keys else clock()

    async def find(self, algorithm: str, key_id: str | None) -> PyJWK:
        """The one key that may have signed a token with this header.

        Args:
            key_id: `kid`; without it, there must be no choice.

        Raises:
            Unauthenticated: there is none, or more than one.
            Unavailable: the set was never read so far.
        """
        # One waits for the new set, while all others go on with what is known.
        if self._clock() >= self._stale_at and not self._reading.locked():
            await self._refresh()
        key = self._pick(algorithm, key_id)
        if key is None:
            await self._refresh()
            key = self._pick(algorithm, key_id)
        if key is not None:
            return key
        if not self._keys:
            raise Unavailable("The keys that tokens are checked with cannot be read.")
        raise Unauthenticated("no key of the set may have signed it")

    def _pick(self, algorithm: str, key_id: str | None) -> PyJWK | None:
        found = [
            key
            for key in self._keys
            if key.algorithm_name == algorithm and (key_id is None or key.key_id == key_id)
        ]
        return found[0] if len(found) == 1 else None

    async def _refresh(self) -> None:
        async with self._reading:
            if self._clock() < self._pause_ends:  # somebody else has just done it
                return
            age = MAX_AGE
            try:
                self._keys = parse_key_set(await self._read())
            except (Unavailable, ValueError) as error:
                log.warning("the keys for tokens cannot be read", reason=str(error))
                age = 0
            pause = PAUSE if self._keys else _FIRST_PAUSE
            self._pause_ends = self._clock() + pause
            self._stale_at = self._clock() + max(age, pause)


def open_key_set(where: str, fetch: Fetch) -> KeySet:
    """The set in that file, which must be there, or at that URL, which is asked when the first token comes.

    Raises:
        SettingsError: the file cannot be read, or is no set of usable keys.
    """
    if "://" in where:
        return KeySet(lambda: fetch(where))
    path = Path(where)

    async def read() -> bytes:
        try:
            return await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            raise Unavailable(f"{path}: {error.strerror}") from error

    try:
        return KeySet(read, parse_key_set(path.read_bytes()))
    except OSError as error:
        raise SettingsError(f"{PREFIX}JWT_JWKS cannot be read: {path}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"{PREFIX}JWT_JWKS is wrong: {path}: {error}") from error


def parse_key_set(body: bytes) -> tuple[PyJWK, ...]:
    """Those keys of a set that may have signed tokens; whatever else is in it is left alone.

    Raises:
        ValueError: there is none, or it is no key set.
    """
    try:
        found = PyJWKSet.from_dict(json.loads(body))
    except (ValueError, TypeError, AttributeError, RecursionError, PyJWTError) as error:
        raise ValueError(f"it is no JSON Web Key Set with public keys: {error}") from error
    keys = tuple(
        key for key in found if key.algorithm_name in ALGORITHMS and key.public_key_use in (None, "sig")
    )
    if not keys:
        raise ValueError(f"it has no key for {' or '.join(ALGORITHMS)}")
    return keys
