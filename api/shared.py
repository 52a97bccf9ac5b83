"""What is worked out once for many: kept beside an object, and gone with it."""

import weakref
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any


class Kept:
    """The latest values, each of an object, which is known by its identity and not held."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[tuple[int, Hashable], tuple[weakref.ref[object], Any]] = OrderedDict()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._values)

    def get(self, of: object, key: Hashable) -> Any:
        """The value; None if there is none."""
        found = self._values.get((id(of), key))
        return None if found is None else found[1]

    def put(self, of: object, key: Hashable, value: Any) -> None:
        """Keep a value for as long as its object lives, and there is room."""
        values, whole = self._values, (id(of), key)
        values[whole] = (weakref.ref(of, lambda _: values.pop(whole, None)), value)
        if len(values) > self._most:
            values.popitem(last=False)
