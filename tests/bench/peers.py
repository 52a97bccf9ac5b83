"""Websocket clients by the thousand in one process: a protocol each, no task, few allocations a message.

They speak as much of RFC 6455 as such a client needs. What they send is masked with zeros, which the RFC
allows and which leaves the bytes as they are.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import cast

_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A
_AT_ONCE = 100  # connections that are opened at a time
_ESTABLISHED = 1  # of the states of TCP

Heard = Callable[["Peer", bytes], None]


class Peer(asyncio.Protocol):
    """One connection; `heard` gets every text that comes, and `number` says whose it is."""

    __slots__ = ("_buffer", "_opened", "_request", "closed", "heard", "number", "transport")

    def __init__(self, number: int, request: bytes, heard: Heard) -> None:
        self.number = number
        self.heard = heard
        self.closed: int | None = None
        self.transport: asyncio.Transport
        self._request = request
        self._buffer = b""
        self._opened = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a websocket."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take it apart into frames."""
        data = self._buffer + data if self._buffer else data
        at = 0
        if not self._opened:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                raise RuntimeError(f"no websocket: {data[:100]!r}")
            self._opened = True
            at = end + 4
            self.heard(self, b"")
        size = len(data)
        while size - at >= 2:
            length, start = data[at + 1], at + 2
            if length >= 126:
                width = 2 if length == 126 else 8
                length, start = int.from_bytes(data[start : start + width], "big"), start + width
            if start + length > size:
                break
            self._frame(data[at], data[start : start + length])
            at = start + length
        self._buffer = data[at:]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Remember that it is over, if there was no word of it."""
        self.closed = self.closed or 1006

    def send(self, text: bytes) -> None:
        """Send a text of less than 64 KiB."""
        self._send(_TEXT, text)

    def _frame(self, opcode: int, body: bytes) -> None:
        if opcode == _TEXT:
            self.heard(self, body)
        elif opcode == _PING:
            self._send(_PONG, body)
        elif opcode == _CLOSE:
            self.closed = int.from_bytes(body[:2], "big")

    def _send(self, opcode: int, body: bytes) -> None:
        size = len(body)
        head = bytes([opcode, 0x80 | size]) if size < 126 else bytes([opcode, 0xFE]) + size.to_bytes(2, "big")
        self.transport.write(head + b"\0\0\0\0" + body)


async def connect(
    port: int, numbers: Sequence[int], heard: Heard, *, receive_buffer: int | None = None
) -> list[Peer]:
    """Open a websocket at `/graphql` for each number, some at a time.

    Args:
        receive_buffer: bytes that the kernel keeps for each, if it shall not be for the kernel to say.
    """
    loop = asyncio.get_running_loop()
    request = (
        f"GET /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
    ).encode()

    async def one(number: int) -> Peer:
        connection = socket.socket()
        connection.setblocking(False)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await loop.sock_connect(connection, ("127.0.0.1", port))
        _, peer = await loop.create_connection(lambda: Peer(number, request, heard), sock=connection)
        return peer

    peers: list[Peer] = []
    for start in range(0, len(numbers), _AT_ONCE):
        peers += await asyncio.gather(*(one(number) for number in numbers[start : start + _AT_ONCE]))
    return peers


def is_connected(peer: Peer) -> bool:
    """What the kernel says, which knows of a reset before the bytes in front of it are read."""
    if peer.transport.is_closing():
        return False
    connection: socket.socket = peer.transport.get_extra_info("socket")
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED
