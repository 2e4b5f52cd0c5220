"""Network addresses as text: which network a request's address is in, with IPv4 inside IPv6 taken for what it is."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from hub.errors import BadRequest

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def read_address(text: str) -> Address | None:
    """The address a text says, ``::ffff:a.b.c.d`` as its IPv4 address; None if it is none."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def read_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks written as CIDR; a single address is a network of one. BadRequest names the text that is none."""
    return tuple(map(_read_network, texts))


def _read_network(text: str) -> Network:
    try:
        return ip_network(text.strip())
    except ValueError:
        raise BadRequest(
            f"{text!r} 不是网段，应写作 10.1.2.0/24 或 2001:db8::/32。"
            " Not a network: write 10.1.2.0/24 or 2001:db8::/32, with no bit set after the prefix.",
            address=text,
        ) from None


def is_within(address: str, networks: Iterable[str]) -> bool:
    """Whether an address lies in one of the networks; a text that is no address lies in none."""
    known = read_address(address)
    return known is not None and any(known in network for network in _read_kept(tuple(networks)))


@lru_cache(maxsize=1024)
def _read_kept(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return read_networks(texts)
