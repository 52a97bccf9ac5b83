"""The clock: what every use case is handed for the time."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def now() -> datetime:
    """The time in UTC, to the millisecond: what the catalog can keep."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1_000 * 1_000)
