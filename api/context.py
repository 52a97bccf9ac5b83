"""What every resolver can reach: the services, the hub of changes, and who is asking."""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.responses import Response
from strawberry.dataloader import DataLoader
from strawberry.types.info import Info as StrawberryInfo

from api.auth import Caller
from api.feed import Hub
from api.limits import Limiter
from jobs.errors import LimitExceeded, Unauthenticated
from jobs.images import Image
from jobs.ports import Services

_BATCH = 200  # images that are asked for at once


class Context:
    """One HTTP request, or one websocket with all its operations.

    Args:
        address: from where somebody asks; empty if nobody knows.
        response: what an HTTP request is answered with; its status and headers can be set.
    """

    def __init__(
        self,
        services: Services,
        hub: Hub,
        caller: Caller | Unauthenticated,
        *,
        limiter: Limiter,
        address: str = "",
        response: Response | None = None,
    ) -> None:
        self.services = services
        self.hub = hub
        self._caller = caller
        self._limiter = limiter
        self._address = address
        self._response = response
        # It remembers nothing: a websocket asks again and again, and images change.
        self._loader = DataLoader(self._load, max_batch_size=_BATCH, cache=False)
        self.connection_params: dict[str, object] | None = None  # set from `connection_init`

    @property
    def owner(self) -> str:
        """Whose images the caller sees and changes.

        Raises:
            Unauthenticated: nobody known is asking.
        """
        if isinstance(self._caller, Unauthenticated):
            raise self._caller
        return self._caller.owner

    @property
    def identified(self) -> bool:
        """Whether somebody known is asking."""
        return isinstance(self._caller, Caller)

    def identify(self, caller: Caller | Unauthenticated) -> None:
        """Remember who opened the websocket, unless that is known already."""
        if not self.identified or isinstance(caller, Caller):
            self._caller = caller

    async def image(self, image_id: str) -> Image | None:
        """One of the caller's images. What is asked for at the same moment is read at once.

        Raises:
            Unauthenticated: nobody known is asking.
        """
        _ = self.owner
        return await self._loader.load(image_id)

    async def _load(self, image_ids: list[str]) -> list[Image | None]:
        found = await self.services.catalog.get_many(set(image_ids), owner=self.owner)
        return [found.get(image_id) for image_id in image_ids]

    async def admit_operation(self) -> None:
        """Count the operation that begins.

        Raises:
            LimitExceeded: there were too many; an HTTP request is answered with 429.
        """
        try:
            owner = self.owner if self.identified else None
            await self._limiter.admit_operation(owner=owner, address=self._address)
        except LimitExceeded as refusal:
            if self._response is not None:
                self._response.status_code = HTTPStatus.TOO_MANY_REQUESTS
                self._response.headers["Retry-After"] = str(refusal.retry_after)
            raise

    async def admit_files(self, sizes: Sequence[int]) -> Sequence[LimitExceeded | None]:
        """Count uploads that the caller asks for, by their sizes in bytes; None for each that may be."""
        return await self._limiter.admit_files(sizes, owner=self.owner, address=self._address)


Info = StrawberryInfo[Context, None]
