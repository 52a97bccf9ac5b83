"""GraphQL over HTTP and over websockets, for Starlette."""

from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket
from strawberry.exceptions import ConnectionRejectionError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.types.unset import UnsetType

from api.auth import LOOPBACK_ORIGIN, Authenticator, Caller
from api.context import Context
from api.http import GraphQLOverHTTP, decode
from api.schema import schema
from api.uploads import is_text
from api.websocket import Socket, TransportHandler
from jobs.errors import Unauthenticated, Unavailable
from jobs.settings import Settings


class GraphQLEndpoint(GraphQLOverHTTP):
    """Strawberry's view with our context; only the current websocket protocol is spoken.

    Args:
        init_seconds: that a websocket has for its `connection_init`.
    """

    graphql_transport_ws_handler_class = TransportHandler
    websocket_adapter_class = Socket  # type: ignore[assignment]  # Strawberry's own is no other

    def __init__(self, settings: Settings, authenticator: Authenticator, init_seconds: float) -> None:
        self._settings = settings
        self._authenticator = authenticator
        super().__init__(
            schema,
            graphql_ide="graphiql",
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            connection_init_wait_timeout=timedelta(seconds=init_seconds),
            allowed_origins=settings.cors_origins,
        )

    async def get_context(
        self,
        request: Request | WebSocket,
        response: Response | WebSocket,  # noqa: ARG002 - Strawberry's signature
    ) -> Context:
        """The context of one HTTP request or one websocket."""
        header = request.headers.get("authorization")
        # As it came: Starlette has read its bytes as Latin-1.
        caller = await self._caller(None if header is None else header.encode("latin-1"))
        expiry = getattr(request.state, "expiry", None)  # a websocket's
        return Context(request.state.services, request.state.hub, caller, expiry)

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
        return UnsetType()

    def decode_json(self, data: str | bytes) -> object:
        """What a message says."""
        return decode(data)

    async def _caller(self, authorization: bytes | None) -> Caller | Unauthenticated | Unavailable:
        try:
            return await self._authenticator.caller(authorization)
        except (Unauthenticated, Unavailable) as error:
            return error
