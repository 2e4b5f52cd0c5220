"""Calls to other machines: only listed hosts, only addresses that were checked, however they are written or answered."""

from __future__ import annotations

import ast
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from adapters import outbound
from adapters.outbound import CallFailed, CallRefused, Outbound, address_meant, is_public
from tests.certificates import certificate_of
from tests.source import imports_of, modules_in

NAME = "hooks.labour.example"
HERE = ("127.0.0.0/8",)
ANY = "0.0.0.0"  # noqa: S104 — to call, not to listen at


class _Listener(BaseHTTPRequestHandler):
    """Notes what arrives; its path says how it answers."""

    def do_GET(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        self.server.arrived.append((self.path, self.headers, self.rfile.read(length)))  # type: ignore[attr-defined]
        if self.path == "/slow":
            time.sleep(3)
        self.send_response({"/redirect": 302, "/gone": 410}.get(self.path, 200))
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/secret")  # type: ignore[attr-defined]
        self.end_headers()
        try:
            self._write()
        except OSError:
            return  # the hub has hung up, as it should

    def _write(self) -> None:
        if self.path == "/endless":
            for _ in range(4_000):
                self.wfile.write(b"x" * 65_536)
        elif self.path == "/drip":
            for _ in range(40):
                self.wfile.write(b"x")
                time.sleep(0.1)
        else:
            self.wfile.write(b"answer")

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *arguments: Any) -> None:
        """Silent."""


