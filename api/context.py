"""What every resolver can reach: the services, the hub of changes, and who is asking."""

from strawberry.types.info import Info as StrawberryInfo

from api.auth import Caller
from api.hub import Hub
from jobs.errors import Unauthenticated
from jobs.ports import Services


class Context:
    """One HTTP request, or one websocket with all its operations."""

    def __init__(self, services: Services, hub: Hub, caller: Caller | Unauthenticated) -> None:
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


Info = StrawberryInfo[Context, None]
