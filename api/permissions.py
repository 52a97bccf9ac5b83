"""What a caller needs for each field of Query, Mutation and Subscription: one role, stated at the field."""

from typing import Any

from strawberry.extensions import FieldExtension
from strawberry.extensions.field_extension import AsyncExtensionResolver, SyncExtensionResolver
from strawberry.utils.await_maybe import await_maybe

from api.context import Info
from jobs.access import Role


class Requires(FieldExtension):
    """Lets a field be asked for only by a caller who has the role, or one that includes it."""

    def __init__(self, role: Role) -> None:
        self.role = role

    def resolve(self, next_: SyncExtensionResolver, source: Any, info: Info, **kwargs: Any) -> Any:
        """The field, or an error.

        Raises:
            Unauthenticated: nobody known is asking.
            Unavailable: who is asking cannot be found out now.
            Forbidden: the caller has no such role.
        """
        info.context.require(self.role)
        return next_(source, info, **kwargs)

    async def resolve_async(
        self, next_: AsyncExtensionResolver, source: Any, info: Info, **kwargs: Any
    ) -> Any:
        """The same."""
        info.context.require(self.role)
        return await await_maybe(next_(source, info, **kwargs))  # a subscription's stream comes at once
