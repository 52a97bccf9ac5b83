"""What a list of images can be narrowed to."""

from datetime import UTC, datetime
from typing import TypeVar

import strawberry

from api.enums import ImageStatus
from api.uploads import is_text
from jobs import ports
from jobs.errors import InvalidInput
from jobs.images import Status
from jobs.labels import MAX_ENTRIES, MAX_LENGTH, label

T = TypeVar("T")

_MAX_NAMES = 100
_BEGINNING = datetime(
    1970, 1, 1, tzinfo=UTC
)  # no image is older, and times before it can be too early to count


@strawberry.input(
    description="An entry at the top of an image's metadata. Of each image, the first "
    f"{MAX_ENTRIES} entries can be found, those too long in JSON for {MAX_LENGTH} characters left out."
)
class MetadataFilter:
    """`jobs.labels.label`."""

    key: str = strawberry.field(description="The entry's key.")
    value: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="Its value: text as it is, a number, `true`, `false` or `null` as JSON writes it; "
        "any value, also a list or an object, if left out.",
    )


@strawberry.input(description="Which images to list: those to which all of this applies.")
class ImageFilter:
    """`jobs.ports.ImageFilter`."""

    status: list[ImageStatus] | None = strawberry.field(
        default=strawberry.UNSET, description="Only those in one of these states."
    )
    preset: list[str] | None = strawberry.field(
        default=strawberry.UNSET, description=f"Only those of one of these presets, at most {_MAX_NAMES}."
    )
    created_after: datetime | None = strawberry.field(
        default=strawberry.UNSET,
        description="Only those created at this moment or later; in UTC if it names no time zone.",
    )
    created_before: datetime | None = strawberry.field(
        default=strawberry.UNSET,
        description="Only those created earlier than this; in UTC if it names no time zone.",
    )
    metadata: MetadataFilter | None = strawberry.field(
        default=strawberry.UNSET, description="Only those with this entry in their metadata."
    )

    def to_domain(self) -> ports.ImageFilter:
        """The filter of the catalog.

        Raises:
            InvalidInput: a time or a list is out of bounds.
        """
        statuses, presets, metadata = given(self.status), given(self.preset), given(self.metadata)
        if presets is not None and len(presets) > _MAX_NAMES:
            raise InvalidInput(f"At most {_MAX_NAMES} presets can be asked for.")
        return ports.ImageFilter(
            statuses=None if statuses is None else [Status[status.name] for status in statuses],
            # A name that is no text is nobody's, and the database would not take it.
            presets=None if presets is None else [name for name in presets if is_text(name)],
            created_after=_in_utc(given(self.created_after)),
            created_before=_in_utc(given(self.created_before)),
            label=None if metadata is None else label(metadata.key, given(metadata.value)),
        )


def given(value: T | None) -> T | None:
    """What was sent; None also for what was left out."""
    return None if value is strawberry.UNSET else value


def _in_utc(at: datetime | None) -> datetime | None:
    if at is None:
        return None
    try:
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        raise InvalidInput("There is no such time in UTC.") from None
    return max(at, _BEGINNING)
