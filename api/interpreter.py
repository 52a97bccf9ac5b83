"""What this process asks of Python and the kernel before subscribers come by the thousand.

A subscriber is some 260 objects that live long, and a pass of Python's collector through those of 5,000
takes most of a second in which nobody is served. Of what comes and goes hardly anything is left to it: an
operation or a websocket that ends holds nothing that holds it. So it may look seldom, and those who are
there are frozen, which leaves them out of its sight.

What is frozen and dies in a circle nevertheless is never freed, nor is what hangs on it. So all is looked
through before it is frozen, dead things being no part of it then; and when as many who were frozen have left
as are there, all is thawed, looked through, and frozen again. Of each who leaves, that costs no more than a
look at one who stays, and no more lies about than of as many as are there, or of a thousand.
"""

import asyncio
import gc
import resource
from collections.abc import Callable

# New objects before the young are looked through (10 ms), and how many times until the older are.
_THRESHOLDS = (10_000, 250, 1_000)
_MANY = 100  # connections, through which a look takes 13 ms
_MOST = 1_000  # of those that still come; 0.13 s
_MANY_LEFT = 1_000  # connections; a look through all that the process itself is takes 0.1 s


def allow_many_sockets() -> None:
    """Raise the limit on open files as far as it goes: a shell's own is often 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def relax_collector() -> None:
    """Let the collector look seldom, and not at what is there already."""
    gc.set_threshold(*_THRESHOLDS)
    gc.collect()
    gc.freeze()


async def freeze_settled(connections: Callable[[], int], look_every: float = 1.0) -> None:
    """Keep connections out of the collector's sight once no more of them come, or many do; without end.

    Args:
        connections: how many there are.
        look_every: seconds.
    """
    frozen = before = left = 0
    while True:
        await asyncio.sleep(look_every)
        now = connections()
        left += max(0, frozen - now)
        frozen = min(frozen, now)
        have_come = now - frozen >= (_MANY if now <= before else _MOST)
        have_left = now >= before and left >= max(_MANY_LEFT, now)
        if have_left:
            gc.unfreeze()
            left = 0
        if have_come or have_left:
            gc.collect()
            gc.freeze()
            frozen = now
        before = now
