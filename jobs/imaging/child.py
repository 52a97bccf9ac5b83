"""The child: develops one file after the other, in a process that can be killed.

It reads one `Task` after the other, and answers each with messages, of which the last is `Finished`,
`Refused` or `Hindered`. It ends when its input ends, or when its parent does.
"""

import ctypes
import importlib
import math
import os
import pickle
import resource
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from PIL import AvifImagePlugin, Image

from jobs.errors import Rejection
from jobs.formats import SourceFormat
from jobs.imaging.messages import Answer, Finished, Hindered, Refused, Task, line
from jobs.imaging.pipeline import NoRoom, develop

_PR_SET_PDEATHSIG = 1
_PLUGINS = ("Avif", "Bmp", "Gif", "Jpeg", "Png", "Tiff", "WebP")


def main(parent: int, memory: int) -> None:
    """Work until there is nothing more to read.

    Args:
        parent: the process id of whoever started this.
        memory: bytes of address space that may be used.
    """
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches everybody; the parent decides
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    load_codecs()
    warnings.simplefilter("ignore")  # of odd files there is much to say, and nobody to hear it

    # Only messages reach the parent: whatever else is printed goes where errors go.
    with os.fdopen(os.dup(1), "wb", buffering=0) as answers:
        os.dup2(2, 1)
        with suppress(EOFError):
            while True:
                task: Task = pickle.load(sys.stdin.buffer)  # noqa: S301 - of its own parent
                _answer(task, answers)


def load_codecs() -> None:
    """Those that are needed, and no more: the first file need not wait for them."""
    for name in _PLUGINS:
        importlib.import_module(f"PIL.{name}ImagePlugin")
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # there is a child for each core
    Image._initialized = 2  # noqa: SLF001 - else Pillow loads some forty others at the first save


def _answer(task: Task, answers: BinaryIO) -> None:
    def say(message: Answer) -> None:
        answers.write(line(message))

    began = time.perf_counter()
    last: Answer
    try:
        if SourceFormat.HEIC in task.accepted:  # the extra `heic`; the others need not pay for it
            importlib.import_module("pillow_heif").register_heif_opener()
        with _limited(task.cpu_seconds):
            for step in develop(task.source, task.preset, task.accepted, task.out):
                say(step)
    except Rejection as rejection:
        last = Refused(code=rejection.code, message=rejection.message)
    except NoRoom as error:
        last = Hindered(message=str(error))
    else:
        last = Finished(seconds=time.perf_counter() - began)
    say(last)


@contextmanager
def _limited(cpu_seconds: float) -> Iterator[None]:
    """Let the kernel end this process, by SIGXCPU, if it takes more than that of a processor.

    The limit is one for the life of the process, in whole seconds; what is left of it is nobody else's.
    """
    before, most = resource.getrlimit(resource.RLIMIT_CPU)
    limit = math.ceil(time.process_time() + cpu_seconds)
    resource.setrlimit(
        resource.RLIMIT_CPU, (limit if most == resource.RLIM_INFINITY else min(limit, most), most)
    )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (before, most))


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it could be tied to us
        sys.exit(1)


if __name__ == "__main__":
    main(parent=int(sys.argv[1]), memory=int(sys.argv[2]))
