"""The guests of the SFTP door: who is let in, and real clients, OpenSSH sftp, lftp and curl."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import paramiko
import pytest
from sqlalchemy import update

from drops.sftp.scores import Scores
from drops.sftp.service import fingerprint
from hub.database import utc_now
from hub.embedded import Cluster
from hub.registry.api_keys import issue_key
from hub.registry.permissions import SYSTEM_ACTOR, Right
from hub.tables import api_key
from mappings.catalogue import Catalogue
from tests.sftp_door import INBOX, TYPE, Door, sheet, standing_door, until


@pytest.fixture(scope="module")
def door(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, catalogue: Catalogue) -> Iterator[Door]:
    with standing_door(cluster, tmp_path_factory.mktemp("clients"), catalogue, passwords=True) as opened:
        yield opened


def need(program: str) -> str:
    """Its path; skipped where it is not installed, except where CI says everything is."""
    found = shutil.which(program)
    if found is None:
        assert not os.environ.get("HUB_REQUIRE_BROWSER"), f"{program} is not installed"
        pytest.skip(f"{program} is not installed")
    return found


def options(door: Door) -> list[str]:
    return [
        "-oStrictHostKeyChecking=no",
        "-oUserKnownHostsFile=/dev/null",
        "-oIdentitiesOnly=yes",
        "-oLogLevel=ERROR",
        f"-oIdentityFile={door.keys['health']}",
    ]


def sftp(door: Door, *commands: str, who: str = "health") -> subprocess.CompletedProcess[str]:
    """OpenSSH's client in batch mode; ``-`` before a command goes on after its failure."""
    batch = "\n".join(commands) + "\n"
    asked = [need("sftp"), *options(door), "-b", "-", "-P", str(door.port), f"{who}@127.0.0.1"]
    return subprocess.run(asked, input=batch, capture_output=True, text=True, timeout=60, check=False, cwd=door.folder)


def sheet_file(door: Door, name: str, number: int, rows: int = 2) -> Path:
    path = door.folder / name
    path.write_bytes(sheet(number, rows))
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_openssh_puts_looks_and_fetches_its_receipt(door: Door) -> None:
    path = sheet_file(door, "十一月.csv", 100)
    done = sftp(
        door,
        f"cd {INBOX}",
        "mkdir 2026-11",
        "cd 2026-11",
        "put -p 十一月.csv 十一月.csv.part",
        "ls -l",
        "rename 十一月.csv.part 十一月.csv",
    )
    assert done.returncode == 0, done.stderr
    assert "十一月.csv.part" in done.stdout
    until(lambda: "十一月.csv" in door.ledger())
    assert door.ledger()["十一月.csv"][1] == digest(path)
    door.work()
    receipt = door.organisation() / "receipts" / "十一月.csv.receipt.json"
    until(receipt.exists)
    got = sftp(door, "ls /receipts", "get /receipts/十一月.csv.receipt.json got.json")
    assert got.returncode == 0, got.stderr
    assert (door.folder / "got.json").read_bytes() == receipt.read_bytes()


def test_openssh_resumes_what_was_cut(door: Door) -> None:
    path = sheet_file(door, "resumed.csv", 200, rows=900)
    door.send_and_cut(f"{INBOX}/resumed.csv", path.read_bytes()[:20_000])
    done = sftp(door, f"cd {INBOX}", "put -a resumed.csv")
    assert done.returncode == 0, done.stderr
    until(lambda: "resumed.csv" in door.ledger())
    assert door.ledger()["resumed.csv"][1] == digest(path)
    opened = [size for act, _, _, size, _ in door.events("open", "resumed.csv")]
    assert opened[-1] == 20_000, "it began anew instead of going on"


