"""The floor under subscribers: websockets on the same server that send what a Redis channel says, no more.

Run as a process: `python -m tests.bench.bare PORT REDIS_URL CHANNEL`. A client says a name; each message is a
name, a space and a text, and whoever said that name, or any if it is `*`, is sent the text.
"""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from api.bounded_socket import BoundedSocket
from api.interpreter import allow_many_sockets, relax_collector
from jobs.bus import listen

PROTOCOL = "graphql-transport-ws"


class Bare:
    """The application."""

    def __init__(self) -> None:
        self._named: defaultdict[str, set[Send]] = defaultdict(set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keep one client until it leaves."""
        if scope["type"] != "websocket":
            await receive()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok"})
            return
        await receive()
        await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
        name = (await receive()).get("text", "")
        self._named[name].add(send)
        await send({"type": "websocket.send", "text": "ok"})
        try:
            while (await receive())["type"] != "websocket.disconnect":
                pass
        finally:
            self._named[name].discard(send)

    @asynccontextmanager
    async def following(self, url: str, channel: str) -> AsyncIterator[None]:
        """Send on what the channel says."""
        task = asyncio.create_task(self._follow(url, channel))
        try:
            yield
        finally:
            task.cancel()

    async def _follow(self, url: str, channel: str) -> None:
        async for message in listen(url, channel):
            if message is not None:
                name, _, text = message.decode().partition(" ")
                for send in list(self._named.get(name, ())):
                    await send({"type": "websocket.send", "text": text})


async def main(port: int, url: str, channel: str) -> None:
    """Serve until a signal."""
    allow_many_sockets()
    relax_collector()
    bare = Bare()
    config = uvicorn.Config(
        bare, port=port, ws=BoundedSocket, ws_per_message_deflate=False, lifespan="off", log_level="warning"
    )
    async with bare.following(url, channel):
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
