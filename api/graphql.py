"""GraphQL over HTTP and over websockets, for Starlette."""

from datetime import timedelta
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.websockets import WebSocket
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.types import ConnectionInitMessage
from strawberry.types.unset import UNSET, UnsetType

from api.addresses import LOOPBACK_ORIGIN
from api.auth import Authenticator, Caller
from api.context import Context
from api.http import GraphQLOverHTTP, decode
from api.pages import graphiql_page
from api.schema import schema
from api.sockets import Sockets, TooManySockets
from api.uploads import is_text
from api.websocket import TransportHandler, WebSocketAdapter
from jobs.errors import Unauthenticated, Unavailable
from jobs.settings import Settings

_TOO_MANY = 1013  # try again later: for 4429, clients of graphql-transport-ws never come again


class Handler(TransportHandler):
    """The protocol's handler of a websocket; it tells an owner who has too many of them."""

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Let the client in, if there is room for one more."""
        try:
            await super().handle_connection_init(message)
        except TooManySockets as error:
            await self.websocket.close(_TOO_MANY, str(error))


class GraphQLEndpoint(GraphQLOverHTTP):
    """Strawberry's view with our context; only the current websocket protocol is spoken.

    Args:
        init_seconds: that a websocket has for its `connection_init`.
    """

    graphql_transport_ws_handler_class = Handler
    websocket_adapter_class = WebSocketAdapter  # type: ignore[assignment]  # Strawberry's own is no other

    def __init__(self, settings: Settings, authenticator: Authenticator, init_seconds: float) -> None:
        self._settings = settings
        self._authenticator = authenticator
        super().__init__(
            schema,
            graphql_ide="graphiql" if settings.shows_playground else None,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            connection_init_wait_timeout=timedelta(seconds=init_seconds),
            max_subscriptions_per_connection=settings.max_socket_operations,
            allowed_origins=settings.cors_origins,
        )
        self._sockets = Sockets(
            per_address=settings.max_sockets_per_address,
            per_owner=settings.max_sockets_per_owner,
            operations_per_owner=settings.max_operations_per_owner,
        )

    async def run(self, request: Any, context: Any = UNSET, root_value: Any = UNSET) -> Any:
        """Speak over one websocket, if there is room for it."""
        try:
            with self._sockets.opened(request.client.host if request.client else None) as socket:
                request.state.socket = socket
                return await super().run(request, context, root_value)
        except TooManySockets as error:
            await request.send_denial_response(PlainTextResponse(f"{error}\n", HTTPStatus.TOO_MANY_REQUESTS))
            return request

    async def render_graphql_ide(self, request: Request) -> Response:  # noqa: ARG002 - Strawberry's signature
        """GraphiQL from our own origin; Strawberry's page loads it from elsewhere."""
        return graphiql_page()

    async def get_context(
        self,
        request: Request | WebSocket,
        response: Response | WebSocket,  # noqa: ARG002 - Strawberry's signature
    ) -> Context:
        """The context of one HTTP request or one websocket."""
        header = request.headers.get("authorization")
        # As it came: Starlette has read its bytes as Latin-1.
        caller = await self._caller(None if header is None else header.encode("latin-1"))
        context = Context(
            request.state.services,
            request.state.hub,
            caller,
            limiter=request.state.limiter,
            address=request.client.host if request.client else "",
            expiry=getattr(request.state, "expiry", None),  # a websocket's
            traceparent=request.headers.get("traceparent"),
        )
        context.socket = getattr(request.state, "socket", None)  # likewise
        return context

    def is_websocket_origin_allowed(self, request: WebSocket, origin: str) -> bool:
        """Whether a page of that origin may open a websocket here."""
        if self._settings.auth == "none" and LOOPBACK_ORIGIN.fullmatch(origin):
            return True
        return super().is_websocket_origin_allowed(request, origin)

    async def on_ws_connect(self, context: Context) -> UnsetType | dict[str, object] | None:
        """Believe the `authorization` of `connection_init`, or that of the handshake."""
        said = (context.connection_params or {}).get("authorization")
        if isinstance(said, str) and is_text(said):
            context.identify(await self._caller(said.encode()))
        if not context.identified:
            raise ConnectionRejectionError
        if context.socket is not None:
            context.socket.belongs_to(context.owner)
        return UnsetType()

    def decode_json(self, data: str | bytes) -> object:
        """What a message says."""
        return decode(data)

    async def _caller(self, authorization: bytes | None) -> Caller | Unauthenticated | Unavailable:
        try:
            return await self._authenticator.caller(authorization)
        except (Unauthenticated, Unavailable) as error:
            return error
