"""Child processes that live no longer than their parent.

Each runs in a session of its own, so that Ctrl-C reaches only the parent, which then ends them in order;
and each asks the kernel for a signal when the parent dies, so that even `kill -9` leaves no orphan.
"""

import asyncio
import ctypes
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PATIENCE = 15.0
_PORTS = range(20_000, 32_768)


class ServiceFailed(Exception):
    """A service could not start or died; the message names it, and its log file where there is one."""


class Service:
    """A running child process."""

    def __init__(
        self, name: str, process: asyncio.subprocess.Process, log: Path | None, patience: float
    ) -> None:
        self.name = name
        self.process = process
        self.log = log
        self._patience = patience

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.process.returncode is not None

    async def died(self) -> ServiceFailed:
        """Wait until the process ends by itself, and say so."""
        code = await self.process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return ServiceFailed(f"{self.name} {how}" + (f"; its log: {self.log}" if self.log else ""))

    async def stop(self) -> None:
        """End the process: politely, and after a while not."""
        if self.has_ended:
            return
        self.process.terminate()
        try:
            async with asyncio.timeout(self._patience):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


@asynccontextmanager
async def running(
    name: str,
    command: Sequence[str | Path],
    *,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_orphaned: signal.Signals = signal.SIGTERM,
    patience: float = _PATIENCE,
) -> AsyncIterator[Service]:
    """`command` as a child for as long as the context lasts.

    Args:
        log: where its output goes; nothing: to the parent's.
        env: its whole environment; nothing: the parent's.
        on_orphaned: what it gets if the parent dies without a word.
        patience: seconds between asking it to end and ending it.

    Raises:
        ServiceFailed: the command cannot be run.
    """
    output = log.open("ab") if log else None
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT if output else None,
            env=env,
            start_new_session=True,
            preexec_fn=_dies_with_parent(on_orphaned) if sys.platform == "linux" else None,
        )
    except OSError as error:
        raise ServiceFailed(f"{name} cannot be run: {command[0]}: {error.strerror}") from error
    finally:
        if output:
            output.close()
    service = Service(name, process, log, patience)
    try:
        yield service
    finally:
        await service.stop()


def _dies_with_parent(signum: signal.Signals) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signum)
        if os.getppid() != parent:  # it died before it could be tied to us
            os.kill(os.getpid(), signum)

    return prepare


async def first_death(services: Sequence[Service]) -> ServiceFailed:
    """Wait until any of the processes ends by itself."""
    waiting = [asyncio.create_task(service.died()) for service in services]
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in waiting:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting, return_exceptions=True)


def port_is_free(port: int) -> bool:
    """Whether somebody could listen on this port of the loopback address now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port of the loopback address that nobody listens on.

    It is below those that systems give to outgoing connections: one of these could take it before whoever is
    to listen there does, be it at the next start.
    """
    while True:
        port = secrets.choice(_PORTS)
        if port_is_free(port):
            return port
