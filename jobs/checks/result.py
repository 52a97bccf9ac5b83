"""What a check has to say: one line, and what to do if something is wrong."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

_TOLERANCE = 5.0  # seconds by which clocks may differ: leases and signatures count on it
_LENGTH = 200  # characters of what a driver says: some append the state of the world


class Verdict(StrEnum):
    """How it stands."""

    OK = "OK"
    NOTE = "NOTE"  # could not be looked at, or is worth knowing; no reason to fail
    FAULT = "FAULT"
    FIXED = "FIXED"


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one check; a fault comes with advice."""

    check: str
    verdict: Verdict
    message: str
    advice: str | None = None


def ok(check: str, message: str) -> Result:
    """All is well."""
    return Result(check, Verdict.OK, message)


def note(check: str, message: str) -> Result:
    """Something that does not count as a finding."""
    return Result(check, Verdict.NOTE, message)


def fault(check: str, message: str, advice: str) -> Result:
    """Something is wrong; `advice` says what to do."""
    return Result(check, Verdict.FAULT, message, advice)


def fixed(check: str, message: str) -> Result:
    """Something was wrong, and no longer is."""
    return Result(check, Verdict.FIXED, message)


def reason(error: BaseException) -> str:
    """What an error says, in one line."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:_LENGTH].rstrip(".")  # what to do comes after it


def compare_clocks(
    check: str, theirs: datetime, *, before: datetime, after: datetime, resolution: float = 0.0
) -> Result:
    """Whether a service's clock agrees with ours.

    Args:
        before, after: our time when it was asked and when it had answered.
        resolution: seconds that theirs is cut down to.
    """
    early = (before - theirs).total_seconds() - resolution
    late = (theirs - after).total_seconds()
    if max(early, late) <= _TOLERANCE:
        return ok(check, f"agrees with ours within {_TOLERANCE:.0f} s")
    behind = f"{early:.0f} s behind" if early > late else f"{late:.0f} s ahead of"
    return fault(check, f"is {behind} ours", "let NTP set the clocks of both machines")
