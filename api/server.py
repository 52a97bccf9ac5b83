"""Serving the application: uvicorn on a socket of ours, ended by our signals."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from api.app import create_app
from api.bounded_request import BoundedRequest
from api.bounded_socket import PING_SECONDS, BoundedSocket
from api.interpreter import allow_many_sockets, freeze_settled, relax_collector
from api.listener import listen_on
from jobs.errors import SettingsError
from jobs.ports import Services
from jobs.services import open_services
from jobs.settings import LOOPBACK, Settings

_GOODBYE = 3  # seconds for open requests and websockets when the server ends


class _Server(uvicorn.Server):
    """Leaves signals to the loop: uvicorn's own way kills the process before services are closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for signum in signals:
            loop.add_signal_handler(signum, self.handle_exit, signum, None)
        try:
            yield
        finally:
            for signum in signals:
                loop.remove_signal_handler(signum)


def create_server(services: Services, *, init_seconds: float = 5.0) -> uvicorn.Server:
    """A server over open services; `serve(sockets=[…])` runs it.

    Args:
        init_seconds: that a websocket has for its `connection_init`.
    """
    return _Server(
        uvicorn.Config(
            create_app(services, init_seconds=init_seconds),
            http=BoundedRequest,
            ws=BoundedSocket,
            ws_ping_interval=PING_SECONDS,
            ws_ping_timeout=PING_SECONDS,
            ws_max_size=64 * 1024,
            ws_per_message_deflate=False,  # costs 0.3 MB a subscriber for messages of a few hundred bytes
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GOODBYE,
        )
    )


async def serve_api(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        ServiceFailed: the port is taken.
        SettingsError: nobody would have to say who he is, and everybody could ask; or nobody could.
        Unavailable: a service does not answer.
    """
    if settings.auth == "none" and host not in LOOPBACK:
        raise SettingsError(
            f"DARKROOM_AUTH is wrong: none is for 127.0.0.1, ::1 and localhost, and this listens on {host}"
        )
    if "keys" in settings.auth and not settings.api_keys:
        raise SettingsError("DARKROOM_API_KEYS is missing: without a key, nobody could ask for anything")
    allow_many_sockets()
    relax_collector()
    with listen_on(host, port) as listener:
        async with open_services(settings) as services:
            server = create_server(services)
            freezing = asyncio.create_task(freeze_settled(lambda: len(server.server_state.connections)))
            try:
                await server.serve(sockets=[listener])
            finally:
                freezing.cancel()
