"""Request errors: what is wrong with an operation before any of it is executed."""

from collections.abc import Sequence

from graphql import GraphQLError, OperationDefinitionNode
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.graphql import OperationType

# What Strawberry raises for them; all else that is raised before the execution is a fault of ours.
REQUEST_ERRORS = (MissingQueryError, CannotGetOperationTypeError, InvalidOperationTypeError)


def request_error(error: Exception) -> GraphQLError:
    """One of `REQUEST_ERRORS` as the client is told of it."""
    match error:
        case CannotGetOperationTypeError(operation_name=str(name)):
            return GraphQLError(f"There is no operation “{name}”.")
        case CannotGetOperationTypeError():
            return GraphQLError("There is no operation.")
        case InvalidOperationTypeError(operation_type=OperationType.MUTATION):
            return GraphQLError("Mutations are sent by POST.")
        case InvalidOperationTypeError():
            return GraphQLError("Subscriptions are sent over a websocket.")
        case _:
            return GraphQLError("There is no query.")


def too_many_operations(of: str) -> GraphQLError:
    """Says that as many run at the same time as may.

    Args:
        of: who has them.
    """
    message = f"Too many operations of {of} run at the same time: end one of them."
    return GraphQLError(message, extensions={"code": "TOO_MANY_OPERATIONS"})


def is_request_error(result: ExecutionResult) -> bool:
    """Whether nothing was executed, as for a syntax error or a variable of the wrong type.

    Only what the execution of a field raises has a path, see “Errors” in the GraphQL specification.
    """
    return result.data is None and all(error.path is None for error in result.errors or [])


def several_operations(operations: Sequence[OperationDefinitionNode]) -> GraphQLError:
    """What is wrong with a request that names none of them; Strawberry would take the first."""
    return GraphQLError("There are several operations: `operationName` says which.", operations)
