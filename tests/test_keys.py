"""Systems' keys: secrets, certificates and SSH keys, how many, from where, until when."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import select

from hub.database import Database, utc_now
from hub.errors import BadRequest, Conflict, NotAllowed
from hub.registry.api_keys import (
    IssuedKey,
    issue_key,
    list_keys,
    register_certificate,
    register_ssh_key,
    renew_key,
    revoke_key,
)
from hub.registry.machine_identity import (
    actor_of_certificate,
    actor_of_key,
    actor_of_ssh_key,
    machine_of_certificate,
)
from hub.registry.network_addresses import is_within
from hub.registry.organisations import set_enabled
from hub.registry.permissions import SYSTEM_ACTOR, Actor, Right
from hub.registry.public_keys import PublicKeyRefused, read_certificate, read_ssh_key
from hub.settings import Settings
from hub.tables import api_key, audit
from tests.certificates import certificate_of, der_of
from tests.district import actor, found
from tests.hub_command import run_hub

SCOPES = (Right.SUBMIT, Right.PULL_SLICE)
ROOT = Path(__file__).parent.parent


@pytest.fixture
def hub(app_database: Database) -> Database:
    with app_database.begin() as connection:
        found(connection)
    return app_database


def issue(hub: Database, title: str = "就业系统", **terms: object) -> IssuedKey:
    usual = {"organisation": "labour", "title": title, "scopes": SCOPES}
    with hub.begin() as connection:
        return issue_key(connection, SYSTEM_ACTOR, **{**usual, **terms})  # type: ignore[arg-type]


def who(hub: Database, text: str, address: str = "", now: datetime | None = None) -> Actor | None:
    with hub.begin() as connection:
        return actor_of_key(connection, text, now=now or utc_now(), address=address)


def new_ssh_line(key: object = None) -> str:
    private = key or ed25519.Ed25519PrivateKey.generate()
    written = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)  # type: ignore[attr-defined]
    return f"{written.decode()} system@labour"


# ---- how many ----


def test_a_third_usable_key_of_one_title_is_refused_and_the_oldest_named(hub: Database) -> None:
    first, second = issue(hub), issue(hub)
    with pytest.raises(Conflict) as refused:
        issue(hub)
    assert refused.value.facts["keys"] == [first.key.name, second.key.name]
    assert first.key.name in str(refused.value)
    assert issue(hub, title="另一系统").text
    with hub.begin() as connection:
        revoke_key(connection, SYSTEM_ACTOR, first.key.name)
    assert who(hub, issue(hub).text) is not None


def test_a_renewed_key_has_the_same_terms_and_the_old_one_still_works(hub: Database) -> None:
    old = issue(hub, allowed_addresses=["10.20.0.0/16"])
    with hub.begin() as connection:
        new = renew_key(connection, SYSTEM_ACTOR, old.key.prefix)
    assert (new.key.title, new.key.scopes, new.key.allowed_addresses) == (
        old.key.title,
        old.key.scopes,
        old.key.allowed_addresses,
    )
    assert new.text != old.text
    assert who(hub, old.text, "10.20.1.1") and who(hub, new.text, "10.20.1.1")


def test_nobody_without_the_right_issues_registers_or_renews(hub: Database) -> None:
    clerk, key = actor("labour", "department_clerk"), issue(hub).key
    with hub.begin() as connection:
        for act in (
            lambda: issue_key(connection, clerk, organisation="labour", title="x", scopes=SCOPES),
            lambda: renew_key(connection, clerk, key.prefix),
            lambda: register_ssh_key(connection, clerk, "labour", "x", new_ssh_line()),
            lambda: register_certificate(connection, clerk, "labour", "x", der_of(certificate_of("x")), SCOPES),
        ):
            with pytest.raises(NotAllowed):
                act()


# ---- from where ----


FROM = {
    "10.20.3.4": True,
    "::ffff:10.20.3.4": True,
    "10.21.3.4": False,
    "2001:db8:7::9": True,
    "2001:db8:8::9": False,
    "": False,
    "testclient": False,
    "10.20.3.4, 10.21.3.4": False,
}


def test_a_key_is_good_from_its_own_networks_only(hub: Database) -> None:
    text = issue(hub, allowed_addresses=["10.20.0.0/16", "2001:db8:7::/48"]).text
    came = {address: who(hub, text, address) for address in FROM}
    assert {address: one is not None for address, one in came.items()} == FROM
    assert all(one is None or one.address == address for address, one in came.items())


def test_without_the_address_check_a_stolen_key_works_from_anywhere(
    hub: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = issue(hub, allowed_addresses=["10.20.0.0/16"]).text
    assert who(hub, text, "203.0.113.9") is None
    monkeypatch.setattr("hub.registry.machine_identity.is_within", lambda address, networks: True)
    assert who(hub, text, "203.0.113.9") is not None


def test_what_is_no_network_is_refused_when_the_key_is_issued(hub: Database) -> None:
    for written in ("10.20.0.1/16", "ten", "10.20.0.0/33", ""):
        with pytest.raises(BadRequest, match="after the prefix"):
            issue(hub, allowed_addresses=[written])


def test_no_address_is_within_no_network() -> None:
    assert not is_within("10.0.0.1", ())
    assert is_within("10.0.0.1", ("10.0.0.1",))


# ---- until when ----


def test_a_key_that_would_be_dead_at_birth_is_not_issued(hub: Database) -> None:
    with pytest.raises(BadRequest):
        issue(hub, expires_at=utc_now() - timedelta(seconds=1))


def test_the_last_use_is_noted_once_a_minute(hub: Database) -> None:
    text, noon = issue(hub).text, utc_now()

    def used_at(later: float) -> datetime | None:
        who(hub, text, now=noon + timedelta(seconds=later))
        with hub.begin() as connection:
            return connection.execute(select(api_key.c.last_used_at)).scalar_one()

    assert [used_at(0), used_at(59), used_at(60)] == [noon, noon, noon + timedelta(seconds=60)]


# ---- certificates ----


def test_a_certificate_is_its_organisations_until_it_expires(hub: Database) -> None:
    der, ends = der_of(certificate_of("labour-1", days=30)), utc_now() + timedelta(days=30)
    with hub.begin() as connection:
        key = register_certificate(connection, SYSTEM_ACTOR, "labour", "就业系统", der, SCOPES)
        came = machine_of_certificate(connection, der, utc_now())
        late = actor_of_certificate(connection, der, ends + timedelta(hours=1))
        other = actor_of_certificate(connection, der_of(certificate_of("labour-1")), utc_now())
    assert key.prefix.startswith("cert_") and len(key.prefix) == 21
    assert key.expires_at is not None and abs(key.expires_at - ends) < timedelta(minutes=1)
    assert came is not None and came.actor.name == key.prefix and came.actor.rights == {*SCOPES, Right.SIGNED_IN}
    assert "labour-1" in key.public_text
    assert (late, other) == (None, None)


def test_a_certificate_ends_earlier_when_asked_to(hub: Database) -> None:
    soon = utc_now() + timedelta(days=2)
    with hub.begin() as connection:
        key = register_certificate(
            connection, SYSTEM_ACTOR, "labour", "x", certificate_of("x", days=30), SCOPES, expires_at=soon
        )
    assert key.expires_at == soon


def test_a_certificate_is_registered_once_even_after_it_was_revoked(hub: Database) -> None:
    pem = certificate_of("x")
    with hub.begin() as connection:
        key = register_certificate(connection, SYSTEM_ACTOR, "labour", "x", pem, SCOPES)
        revoke_key(connection, SYSTEM_ACTOR, key.prefix)
        assert actor_of_certificate(connection, der_of(pem), utc_now()) is None
        with pytest.raises(Conflict):
            register_certificate(connection, SYSTEM_ACTOR, "health", "x", pem, SCOPES)


def test_an_expired_weak_or_unreadable_certificate_is_refused(hub: Database) -> None:
    with pytest.raises(PublicKeyRefused, match="PEM"):
        read_certificate(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(PublicKeyRefused, match="1024"):
        read_certificate(certificate_of("x", key=rsa.generate_private_key(65537, 1024)))  # noqa: S505
    with hub.begin() as connection, pytest.raises(BadRequest, match="past"):
        register_certificate(connection, SYSTEM_ACTOR, "labour", "x", certificate_of("x", days=-1), SCOPES)


# ---- SSH keys ----


def test_an_ssh_key_is_named_as_openssh_names_it(hub: Database, tmp_path: Path) -> None:
    line = new_ssh_line()
    (tmp_path / "key.pub").write_text(line)
    if shutil.which("ssh-keygen"):
        command = ["ssh-keygen", "-lf", str(tmp_path / "key.pub")]
        assert (
            read_ssh_key(line).fingerprint in subprocess.run(command, capture_output=True, check=True).stdout.decode()
        )
    with hub.begin() as connection:
        key = register_ssh_key(connection, SYSTEM_ACTOR, "labour", "投递", line)
        came = actor_of_ssh_key(connection, _blob(line), utc_now(), "10.0.0.1")
        assert actor_of_ssh_key(connection, _blob(new_ssh_line()), utc_now(), "10.0.0.1") is None
    assert came is not None
    assert (came.name, came.organisation, came.door, came.address) == (key.prefix, "labour", "sftp", "10.0.0.1")


def _blob(line: str) -> bytes:
    return base64.b64decode(line.split()[1])


WRONG_LINES: dict[str, Callable[[], str]] = {
    "too short": lambda: new_ssh_line(rsa.generate_private_key(65537, 2048)),
    "elliptic curve": lambda: new_ssh_line(ec.generate_private_key(ec.SECP256R1())),
    "options before it": lambda: 'from="10.0.0.1" ' + new_ssh_line(),
    "two keys": lambda: new_ssh_line() + "\n" + new_ssh_line(),
    "nothing": lambda: "",
    "another encoding": lambda: "公钥",
}


@pytest.mark.parametrize("wrong", WRONG_LINES)
def test_other_ssh_keys_are_refused_with_what_to_do(wrong: str) -> None:
    with pytest.raises(PublicKeyRefused, match="ed25519"):
        read_ssh_key(WRONG_LINES[wrong]())


def test_whoever_sends_a_private_key_is_told_to_throw_it_away() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    text = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    with pytest.raises(PublicKeyRefused, match="private key"):
        read_ssh_key(text)


def test_a_long_rsa_key_is_taken() -> None:
    assert read_ssh_key(new_ssh_line(rsa.generate_private_key(65537, 3072))).fingerprint.startswith("SHA256:")


def test_one_kind_of_key_is_never_taken_for_another(hub: Database) -> None:
    der, line = der_of(certificate_of("x")), new_ssh_line()
    with hub.begin() as connection:
        certificate = register_certificate(connection, SYSTEM_ACTOR, "labour", "x", der, SCOPES)
        register_ssh_key(connection, SYSTEM_ACTOR, "labour", "x", line)
        now = utc_now()
        assert actor_of_ssh_key(connection, der, now) is None
        assert actor_of_certificate(connection, _blob(line), now) is None
        assert actor_of_key(connection, f"hub_{certificate.prefix}_{der!r}", now=now) is None


def test_all_kinds_of_a_disabled_organisation_are_nobody(hub: Database) -> None:
    der, line, text = der_of(certificate_of("x")), new_ssh_line(), issue(hub).text
    with hub.begin() as connection:
        register_certificate(connection, SYSTEM_ACTOR, "labour", "x", der, SCOPES)
        register_ssh_key(connection, SYSTEM_ACTOR, "labour", "x", line)
        set_enabled(connection, SYSTEM_ACTOR, "labour", False)
        now = utc_now()
        found_as = (
            actor_of_key(connection, text, now=now),
            actor_of_certificate(connection, der, now),
            actor_of_ssh_key(connection, _blob(line), now),
        )
    assert found_as == (None, None, None)


def test_every_act_on_a_key_is_audited_without_its_secret(hub: Database, owner_database: Database) -> None:
    issued = issue(hub)
    with hub.begin() as connection:
        renew_key(connection, SYSTEM_ACTOR, issued.key.name)
        revoke_key(connection, SYSTEM_ACTOR, issued.key.name)
        assert len(list_keys(connection, SYSTEM_ACTOR, "labour")) == 2
    with owner_database.begin() as connection:
        lines = connection.execute(select(audit).where(audit.c.object.like("key/%")).order_by(audit.c.audit_id)).all()
    assert [line.facts["how"] for line in lines] == ["issue", "renew", "revoke"]
    assert issued.text.split("_", 2)[2] not in str(lines)


# ---- the command line ----


def run(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    urls = {
        "HUB_DATABASE_URL": settings.database_url,
        "HUB_WORKER_URL": settings.worker_url,
        "HUB_OWNER_URL": settings.owner_url,
    }
    environment = {**os.environ, "HUB_HOME": str(settings.home), **{name: url for name, url in urls.items() if url}}
    return run_hub(environment, "key", *arguments)


def test_a_key_is_issued_listed_and_revoked_from_the_command_line(hub: Database, settings: Settings) -> None:
    terms = ["--as", "labour", "--title", "就业系统", "--scope", "submit", "--allow", "10.0.0.0/8"]
    issued = run(settings, "issue", *terms, "--expires-on", "2099-12-31")
    text = issued.stdout.strip()
    assert (issued.returncode, text[:4]) == (0, "hub_"), issued.stderr
    assert who(hub, text, "10.1.1.1") is not None
    listed = json.loads(run(settings, "list", "--as", "labour", "--json").stdout)
    assert [(one["state"], one["scopes"]) for one in listed] == [("usable", "submit")]
    assert listed[0]["expires_at"].startswith("2099-12-31 16:00")
    assert text.split("_", 2)[2] not in str(listed)
    assert run(settings, "revoke", listed[0]["name"]).returncode == 0
    assert who(hub, text, "10.1.1.1") is None


def test_certificates_and_ssh_keys_are_registered_from_the_command_line(
    hub: Database, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "client.pem").write_bytes(certificate_of("labour"))
    (tmp_path / "key.pub").write_text(new_ssh_line())
    terms = ["--as", "labour", "--title", "就业系统", "--scope", "submit"]
    certificate = run(settings, "certificate", str(tmp_path / "client.pem"), *terms)
    ssh = run(settings, "ssh", str(tmp_path / "key.pub"), *terms)
    assert certificate.stdout.startswith("cert_"), certificate.stderr
    assert ssh.stdout.startswith("SHA256:"), ssh.stderr
    wrong = run(settings, "ssh", str(tmp_path / "client.pem"), *terms)
    assert wrong.returncode == 2 and "ssh-keygen" in wrong.stderr
