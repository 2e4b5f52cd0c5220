"""The documents on security say what the code does, and name tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

from adapters.formats import encodings, json_lines, workbook, zip_preflight
from adapters.formats.unreadable import MIB, Limits
from hub.api.submissions import _ENDINGS
from hub.limits import SIGN_INS_PER_MINUTE
from hub.operations.audit_anchors import anchors_file
from hub.registry.accounts import ROLE_KINDS
from hub.registry.lockout import FIRST_LOCK
from hub.registry.passwords import CONTEXT_WORDS
from hub.registry.permissions import ROLES
from hub.settings import SHORTEST_AUDIT_YEARS, AccountPolicy, Settings, load_settings
from mappings.catalogue import Sensitivity
from tests.source import ROOT, sources

SECURITY, ASVS = ROOT / "docs" / "security.md", ROOT / "docs" / "asvs.md"
_ITEM = re.compile(r"^\| (\d+\.\d+\.\d+) \| (L[12]) \| ([^|]*) \| (proved|n/a|open) \| (.*) \|$")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def role_table() -> str:
    lines = [
        f"| {role} | {', '.join(sorted(ROLE_KINDS[role]))} | {', '.join(sorted(rights))} |"
        for role, rights in ROLES.items()
    ]
    return "\n".join(["| role | kinds of organisation | rights |", "|---|---|---|", *lines])


def between(mark: str) -> str:
    return SECURITY.read_text("utf-8").split(f"<!-- {mark} -->")[1].split(f"<!-- /{mark} -->")[0].strip("\n")


def unsaid(*phrases: str) -> list[str]:
    """Those of the phrases that the document does not have, however its lines are broken."""
    written = " ".join(SECURITY.read_text("utf-8").split())
    return [phrase for phrase in phrases if phrase not in written]


def test_the_table_of_roles_is_the_codes() -> None:
    assert between("roles") == role_table()


def test_every_door_of_the_code_is_among_the_ways_in() -> None:
    doors = {door for text in sources().values() for door in re.findall(r'\bdoor(?:"|: str)? ?[=:] ?"(\w+)"', text)}
    assert doors
    assert set(re.findall(r"`(\w+)`", between("doors"))) == doors


def test_the_forbidden_words_are_the_codes() -> None:
    assert tuple(between("words").split()) == CONTEXT_WORDS


def test_the_limits_against_guessing_are_the_settings_own(tmp_path: Path) -> None:
    policy, settings = AccountPolicy(), load_settings(tmp_path)
    assert (
        unsaid(
            f"{policy.free_attempts} wrong passwords (`free_attempts`)",
            f"lock an account for {FIRST_LOCK.seconds} s",
            f"{policy.longest_lock_minutes} min at most (`longest_lock_minutes`)",
            f"{policy.address_free_attempts} from one address (`address_free_attempts`)",
            f"{settings.requests_per_minute:,} requests a minute for each machine or address (`requests_per_minute`)",
            f"{SIGN_INS_PER_MINUTE} a minute at the doors for passwords and tokens",
            "(`password_least_classes = 1` lifts it)",
            f"token of {settings.token_minutes} min",
        )
        == []
    )


def test_the_times_of_sessions_are_the_settings_own() -> None:
    policy = AccountPolicy()
    assert policy.one_session is False
    assert (
        unsaid(
            f"Idle {policy.idle_minutes} minutes and {policy.session_hours} hours at most",
            "Any number of sessions an account",
            "`one_session = true` ends the older ones",
            f"A first password is good for {policy.first_password_days} days",
            "no single sign-on",
        )
        == []
    )


def test_the_limits_of_files_are_the_codes(tmp_path: Path) -> None:
    limits, settings = Limits(), load_settings(tmp_path)
    assert limits.max_bytes == settings.max_file_bytes
    assert (
        unsaid(
            f"{settings.max_file_bytes // MIB} MiB a file (`max_file_bytes`)",
            f"Unpacked: {limits.memory_bytes // 2 // MIB} MiB a workbook, {zip_preflight.MAX_RATIO} times its packed size",
            f"{zip_preflight.MAX_ENTRIES:,} entries; {limits.max_cells:,} cells",
            f"{encodings.MAX_LINE // MIB} MiB a line of text; {json_lines.MAX_DOCUMENT // MIB} MiB one document of JSON",
            f"{settings.parse_cpu_seconds} s of processor and {settings.parse_wall_seconds} s in all",
        )
        == []
    )
    endings = {*between("endings").split()}
    assert {f".{each}" for each in _ENDINGS.values() if each} <= endings
    assert {*re.findall(r"\.[a-z]+(?= |\))", str(workbook.__doc__))} <= endings


def test_every_sensitivity_has_its_line() -> None:
    table = SECURITY.read_text("utf-8").split("| sensitivity of a field |")[1].split("\n\n")[0]
    named = [cell for line in table.splitlines()[2:] for cell in line.split("|")[1].split(":")[0].split(",")]
    assert {cell.strip() for cell in named} == {*get_args(Sensitivity)}


def test_the_inventory_of_logs_names_where_they_are(tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    anchors = anchors_file(settings).relative_to(settings.home)
    assert settings.audit_years == SHORTEST_AUDIT_YEARS
    assert (
        unsaid(f"`<home>/{anchors}`", f"≥ {SHORTEST_AUDIT_YEARS} years", "`postgres.log`", "one `key=value` line") == []
    )
    assert '"postgres.log"' in sources()["hub/embedded.py"]


def test_every_setting_that_is_named_is_one() -> None:
    known = {*AccountPolicy.__struct_fields__, *Settings.__struct_fields__}
    named = set(re.findall(r"`(\w+_\w+)(?: = [^`]*)?`", SECURITY.read_text("utf-8")))
    roles = {"hub_app", "hub_care", "hub_audit"}
    assert named - {*ROLES} - roles <= known


def items() -> list[tuple[str, ...]]:
    return [found.groups() for line in ASVS.read_text("utf-8").splitlines() if (found := _ITEM.match(line))]


def test_every_item_of_the_seven_chapters_has_its_answer() -> None:
    counted = {
        chapter: sum(number.startswith(f"{chapter}.") for number, *_ in items()) for chapter in (3, 5, 6, 7, 8, 14, 16)
    }
    assert counted == {3: 19, 5: 9, 6: 35, 7: 18, 8: 7, 14: 9, 16: 16}
    assert len({number for number, *_ in items()}) == len(items())


def test_what_is_proved_names_a_test_and_what_is_not_says_why() -> None:
    unproved = [number for number, _, _, state, answer in items() if state == "proved" and not _TEST.search(answer)]
    unexplained = [number for number, _, _, state, answer in items() if state != "proved" and len(answer) < 12]
    assert unproved == unexplained == []


@pytest.mark.parametrize("document", [SECURITY, ASVS], ids=["security", "asvs"])
def test_every_test_that_is_named_exists(document: object) -> None:
    named = set(_TEST.findall(document.read_text("utf-8")))  # type: ignore[attr-defined]
    missing = {f"{file}::{name}" for file, name in named if name not in functions_in(file)}
    assert missing == set()


def functions_in(file: str) -> set[str]:
    path = ROOT / file
    if not path.exists():
        return set()
    return {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}
