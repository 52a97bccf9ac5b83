"""What the use cases need of the outside, in their own words.

Each Protocol names the errors that an implementation may raise; one contract suite runs over all of
them. Anything that cannot be reached raises `Unavailable`.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol

from jobs.clock import Clock
from jobs.images import Image, ImageChange, Move, Status
from jobs.labels import labels_of
from jobs.settings import Settings
from jobs.stages import History


class Position(NamedTuple):
    """A place in a list of images that stays where it is while images come and go."""

    at: datetime
    id: str


class ImageOrder(StrEnum):
    """How a list of images is sorted: by a time, then by id. An image without that time is not in it."""

    NEWEST_FIRST = "NEWEST_FIRST"
    OLDEST_FIRST = "OLDEST_FIRST"
    FINISHED_NEWEST_FIRST = "FINISHED_NEWEST_FIRST"
    FINISHED_OLDEST_FIRST = "FINISHED_OLDEST_FIRST"

    @property
    def field(self) -> Literal["created_at", "finished_at"]:
        """The time of an image that it goes by."""
        return "finished_at" if self.name.startswith("FINISHED") else "created_at"

    @property
    def newest_first(self) -> bool:
        """Whether later times come first, and among equal ones greater ids."""
        return self.name.endswith("NEWEST_FIRST")

    def position(self, image: Image) -> Position | None:
        """The place of an image in this order; None if it is not in it."""
        at: datetime | None = getattr(image, self.field)
        return None if at is None else Position(at, image.id)


@dataclass(frozen=True, kw_only=True)
class ImageFilter:
    """Which images a list shows: those to which everything applies that is given.

    `created_after` is the first moment that counts, `created_before` the first that does not. `label` is one
    of `jobs.labels`.
    """

    statuses: Sequence[Status] | None = None
    presets: Sequence[str] | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    label: str | None = None

    def matches(self, image: Image) -> bool:
        """Whether the list shows `image`."""
        return (
            (self.statuses is None or image.status in self.statuses)
            and (self.presets is None or image.preset in self.presets)
            and (self.created_after is None or image.created_at >= self.created_after)
            and (self.created_before is None or image.created_at < self.created_before)
            and (self.label is None or self.label in labels_of(image.metadata))
        )


EVERY_IMAGE = ImageFilter()


class Catalog(Protocol):
    """The records of images."""

    async def add(self, images: Sequence[Image]) -> None:
        """Keep new records; one whose id is taken stays as it is."""

    async def get(self, image_id: str) -> Image | None:
        """The record, whoever owns it."""

    async def get_many(self, image_ids: Iterable[str], *, owner: str | None = None) -> dict[str, Image]:
        """Those records that exist (and are `owner`'s, if given), by id."""

    async def move(
        self,
        image_id: str,
        move: Move,
        *,
        at: datetime,
        values: Mapping[str, Any] | None = None,
        fence: str | None = None,
        owner: str | None = None,
        version: int | None = None,
    ) -> Image | None:
        """Compare and set: make `move` if the record stands where the move may start.

        Args:
            at: when it happens; goes to the timeline.
            values: fields of `Image` to set along with it.
            fence: the caller's fence, for a leased move; without it the move is only made if nobody's
                lease runs at `at`. TAKE brings its own lease in `values`; REVEAL and FINISH need a fence.
            owner: if given, the record must be this owner's.
            version: if given, the record must not have moved since it had this one.

        Returns:
            The record after the move; None if there is no such record or it does not stand there.
        """

    async def renew(self, image_id: str, *, fence: str, until: datetime) -> bool:
        """Let the lease of `fence` last longer; false if it is over, or somebody else's."""

    async def release(self, image_id: str, *, fence: str, at: datetime, counted: bool = True) -> bool:
        """End the lease of `fence` early, so that the next attempt need not wait for it.

        Args:
            counted: whether it stays counted among the attempts.
        """

    async def count(self, status: Status, *, limit: int) -> int:
        """How many images, of all owners, have this status; counting ends at `limit`."""

    async def finished_since(self, since: datetime, *, limit: int) -> list[History]:
        """What became of images that were developed since then, of all owners; the latest come first."""

    async def due(self, *, at: datetime, limit: int) -> list[Image]:
        """The records that the sweep should look at, the longest waiting first."""

    async def postpone(self, image: Image, *, until: datetime | None) -> None:
        """Let the sweep look again later, or never, unless the record has moved meanwhile."""

    async def page(
        self,
        owner: str,
        *,
        first: int,
        after: Position | None = None,
        matching: ImageFilter = EVERY_IMAGE,
        order: ImageOrder = ImageOrder.NEWEST_FIRST,
    ) -> list[Image]:
        """`owner`'s images that are in this order and match, at most `first` of them, from behind `after`."""

    async def changed_since(self, owner: str, since: Position, *, limit: int) -> list[Image]:
        """`owner`'s images that moved after `since`, in the order of their last move."""

    async def count_changed_since(self, owner: str, since: Position, *, limit: int) -> int:
        """How many those are; counting ends at `limit`."""

    async def by_id(self, *, after: str | None = None, limit: int) -> list[Image]:
        """Everybody's images in the order of their ids, at most `limit` of them, from behind `after`."""

    async def known(self, image_ids: Iterable[str]) -> set[str]:
        """Those ids that have a record, be it one that only another version can read."""

    async def versions(self, image_ids: Iterable[str]) -> dict[str, int]:
        """The versions of those records that exist, by id: a tenth of what `get_many` costs."""

    async def secret(self) -> str:
        """A text that nobody can guess, and that stays the same for as long as the records do."""

    async def ping(self) -> None:
        """Ask the database for an answer."""


# A change becomes visible up to this long after what it says: clocks differ by five seconds, and a write may
# be under way for as long again.
FEED_OVERLAP = timedelta(seconds=10)
FEED_KEPT = timedelta(days=7)  # the entries of a log


class FeedState(NamedTuple):
    """A state of an image."""

    id: str
    version: int
    changed_at: datetime


class FeedEntry(NamedTuple):
    """What changed of an owner's images, since the entry `after`; that of a first entry is 0.

    Every change from before `floor` is in this entry or in an earlier one, unless there is a `cut`: whoever
    was told of all before it may have missed some. `at` is when it was written, no earlier than that of the
    entry before.
    """

    seq: int
    after: int
    at: datetime
    floor: datetime
    states: tuple[FeedState, ...] = ()
    cut: bool = False


class FeedLog(Protocol):
    """For each owner whose images are followed, what changed, in the order in which it can be seen."""

    async def append(self, owner: str, entry: FeedEntry) -> bool:
        """Add an entry; false if there is one already after the one that it names."""

    async def entries(self, owner: str, *, after: int, limit: int) -> list[FeedEntry]:
        """Those with a greater `seq`, in that order, at most `limit` of them."""

    async def tail(self, owner: str) -> list[FeedEntry]:
        """The last entry, and those before it that may tell of changes after its floor, the oldest first."""


class Stored(NamedTuple):
    """What the store says of an object."""

    byte_size: int
    etag: str
    content_type: str


class Listed(NamedTuple):
    """What a listing says of an object; the time is the store's."""

    key: str
    byte_size: int
    last_modified: datetime
    etag: str


class Target(NamedTuple):
    """The one request that stores one source."""

    method: str
    url: str
    headers: dict[str, str]


class ObjectMissing(Exception):
    """There is no object with that key."""


class ObjectChanged(Exception):
    """The object is no longer the one whose ETag was asked for."""


class Storage(Protocol):
    """The objects of one bucket. Signing asks nobody, and so it can neither wait nor fail."""

    def presign_upload(
        self, key: str, *, byte_size: int, content_type: str, sha256: str | None, expires_in: int
    ) -> Target:
        """A request that stores exactly this, once, within `expires_in` seconds; with 0, it is too late.

        `sha256` is hex.
        """

    def download_url(self, key: str, *, expires_in: int) -> str:
        """A URL from which a browser can read the object for `expires_in` seconds or longer."""

    def attachment_url(self, key: str, *, expires_in: int) -> str:
        """The same for bytes that nobody has checked: a browser saves them and never shows them."""

    async def head(self, key: str) -> Stored | None:
        """What is stored under `key`; None for nothing."""

    def read(
        self, key: str, *, etag: str | None = None, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `stop`.

        Raises:
            ObjectMissing: nothing is stored under `key`.
            ObjectChanged: `etag` is given and is not the object's.
        """

    async def write(self, key: str, body: bytes, *, content_type: str) -> None:
        """Store an object that never changes; caches may keep it for good."""

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove the objects; those that are gone already are no error."""

    def listing(self, prefix: str, *, page_size: int = 1_000) -> AsyncIterator[Listed]:
        """The objects whose keys start with `prefix`, in the order of the keys.

        Args:
            page_size: how many the store tells of in one answer, at most 1,000.
        """

    async def ping(self) -> None:
        """Ask the store whether the bucket is there and ours."""


class Queue(Protocol):
    """The jobs that wait for a worker."""

    async def enqueue(self, image: Image) -> None:
        """Let the image be developed. Asking twice for the same round makes one job."""

    async def depth(self) -> int:
        """How many jobs wait or run."""

    async def oldest(self) -> datetime | None:
        """Since when the job that has waited or run for longest is due; None if there is no job.

        A time to come is that of a job which was put off.
        """

    async def ping(self) -> None:
        """Ask the broker for an answer."""


class Bus(Protocol):
    """The hints that something changed."""

    async def publish(self, image: Image) -> None:
        """Tell every listener that `image` moved. Best effort: a lost hint is found by others."""

    async def echo(self, key: str, *, via: str) -> None:
        """Tell whoever stored a probe that its event came, and by which way. Best effort."""

    def changes(self) -> AsyncIterator[ImageChange | None]:
        """Every hint from now on, without end; None each time some may have been missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything a use case may need, opened once by `jobs.services`."""

    settings: Settings
    catalog: Catalog
    feed_log: FeedLog
    storage: Storage
    queue: Queue
    bus: Bus
    clock: Clock
