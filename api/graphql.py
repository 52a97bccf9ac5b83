"""GraphQL over HTTP and over websockets, for Starlette."""

import json
from datetime import timedelta
from typing import Any

from cross_web import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.unset import UnsetType

from api.auth import LOOPBACK_ORIGIN, Caller, authenticate
from api.context import Context
from api.schema import schema
from api.uploads import is_text
from jobs.errors import Unauthenticated
from jobs.settings import Settings


class GraphQLEndpoint(GraphQL[Context, None]):
    """Strawberry's view with our context; only the current websocket protocol is spoken."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__(
            schema,
            graphql_ide="graphiql",
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            connection_init_wait_timeout=timedelta(seconds=5),
            allowed_origins=settings.cors_origins,
        )

    async def get_context(
        self,
        request: Request | WebSocket,
        response: Response | WebSocket,
    ) -> Context:
        """The context of one HTTP request or one websocket."""
        header = request.headers.get("authorization")
        # As it came: Starlette has read its bytes as Latin-1.
        caller = self._caller(None if header is None else header.encode("latin-1"))
        return Context(
            request.state.services,
            request.state.hub,
            caller,
            limiter=request.state.limiter,
            address=request.client.host if request.client else "",
            response=response if isinstance(response, Response) else None,
        )

    def is_websocket_origin_allowed(self, request: WebSocket, origin: str) -> bool:
        """Whether a page of that origin may open a websocket here."""
        if self._settings.auth == "none" and LOOPBACK_ORIGIN.fullmatch(origin):
            return True
        return super().is_websocket_origin_allowed(request, origin)

    async def on_ws_connect(self, context: Context) -> UnsetType | dict[str, object] | None:
        """Believe the `authorization` of `connection_init`, or that of the handshake."""
        said = (context.connection_params or {}).get("authorization")
        if isinstance(said, str) and is_text(said):
            context.identify(self._caller(said.encode()))
        if not context.identified:
            raise ConnectionRejectionError
        return UnsetType()

    def parse_json(self, data: str | bytes) -> Any:
        """The object of a request; Strawberry takes anything for one."""
        parsed = super().parse_json(data)
        if not isinstance(parsed, dict):
            raise HTTPException(400, "A request is a JSON object.")
        return parsed

    def decode_json(self, data: str | bytes) -> object:
        """What it says, or the one error that Strawberry expects of what says nothing."""
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:  # a thousand brackets, or a number of as many digits
            raise json.JSONDecodeError("not JSON", "", 0) from error

    def _caller(self, authorization: bytes | None) -> Caller | Unauthenticated:
        try:
            return authenticate(authorization, self._settings)
        except Unauthenticated as stranger:
            return stranger
