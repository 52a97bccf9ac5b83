"""How operations are executed: graphql-core's way, without what it keeps for too long."""

from typing import Any, Self, cast
from weakref import proxy

from graphql.type.definition import GraphQLResolveInfoHelpers
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext


class Execution(StrawberryGraphQLCoreExecutionContext):
    """One operation.

    graphql-core 3.3 remembers which fields an operation selects, by the identity of lists that it makes anew
    for each event of a subscription: 3 kB a message, for as long as somebody subscribes. And an execution
    holds itself by its helpers, so that of each request 70 objects were left to the garbage collector.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        this = proxy(self)  # whose methods, once looked up, would hold it just the same
        self.async_helpers = GraphQLResolveInfoHelpers(
            gather=lambda values: this.gather_async_work(values),  # noqa: PLW0108
            track=lambda values: this.track_async_work(values),  # noqa: PLW0108
        )

    def build_per_event_executor(self, payload: Any) -> Self:
        """One event of a subscription, with a memory of its own."""
        executor = cast("Self", super().build_per_event_executor(payload))  # a copy of this
        executor.forget()
        return executor

    def forget(self) -> None:
        """Begin without what was remembered."""
        self._relevant_sub_fields = {}
