"""What this process asks of Python and the kernel before subscribers come by the thousand.

A subscriber is some 260 objects that live long, and a pass of Python's collector through those of 5,000
takes most of a second in which nobody is served. Nothing that comes and goes here is left to it, so it may
look seldom, and need not look at those who are there at all.
"""

import asyncio
import gc
import resource
from collections.abc import Callable

# New objects before the young are looked through (10 ms), and how many times until the older are.
_THRESHOLDS = (10_000, 250, 1_000)
_MANY = 100  # connections


def allow_many_sockets() -> None:
    """Raise the limit on open files as far as it goes: a shell's own is often 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def relax_collector() -> None:
    """Let the collector look seldom, and never again at what is there already."""
    gc.set_threshold(*_THRESHOLDS)
    gc.collect()
    gc.freeze()


async def freeze_settled(connections: Callable[[], int], look_every: float = 1.0) -> None:
    """Leave connections out of the collector's sight once no more of them come; without end.

    Args:
        connections: how many there are.
        look_every: seconds.
    """
    frozen = before = 0
    while True:
        await asyncio.sleep(look_every)
        now = connections()
        if now <= before and now >= frozen + _MANY:
            gc.collect(0)
            gc.freeze()
            frozen = now
        frozen, before = min(frozen, now), now
