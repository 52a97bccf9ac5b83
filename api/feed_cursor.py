"""Cursors of the feed: a place in an owner's log, as opaque text."""

import re
from typing import NamedTuple, Self

from api.paging import pack, unpack
from jobs.errors import InvalidInput

_LIST = "FEED"
_NUMBER = re.compile("[1-9][0-9]{0,17}|0", re.ASCII)  # the database counts a little farther
_WHOLE = 2**31  # more states than any entry has


class FeedCursor(NamedTuple):
    """Everything was told up to the state number `number` of the entry `seq`."""

    seq: int
    number: int = _WHOLE

    def encode(self) -> str:
        """As text."""
        return pack(_LIST, str(self.seq), str(self.number))

    @classmethod
    def decode(cls, text: str) -> Self:
        """The cursor that `encode` wrote down.

        Raises:
            InvalidInput: it is not one of ours.
        """
        seq, number = unpack(text, _LIST)
        if _NUMBER.fullmatch(seq) and _NUMBER.fullmatch(number):
            return cls(int(seq), int(number))
        raise InvalidInput("This cursor is not one that was given out here.")
