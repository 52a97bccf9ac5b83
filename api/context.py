"""What every resolver can reach: the services, the hub of changes, and who is asking."""

from strawberry.types.info import Info as StrawberryInfo

from api.auth import Caller
from api.feed import Hub
from jobs.errors import Unauthenticated
from jobs.ports import Services


class Context:
    """One HTTP request, or one websocket with all its operations."""

    def __init__(self, services: Services, hub: Hub, caller: Caller | None) -> None:
        self.services = services
        self.hub = hub
        self._caller = caller
        self.connection_params: dict[str, object] | None = None  # set from `connection_init`

    @property
    def owner(self) -> str:
        """Whose images the caller sees and changes.

        Raises:
            Unauthenticated: nobody known is asking.
        """
        if self._caller is None:
            raise Unauthenticated("Send your key as “Authorization: Bearer KEY”.")
        return self._caller.owner

    @property
    def identified(self) -> bool:
        """Whether somebody known is asking."""
        return self._caller is not None

    def identify(self, caller: Caller) -> None:
        """Remember who opened the websocket."""
        self._caller = caller


Info = StrawberryInfo[Context, None]
