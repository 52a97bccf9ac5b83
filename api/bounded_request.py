"""Requests as the server takes them: bounded in their heads, and in how long they may take.

uvicorn alone keeps as many headers as come, and waits for ever for the rest of a request and for a client
that does not read its answer.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.connections import bound, reset

MAX_HEAD = 64 * 1024  # bytes up to the end of the headers; of one read more may be kept
REQUEST_SECONDS = 30.0  # for a request to come as a whole
STALLED_SECONDS = 30.0  # for which a client may leave everything unread that was written
_GOODBYE_SECONDS = 2.0  # for a request to come when the server ends, which after three would cancel it

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedRequest(HttpToolsProtocol):
    """uvicorn's protocol with limits of ours."""

    request_seconds = REQUEST_SECONDS
    stalled_seconds = STALLED_SECONDS
    _head: int | None = 0  # bytes of a head that is not complete; None while none is to come
    _deadline: asyncio.TimerHandle | None = None
    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there, and shall say what he wants."""
        bound(transport)
        super().connection_made(transport)
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head has no end."""
        super().data_received(data)
        if self._head is None or self.transport.is_closing():
            return
        self._head += len(data)
        if self._head > MAX_HEAD:
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._head = 0
        self._await_request()

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._await_nothing()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """From here on, another has the connection; the parser holds this, 30 objects together."""
        self._await_nothing()
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # as where a connection is lost

    def pause_writing(self) -> None:
        """Too much waits for the client."""
        super().pause_writing()
        self._look_again(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The client has read on."""
        super().resume_writing()
        self._let_be()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever ended it."""
        self._await_nothing()
        self._let_be()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server ends: what has not come yet shall come soon."""
        super().shutdown()
        if self._deadline is not None:
            self._await_nothing()
            self._deadline = self.loop.call_later(_GOODBYE_SECONDS, self.transport.close)

    def _await_request(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.request_seconds, self.transport.close)

    def _await_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _let_be(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _look_again(self, waiting: int) -> None:
        self._patience = self.loop.call_later(self.stalled_seconds, self._look, waiting)

    def _look(self, before: int) -> None:
        """End it, unless the client has read something."""
        waiting = self.transport.get_write_buffer_size()
        if waiting < before:
            self._look_again(waiting)
        else:
            reset(self.transport)
