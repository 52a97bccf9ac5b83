"""Websockets as the server keeps them: bounded in what waits for a client, and ended with a word.

uvicorn alone waits for ever for a client that does not read, and a `close()` waits behind what it has not
taken; it goes on reading, and answers each ping. Here nothing is sent, nor read, while more than 64 kB wait
for a client in this process, and the kernel has at most 128 kB besides. What goes beyond that is the message
that filled the room, and the answers to pings that came before it was full, 256 kB of them at the most. A
client for whom all that is more than 16 MB is cut off at once, and one that takes nothing of it for eight
seconds. One that is only silent is found by pings.
"""

import asyncio
import fcntl
import socket
import struct
import termios
from typing import Any, cast

from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets import CloseCode
from websockets.frames import Frame

from api.connections import bound, reset
from api.flow_control import Gate, Inbox
from jobs.metrics import DROPS, Drop

STALLED_SECONDS = 8.0  # for which a client may leave everything unread: with the looks, it is gone within ten
_LOOKS = 10  # in that time, at what it has taken
PING_SECONDS = 20.0  # between two pings, and for the answer to one
MOST_WAITING = 16 * 1024 * 1024  # bytes; the longest answers have 12 MB
MOST_FRAGMENTS = 1_024  # of a message, of which those that are empty count nothing of its bytes
_GOODBYE_SECONDS = 2.0  # for a client's answer to the last word
_BYTES_ACKED = struct.Struct("=120xQ")  # in Linux's `tcp_info`


class BoundedSocket(WebSocketsSansIOProtocol):
    """uvicorn's protocol with limits of ours; asyncio says when the transport stops and goes on."""

    stalled_seconds = STALLED_SECONDS
    most_waiting = MOST_WAITING
    _deadline: asyncio.TimerHandle | None = None  # while writing is paused
    _behind: int | None = None  # bytes that the client had taken, if a ping or its answer had to wait then

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queue = cast("asyncio.Queue[ASGIReceiveEvent]", Inbox())
        self.writable = cast("asyncio.Event", Gate())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the connection from HTTP, with a smaller buffer."""
        bound(transport)
        super().connection_made(transport)

    def start_keepalive(self) -> None:
        """The handshake is over: what was said in it takes 4 kB, for as long as the client stays."""
        super().start_keepalive()
        for told in ("request", "response"):
            vars(self).pop(told, None)

    def handle_cont(self, event: Frame) -> None:
        """Go on with a message, or close with 1009 for one whose fragments have no end."""
        if len(self.frames) >= MOST_FRAGMENTS:
            self.frames = []
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

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
        self.transport.pause_reading()
        if self.transport.get_write_buffer_size() > self.most_waiting:
            self.loop.call_soon(self._drop, Drop.STALLED)  # the transport is in the middle of writing
        self._behind = self._taken()
        self._look_later(self._behind, self.loop.time())

    def resume_writing(self) -> None:
        """The client has read on."""
        super().resume_writing()
        self._let_be()
        if not self.read_paused:
            self.transport.resume_reading()

    async def receive(self) -> ASGIReceiveEvent:
        """What came next, as uvicorn does it, but that reading goes on only if writing does."""
        message = await self.queue.get()
        if self.read_paused and self.queue.empty():
            self.read_paused = False
            if self._deadline is None:
                self.transport.resume_reading()
        return message

    def handle_ping(self) -> None:
        """Answer it. After a `close` the client is read whatever waits for it."""
        if self.transport.is_closing():
            return
        super().handle_ping()
        if self.transport.get_write_buffer_size() > self.most_waiting:
            self._drop(Drop.STALLED)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever ended it."""
        self._let_be()
        super().connection_lost(exc)

    def send_keepalive_ping(self) -> None:
        """Ask whether the client is there, and remember whether anything is in front of the question."""
        if not self.transport.is_closing():
            self._behind = self._taken() if self._waits() else None
        super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        """A ping was not answered: say so, and wait for nobody to hear it.

        While much waits for a client that reads slowly, neither the ping nor its answer may have got through.
        """
        if self._behind is not None and (taken := self._taken()) > self._behind:
            self._behind = taken if self._waits() else None
            self.pong_timer = self.loop.call_later(self.ping_timeout or 0.0, self.keepalive_timeout)
            return
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
        if not self.disconnected:
            DROPS.labels(reason).inc()
        self._cut_off()

    def _cut_off(self) -> None:
        """Reset the connection, unless it is over."""
        if self.disconnected:
            return
        self._let_be()
        self.stop_keepalive()
        reset(self.transport)

    def _look_later(self, taken: int, since: float) -> None:
        delay = self.stalled_seconds / _LOOKS
        self._deadline = self.loop.call_later(delay, self._look_again, taken, since)

    def _look_again(self, before: int, since: float) -> None:
        """Let the client go on for as long as it takes something now and then, however slowly."""
        now = self.loop.time()
        if (taken := self._taken()) > before:
            self._look_later(taken, now)
        elif now - since < self.stalled_seconds:
            self._look_later(before, since)
        else:
            self._drop(Drop.STALLED)

    def _taken(self) -> int:
        """Bytes that the client's kernel has acknowledged: no more than its own buffer, unless it reads."""
        connection = self.transport.get_extra_info("socket")
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
        taken: int = _BYTES_ACKED.unpack(info)[0]
        return taken

    def _waits(self) -> bool:
        """Whether there is anything that the client's kernel has not acknowledged."""
        queued = bytearray(struct.calcsize("i"))
        fcntl.ioctl(self.transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, queued)
        return any(queued) or self.transport.get_write_buffer_size() > 0

    def _let_be(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
