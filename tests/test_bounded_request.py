"""Connections whose clients say too much, too little, or do not read."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from api.bounded_request import MAX_HEAD, BoundedRequest
from api.listener import listen_on
from tests.system import running_beside

BEGINNING = b"POST / HTTP/1.1\r\nHost: a\r\n"
MUCH = 64 * 2**20  # bytes: more than the kernel keeps for both sides


class Impatient(BoundedRequest):
    """Waits for a moment only."""

    request_seconds = 1.0
    stalled_seconds = 1.0


async def echo(request: Request) -> Response:
    """The length of what came."""
    return Response(str(len(await request.body())))


async def endless(_: Request) -> Response:
    """Much."""

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(MUCH // 65_536):
            yield b"x" * 65_536

    return StreamingResponse(parts())


@asynccontextmanager
async def connected(protocol: type[BoundedRequest], **options: Any) -> AsyncIterator[socket.socket]:
    """A client of a server with that protocol."""
    app = Starlette(routes=[Route("/", echo, methods=["POST"]), Route("/much", endless)])
    config = uvicorn.Config(app, http=protocol, lifespan="off", log_config=None, **options)
    server = uvicorn.Server(config)

    def stop() -> None:
        server.should_exit = True

    with listen_on("127.0.0.1", 0) as listener, socket.socket() as client:
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        async with running_beside(server.serve(sockets=[listener]), stop):
            while not server.started:
                await asyncio.sleep(0)
            await asyncio.get_running_loop().sock_connect(client, listener.getsockname())
            yield client


async def send(client: socket.socket, data: bytes) -> None:
    """Say something."""
    await asyncio.get_running_loop().sock_sendall(client, data)


async def read(client: socket.socket) -> bytes:
    """What is there; nothing at the end."""
    return await asyncio.get_running_loop().sock_recv(client, 65_536)


async def talk(client: socket.socket, first: bytes, more: bytes, most: int) -> None:
    """Say the first, and then more and more, up to so many bytes."""
    await send(client, first)
    for _ in range(most // len(more)):
        await send(client, more)
        await asyncio.sleep(0)


async def read_all(client: socket.socket) -> int:
    """How many bytes come up to the end."""
    received = 0
    while part := await read(client):
        received += len(part)
    return received


@pytest.mark.parametrize(
    ("first", "more"),
    [(b"", b"a: b\r\n" * 100), (b"a: ", b"b" * 1_000), (b"", b"a" * 1_000)],
    ids=["many headers", "a long one", "a long name"],
)
async def test_a_head_without_end_is_refused(first: bytes, more: bytes) -> None:
    """After 64 kB and what one read brings, whatever the kernel still takes."""
    async with connected(BoundedRequest) as client:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            await talk(client, BEGINNING + first, more, MUCH)


async def test_a_head_too_large_is_told_so() -> None:
    """To a client that waits for the answer."""
    async with connected(BoundedRequest) as client:
        await send(client, BEGINNING + b"a: " + b"b" * MAX_HEAD)
        assert (await read(client)).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "said", [b"", BEGINNING, BEGINNING + b"Content-Length: 5\r\n\r\n123"], ids=["nothing", "head", "body"]
)
async def test_a_request_that_does_not_come_is_not_waited_for(said: bytes) -> None:
    """However far it has come."""
    async with connected(Impatient) as client:
        await send(client, said)
        assert await read(client) == b""


async def test_requests_that_come_as_a_whole_are_answered() -> None:
    """One after the other, on one connection that is older than a request may be."""
    async with connected(Impatient, timeout_keep_alive=5) as client:
        for _ in range(4):
            await send(client, BEGINNING + b"Content-Length: 5\r\n\r\n12345")
            assert (await read(client)).endswith(b"\r\n\r\n5")
            await asyncio.sleep(Impatient.request_seconds / 2)


async def test_an_answer_that_is_not_read_is_not_kept() -> None:
    """The client is cut off."""
    async with connected(Impatient) as client:
        await send(client, b"GET /much HTTP/1.1\r\nHost: a\r\n\r\n")
        await read(client)
        while not client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            await asyncio.sleep(0.01)


async def test_an_answer_that_is_read_slowly_comes_as_a_whole() -> None:
    """As long as something is read now and then."""
    async with connected(Impatient) as client:
        await send(client, b"GET /much HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        received = 0
        for _ in range(100):
            received += len(await read(client))
            await asyncio.sleep(Impatient.stalled_seconds / 30)
        assert received + await read_all(client) > MUCH
