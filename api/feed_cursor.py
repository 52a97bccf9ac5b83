"""Cursors of the feed: how far a client has been told, as opaque text.

A place in the order of changes is not enough: clocks differ, so what happened last need not say so. A cursor
has the place up to which everything was told, and the states that were told beyond it.
"""

import base64
import hashlib
from collections.abc import Collection
from typing import NamedTuple, Self

from api.paging import decode_cursor, encode_cursor
from jobs.errors import InvalidInput
from jobs.ports import Position

MAX_TOLD = 200  # states in a cursor, 2 kB; of more in half a minute, the first may be told again
_DIGEST = 8  # characters, of 6 bits each
_BEYOND = "~"  # is in no id


class FeedCursor(NamedTuple):
    """Everything up to `done` was told, and since then the states whose digests are in `told`."""

    done: Position
    told: Collection[str] = ()

    def encode(self) -> str:
        """As text."""
        beyond = _BEYOND + "".join(self.told) if self.told else ""
        return encode_cursor(Position(self.done.at, self.done.id + beyond))

    @classmethod
    def decode(cls, text: str) -> Self:
        """The cursor that `encode` wrote down.

        Raises:
            InvalidInput: it is not one of ours.
        """
        at, rest = decode_cursor(text)
        image_id, _, beyond = rest.partition(_BEYOND)
        if len(beyond) > MAX_TOLD * _DIGEST:
            raise InvalidInput("This cursor is longer than any that was given out here.")
        told = frozenset(beyond[start : start + _DIGEST] for start in range(0, len(beyond), _DIGEST))
        return cls(Position(at, image_id), told)


def digest(image_id: str, version: int) -> str:
    """What stands for one state of one image: of a million of them, two are alike once in 500 times."""
    hashed = hashlib.blake2b(f"{image_id}:{version}".encode(), digest_size=6).digest()
    return base64.urlsafe_b64encode(hashed).decode()
