"""A message gateway and a mail server on 127.0.0.1: real sockets, real TLS; they answer as they are told."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.certificates import certificate_of


class Asked(NamedTuple):
    """One request the gateway got."""

    method: str
    path: str
    token: str
    body: str


@dataclass
class Gateway:
    """What it was asked; ``answer`` says with which status and body it answers, and may do anything before."""

    asked: list[Asked] = field(default_factory=list)
    answer: Callable[[Asked], tuple[int, bytes]] = lambda asked: (200, b'{"code": 0}')
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/send"


@contextmanager
def standing_gateway(port: int = 0) -> Iterator[Gateway]:
    gateway = Gateway()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            asked = Asked(self.command, self.path, self.headers.get("Authorization", ""), body)
            gateway.asked.append(asked)
            status, content = gateway.answer(asked)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *arguments: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    gateway.port = server.server_port
    with _serving(server):
        yield gateway


@dataclass
class MailServer:
    """What it took, by recipient. ``codes``: what it says to a recipient; ``goes_silent``: no answer to a whole message."""

    folder: Path
    taken: list[tuple[str, str]] = field(default_factory=list)
    signed_in: list[tuple[str, str]] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)
    goes_silent: bool = False
    offers_tls: bool = True
    port: int = 0

    @property
    def authority(self) -> bytes:
        return (self.folder / "certificate.pem").read_bytes()

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "certificate.pem", self.folder / "key.pem")
        return context


@contextmanager
def standing_mail_server(folder: Path, name: str = "localhost") -> Iterator[MailServer]:
    """ESMTP with STARTTLS and AUTH PLAIN; its certificate is for ``name``."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "certificate.pem").write_bytes(certificate_of(name, key=key))
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(written)
    mail = MailServer(folder)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            _Session(mail, self.request).run()

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    mail.port = server.server_address[1]
    with _serving(server):
        yield mail


class _Session:
    """One client, command by command."""

    def __init__(self, mail: MailServer, plug: ssl.SSLSocket) -> None:
        self.mail, self.plug, self.file = mail, plug, plug.makefile("rwb")
        self.recipient, self.is_encrypted = "", False

    def run(self) -> None:
        try:
            self.say(220, "hello")
            while line := self.file.readline().decode().strip():
                verb, _, rest = line.partition(" ")
                if not getattr(self, f"on_{verb.lower()}")(rest):
                    return
        except (OSError, ValueError):
            return

    def say(self, code: int, *lines: str) -> bool:
        for number, line in enumerate(lines, 1):
            self.file.write(f"{code}{' ' if number == len(lines) else '-'}{line}\r\n".encode())
        self.file.flush()
        return True

    def on_ehlo(self, rest: str) -> bool:
        offered = ["AUTH PLAIN"] if self.is_encrypted else ["STARTTLS"] if self.mail.offers_tls else []
        return self.say(250, "localhost", *offered)

    def on_starttls(self, rest: str) -> bool:
        self.say(220, "go")
        self.plug = self.mail.context().wrap_socket(self.plug, server_side=True)
        self.file, self.is_encrypted = self.plug.makefile("rwb"), True
        return True

    def on_auth(self, rest: str) -> bool:
        _, name, password = base64.b64decode(rest.split()[1]).decode().split("\0")
        self.mail.signed_in.append((name, password))
        return self.say(235, "welcome")

    def on_mail(self, rest: str) -> bool:
        return self.say(250, "ok")

    def on_rset(self, rest: str) -> bool:
        return self.say(250, "ok")

    def on_rcpt(self, rest: str) -> bool:
        self.recipient = rest[rest.index("<") + 1 : rest.index(">")]
        code = self.mail.codes.get(self.recipient, 250)
        return self.say(code, f"{self.recipient} is unknown here" if code >= 400 else "ok")

    def on_data(self, rest: str) -> bool:
        self.say(354, "go on")
        lines = []
        while (line := self.file.readline()) not in (b".\r\n", b""):
            lines.append(line)
        self.mail.taken.append((self.recipient, b"".join(lines).decode()))
        return False if self.mail.goes_silent else self.say(250, "taken")

    def on_quit(self, rest: str) -> bool:
        self.say(221, "bye")
        return False


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
