"""How many websockets are open, so that nobody takes them all: counted by address and by owner."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from api.addresses import is_loopback, network_of
from jobs.metrics import REFUSALS, SOCKETS, Limit


class TooManySockets(Exception):
    """As many are open as one address, or one owner, may have."""


class CountedSocket:
    """One websocket among `Sockets`."""

    __slots__ = ("_most", "_owner", "_owners")

    def __init__(self, owners: Counter[str], most: int) -> None:
        self._owners = owners
        self._most = most
        self._owner: str | None = None

    def belongs_to(self, owner: str) -> None:
        """Count it to its owner, once that is known; for another than before, to that one instead.

        Raises:
            TooManySockets: the owner has as many as allowed.
        """
        if owner == self._owner:
            return
        if self._owners[owner] >= self._most:
            raise _refusal("too many websockets of this owner")
        self.forget()
        self._owners[owner] += 1
        self._owner = owner

    def forget(self) -> None:
        """Count it to nobody any more."""
        if self._owner is not None:
            _subtract(self._owners, self._owner)
            self._owner = None


class Sockets:
    """The open websockets of one process.

    Those of this machine are not counted by address: whoever is on it could do worse.

    Args:
        per_address: how many one address may have open; of IPv6, one network of 64 bits.
        per_owner: how many one owner may have open.
    """

    def __init__(self, *, per_address: int, per_owner: int) -> None:
        self._per_address = per_address
        self._per_owner = per_owner
        self._addresses: Counter[str] = Counter()
        self._owners: Counter[str] = Counter()

    @contextmanager
    def opened(self, host: str | None) -> Iterator[CountedSocket]:
        """Count a websocket for as long as the context lasts.

        Args:
            host: the address of its client, if the server knows it.

        Raises:
            TooManySockets: the address has as many as allowed.
        """
        network = None if not host or is_loopback(host) else network_of(host)
        if network is not None:
            if self._addresses[network] >= self._per_address:
                raise _refusal("too many websockets of this address")
            self._addresses[network] += 1
        socket = CountedSocket(self._owners, self._per_owner)
        SOCKETS.inc()
        try:
            yield socket
        finally:
            SOCKETS.dec()
            socket.forget()
            if network is not None:
                _subtract(self._addresses, network)


def _refusal(message: str) -> TooManySockets:
    REFUSALS.labels(Limit.SOCKETS).inc()
    return TooManySockets(message)


def _subtract(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
