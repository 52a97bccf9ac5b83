"""Addresses of clients, and what they are counted as; the names of this machine."""

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from jobs.settings import LOOPBACK

THIS_MACHINE = tuple(f"[{host}]" if ":" in host else host for host in LOOPBACK)
"""Its names, as they stand in a URL."""
# Who develops a page on this machine serves it from another port of it.
LOOPBACK_ORIGIN = re.compile(rf"https?://({'|'.join(map(re.escape, THIS_MACHINE))})(:\d+)?")

_IPV6_NETWORK = 64  # bits: whoever has one address of such a network has all of them


def network_of(host: str) -> str:
    """What stands for an address: itself, or in IPv6 the network of the one who could have all of it."""
    address = _parsed(host)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), _IPV6_NETWORK), strict=False))
    return host if address is None else str(address)


def is_loopback(host: str) -> bool:
    """Whether it is this machine's own."""
    address = _parsed(host)
    return address is not None and address.is_loopback


def _parsed(host: str) -> IPv4Address | IPv6Address | None:
    """The address; None for nothing, or a name that a proxy gave."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
