"""Run by every Python recipe in a process of its own: what one pass costs, after one to warm up.

Needs nothing but the standard library, for it runs in other environments too.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

WIDTHS = (320, 640, 1280, 1920)
QUALITY = 80


def measure(recipe: Callable[[Path, Path], object]) -> None:
    """Print, as JSON, the seconds of processor time of `recipe(source, out)` and the peak memory in bytes."""
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    recipe(source, out)
    before, began = _cpu(), time.perf_counter()
    recipe(source, out)
    print(
        json.dumps({"cpu": _cpu() - before, "wall": time.perf_counter() - began, "peak": _peak()}),
        flush=True,
    )


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak() -> int:
    # Not getrusage's: that of the parent is inherited.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
