"""Labels: what of an image's metadata it can be found by.

Metadata itself is kept as text that no database looks into; labels are plain strings that an index can hold.
"""

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

MAX_ENTRIES = 32  # of the metadata of one image; each is up to two entries of two indexes
MAX_LENGTH = 256  # characters of a label; a longer one is not kept, so nothing is found by it


def label(key: str, value: str | None = None) -> str:
    """The label of an entry by its key, or by its key and its value as text.

    Both are in JSON, so that no two entries share one whatever is in their names, and it is ASCII.
    """
    return json.dumps([key] if value is None else [key, value])


def labels_of(metadata: Mapping[str, Any] | None) -> list[str]:
    """The labels of the first entries at the top of `metadata`.

    Each entry has one by its key. One that is no list and no object has another by its value: a string as it
    is, all else as JSON writes it.
    """
    found = []
    for key, value in islice((metadata or {}).items(), MAX_ENTRIES):
        found.append(label(key))
        if not isinstance(value, (dict, list)):
            found.append(label(key, value if isinstance(value, str) else json.dumps(value)))
    return [item for item in found if len(item) <= MAX_LENGTH]
