"""The clock: what every use case is handed for the time."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def now() -> datetime:
    """The time in UTC, to the millisecond: what the catalog can keep."""
    return datetime.fromtimestamp(time.time_ns() // 1_000_000 / 1_000, UTC)
