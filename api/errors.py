"""How errors leave: those of our family as they are, all others masked by an id that the log has too."""

import secrets
from typing import Any

import structlog
from graphql import GraphQLError
from strawberry.exceptions import MissingQueryError
from strawberry.extensions import MaskErrors
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError

from api.context import Context
from jobs.errors import DarkroomError, Unavailable

log = structlog.get_logger(__name__)


MASK = "Something went wrong here. The log knows it by its id."
_SUGGESTION = " Did you mean "  # how a message ends that tells of names near to one that is unknown
# What Strawberry makes of a query that names no operation, or one that may not be asked here.
_CLIENTS_FAULT = (GraphQLError, CannotGetOperationTypeError, InvalidOperationTypeError, MissingQueryError)


def log_fault(error: Exception, **more: object) -> str:
    """Log what the client is not shown; the id under which it can be found."""
    fault_id = secrets.token_hex(8)
    log.error("a request failed", id=fault_id, exc_info=error, **more)
    return fault_id


class MaskedErrors(MaskErrors):
    """Shows errors that a client can act on, each with its code; keeps faults to the log."""

    def anonymise_error(self, error: GraphQLError) -> GraphQLError:
        """The error as the client sees it."""
        cause = error.original_error
        if cause is None or isinstance(cause, _CLIENTS_FAULT):
            return self._without_suggestion(error)  # the query itself: syntax, validation, variables
        extensions: dict[str, Any] = {}
        if isinstance(cause, DarkroomError):
            message, extensions["code"] = cause.message, cause.code.value
        else:
            message, extensions["code"] = MASK, "INTERNAL"
        if isinstance(cause, Unavailable) or not isinstance(cause, DarkroomError):
            extensions["id"] = log_fault(cause, path=error.path)
        return _like(error, message, extensions)

    def _without_suggestion(self, error: GraphQLError) -> GraphQLError:
        context: Context = self.execution_context.context
        if context.services.settings.shows_schema or _SUGGESTION not in error.message:
            return error
        return _like(error, error.message.partition(_SUGGESTION)[0], error.extensions)


def _like(error: GraphQLError, message: str, extensions: dict[str, Any] | None) -> GraphQLError:
    return GraphQLError(
        message=message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=extensions,
    )
