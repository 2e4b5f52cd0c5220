"""The one way to call another machine: a listed host, an address looked up and checked here, small and soon over.

A host is listed as ``host`` or ``host:port`` for https, as ``http://host[:port]`` where nothing better is to be had,
as ``sftp://host[:port]`` for adapters.channels.sftp_client, which asks ``listed_address`` before it connects.
Its name is looked up once, every address found must be a public one or in ``allowed_networks`` (the district's own
network), and the connection goes to an address that was checked: a name that answers differently a moment later
(DNS rebinding) changes nothing. The certificate is still checked against the name. Redirects, proxies of the
environment and packed answers are not followed, used or unpacked.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Collection, Mapping
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

import anyio
import httpx
from anyio import to_thread

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Collection[str]]
LARGEST_ANSWER = 10 * 1024 * 1024
LONGEST_SECONDS = 20.0
_FOLLOW_REDIRECTS = False  # a listed host must not lead to one that is not
_PORTS = {"https": 443, "http": 80, "sftp": 22}
_SPOKEN_HERE = ("https", "http")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address meant
_UNICAST = IPv6Network("2000::/3")  # all that is given out on the internet


class CallRefused(Exception):
    """不允许呼叫此地址。 The hub does not call this address."""


class CallFailed(Exception):
    """呼叫对方系统失败。 Calling the other system failed."""


class Answer(NamedTuple):
    """What came back: a redirect is an answer like any other."""

    status: int
    content: bytes


class Reply(NamedTuple):
    """An answer with its headers."""

    status: int
    content: bytes
    headers: Mapping[str, str]  # any case finds them


class Target(NamedTuple):
    """Where a URL leads, as the list has it."""

    scheme: str
    host: str
    port: int


def look_up(host: str, port: int) -> list[str]:
    """Every address the system knows for a name."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Outbound:
    """Calls to the machines of one list."""

    def __init__(
        self,
        allowed_hosts: Collection[str],
        allowed_networks: Collection[str] = (),
        *,
        resolve: Resolve = look_up,
        seconds: float = LONGEST_SECONDS,
        largest_answer: int = LARGEST_ANSWER,
        verify: str | bool = True,
    ) -> None:
        """``verify``: a file of certificate authorities instead of the usual ones; False is refused."""
        if verify is False:
            raise ValueError("certificates are always checked")
        self._targets = frozenset(map(_read_target, allowed_hosts))
        self._networks = tuple(map(ip_network, allowed_networks))
        self._resolve, self._seconds, self._largest_answer = resolve, seconds, largest_answer
        trusted = ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify
        self._verify = httpx.create_ssl_context(verify=trusted, trust_env=False)

    def post(self, url: str, content: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Send; CallRefused before anything is sent, CallFailed when no whole answer came in time."""
        status, received, _ = self.ask("POST", url, content, headers)
        return Answer(status, received)

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> bytes:
        """What is there; CallFailed for any status but 200."""
        answer = self.ask("GET", url, b"", headers)
        if answer.status != httpx.codes.OK:
            raise CallFailed(f"{CallFailed.__doc__} HTTP {answer.status}")
        return answer.content

    def ask(self, method: str, url: str, content: bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """Whatever came back, with its headers: for who must read Link or Retry-After."""
        return anyio.run(self._call, method, url, content, headers or {})

    async def _call(self, method: str, url: str, content: bytes, headers: Mapping[str, str]) -> Reply:
        try:
            with anyio.fail_after(self._seconds):
                there = _read_url(url)
                address = await self._checked_address(self._listed(there))
                return await self._send(there, address, method, content, headers)
        except (httpx.HTTPError, OSError, TimeoutError) as wrong:
            raise CallFailed(f"{CallFailed.__doc__} {type(wrong).__name__}") from None

    def _listed(self, url: httpx.URL) -> Target:
        target = _target_of(url)
        if url.userinfo or target.scheme not in _SPOKEN_HERE or target not in self._targets:
            raise _refused(f"{target.scheme}://{target.host}:{target.port}", "outbound_hosts")
        return target

    async def _checked_address(self, target: Target) -> Address:
        look = partial(checked_address, target.host, target.port, self._networks, self._resolve)
        return await to_thread.run_sync(look, abandon_on_cancel=True)

    def _may_call(self, address: Address) -> bool:
        return may_call(address, self._networks)

    async def _send(
        self, url: httpx.URL, address: Address, method: str, content: bytes, headers: Mapping[str, str]
    ) -> Reply:
        """The name stays in the Host header and in the TLS handshake; the connection goes to the checked address."""
        whole = httpx.Headers(headers)
        whole.update({"Host": url.netloc.decode("ascii"), "Accept-Encoding": "identity"})
        named = {"sni_hostname": url.raw_host.decode("ascii")}
        async with httpx.AsyncClient(
            verify=self._verify, trust_env=False, follow_redirects=_FOLLOW_REDIRECTS, timeout=self._seconds
        ) as client:
            sending = client.stream(method, _pinned(url, address), content=content, headers=whole, extensions=named)
            async with sending as response:
                return Reply(response.status_code, await self._read(response), response.headers)

    async def _read(self, response: httpx.Response) -> bytes:
        content = bytearray()
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > self._largest_answer:
                raise CallFailed(
                    f"对方答复超过 {self._largest_answer} 字节。 The answer is longer than {self._largest_answer} bytes."
                )
        return bytes(content)


def require_listed(url: str, allowed_hosts: Collection[str]) -> None:
    """CallRefused unless the list has the host of this URL, for its scheme and port; nothing is looked up."""
    target = _target_of(_read_url(url))
    if target not in map(_read_target, allowed_hosts):
        raise _refused(f"{target.scheme}://{target.host}:{target.port}", "outbound_hosts")


def listed_address(
    scheme: str,
    host: str,
    port: int,
    allowed_hosts: Collection[str],
    allowed_networks: Collection[str] = (),
    resolve: Resolve = look_up,
) -> Address:
    """Where to connect for another protocol: the host is listed, and every address it has may be called."""
    require_listed(f"{scheme}://{host}:{port}", allowed_hosts)
    return checked_address(host.lower(), port, tuple(map(ip_network, allowed_networks)), resolve)


def checked_address(host: str, port: int, networks: Collection[Network], resolve: Resolve = look_up) -> Address:
    """One of the addresses of the host, when every one of them may be called."""
    addresses = [ip_address(found) for found in resolve(host, port)]
    if not addresses or not all(may_call(address, networks) for address in addresses):
        raise _refused(host, ", ".join(map(str, addresses)))
    return addresses[0]


def may_call(address: Address, networks: Collection[Network]) -> bool:
    """Public, or in the district's own network."""
    meant = address_meant(address)
    return is_public(meant) or any(meant in network for network in networks)


def _pinned(url: httpx.URL, address: Address) -> httpx.URL:
    return url.copy_with(host=str(address))


def address_meant(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one (mapped, 6to4, NAT64), where the packets would go in the end."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_public(address: Address) -> bool:
    """Given out on the internet to one machine; ``is_global`` alone lets multicast and ``::127.0.0.1`` through."""
    if isinstance(address, IPv6Address) and (address not in _UNICAST or address.teredo):
        return False
    return address.is_global and not address.is_multicast


def _read_target(listed: str) -> Target:
    target = _target_of(_read_url(listed if "://" in listed else f"https://{listed}"))
    if target.scheme not in _PORTS or not target.host:
        raise _refused(listed, "outbound_hosts: host, host:port, http://host:port, sftp://host:port")
    return target


def _read_url(text: str) -> httpx.URL:
    try:
        return httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        raise _refused("?", "URL") from None


def _target_of(url: httpx.URL) -> Target:
    return Target(url.scheme, url.host.lower(), url.port or _PORTS.get(url.scheme, 0))


def _refused(what: str, why: str) -> CallRefused:
    return CallRefused(f"{CallRefused.__doc__} {what} ({why})")
