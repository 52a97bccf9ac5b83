"""Consistency: what an image's record and the objects in the store say of one another.

Everything here is pure. `jobs.orphans` reads both sides, at different moments of a running system; each
rule says what may be concluded in spite of that.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jobs.errors import ProblemCode
from jobs.images import Image, Status
from jobs.ports import Listed


class Fault(StrEnum):
    """What does not fit: an object, or with the last two a record."""

    NO_RECORD = "NO_RECORD"  # a record is written before its target is signed: none will come
    DELETED = "DELETED"  # only a tombstone is left of its record
    UNNAMED = "UNNAMED"  # a variant that its record does not show: an attempt left it behind
    NOT_KEPT = "NOT_KEPT"  # an original that should have gone when the variants were there
    SOURCE_GONE = "SOURCE_GONE"  # and perhaps variants too
    VARIANTS_GONE = "VARIANTS_GONE"


class Remedy(StrEnum):
    """What can be done about it."""

    REMOVE = "REMOVE"
    REPROCESS = "REPROCESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One object that is an orphan, or one record with the keys of the objects that are gone.

    `byte_size` is of those objects, by the store or by the record; `status` is None if there is no record.
    """

    fault: Fault
    image_id: str
    status: Status | None
    keys: tuple[str, ...]
    byte_size: int
    remedy: Remedy | None
    fixed: bool = False


def object_fault(listed: Listed, record: Image | None, *, before: datetime) -> Fault | None:
    """Why nobody will ask for an object; None if somebody may.

    Args:
        record: of the object's image, read after the object was listed.
        before: what was written or moved later is let alone.
    """
    if listed.last_modified > before:
        return None
    if record is None:
        return Fault.NO_RECORD
    # In motion, a worker may be about to show it; the attempt that ends the motion removes the rest.
    if not record.status.at_rest or record.changed_at > before:
        return None
    if record.status is Status.DELETED:
        return Fault.DELETED
    if listed.key == record.source_key:
        # One that a record does not know of yet is an upload: the sweep and late events still find it.
        return Fault.NOT_KEPT if record.status is Status.READY and record.source is None else None
    if any(variant.key == listed.key for variant in record.variants):
        return None
    return Fault.UNNAMED


def expected(record: Image) -> dict[str, int]:
    """The objects that must be there for `record` to be true: keys, and sizes in bytes.

    A record that says itself that its source is missing is true without it. Variants of an image in motion
    are about to be replaced.
    """
    if record.status is Status.DELETED:
        return {}
    sizes = {variant.key: variant.byte_size for variant in record.variants} if record.status.at_rest else {}
    says_so = record.problem is not None and record.problem.code is ProblemCode.SOURCE_MISSING
    if record.source is not None and not says_so:
        sizes[record.source_key] = record.source.byte_size
    return sizes
