"""Failpoints: steps between which a process may die, so that tests can have it die there.

With `DARKROOM_FAILPOINT=process.stored` in its environment, a process that reaches that step is gone as
after `kill -9`. Nobody sets it in production, where a step costs the look at a variable.
"""

import os
import signal
from enum import StrEnum

VARIABLE = "DARKROOM_FAILPOINT"


class Failpoint(StrEnum):
    """Every step, in the order in which an image comes to it."""

    INGEST_FOUND = "ingest.found"  # the store has the object
    INGEST_MOVED = "ingest.moved"  # the record says so
    INGEST_QUEUED = "ingest.queued"  # the job waits
    PROCESS_TAKEN = "process.taken"  # the lease is ours
    PROCESS_FETCHED = "process.fetched"  # the source lies on the disk
    PROCESS_STORED = "process.stored"  # a variant is in the store, and nobody knows
    PROCESS_REVEALED = "process.revealed"  # it can be seen
    PROCESS_DEVELOPED = "process.developed"  # all of them are stored
    PROCESS_FINISHED = "process.finished"  # the record says so, and nobody was told


def reach(step: Failpoint) -> None:
    """Die, if this is where."""
    if os.environ.get(VARIABLE) == step:
        os.kill(os.getpid(), signal.SIGKILL)
