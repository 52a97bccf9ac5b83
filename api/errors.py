"""How errors leave: those of our family as they are, all others masked by an id that the log has too."""

import secrets
from collections.abc import Iterator
from typing import Any

import structlog
from graphql import GraphQLError
from strawberry.extensions import MaskErrors
from strawberry.types.execution import StreamExecutionResult

from jobs.errors import DarkroomError, Unavailable

log = structlog.get_logger(__name__)


class MaskedErrors(MaskErrors):
    """Shows errors that a client can act on, each with its code; keeps faults to the log."""

    def on_stream_result(self, result: StreamExecutionResult) -> Iterator[None]:
        """An event that has no errors needs none of it."""
        if getattr(result, "errors", None):
            yield from super().on_stream_result(result)
        else:
            yield

    def anonymise_error(self, error: GraphQLError) -> GraphQLError:
        """The error as the client sees it."""
        cause = error.original_error
        if cause is None or isinstance(cause, GraphQLError):
            return error  # the query itself is at fault: syntax, validation, variables
        extensions: dict[str, Any] = {}
        if isinstance(cause, DarkroomError):
            message, extensions["code"] = cause.message, cause.code.value
        else:
            message, extensions["code"] = "Something went wrong here. The log knows it by its id.", "INTERNAL"
        if isinstance(cause, Unavailable) or not isinstance(cause, DarkroomError):
            extensions["id"] = secrets.token_hex(8)
            log.error("a request failed", id=extensions["id"], path=error.path, exc_info=cause)
        return GraphQLError(
            message=message,
            nodes=error.nodes,
            source=error.source,
            positions=error.positions,
            path=error.path,
            extensions=extensions,
        )