def test_openssh_is_refused_what_nobody_may(door: Door) -> None:
    sheet_file(door, "mine.csv.part", 1200)
    (door.organisation() / "out").mkdir(exist_ok=True)
    refused = [
        f"-get {INBOX}/mine.csv.part stolen.csv",
        f"-symlink /receipts {INBOX}/link",
        f"-ln {INBOX}/mine.csv.part {INBOX}/hard",
        f"-chmod 777 {INBOX}/mine.csv.part",
        f"-chown 0 {INBOX}/mine.csv.part",
        f"-rmdir {INBOX}",
        "-mkdir /elsewhere",
        "-put mine.csv.part /out/mine.csv",
        "-put mine.csv.part /in/marriage/mine.csv",
        f"-put mine.csv.part {INBOX}/.hidden.csv",
        f"-put mine.csv.part {INBOX}/nul.csv",
        "-rm /receipts/nothing",
        "-get /../../etc/passwd stolen.csv",
    ]
    done = sftp(door, f"put mine.csv.part {INBOX}/", *refused, f"rm {INBOX}/mine.csv.part")
    assert done.returncode == 0, done.stderr
    complaints = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(complaints) >= len(refused), done.stderr
    assert not (door.folder / "stolen.csv").exists()
    assert not [row for row in door.ledger() if row.startswith("mine")]


def test_openssh_gets_no_shell_and_no_tunnel(door: Door) -> None:
    ssh = [need("ssh"), *options(door), "-p", str(door.port), "health@127.0.0.1"]
    shell = subprocess.run([*ssh, "id"], capture_output=True, timeout=30, check=False, stdin=subprocess.DEVNULL)
    assert shell.returncode != 0
    assert shell.stdout == b""
    with door.visit() as client, pytest.raises(Exception, match=r"rohibited|denied|refused"):
        transport = client.get_channel().get_transport()  # type: ignore[union-attr]
        transport.open_channel("direct-tcpip", ("127.0.0.1", 22), ("127.0.0.1", 0), timeout=5)


