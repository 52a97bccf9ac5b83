"""Admission: operations are counted before anything is done for them, over HTTP and over websockets."""

from collections.abc import AsyncIterator, Iterator

from graphql import GraphQLError
from strawberry.extensions import SchemaExtension

from jobs.errors import LimitExceeded
from jobs.metrics import REFUSALS, Limit


class CountedOperations(SchemaExtension):
    """Refuses operations that are one too many. It stands behind all other extensions that validate."""

    _refusal: LimitExceeded | None = None

    async def on_operation(self) -> AsyncIterator[None]:
        """Count it, whatever it says."""
        try:
            await self.execution_context.context.admit_operation()
        except LimitExceeded as refusal:
            REFUSALS.labels(Limit.OPERATIONS).inc()
            self._refusal = refusal  # raised from here, it would not reach the client of a websocket
        yield

    def on_validate(self) -> Iterator[None]:
        """Have it fail like one that is not valid."""
        if self._refusal is not None:
            error = GraphQLError(self._refusal.message, original_error=self._refusal)
            self.execution_context.pre_execution_errors = [error]
        yield
