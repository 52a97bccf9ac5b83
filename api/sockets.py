"""How many websockets are open and operations run over them, so that nobody takes them all.

Websockets are counted by address and by owner, operations by owner.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from api.addresses import is_loopback, network_of
from jobs.metrics import REFUSALS, SOCKETS, Limit


class TooManySockets(Exception):
    """As many are open as one address, or one owner, may have."""


class Tally:
    """How many each one has of something, of which nobody may have more than `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: Counter[str] = Counter()

    def add(self, who: str) -> bool:
        """Count one more; false if there is no room for it."""
        if self._counts[who] >= self._most:
            return False
        self._counts[who] += 1
        return True

    def remove(self, who: str) -> None:
        """Count one less. Nothing is kept of those who have none."""
        self._counts[who] -= 1
        if not self._counts[who]:
            del self._counts[who]


class CountedSocket:
    """One websocket among `Sockets`.

    `operations` are those of all websockets that run, by owner.
    """

    __slots__ = ("_owner", "_owners", "operations")

    def __init__(self, owners: Tally, operations: Tally) -> None:
        self.operations = operations
        self._owners = owners
        self._owner: str | None = None

    def belongs_to(self, owner: str) -> None:
        """Count it to its owner, once that is known; for another than before, to that one instead.

        Raises:
            TooManySockets: the owner has as many as allowed.
        """
        if owner == self._owner:
            return
        if not self._owners.add(owner):
            raise _refusal("too many websockets of this owner")
        self.forget()
        self._owner = owner

    def forget(self) -> None:
        """Count it to nobody any more."""
        if self._owner is not None:
            self._owners.remove(self._owner)
            self._owner = None


class Sockets:
    """The open websockets of one process.

    Those of this machine are not counted by address: whoever is on it could do worse.

    Args:
        per_address: how many one address may have open; of IPv6, one network of 64 bits.
        per_owner: how many one owner may have open.
        operations_per_owner: how many may run over all that one owner has open.
    """

    def __init__(self, *, per_address: int, per_owner: int, operations_per_owner: int) -> None:
        self._addresses = Tally(per_address)
        self._owners = Tally(per_owner)
        self._operations = Tally(operations_per_owner)

    @contextmanager
    def opened(self, host: str | None) -> Iterator[CountedSocket]:
        """Count a websocket for as long as the context lasts.

        Args:
            host: the address of its client, if the server knows it.

        Raises:
            TooManySockets: the address has as many as allowed.
        """
        network = None if not host or is_loopback(host) else network_of(host)
        if network is not None and not self._addresses.add(network):
            raise _refusal("too many websockets of this address")
        socket = CountedSocket(self._owners, self._operations)
        SOCKETS.inc()
        try:
            yield socket
        finally:
            SOCKETS.dec()
            socket.forget()
            if network is not None:
                self._addresses.remove(network)


def _refusal(message: str) -> TooManySockets:
    REFUSALS.labels(Limit.SOCKETS).inc()
    return TooManySockets(message)