class Listener(ThreadingHTTPServer):
    """A machine on this one that must not be reached unasked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Listener)
        self.arrived: list[tuple[str, Any, bytes]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self.server_port


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.shutdown()
    listener.server_close()


def answering(*answers: list[str]) -> Callable[[str, int], list[str]]:
    """A resolver that answers one after the other, then the last again."""
    left = list(answers)
    return lambda host, port: left.pop(0) if len(left) > 1 else left[0]


# ---- what is listed, and may be reached ----


def test_a_listed_host_in_an_allowed_network_is_called(listener: Listener) -> None:
    there = f"http://{NAME}:{listener.port}"
    calls = Outbound([there], HERE, resolve=answering(["127.0.0.1"]))
    answer = calls.post(f"{there}/take?n=1", b"{}", {"X-Signature": "s", "host": "evil.example"})
    assert answer == (200, b"answer")
    path, headers, content = listener.arrived[0]
    assert (path, content, headers["x-signature"]) == ("/take?n=1", b"{}", "s")
    assert headers.get_all("host") == [f"{NAME}:{listener.port}"]
    assert calls.get(f"{there}/") == b"answer"


@pytest.mark.parametrize(
    "url",
    [
        "http://other.example:{port}/",
        "https://hooks.labour.example:{port}/",
        "http://hooks.labour.example/",
        "http://hooks.labour.example:{port}@other.example/",
        "http://someone@hooks.labour.example:{port}/",
        "http://someone:secret@hooks.labour.example:{port}/",
        "http://sub.hooks.labour.example:{port}/",
        "http://hooks.labour.example.:{port}/",
        "ftp://hooks.labour.example:{port}/",
        "file:///etc/passwd",
        "//hooks.labour.example:{port}/",
        "http://",
        "http://[::1",
        "not a url",
    ],
)
def test_what_is_not_listed_exactly_is_not_called(listener: Listener, url: str) -> None:
    calls = Outbound([f"http://{NAME}:{listener.port}"], HERE, resolve=answering(["127.0.0.1"]))
    with pytest.raises(CallRefused):
        calls.get(url.format(port=listener.port))
    assert listener.arrived == []


def test_http_is_for_hosts_listed_with_http_only(listener: Listener) -> None:
    calls = Outbound([f"{NAME}:{listener.port}"], HERE, resolve=answering(["127.0.0.1"]))
    with pytest.raises(CallRefused):
        calls.get(f"http://{NAME}:{listener.port}/")


def test_a_refusal_says_neither_path_nor_secret(listener: Listener) -> None:
    with pytest.raises(CallRefused) as refused:
        Outbound([], HERE).get(f"http://u:word@{NAME}/token/abc?secret=1")
    assert not any(part in str(refused.value) for part in ("word", "abc", "secret="))


# ---- this machine and the district's own network, however they are written ----

LOOPBACKS = [
    "127.0.0.1", "localhost", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "127.1", "0", ANY,
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
]  # fmt: skip
REACHABLE = [host for host in LOOPBACKS if not host.startswith("[")]


@pytest.mark.parametrize("host", LOOPBACKS)
def test_this_machine_is_not_called_however_its_address_is_written(listener: Listener, host: str) -> None:
    """Even a list that names it is not enough: the network must be allowed too."""
    there = f"http://{host}:{listener.port}"
    with pytest.raises(CallRefused):
        Outbound([there]).get(f"{there}/secret")
    assert listener.arrived == []


@pytest.mark.parametrize("host", REACHABLE)
def test_without_the_check_of_the_address_the_call_would_arrive(
    listener: Listener, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "is_public", lambda address: True)
    there = f"http://{host}:{listener.port}"
    assert Outbound([there], resolve=_first_ipv4).get(f"{there}/secret") == b"answer"
    assert len(listener.arrived) == 1


def _first_ipv4(host: str, port: int) -> list[str]:
    return [found for found in outbound.look_up(host, port) if "." in found][:1]


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", ANY, "255.255.255.255",
        "224.0.0.1", "240.0.0.1", "192.0.2.1", "198.18.0.1", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::",
        "::1", "::ffff:10.1.2.3", "::10.1.2.3", "64:ff9b::a01:203", "64:ff9b:1::a01:203", "2002:a01:203::1",
        "2001:0:a01:203::1", "2001:db8::1", "fec0::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_not_called(address: str) -> None:
    assert not is_public(address_meant(ip_address(address)))
    with pytest.raises(CallRefused):
        Outbound([NAME], resolve=answering([address])).get(f"https://{NAME}/")


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_may_be_called(address: str) -> None:
    assert is_public(address_meant(ip_address(address)))


def test_one_forbidden_address_among_public_ones_is_enough() -> None:
    for answers in (["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], []):
        with pytest.raises(CallRefused):
            Outbound([NAME], resolve=answering(answers)).get(f"https://{NAME}/")


def test_an_ipv4_network_allows_its_mapped_ipv6_form() -> None:
    calls = Outbound([NAME], ["10.0.0.0/8"])
    assert [calls._may_call(ip_address(f"::ffff:{inner}")) for inner in ("10.1.2.3", "172.16.1.1")] == [True, False]


# ---- answers that change, and answers that lead on ----


def test_a_name_that_answers_differently_the_second_time_changes_nothing(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer is allowed, the second is this machine: the connection goes to the first, and fails there."""
    there, elsewhere = f"http://{NAME}:{listener.port}", ["127.9.9.9"]
    calls = Outbound([there], ["127.9.9.9/32"], resolve=answering(elsewhere, ["127.0.0.1"]), seconds=2)
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **named: real(_rebound(host), *rest, **named))
    with pytest.raises(CallFailed):
        calls.get(f"{there}/secret")
    assert listener.arrived == []
    with pytest.raises(CallRefused):
        calls.get(f"{there}/secret")
    assert listener.arrived == []


def test_without_the_pin_the_changed_answer_would_be_followed(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = f"http://{NAME}:{listener.port}"
    calls = Outbound([there], ["127.9.9.9/32"], resolve=answering(["127.9.9.9"]), seconds=5)
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest, **named: real(_rebound(host), *rest, **named))
    monkeypatch.setattr(outbound, "_pinned", lambda url, address: url)
    assert calls.get(f"{there}/secret") == b"answer"
    assert len(listener.arrived) == 1


def _rebound(host: Any) -> Any:
    return "127.0.0.1" if host in (NAME, NAME.encode()) else host


def test_a_redirect_is_an_answer_and_is_not_followed(listener: Listener) -> None:
    there = f"http://{NAME}:{listener.port}"
    calls = Outbound([there], HERE, resolve=answering(["127.0.0.1"]))
    assert calls.post(f"{there}/redirect", b"").status == 302
    with pytest.raises(CallFailed, match="302"):
        calls.get(f"{there}/redirect")
    with pytest.raises(CallFailed, match="410"):
        calls.get(f"{there}/gone")
    assert [path for path, _, _ in listener.arrived] == ["/redirect", "/redirect", "/gone"]


def test_were_redirects_followed_a_listed_host_could_lead_anywhere(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound, "_FOLLOW_REDIRECTS", True)
    there = f"http://{NAME}:{listener.port}"
    Outbound([there], HERE, resolve=answering(["127.0.0.1"])).get(f"{there}/redirect")
    assert [path for path, _, _ in listener.arrived] == ["/redirect", "/secret"]


