"""A websocket closes when the token of who opened it expires."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Clients of graphql-transport-ws take 4401 for a fault of their own and give up; after 4403 they come again,
# with a new token.
_FORBIDDEN = 4403


class SocketExpiry:
    """Ends a websocket at a moment that whoever learns it sets on `scope["state"]["expiry"]`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application have the socket until then."""
        closed = False

        async def watched(message: Message) -> None:
            nonlocal closed
            closed = closed or message["type"] == "websocket.close"
            await send(message)

        expiry = asyncio.timeout(None)
        try:
            async with expiry:
                scope["state"]["expiry"] = expiry  # the state of a connection is its own
                await self._app(scope, receive, watched)
        except TimeoutError:
            if not expiry.expired():
                raise
            if not closed:
                await send({"type": "websocket.close", "code": _FORBIDDEN, "reason": "Token expired"})
