"""What every resolver can reach: the services, the hub of changes, and who is asking."""

import asyncio
from collections.abc import Sequence
from functools import cached_property

from strawberry.dataloader import DataLoader
from strawberry.types.info import Info as StrawberryInfo

from api.auth import Caller
from api.hub import Hub
from api.limits import Limiter
from api.sockets import CountedSocket
from jobs.access import Role, suffices
from jobs.errors import Forbidden, LimitExceeded, Unauthenticated, Unavailable
from jobs.images import Image
from jobs.metrics import refused
from jobs.ports import Services
from jobs.tracing import Trace, parse_traceparent

_BATCH = 200  # images that are asked for at once


class Context:
    """One HTTP request, or one websocket with all its operations."""

    def __init__(
        self,
        services: Services,
        hub: Hub,
        caller: Caller | Unauthenticated | Unavailable,
        *,
        limiter: Limiter,
        address: str = "",
        expiry: asyncio.Timeout | None = None,
        traceparent: str | None = None,
    ) -> None:
        """
        Args:
            caller: who is asking, or why that is not known.
            address: from where somebody asks; empty if nobody knows.
            expiry: of the websocket; it is set to when the caller's token expires.
            traceparent: the header of that name.
        """
        self.services = services
        self.hub = hub
        self.socket: CountedSocket | None = None  # of a websocket, among all that are open
        self._limiter = limiter
        self._address = address
        self._expiry = expiry
        self._traceparent = traceparent
        self._remember(caller)
        self.connection_params: dict[str, object] | None = None  # set from `connection_init`

    @property
    def caller(self) -> Caller:
        """Who is asking.

        Raises:
            Unauthenticated: nobody known.
            Unavailable: it cannot be found out now.
        """
        if isinstance(self._caller, Caller):
            return self._caller
        raise self._caller

    @property
    def owner(self) -> str:
        """Whose images the caller sees and changes; raises as `caller` does."""
        return self.caller.owner

    @property
    def identified(self) -> bool:
        """Whether somebody known is asking."""
        return isinstance(self._caller, Caller)

    def identify(self, caller: Caller | Unauthenticated | Unavailable) -> None:
        """Remember who opened the websocket, unless that is known already."""
        if not self.identified or isinstance(caller, Caller):
            self._remember(caller)

    @property
    def trace(self) -> Trace | None:
        """The trace that the request belongs to, if it says so."""
        return parse_traceparent(self._traceparent)

    def require(self, role: Role) -> None:
        """Let only a caller with this role go on; raises as `caller` does.

        Raises:
            Forbidden: the caller has no such role.
        """
        if not suffices(self.caller.roles, role):
            raise Forbidden(f"This needs the role “{role}”.")

    def _remember(self, caller: Caller | Unauthenticated | Unavailable) -> None:
        self._caller = caller
        if self._expiry is not None and isinstance(caller, Caller):
            self._expiry.reschedule(self._by_the_loop(caller.expires_at))

    def _by_the_loop(self, at: float | None) -> float | None:
        if at is None:
            return None
        return asyncio.get_running_loop().time() + at - self.services.clock().timestamp()

    async def image(self, image_id: str) -> Image | None:
        """One of the caller's images. What is asked for at the same moment is read at once.

        Raises:
            Unauthenticated: nobody known is asking.
        """
        _ = self.owner
        return await self._images.load(image_id)

    @cached_property
    def _images(self) -> DataLoader[str, Image | None]:
        # It remembers nothing: a websocket asks again and again, and images change.
        return DataLoader(self._load, max_batch_size=_BATCH, cache=False)

    async def _load(self, image_ids: list[str]) -> list[Image | None]:
        found = await self.services.catalog.get_many(set(image_ids), owner=self.owner)
        return [found.get(image_id) for image_id in image_ids]

    def begin_operation(self) -> bool:
        """Count an operation of a websocket among those of its owner; false if there are too many."""
        return self.socket is None or self.socket.operations.add(self.owner)

    def end_operation(self) -> None:
        """Make room for another."""
        if self.socket is not None:
            self.socket.operations.remove(self.owner)

    async def admit_operation(self) -> None:
        """Count the operation that begins.

        Raises:
            LimitExceeded: there were too many.
        """
        owner = self.owner if self.identified else None
        await self._limiter.admit_operation(owner=owner, address=self._address)

    async def admit_files(self, sizes: Sequence[int]) -> Sequence[LimitExceeded | None]:
        """Count uploads that the caller asks for, by their sizes in bytes; None for each that may be."""
        answers = await self._limiter.admit_files(sizes, owner=self.owner, address=self._address)
        for refusal in filter(None, answers):
            refused(refusal.code)
        return answers


Info = StrawberryInfo[Context, None]
