"""graphql-transport-ws, after https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md.

Strawberry's handler does most of it. Here is what it does not: a message that the protocol does not know
closes the socket with 4400 whatever is wrong with it, and what is wrong with one operation is told for its
id and leaves the socket and its other operations alone.
"""

from collections.abc import Mapping
from contextlib import aclosing, suppress
from types import NoneType
from typing import TYPE_CHECKING, cast

from graphql import GraphQLError
from starlette.websockets import WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import (
    BaseGraphQLTransportWSHandler,
    Operation,
)
from strawberry.subscriptions.protocols.graphql_transport_ws.types import (
    ConnectionInitMessage,
    Message,
    PingMessage,
    PongMessage,
    SubscribeMessage,
)
from strawberry.types.execution import PreExecutionError

from api.context import Context
from api.errors import mask
from api.request_errors import is_request_error, too_many_operations

if TYPE_CHECKING:
    from strawberry.schema.schema import SubscriptionResult

_MAX_REASON = 123  # bytes of UTF-8 in a close frame: RFC 6455, section 5.5

_TEXT, _TEXT_OR_NONE, _OBJECT, _OBJECT_OR_NONE = (str,), (str, NoneType), (dict,), (dict, NoneType)
_MESSAGES: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "connection_init": {"payload": _OBJECT_OR_NONE},
    "ping": {"payload": _OBJECT_OR_NONE},
    "pong": {"payload": _OBJECT_OR_NONE},
    "subscribe": {"id": _TEXT, "payload": _OBJECT},
    "complete": {"id": _TEXT},
}
_SUBSCRIBE: Mapping[str, tuple[type, ...]] = {
    "query": _TEXT,
    "operationName": _TEXT_OR_NONE,
    "variables": _OBJECT_OR_NONE,
    "extensions": _OBJECT_OR_NONE,
}


class WebSocketAdapter(ASGIWebSocketAdapter):
    """Strawberry's view of a websocket, for which a closed one is nothing unusual."""

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send a message.

        Raises:
            WebSocketDisconnected: either side has closed the socket.
        """
        if self.ws.application_state is not WebSocketState.CONNECTED:
            raise WebSocketDisconnected
        await super().send_json(message)

    async def close(self, code: int, reason: str) -> None:
        """Close the socket, unless it is closed, with as much of the reason as a frame takes."""
        if self.ws.application_state is WebSocketState.CONNECTED:
            fitting = reason.encode(errors="replace")[:_MAX_REASON].decode(errors="ignore")
            with suppress(WebSocketDisconnect):
                await super().close(code, fitting)


class TransportHandler(BaseGraphQLTransportWSHandler[Context, None]):
    """One websocket."""

    async def handle_message(self, message: Message) -> None:
        """Do what a message asks for."""
        fault = fault_of(message)
        if fault is not None:
            await self.handle_invalid_message(fault)
            return
        await super().handle_message(message)

    async def handle_connection_init(self, message: ConnectionInitMessage) -> None:
        """Open the connection; a payload of null is none."""
        await super().handle_connection_init({**message, "payload": message.get("payload") or {}})

    async def handle_ping(self, message: PingMessage) -> None:
        """Answer with the same payload."""
        pong = PongMessage(type="pong")
        if message.get("payload") is not None:
            pong["payload"] = message["payload"]
        try:
            await self.send_message(pong)
        except RecursionError:  # it was just possible to read
            await self.handle_invalid_message("`payload` is nested too deeply")

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Begin an operation, if the websocket has room for it; Strawberry's refusal has no code."""
        most, known = self.max_subscriptions_per_connection, message["id"] in self.operations
        if self.connection_acknowledged and not known and most is not None and len(self.operations) >= most:
            refusal = too_many_operations("this websocket")
            await self.send_message({"id": message["id"], "type": "error", "payload": [refusal.formatted]})
            return
        await super().handle_subscribe(message)

    async def run_operation(self, operation: Operation[Context, None]) -> None:
        """Send what the operation gives, and how it ends, if its owner has room for it."""
        if not self.context.begin_operation():
            with suppress(WebSocketDisconnected):
                await operation.send_initial_errors([too_many_operations("this owner")])
            return
        try:
            results = await self.schema.stream(
                operation.query,
                variable_values=operation.variables,
                context_value=self.context,
                root_value=self.root_value,
                operation_name=operation.operation_name,
            )
            async with aclosing(results):
                # The schema knows no @defer, so that there are no increments.
                async for result in cast("SubscriptionResult", results):
                    if isinstance(result, PreExecutionError) or is_request_error(result):
                        await operation.send_initial_errors(result.errors or [])
                        return
                    await operation.send_next(result)
            await operation.send_operation_message({"id": operation.id, "type": "complete"})
        except WebSocketDisconnected:
            pass  # nobody is there to be told
        except Exception as error:  # noqa: BLE001 - a fault must not look like an end
            with suppress(WebSocketDisconnected):
                await operation.send_initial_errors([mask(GraphQLError(str(error), original_error=error))])
        finally:
            self.context.end_operation()

    async def cleanup_operation(self, operation_id: str) -> None:
        """End an operation; what it may still say is not taken for that of another with the same id."""
        operation = self.operations.get(operation_id)
        if operation is not None:
            operation.completed = True
            await super().cleanup_operation(operation_id)
            operation.task = None  # which keeps its cancellation, whose traceback keeps the operation


def fault_of(message: object) -> str | None:
    """What is wrong with a message that a client sent, in a few words; None if the protocol knows it."""
    if not isinstance(message, dict):
        return "A message is a JSON object"
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in _MESSAGES:
        return "No client sends messages of this type"
    wrong = _wrong_field(message, _MESSAGES[kind])
    if wrong is None and kind == "subscribe":
        wrong = _wrong_field(message["payload"], _SUBSCRIBE)
    if wrong is None and "id" in _MESSAGES[kind] and not message["id"]:
        wrong = "id"
    return None if wrong is None else f"`{wrong}` is missing or wrong"


def _wrong_field(holder: Mapping[str, object], fields: Mapping[str, tuple[type, ...]]) -> str | None:
    return next((name for name, types in fields.items() if not isinstance(holder.get(name), types)), None)
