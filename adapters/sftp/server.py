"""Listens for SSH, lets a door decide who comes in, and serves nothing but SFTP: no shell, no command, no forwarding."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED, OPEN_SUCCEEDED

from adapters.sftp.door import Call, Door
from adapters.sftp.requests import Session

LOGIN_GRACE_SECONDS = 20.0
MOST_ATTEMPTS = 6
_TICK_SECONDS = 0.5
_LARGEST_PACKET = 256 * 1024  # as in OpenSSH
_WEAK = {
    "ciphers": ["aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc"],
    "macs": ["hmac-sha1", "hmac-md5", "hmac-sha1-96", "hmac-md5-96"],
    "kex": ["diffie-hellman-group14-sha256", "diffie-hellman-group-exchange-sha256"],  # 2048 bits are allowed there
    "pubkeys": ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"],
}
_WIRE = "adapters.sftp.wire"
log = logging.getLogger("adapters.sftp")
logging.getLogger(_WIRE).setLevel(logging.CRITICAL)  # every scanner that hangs up would leave a page of trace


class SftpServer:
    """Listens until ``stop``; one thread a connection."""

    def __init__(self, door: Door, host_key: paramiko.PKey, host: str, port: int, idle_seconds: float) -> None:
        self.door, self.host_key, self.idle_seconds = door, host_key, idle_seconds
        self.socket = socket.create_server((host, port), backlog=128)
        self.port: int = self.socket.getsockname()[1]
        self._stopping = threading.Event()
        self._connections: set[_Connection] = set()
        self._listening = threading.Thread(target=self._listen, name="sftp-listen", daemon=True)

    def start(self) -> None:
        self._listening.start()

    def stop(self) -> None:
        """Hang up everywhere; what was open is abandoned."""
        self._stopping.set()
        self.socket.close()
        self._listening.join(5)
        for connection in list(self._connections):
            connection.hang_up()
        for connection in list(self._connections):
            connection.join(10)

    def _listen(self) -> None:
        self.socket.settimeout(_TICK_SECONDS)
        while not self._stopping.is_set():
            try:
                peer, address = self.socket.accept()
            except TimeoutError:
                continue
            except OSError:
                if not self._stopping.is_set():  # out of handles: wait for some to come back
                    time.sleep(_TICK_SECONDS)
                continue
            self._receive(peer, str(address[0]))

    def _receive(self, peer: socket.socket, address: str) -> None:
        call = self.door.answer(address)
        if call is None:
            peer.close()
            return
        connection = _Connection(self, peer, call, self._connections.discard)
        self._connections.add(connection)
        try:
            connection.start()
        except RuntimeError:  # no more threads: this one is sent away, the next may find a place
            self._connections.discard(connection)
            peer.close()
            call.left()


class _Connection(threading.Thread):
    """One client: handshake, sign-in within the grace time, then requests until it leaves or falls silent."""

    def __init__(
        self, server: SftpServer, peer: socket.socket, call: Call, gone: Callable[[_Connection], None]
    ) -> None:
        super().__init__(name="sftp-connection", daemon=True)
        self.call, self._peer, self._server, self._gone = call, peer, server, gone
        self.last_act = time.monotonic()
        self.transport: paramiko.Transport | None = None
        self.session: threading.Thread | None = None

    def run(self) -> None:
        try:
            self._peer.settimeout(LOGIN_GRACE_SECONDS)
            self.transport = transport = _transport(self._peer, self._server.host_key)
            transport.set_subsystem_handler("sftp", Session, connection=self)
            transport.start_server(threading.Event(), server=_Gatekeeper(self))
            self._attend(transport)
        except (paramiko.SSHException, OSError, EOFError) as wrong:
            log.info("a connection failed: %s", type(wrong).__name__)
        finally:
            self.hang_up()
            if self.session is not None:
                self.session.join(10)
            self.call.left()
            self._gone(self)

    def _attend(self, transport: paramiko.Transport) -> None:
        started = time.monotonic()
        while transport.is_alive():
            was_over = self.session is not None and not self.session.is_alive()
            transport.join(_TICK_SECONDS)
            silent = time.monotonic() - self.last_act
            late = time.monotonic() - started > LOGIN_GRACE_SECONDS
            if was_over or (late and self.session is None) or silent > self._server.idle_seconds:
                return

    def hang_up(self) -> None:
        if self.transport is not None:
            self.transport.close()
        self._peer.close()


class _Gatekeeper(paramiko.ServerInterface):
    """Sign-in and channels: one SFTP session a connection; no shell, no command, no forwarding."""

    def __init__(self, connection: _Connection) -> None:
        self._connection, self._call = connection, connection.call
        self._attempts, self._channels, self._subsystems = 0, 0, 0

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,password" if self._call.takes_passwords else "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return self._judge(lambda: self._call.by_key(username, key.asbytes()))

    def check_auth_password(self, username: str, password: str) -> int:
        return self._judge(lambda: self._call.takes_passwords and self._call.by_password(username, password))

    def check_channel_request(self, kind: str, chanid: int) -> int:
        self._channels += 1
        return OPEN_SUCCEEDED if kind == "session" and self._channels == 1 else OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        """Once: every further one would be another session of one connection."""
        self._subsystems += 1
        return self._subsystems == 1 and super().check_channel_subsystem_request(channel, name)

    def _judge(self, recognise: Callable[[], bool]) -> int:
        try:
            if recognise():
                return AUTH_SUCCESSFUL
        except Exception as wrong:  # whatever cannot be checked is not let in
            log.error("a sign-in could not be checked: %s", type(wrong).__name__)
        self._attempts += 1
        if self._attempts >= MOST_ATTEMPTS:
            self._connection.hang_up()
        return AUTH_FAILED


class _Packets(paramiko.packet.Packetizer):
    """No packet is larger than any client needs: its length is believed before anybody has signed in."""

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > _LARGEST_PACKET:
            raise paramiko.SSHException("a packet of a size nobody needs")
        return super().read_all(n, check_rekey)


def _transport(peer: socket.socket, host_key: paramiko.PKey) -> paramiko.Transport:
    transport = paramiko.Transport(peer, disabled_algorithms=_WEAK, packetizer_class=_Packets)
    transport.local_version = "SSH-2.0-hub"
    transport.set_log_channel(_WIRE)
    transport.auth_timeout = transport.handshake_timeout = transport.banner_timeout = LOGIN_GRACE_SECONDS
    transport.add_server_key(host_key)
    return transport
