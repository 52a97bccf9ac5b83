"""GraphQL over HTTP and over websockets, for Starlette."""

import json
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from cross_web import AsyncHTTPRequestAdapter, HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.exceptions import ConnectionRejectionError, MissingQueryError
from strawberry.http import GraphQLRequestData
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.subscriptions.protocols.graphql_transport_ws.types import ConnectionInitMessage
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType
from strawberry.types.unset import UNSET, UnsetType

from api.auth import LOOPBACK_ORIGIN, Caller, authenticate
from api.context import Context
from api.schema import schema
from api.sockets import Sockets, TooManySockets
from api.uploads import is_text
from jobs.errors import Unauthenticated
from jobs.settings import Settings

_AT_ONCE = {OperationType.QUERY, OperationType.MUTATION}  # what has one result, and ends
_TOO_MANY = 4429  # closes a websocket of an owner who has too many


class Handler(BaseGraphQLTransportWSHandler[Context, None]):
    """Strawberry's handler of a websocket; it tells an owner who has too many of them."""

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Let the client in, if there is room for one more."""
        try:
            await super().handle_connection_init(message)
        except TooManySockets as error:
            await self.websocket.close(_TOO_MANY, str(error))


class GraphQLEndpoint(GraphQL[Context, None]):
    """Strawberry's view with our context; only the current websocket protocol is spoken."""

    graphql_transport_ws_handler_class = Handler

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__(
            schema,
            graphql_ide="graphiql" if settings.shows_playground else None,
            subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL],
            connection_init_wait_timeout=timedelta(seconds=5),
            max_subscriptions_per_connection=settings.max_socket_operations,
            allowed_origins=settings.cors_origins,
        )
        self._sockets = Sockets(
            per_address=settings.max_sockets_per_address, per_owner=settings.max_sockets_per_owner
        )

    async def run(self, request: Any, context: Any = UNSET, root_value: Any = UNSET) -> Any:
        """Answer one request, or speak over one websocket."""
        if not isinstance(request, WebSocket):
            return await super().run(request, context, root_value)
        try:
            with self._sockets.opened(request.client.host if request.client else None) as socket:
                request.state.socket = socket
                return await super().run(request, context, root_value)
        except TooManySockets as error:
            await request.send_denial_response(PlainTextResponse(f"{error}\n", HTTPStatus.TOO_MANY_REQUESTS))
            return request

    async def execute_single(  # what is not used is Strawberry's signature
        self,
        request: Request,
        request_adapter: AsyncHTTPRequestAdapter,  # noqa: ARG002
        sub_response: Response,  # noqa: ARG002
        context: Context,
        root_value: None,  # noqa: ARG002
        request_data: GraphQLRequestData,
    ) -> ExecutionResult:
        """The result of a query or a mutation; the latter is not for a GET, which any link can send."""
        allowed = {OperationType.QUERY} if request.method == "GET" else _AT_ONCE
        try:
            return await self.schema.execute(
                request_data.query,
                variable_values=request_data.variables,
                context_value=context,
                operation_name=request_data.operation_name,
                allowed_operation_types=allowed,
            )
        except InvalidOperationTypeError as error:
            status = HTTPStatus.METHOD_NOT_ALLOWED if request.method == "GET" else HTTPStatus.BAD_REQUEST
            raise HTTPException(status, error.as_http_error_reason(request.method)) from error
        except CannotGetOperationTypeError as error:
            raise HTTPException(HTTPStatus.BAD_REQUEST, error.as_http_error_reason()) from error
        except MissingQueryError as error:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "A request has a query.") from error

    async def parse_http_body(self, request: AsyncHTTPRequestAdapter) -> Any:
        """What a request says; never in a form, which any page can have a browser send without asking."""
        media_type = (request.content_type or "").partition(";")[0].strip()
        if request.method == "POST" and media_type != "application/json":
            raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json.")
        return await super().parse_http_body(request)

    async def get_context(
        self,
        request: Request | WebSocket,
        response: Response | WebSocket,  # noqa: ARG002 - Strawberry's signature
    ) -> Context:
        """The context of one HTTP request or one websocket."""
        header = request.headers.get("authorization")
        # As it came: Starlette has read its bytes as Latin-1.
        caller = self._caller(None if header is None else header.encode("latin-1"))
        context = Context(request.state.services, request.state.hub, caller)
        if isinstance(request, WebSocket):
            context.socket = request.state.socket
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
            context.identify(self._caller(said.encode()))
        if not context.identified:
            raise ConnectionRejectionError
        if context.socket is not None:
            context.socket.belongs_to(context.owner)
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
