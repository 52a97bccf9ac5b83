"""How errors leave: those of our family as they are, all others masked by an id that the log has too."""

import secrets
from collections.abc import Iterator
from typing import Any

import structlog
from graphql import GraphQLError
from strawberry.extensions import MaskErrors
from strawberry.types.execution import StreamExecutionResult

from api.context import Context
from api.request_errors import REQUEST_ERRORS, request_error
from jobs.errors import DarkroomError, LimitExceeded, Unavailable

log = structlog.get_logger(__name__)

MASK = "Something went wrong here. The log knows it by its id."
_INTERNAL = "INTERNAL"
_SUGGESTION = " Did you mean "  # how a message ends that tells of names near to one that is unknown


def log_fault(error: Exception, **more: object) -> str:
    """Log what the client is not shown; the id under which it can be found."""
    fault_id = secrets.token_hex(8)
    log.error("a request failed", id=fault_id, exc_info=error, **more)
    return fault_id


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
        masked = mask(error)
        context: Context = self.execution_context.context
        if context.services.settings.shows_schema or _SUGGESTION not in masked.message:
            return masked
        return _like(masked, masked.message.partition(_SUGGESTION)[0], masked.extensions)


def mask(error: GraphQLError) -> GraphQLError:
    """The error as the client sees it; one that was masked stays as it is.

    Where it was raised is forgotten: those frames hold the error in turn, with all of the operation, and
    would be left to the garbage collector.
    """
    masked = _masked(error)
    found: list[BaseException] = [error]
    for each in found:
        each.__traceback__ = None
        origins = (getattr(each, "original_error", None), each.__cause__, each.__context__)
        found += [origin for origin in origins if origin is not None and origin not in found]
    return masked


def _masked(error: GraphQLError) -> GraphQLError:
    cause = error.original_error
    if cause is None or isinstance(cause, GraphQLError):
        return error  # the query itself is at fault: syntax, validation, variables
    if isinstance(cause, REQUEST_ERRORS):
        return request_error(cause)
    extensions: dict[str, Any] = {}
    if isinstance(cause, DarkroomError):
        message, extensions["code"] = cause.message, cause.code.value
    else:
        message, extensions["code"] = MASK, _INTERNAL
    if isinstance(cause, LimitExceeded):
        extensions["retryAfter"] = cause.retry_after
    if isinstance(cause, Unavailable) or not isinstance(cause, DarkroomError):
        extensions["id"] = log_fault(cause, path=error.path)
    return _like(error, message, extensions)


def is_fault(error: GraphQLError) -> bool:
    """Whether a masked error is a fault of ours."""
    return error.extensions is not None and error.extensions.get("code") == _INTERNAL


def _like(error: GraphQLError, message: str, extensions: dict[str, Any] | None) -> GraphQLError:
    return GraphQLError(
        message=message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=extensions,
    )
