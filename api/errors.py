"""How errors leave: those of our family as they are, all others masked by an id that the log has too."""

import secrets
from typing import Any

import structlog
from graphql import GraphQLError
from strawberry.extensions import MaskErrors

from api.request_errors import REQUEST_ERRORS, request_error
from jobs.errors import DarkroomError, Unavailable

log = structlog.get_logger(__name__)

_INTERNAL = "INTERNAL"


class MaskedErrors(MaskErrors):
    """Shows errors that a client can act on, each with its code; keeps faults to the log."""

    def anonymise_error(self, error: GraphQLError) -> GraphQLError:
        """The error as the client sees it."""
        return mask(error)


def mask(error: GraphQLError) -> GraphQLError:
    """The error as the client sees it; one that was masked stays as it is."""
    cause = error.original_error
    if cause is None or isinstance(cause, GraphQLError):
        return error  # the query itself is at fault: syntax, validation, variables
    if isinstance(cause, REQUEST_ERRORS):
        return request_error(cause)
    extensions: dict[str, Any] = {}
    if isinstance(cause, DarkroomError):
        message, extensions["code"] = cause.message, cause.code.value
    else:
        message, extensions["code"] = "Something went wrong here. The log knows it by its id.", _INTERNAL
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


def is_fault(error: GraphQLError) -> bool:
    """Whether a masked error is a fault of ours."""
    return error.extensions is not None and error.extensions.get("code") == _INTERNAL
