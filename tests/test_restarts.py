"""An API that ends, and one that takes its place."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx
import pytest
import websockets

from api.client import Client
from api.listener import listen_on
from api.server import create_server
from jobs.clock import now
from jobs.images import Move
from jobs.ports import Services
from jobs.supervise import free_port
from tests.records import an_image
from tests.system import running_beside


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
