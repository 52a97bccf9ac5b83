"""An API that ends, and one that takes its place."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress

import httpx
import pytest
import websockets
from structlog.testing import capture_logs

from api.client import Client
from api.listener import listen_on
from api.server import create_server
from jobs.clock import now
from jobs.images import Move
from jobs.ports import Services
from jobs.supervise import free_port
from tests.records import an_image
from tests.system import running_beside, until

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HEADS = {
    "graphql": b"POST /graphql HTTP/1.1\r\nContent-Type: application/json\r\n",
    "hook": b"POST /hooks/storage HTTP/1.1\r\nAuthorization: Bearer a-token-of-the-tests\r\n",
}
QUERY = b'{"query": "{ __typename }"}'


@asynccontextmanager
async def serving(services: Services, port: int) -> AsyncIterator[None]:
    """The API at a port that another may have had."""
    with listen_on("127.0.0.1", port) as listener:
        server = create_server(services)
        async with running_beside(
            server.serve(sockets=[listener]), lambda: server.handle_exit(signal.SIGTERM, None)
        ):
            while not server.started:
                await asyncio.sleep(0)
            yield


async def test_a_client_resumes_when_the_api_is_replaced(services: Services) -> None:
    """It is told what happened in between, and then what happens."""
    image = an_image(owner="local")
    await services.catalog.add([image])
    port = free_port()
    async with httpx.AsyncClient() as http:
        updates = Client(f"http://127.0.0.1:{port}", http).updates([image.id])
        async with aclosing(updates):
            async with serving(services, port):
                assert (await anext(updates))["status"] == "PENDING"
            await services.catalog.move(image.id, Move.ARRIVE, at=now())
            async with serving(services, port):
                assert (await anext(updates))["status"] == "UPLOADED"
                rejected = await services.catalog.move(image.id, Move.REJECT, at=now())
                assert rejected is not None
                await services.bus.publish(rejected)
                assert [state["status"] async for state in updates] == ["REJECTED"]


@pytest.mark.parametrize("subscribed", [True, False])
async def test_websockets_are_told_that_the_api_goes_away(services: Services, subscribed: bool) -> None:
    """Those that wait for changes, and those that have not asked for anything yet."""
    port = free_port()
    async with serving(services, port):
        socket = await websockets.connect(
            f"ws://127.0.0.1:{port}/graphql",
            subprotocols=[websockets.Subprotocol("graphql-transport-ws")],
            proxy=None,
        )
        await socket.send('{"type":"connection_init"}')
        await socket.recv()
        if subscribed:
            await socket.send(
                '{"id":"1","type":"subscribe","payload":{"query":"subscription{feed{cursor}}"}}'
            )
            await socket.send('{"type":"ping"}')
            assert "pong" in str(await socket.recv())
    await socket.wait_closed()
    assert socket.close_code == 1001


@asynccontextmanager
async def posting(port: int, head: bytes) -> AsyncIterator[Connection]:
    """A connection over which a request has begun: the server waits for all of its body but a byte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    length = f"Content-Length: {len(QUERY)}\r\nExpect: 100-continue\r\n\r\n"
    writer.write(head + b"Host: 127.0.0.1\r\n" + length.encode())
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(QUERY[:1])
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("who", ["the API", "the client"])
async def test_who_ends_beside_half_a_body_leaves_no_traceback(
    services: Services, head: bytes, who: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest is waited for, but not for as long as the server waits for those who are answered."""
    caplog.set_level(logging.WARNING)
    port = free_port()
    with capture_logs() as logs:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(serving(services, port))
            async with posting(port, head) as (reader, _):
                if who == "the API":
                    await stack.aclose()
                    assert await reader.read() == b""
    assert [*logs, *caplog.records] == []


async def test_the_rest_of_a_body_may_come_when_the_api_ends(services: Services) -> None:
    """It is answered."""
    port = free_port()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(services, port))
        async with posting(port, HEADS["graphql"]) as (reader, writer):
            ending = asyncio.create_task(stack.aclose())
            await until(lambda: is_closed(port))
            writer.write(QUERY[1:])
            answer = await reader.read()
            await ending
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b'{"data":{"__typename":"Query"}}')


async def is_closed(port: int) -> bool:
    """Whether nobody listens there any more."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    await writer.wait_closed()
    return False
