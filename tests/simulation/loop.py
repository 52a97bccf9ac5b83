"""Virtual time: an event loop that never waits, for the time that it would wait passes at once."""

import asyncio
import selectors


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time stands still while anything can run, and then jumps to the next timer.

    So a history of hours takes milliseconds, timeouts and leases end where they would, and the order of
    all steps depends on nothing but the program.
    """

    def __init__(self) -> None:
        self._selector_in_time = _Selector()
        super().__init__(self._selector_in_time)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._selector_in_time.passed


class _Selector(selectors.SelectSelector):
    """Where a loop waits: for the next timer, as nobody else can wake it here."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits, and nothing will ever happen")
        self.passed += max(timeout, 0.0)
        return []