def test_a_proxy_of_the_environment_is_not_used(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{listener.port}")
    calls = Outbound([f"http://{NAME}:9"], HERE, resolve=answering(["127.0.0.1"]), seconds=2)
    with pytest.raises(CallFailed):
        calls.get(f"http://{NAME}:9/")
    assert listener.arrived == []


# ---- how much and how long ----


def test_an_answer_is_cut_off_when_it_is_too_long(listener: Listener) -> None:
    there = f"http://{NAME}:{listener.port}"
    calls = Outbound([there], HERE, resolve=answering(["127.0.0.1"]), largest_answer=100_000)
    with pytest.raises(CallFailed, match="100000"):
        calls.get(f"{there}/endless")


@pytest.mark.parametrize("path", ["/slow", "/drip"])
def test_a_call_is_over_in_its_time_whatever_the_other_side_does(listener: Listener, path: str) -> None:
    there = f"http://{NAME}:{listener.port}"
    calls = Outbound([there], HERE, resolve=answering(["127.0.0.1"]), seconds=0.7)
    began = time.monotonic()
    with pytest.raises(CallFailed):
        calls.get(f"{there}{path}")
    assert time.monotonic() - began < 2.5


def test_a_resolver_that_hangs_does_not_hang_the_hub() -> None:
    calls = Outbound([NAME], resolve=lambda host, port: time.sleep(3) or ["8.8.8.8"], seconds=0.3)  # type: ignore[func-returns-value]
    began = time.monotonic()
    with pytest.raises(CallFailed):
        calls.get(f"https://{NAME}/")
    assert time.monotonic() - began < 2


def test_an_unknown_name_is_a_failed_call() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(CallFailed):
        Outbound([NAME], resolve=unknown).get(f"https://{NAME}/")


# ---- TLS ----


@pytest.fixture
def secure(listener: Listener, tmp_path: Path) -> Iterator[tuple[int, str]]:
    """The listener behind TLS, with a certificate for NAME; its port and the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate, private = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(certificate_of(NAME, key=key))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    yield listener.port, str(certificate)


def test_the_certificate_is_checked_against_the_name_although_the_address_is_called(
    secure: tuple[int, str], listener: Listener
) -> None:
    port, authority = secure
    listed = [f"{NAME}:{port}", f"other.example:{port}", f"127.0.0.1:{port}"]
    calls = Outbound(listed, HERE, resolve=answering(["127.0.0.1"]), verify=authority)
    assert calls.get(f"https://{NAME}:{port}/") == b"answer"
    for other in (f"https://other.example:{port}/", f"https://127.0.0.1:{port}/"):
        with pytest.raises(CallFailed):
            calls.get(other)
    assert len(listener.arrived) == 1


def test_an_unknown_authority_is_not_believed_and_checking_cannot_be_turned_off(secure: tuple[int, str]) -> None:
    port, _ = secure
    with pytest.raises(CallFailed):
        Outbound([f"{NAME}:{port}"], HERE, resolve=answering(["127.0.0.1"])).get(f"https://{NAME}:{port}/")
    with pytest.raises(ValueError, match="always"):
        Outbound([NAME], verify=False)


# ---- nobody else calls ----

CALLERS = ("httpx", "httpcore", "requests", "urllib.request", "urllib3", "http.client", "aiohttp")


def test_no_other_module_calls_another_machine() -> None:
    rooms = [
        module for module in modules_in("hub/", "admin/", "drops/", "adapters/", "mappings/") if not _plays(module)
    ]
    calling = {module for module in rooms if _imports_a_caller(imports_of(module))}
    assert calling == {
        "adapters/outbound.py",
        "adapters/client.py",
    }  # the latter runs at the departments, and calls the hub


def _plays(module: str) -> bool:
    return module.startswith("hub/demo/")  # it plays the departments, which call the hub


def _imports_a_caller(imported: frozenset[str]) -> bool:
    return any(name == caller or name.startswith(f"{caller}.") for name in imported for caller in CALLERS)


def test_a_caller_written_anywhere_would_be_found() -> None:
    for written in ("import httpx", "from urllib.request import urlopen", "import http.client as web"):
        tree = ast.parse(written)
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert _imports_a_caller(frozenset(names))
