"""Consistency: what an image's record and the objects in the store say of one another.

Everything here is pure. `jobs.orphans` reads both sides, at different moments of a running system; each
rule says what may be concluded in spite of that.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jobs.errors import ProblemCode
from jobs.images import Image, Status
from jobs.ports import Listed, Stored


class Fault(StrEnum):
    """What does not fit: an object, or with the last five a record."""

    NO_RECORD = "NO_RECORD"  # a record is written before its target is signed: none will come
    DELETED = "DELETED"  # only a tombstone is left of its record
    UNNAMED = "UNNAMED"  # a variant that its record does not show: an attempt left it behind
    NOT_KEPT = "NOT_KEPT"  # an original that should have gone when the variants were there
    SOURCE_GONE = "SOURCE_GONE"  # and perhaps variants too
    SOURCE_CHANGED = "SOURCE_CHANGED"  # likewise; it has another size or ETag than the record
    VARIANTS_GONE = "VARIANTS_GONE"  # and perhaps others have another size
    VARIANTS_CHANGED = "VARIANTS_CHANGED"
    UPLOAD_MISSED = "UPLOAD_MISSED"  # it came after the sweep had looked for the last time, and nobody told


class Remedy(StrEnum):
    """What can be done about it."""

    REMOVE = "REMOVE"
    REPROCESS = "REPROCESS"
    INGEST = "INGEST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One object that is an orphan, or one record with the keys of the objects that do not fit it.

    `byte_size` is of an orphan by the store, else of those objects by the record; of an upload that was
    missed, as it was declared. `status` is None if there is no record.
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


def fits(record: Image, key: str, found: Listed | Stored | None) -> bool:
    """Whether the store has under `key`, one of `expected(record)`, what `record` says."""
    if found is None or found.byte_size != expected(record)[key]:
        return False
    return key != record.source_key or record.source is None or found.etag == record.source.etag


def record_fault(record: Image, *, gone: Collection[str], changed: Collection[str]) -> Fault | None:
    """What is wrong with a record some of whose objects are gone, or are not what they were."""
    if record.source_key in gone:
        return Fault.SOURCE_GONE
    if record.source_key in changed:
        return Fault.SOURCE_CHANGED
    if gone:
        return Fault.VARIANTS_GONE
    return Fault.VARIANTS_CHANGED if changed else None


def missed_upload(record: Image, objects: Mapping[str, Listed], *, before: datetime) -> bool:
    """Whether the sweep has given `record` up, and its source is stored nevertheless.

    Args:
        objects: of the image, by key.
        before: what was written or moved later is let alone.
    """
    if record.status is not Status.EXPIRED or record.due_at is not None or record.changed_at > before:
        return False
    source = objects.get(record.source_key)
    return source is not None and source.last_modified <= before
