"""Scratch: the folders on a worker's disk in which images are developed."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from jobs.errors import SettingsError, Unavailable
from jobs.settings import Settings

_PREFIX = "darkroom-attempt-"
_STALE = 3_600.0  # seconds; no attempt lasts nearly as long


@contextmanager
def scratch_folder(settings: Settings) -> Iterator[Path]:
    """A folder for one attempt.

    Raises:
        Unavailable: there is no room for it.
    """
    try:
        folder = tempfile.TemporaryDirectory(
            prefix=_PREFIX, dir=settings.scratch_dir, ignore_cleanup_errors=True
        )
    except OSError as error:
        raise Unavailable(f"The scratch directory cannot be used: {error.strerror}.") from error
    with folder as path:
        yield Path(path)


def read_made(path: Path) -> bytes:
    """What is in a file; not in what a link leads to, for a child may have been talked into anything."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        return file.read()


def sweep_scratch(settings: Settings) -> None:
    """Remove what workers that were killed left behind, and see that there is room for more.

    Raises:
        SettingsError: there is not.
    """
    scratch = settings.scratch_dir or Path(tempfile.gettempdir())
    if not (scratch.is_dir() and os.access(scratch, os.W_OK | os.X_OK)):
        raise SettingsError(f"DARKROOM_SCRATCH_DIR is wrong: {scratch} is no directory to write to")
    for folder in scratch.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # somebody else's, or removed by another worker that starts
            if folder.stat().st_mtime < time.time() - _STALE:
                shutil.rmtree(folder, ignore_errors=True)
