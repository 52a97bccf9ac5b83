"""Websockets as the server keeps them: bounded in what waits for a client, and ended with a word.

uvicorn alone waits for ever for a client that does not read, and a `close()` waits behind what it has not
taken. Here what is written waits in at most 200 kB, most of it in the kernel, and a client that lets it wait
for ten seconds is cut off. One that is only silent is found by pings.
"""

import asyncio
import socket
import struct
from typing import Any, cast

from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets import CloseCode

from jobs.metrics import DROPS, Drop

STALLED_SECONDS = 10.0  # for which a client may leave everything unread that was written
PING_SECONDS = 20.0  # between two pings, and for the answer to one
_SEND_BUFFER = 64 * 1024  # bytes; the kernel doubles it, and would else let it grow to megabytes
_GOODBYE_SECONDS = 2.0  # for a client's answer to the last word


class Inbox:
    """What came for the application, which alone waits for it.

    An `asyncio.Queue` has four deques of 760 bytes, for those who may wait at either end of it.
    """

    __slots__ = ("_events", "_waiting")

    def __init__(self) -> None:
        self._events: list[ASGIReceiveEvent] = []  # a few: while there are some, nothing is read
        self._waiting: asyncio.Future[None] | None = None

    def put_nowait(self, event: ASGIReceiveEvent) -> None:
        """Add one."""
        self._events.append(event)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def get(self) -> ASGIReceiveEvent:
        """Wait for the first, and take it."""
        while not self._events:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        return self._events.pop(0)

    def empty(self) -> bool:
        """Whether there is none."""
        return not self._events


class BoundedSocket(WebSocketsSansIOProtocol):
    """uvicorn's protocol with limits of ours; asyncio says when the transport stops and goes on."""

    stalled_seconds = STALLED_SECONDS
    _deadline: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queue = cast("asyncio.Queue[ASGIReceiveEvent]", Inbox())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the connection from HTTP, with a smaller buffer."""
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        super().connection_made(transport)

    def start_keepalive(self) -> None:
        """The handshake is over: what was said in it takes 4 kB, for as long as the client stays."""
        super().start_keepalive()
        for told in ("request", "response"):
            vars(self).pop(told, None)

    def send_receive_event_to_app(self) -> None:
        """Close with 1007 for text that is not UTF-8, as uvicorn does, but without a traceback."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.conn.fail(CloseCode.INVALID_DATA)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def pause_writing(self) -> None:
        """Too much waits for the client."""
        super().pause_writing()
        self._deadline = self.loop.call_later(self.stalled_seconds, self._drop, Drop.STALLED)

    def resume_writing(self) -> None:
        """The client has read on."""
        super().resume_writing()
        self._let_be()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever ended it."""
        self._let_be()
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        """A ping was not answered: say so, and wait for nobody to hear it."""
        super().keepalive_timeout()
        self._drop(Drop.SILENT)

    def shutdown(self) -> None:
        """The server ends: clients shall come again, to another. uvicorn's own word for it is 1012."""
        if not self.handshake_complete or self.close_sent:
            super().shutdown()
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": CloseCode.GOING_AWAY})
        self.conn.send_close(CloseCode.GOING_AWAY)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_timer = self.loop.call_later(_GOODBYE_SECONDS, self._cut_off)

    def _drop(self, reason: Drop) -> None:
        DROPS.labels(reason).inc()
        self._cut_off()

    def _cut_off(self) -> None:
        """Reset the connection: the kernel would go on waiting to deliver what the client has not read."""
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _let_be(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
