"""Accounts from the machine itself: a fresh hub's first administrators, and help without ever showing a secret twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from hub.__main__ import app
from hub.database import Database, utc_now
from hub.registry import accounts, sessions
from hub.registry.organisations import load_organisation
from hub.tables import account, web_session
from hub.tables import audit as audit_table
from tests.staff import PASSWORD, come_in
from tests.test_commands import environment, hub

__all__ = ["environment"]

FIRST = (
    "account", "open", "anquan", "--name", "安某", "--as", "bureau", "--organisation-name", "区人口局",
    "--role", "security_administrator",
)  # fmt: skip


def run(environment: dict[str, str], *arguments: str, typed: str = "", status: int = 0) -> str:
    """In this process: each verb opens the hub anew, as it does on the machine."""
    done = CliRunner().invoke(app, list(arguments), input=typed, env=environment)
    assert done.exit_code == status, done.output
    return done.stdout


def only(database: Database, login: str) -> Any:
    with database.begin() as connection:
        return connection.execute(select(account).where(account.c.login == login)).one()


def test_the_first_security_administrator_of_a_fresh_hub_is_made_here(
    environment: dict[str, str], app_database: Database, owner_database: Database
) -> None:
    done = hub(environment, *FIRST)
    assert done.returncode == 0, done.stderr
    password = done.stdout.strip()
    signed_in = come_in(app_database, "anquan", password)
    assert signed_in is not None and signed_in.must_change_password and signed_in.first_password_until is not None
    with app_database.begin() as connection:
        assert load_organisation(connection, "bureau").name == "区人口局"
    with owner_database.read() as connection:
        lines = connection.execute(select(audit_table)).all()
    assert {line.object for line in lines if line.door == "command"} == {"organisation/bureau", "account/anquan"}
    assert password not in str(lines)
    assert password not in done.stderr


def test_its_help_says_how_a_fresh_hub_begins() -> None:
    shown = CliRunner().invoke(app, ["account", "open", "--help"]).stdout
    assert "security_administrator" in shown and "--organisation-name" in shown


def test_a_secret_is_never_taken_from_the_command_line() -> None:
    for name in ("open", "reset-password"):
        assert CliRunner().invoke(app, ["account", name, "an", "--password", "x"]).exit_code == 2


def test_a_password_is_read_from_standard_input_and_not_shown(
    environment: dict[str, str], app_database: Database
) -> None:
    shown = run(environment, *FIRST, "--ask-password", "--json", typed=f"{PASSWORD}\n")
    assert json.loads(shown) == {"login": "anquan", "password": None}
    assert come_in(app_database, "anquan", PASSWORD) is not None
    weak = ("account", "reset-password", "anquan", "--ask-password")
    run(environment, *weak, typed="short\n", status=2)
    run(environment, *weak, typed="", status=2)


def test_each_verb_does_what_it_says(environment: dict[str, str], app_database: Database) -> None:
    run(environment, *FIRST)
    run(environment, "account", "open", "gu", "--name", "顾某", "--as", "bureau", "--role", "bureau_operator")
    assert json.loads(run(environment, "account", "disable", "gu", "--json"))["state"] == "disabled"
    assert [each["login"] for each in listed(environment, "--state", "disabled")] == ["gu"]
    run(environment, "account", "enable", "gu")
    run(environment, "account", "roles", "gu", "--role", "bureau_leader")
    assert [each["login"] for each in listed(environment, "--role", "bureau_leader", "--as", "bureau")] == ["gu"]
    renewed = json.loads(run(environment, "account", "reset-password", "gu", "--json"))["password"]
    assert come_in(app_database, "gu", renewed) is not None
    with app_database.begin() as connection:
        its = accounts.load_account(connection, "gu")
        sessions.open_session(connection, its.account_id, utc_now())
    run(environment, "account", "end-sessions", "gu")
    run(environment, "account", "reset-second-factor", "gu")
    with app_database.begin() as connection:
        assert connection.execute(select(web_session)).all() == []


def listed(environment: dict[str, str], *wanted: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(environment, "account", "list", "--json", *wanted))
    return found


def test_a_lock_is_lifted(environment: dict[str, str], app_database: Database) -> None:
    run(environment, *FIRST)
    with app_database.begin() as connection:
        connection.execute(account.update().values(failed_attempts=9, locked_until=utc_now().replace(year=2999)))
    assert [each["state"] for each in listed(environment)] == ["locked"]
    run(environment, "account", "unlock", "anquan")
    assert (only(app_database, "anquan").failed_attempts, only(app_database, "anquan").locked_until) == (0, None)


def test_closing_asks_for_the_login_again(environment: dict[str, str], app_database: Database) -> None:
    run(environment, *FIRST)
    run(environment, "account", "close", "anquan", "--confirm", "another", status=2)
    run(environment, "account", "close", "anquan", typed="another\n", status=2)
    assert only(app_database, "anquan").roles == ["security_administrator"]
    assert (
        json.loads(run(environment, "account", "close", "anquan", "--confirm", "anquan", "--json"))["state"] == "closed"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        ("--as", "nowhere", "--role", "auditor"),
        ("--as", "health", "--role", "auditor"),
        ("--as", "health", "--role", "no_such_role"),
        ("--as", "new", "--organisation-name", "某局", "--organisation-kind", "no_such_kind", "--role", "auditor"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(environment: dict[str, str], wrong: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, ["account", "open", "li", "--name", "李某", *wrong], env=environment)
    assert done.exit_code in (2, 4) and "Traceback" not in done.output and done.stdout == ""