def test_lftp_mirrors_a_folder_once(door: Door) -> None:
    source = door.folder / "outbox"
    source.mkdir()
    for number in range(4):
        path = sheet_file(door, f"outbox/mirror{number}.csv", 2000 + 10 * number)
        os.utime(path, (1_760_000_000, 1_760_000_000))
    ssh = " ".join(["ssh -a -x", *options(door)])
    script = (
        f'set sftp:connect-program "{ssh}"; set net:max-retries 1; set sftp:auto-confirm yes; set cmd:fail-exit yes;'
        f" open -u health,none -p {door.port} sftp://127.0.0.1;"
        f" mirror -R --parallel=2 {source} {INBOX}/2026-11"
    )
    done = subprocess.run([need("lftp"), "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    names = {f"mirror{number}.csv" for number in range(4)}
    until(lambda: names <= door.ledger().keys())
    assert all(door.ledger()[name][1] == digest(source / name) for name in names)


def test_curl_puts_a_file(door: Door) -> None:
    curl = need("curl")
    if " sftp " not in subprocess.run([curl, "-V"], capture_output=True, text=True, check=True).stdout:
        pytest.skip("this curl was built without SFTP")
    path = sheet_file(door, "curl.csv", 3000)
    command = [
        curl, "-sS", "-k", "--key", str(door.keys["health"]), "--pubkey", f"{door.keys['health']}.pub",
        "-u", "health:", "-T", str(path), f"sftp://127.0.0.1:{door.port}/in/{TYPE}/curl.csv",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    until(lambda: "curl.csv" in door.ledger())
    assert door.ledger()["curl.csv"][1] == digest(path)


# ---- who comes in ----


def test_an_unknown_key_a_wrong_name_and_a_foreign_address_stay_outside(door: Door) -> None:
    for user, key in (("health", "stranger"), ("public_security", "health"), ("root", "health")):
        with pytest.raises(paramiko.AuthenticationException):
            door.connect(user, key)
    with door.served.begin() as connection:
        elsewhere = update(api_key).where(api_key.c.organisation == "public_security", api_key.c.kind == "ssh")
        connection.execute(elsewhere.values(allowed_addresses=["10.9.0.0/16"]))
    with pytest.raises(paramiko.AuthenticationException):
        door.connect("public_security")
    with door.served.begin() as connection:
        connection.execute(elsewhere.values(allowed_addresses=[]))
    assert len([row for row in door.events("refused") if row[2] == "sign-in"]) >= 4


def test_a_key_revoked_during_a_session_opens_nothing_more(door: Door) -> None:
    mine = update(api_key).where(api_key.c.organisation == "public_security", api_key.c.kind == "ssh")
    with door.visit("public_security") as other:
        with door.served.begin() as connection:
            connection.execute(mine.values(revoked_at=utc_now()))
        with pytest.raises(OSError, match="no longer good"):
            other.open("/in/move_in/late.csv", "wb")
    with door.served.begin() as connection:
        connection.execute(mine.values(revoked_at=None))


def test_a_secret_opens_the_door_only_where_passwords_are_allowed(door: Door) -> None:
    with door.served.begin() as connection:
        key = issue_key(connection, SYSTEM_ACTOR, organisation="health", title="口令", scopes=[Right.SUBMIT])
    name, secret = key.text.rsplit("_", 1)[0], key.text.split("_", 2)[2]
    with paramiko.Transport(("127.0.0.1", door.port)) as transport:
        transport.connect(username=f"hub_{key.text.split('_')[1]}", password=secret)
        told = paramiko.SFTPClient.from_transport(transport)
        assert told is not None
        assert told.listdir("/") == ["in", "receipts", "rejected"], "no right to pull a slice, no /out"
    hub_door = door.opened.door  # type: ignore[union-attr]
    usual, hub_door.policy = hub_door.policy, msgspec.structs.replace(hub_door.policy, passwords=False)
    try:
        with paramiko.Transport(("127.0.0.1", door.port)) as closed, pytest.raises(paramiko.BadAuthenticationType):
            closed.connect(username=name, password=secret)
    finally:
        hub_door.policy = usual


def test_only_strong_algorithms_and_the_key_shown(door: Door) -> None:
    with door.visit() as client:
        transport = client.get_channel().get_transport()  # type: ignore[union-attr]
        key = transport.get_remote_server_key()
        assert key.get_name() == "ssh-ed25519"
        assert fingerprint(door.settings) == door.opened.fingerprint  # type: ignore[union-attr]
    for kind, weak in (("kex", "diffie-hellman-group14-sha256"), ("ciphers", "aes128-cbc"), ("digests", "hmac-sha1")):
        with paramiko.Transport(("127.0.0.1", door.port)) as transport:
            setattr(transport.get_security_options(), kind, (weak,))
            with pytest.raises(paramiko.SSHException):
                transport.start_client(timeout=10)
    assert (door.settings.keys / "sftp_host_key").stat().st_mode & 0o777 == 0o600


# ---- who waits outside ----


def test_points_fade_bans_end_and_answers_come_ever_later() -> None:
    now = [0.0]
    scores = Scores(limit=3, ban_seconds=100, clock=lambda: now[0])
    assert not scores.add("10.0.0.1", 1.0)
    first = scores.delay_of("10.0.0.1")
    assert not scores.add("10.0.0.1", 1.0)
    assert scores.delay_of("10.0.0.1") == 2 * first
    now[0] = 100.0
    assert not scores.add("10.0.0.1", 2.5), "the first two have faded"
    assert scores.add("10.0.0.1", 1.0)
    assert scores.is_banned("10.0.0.1") and not scores.is_banned("10.0.0.2")
    now[0] += 101.0
    assert not scores.is_banned("10.0.0.1")


def test_a_banned_address_is_hung_up_on(door: Door) -> None:
    hub_door = door.opened.door  # type: ignore[union-attr]
    usual, hub_door.scores = hub_door.scores, Scores(limit=2, ban_seconds=60)
    try:
        for _ in range(3):  # the first has faded a little
            with pytest.raises(paramiko.SSHException):
                door.connect("health", "stranger")
        with pytest.raises((paramiko.SSHException, OSError, EOFError)) as refused:
            door.connect("health")
        assert not isinstance(refused.value, paramiko.AuthenticationException), "it never came to a key"
    finally:
        hub_door.scores = usual
    with door.visit() as client:
        assert client.listdir("/")
