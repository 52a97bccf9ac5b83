"""What is asked of the kernel for a connection, be it of a request or of a websocket."""

import asyncio
import socket
import struct

_SEND_BUFFER = 64 * 1024  # bytes; the kernel doubles it, and would else let it grow to megabytes


def bound(transport: asyncio.BaseTransport) -> None:
    """Let the kernel keep little of what the client does not read."""
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)


def reset(transport: asyncio.WriteTransport) -> None:
    """End a connection at once: the kernel would go on waiting to deliver what the client has not read."""
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
