"""The child: develops one file after the other, in a process that can be killed.

It reads a `Task` per line and answers with lines of messages, the last of which is `Finished` or `Refused`.
It ends when its input ends, or when its parent does.
"""

import ctypes
import math
import os
import resource
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import AvifImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from jobs.errors import Rejection
from jobs.imaging.messages import Finished, Message, Refused, Task
from jobs.imaging.pipeline import develop

_PR_SET_PDEATHSIG = 1
_DECODERS = (AvifImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin)  # warm


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
    warnings.simplefilter("ignore")  # of odd files there is much to say, and nobody to hear it

    # Only messages reach the parent: whatever else is printed goes where errors go.
    with os.fdopen(os.dup(1), "wb", buffering=0) as answers:
        os.dup2(2, 1)
        for line in sys.stdin.buffer:
            _answer(Task.model_validate_json(line), answers)


def _answer(task: Task, answers: BinaryIO) -> None:
    def say(message: Message | Refused) -> None:
        answers.write(message.model_dump_json().encode() + b"\n")

    began = time.perf_counter()
    last: Message | Refused
    try:
        with _limited(task.cpu_seconds):
            for step in develop(task.source, task.preset, task.out):
                say(step)
    except Rejection as rejection:
        last = Refused(code=rejection.code, message=rejection.message)
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
