"""The house keeps its order: who may import, write, read and decide what. Rules as code over the source itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.registry.permissions import Right
from hub.registry.rights import declared_right
from mappings.catalogue import Catalogue
from tests.source import (
    ROOMS,
    ROOT,
    WRITING_CALLS,
    Act,
    called,
    functions_of,
    imported_from,
    imports_of,
    modules_in,
    sources,
    strings_of,
    tree_of,
)

LONGEST_FILE = 450

# ---- 1. imports ----


def test_imports_only_go_down() -> None:
    linter, rules = Path(sys.executable).with_name("lint-imports"), ROOT / "pyproject.toml"
    command = [str(linter), "--config", str(rules), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]


def test_the_stages_of_the_line_do_not_know_each_other() -> None:
    """A stage may use the small modules of the line that are no stage; only the pipeline knows two stages."""
    stages = {"receive", "parse", "check", "link", "merge", "changelog", "slices", "deliver"}
    known = {
        module: {name for name in (*stages, "pipeline") if _knows(module, name)} - {Path(module).stem}
        for module in modules_in("hub/exchange/")
        if Path(module).stem in stages
    }
    assert {module: others for module, others in known.items() if others} == {}


def _knows(module: str, stage: str) -> bool:
    return f"hub.exchange.{stage}" in imports_of(module) or stage in imported_from(module, "hub.exchange")


# ---- 2. everything that can be asked for declares one right ----


def test_every_route_declares_its_right(tmp_path: Path, catalogue: Catalogue) -> None:
    from hub.app import create_app
    from hub.database import Database
    from hub.keyring import Keyring
    from hub.settings import load_settings

    unreached = Database("postgresql://nobody@localhost/nothing", "d999001")
    app = create_app(load_settings(tmp_path), unreached, catalogue, Keyring.load(tmp_path))
    handlers = {str(handler): handler for route in app.routes for handler in _handlers_of(route)}
    open_to_anyone = [name for name, handler in handlers.items() if not _rights_of(handler.opt.get("right"))]
    assert len(handlers) > 10
    assert open_to_anyone == []


def _handlers_of(route: object) -> list:  # type: ignore[type-arg]
    several = getattr(route, "route_handlers", None)
    return list(several) if several else [route.route_handler]  # type: ignore[attr-defined]


def _rights_of(declared: object) -> tuple[Right, ...]:
    named = declared if isinstance(declared, tuple) else (declared,)
    return named if all(isinstance(each, Right) for each in named) else ()


def test_every_verb_declares_its_right() -> None:
    from typer.main import get_command

    from hub.__main__ import app

    verbs = dict(_verbs_of(get_command(app), ()))
    assert len(verbs) > 5
    assert [name for name, act in verbs.items() if declared_right(act) is None] == []


def _verbs_of(command, path: tuple[str, ...]) -> Iterator[tuple[str, object]]:  # type: ignore[no-untyped-def]
    for name, below in getattr(command, "commands", {}).items():
        yield from _verbs_of(below, (*path, name))
    if not getattr(command, "commands", None):
        yield " ".join(path), command.callback


def test_every_job_declares_its_right() -> None:
    from hub.jobs import queue

    ours = {name: task for name, task in queue.tasks.items() if task.func.__module__.startswith("hub.")}
    assert ours
    assert [name for name, task in ours.items() if not (declared_right(task) or declared_right(task.func))] == []


# ---- 3. who writes, says for whom ----

# Written without an actor of their own, and why that is right.
WRITES_WITHOUT_ACTOR = {
    "hub/registry/machine_identity.py": "a machine's coming: when its key was last used",
    "hub/exchange/pipeline.py": "the line itself: the submission names its actor",
    "hub/exchange/link.py": "a stage: the submission names its actor",
    "hub/exchange/merge.py": "a stage: the submission names its actor",
    "hub/exchange/changelog.py": "a stage: the submission names its actor",
    "hub/exchange/staging.py": "a stage: the submission names its actor",
    "hub/exchange/outcomes.py": "a stage: the submission names its actor",
    "hub/exchange/rerouting.py": "a stage: the submission names its actor",
    "hub/exchange/receipts.py": "a stage: the submission names its actor",
    "hub/exchange/effect.py": "a stage: the submission names its actor",
    "hub/exchange/undo.py": "a stage: the submission names its actor",
    "hub/exchange/homes.py": "a stage: the submission names its actor",
    "hub/exchange/numbers.py": "a stage: the submission names its actor",
    "hub/exchange/relinking.py": "a stage: the submission names its actor",
    "hub/exchange/person_changes.py": "the line itself: the decision names who asked, and wrote their line",
    "hub/exchange/person_submission.py": "the line itself: the decision names who asked, and wrote their line",
    "hub/exchange/system_submission.py": "a stage: the submission names its author",
    "hub/exchange/disputes.py": "a stage: each challenge names who raised it, and who ended it",
    "hub/exchange/dispute_submission.py": "the line itself: each challenge names who raised it, and who ended it",
    "hub/casework/challenges.py:raise_challenges": "who raises one is named in it; the submission, or the door, notes it",
    "hub/casework/challenges.py:withdraw_for_items": "what an answer did goes with it: the submission names its actor",
    "hub/casework/town_finds.py": "what a submission found goes to its departments: the submission names its actor",
    "hub/exchange/threads.py": "a stage: the submission names its actor",
    "hub/exchange/held.py": "a stage: the submission names its actor",
    "hub/exchange/release.py": "a stage: the submission names its actor",
    "hub/casework/verdict_rows.py": "a stage: the submission names its actor",
    "hub/casework/verdict_effects.py": "a stage: the submission names its actor",
    "hub/sharing/freshness_sql.py:note_looked_at": "how far the watch has looked: what it opened and closed is noted",
    "hub/operations/provisioning.py": "the owner of the database, before there is any account",
    "hub/operations/backup.py": "the owner of the database: the command that calls it writes the line",
    "hub/registry/sessions.py": "a browser's coming and going: accounts writes the line of the sign-in",
    "hub/registry/sign_in.py:sign_in": "who signs in is not yet an actor; its line names the login",
    "hub/registry/second_factor.py:check_code": "who signs in is not yet an actor; its line names the login",
}


def all_acts() -> list[Act]:
    return [act for module in sources() for act in functions_of(module)]


def test_who_writes_takes_the_actor() -> None:
    acts, rooms = all_acts(), ("hub/registry/", "hub/exchange/", "hub/sharing/", "hub/casework/", "hub/operations/")
    writing = [act for act in acts if act.writes and act.module.startswith(rooms)]
    assert len(writing) > 20
    assert {f"{act.module}:{act.name}" for act in writing if not _is_answered_for(act, acts, frozenset())} == set()


def _is_answered_for(act: Act, acts: list[Act], seen: frozenset[str]) -> bool:
    """It takes the actor, or is allowed by name, or every caller is answered for in the same way."""
    if "actor" in act.parameters or act.module in WRITES_WITHOUT_ACTOR:
        return True
    if f"{act.module}:{act.name}" in WRITES_WITHOUT_ACTOR:
        return True
    callers = [each for each in acts if act.name in each.calls and each.name not in seen | {act.name}]
    return bool(callers) and all(_is_answered_for(each, acts, seen | {act.name}) for each in callers)


def test_the_exceptions_to_the_actor_are_all_needed() -> None:
    writing = {place for act in map(functions_of, sources()) for each in act if each.writes for place in _places(each)}
    calling = {f"{act.module}:{act.name}" for module in sources() for act in functions_of(module)}
    assert [place for place in WRITES_WITHOUT_ACTOR if place not in writing | calling] == []


def _places(act: Act) -> tuple[str, str]:
    return act.module, f"{act.module}:{act.name}"


def test_who_writes_in_the_registry_writes_an_audit_line() -> None:
    acts = [act for module in modules_in("hub/registry/") for act in functions_of(module)]
    silent = {
        f"{act.module}:{act.name}"
        for act in acts
        if act.writes and act.module not in WRITES_WITHOUT_ACTOR and not _is_audited(act, acts, frozenset())
    }
    assert silent == set()


def _is_audited(act: Act, acts: list[Act], seen: frozenset[str]) -> bool:
    if {"record", "_record"} & act.calls:
        return True
    callers = [each for each in acts if act.name in each.calls and each.name not in seen | {act.name}]
    return bool(callers) and all(_is_audited(each, acts, seen | {act.name}) for each in callers)


# ---- 4. personal data is read through a Scope ----

PERSONAL_TABLES = frozenset({"person", "person_identifier", "record_person"})
_PERSONAL_SQL = re.compile(
    r"\b(?:FROM|JOIN|UPDATE|INTO)\s+[\w\"{}.]*\b(?:person|person_identifier|record_person|(?:rec|stg|ver)_)", re.I
)
# Rooms that handle whole record tables, for every organisation alike; what leaves them is cut by a slice or a scope.
THE_LINE = {
    "hub/exchange/link.py",
    "hub/exchange/merge.py",
    "hub/exchange/changelog.py",
    "hub/exchange/staging.py",
    "hub/exchange/outcomes.py",
    "hub/exchange/rerouting.py",
    "hub/exchange/brake.py",
    "hub/exchange/effect.py",
    "hub/exchange/undo.py",
    "hub/exchange/homes.py",
    "hub/exchange/numbers.py",
    "hub/exchange/relinking.py",
    "hub/exchange/disputes.py",
    "hub/casework/town_finds.py",
    "hub/casework/challenge_settling.py",
    "hub/exchange/person_changes.py",
    "hub/exchange/person_submission.py",
    "hub/exchange/threads.py",
    "hub/exchange/held.py",
    "hub/exchange/release.py",
    "hub/exchange/blanking.py",
    "hub/exchange/erasure.py",
    "hub/exchange/forgetting.py",
    "hub/exchange/retention.py",
    "hub/tables/version_sql.py",
    "hub/exchange/slice_sql.py",
    "hub/exchange/slices.py",
    "hub/sharing/copy_check_sql.py",
    "hub/exchange/pipeline.py",
    "hub/casework/verdict_rows.py",
    "hub/casework/verdict_effects.py",
    "hub/following.py",
    "hub/jobs.py",  # which decisions wait, by their ids
    "hub/operations/record_tables.py",
    "hub/operations/provisioning.py",
    "hub/operations/backup.py",
    "hub/casework/standing.py",  # who lives where: what it says is counted, or shown through balance_reading
    "hub/casework/balance_sql.py",  # the account of everybody; who makes a figure is read in balance_reading
    "hub/sharing/disclosure_sql.py",  # run for hub/sharing/disclosures.py, inside its scope
    "hub/sharing/disclosure_looks.py",  # likewise: which judgements named the person, by their ids
    "hub/oversight/quality_keeping.py",  # the worker's counts: what leaves it are numbers
    "hub/oversight/quality_sql.py",  # run by hub/oversight/quality.py alone, inside its scope
}
NOT_READERS = ("hub/tables/", "hub/migrations/", "hub/people/", "hub/demo/")


def test_personal_data_is_read_in_the_line_or_through_a_scope() -> None:
    readers = {module for module in modules_in("hub/", "admin/", "drops/") if _reads_personal(module)}
    unscoped = {module for module in readers if not module.startswith(NOT_READERS) and not _has_scope(module)}
    assert unscoped - THE_LINE == set()


def test_no_door_reads_personal_tables_itself() -> None:
    assert [module for module in modules_in("hub/api/", "admin/", "drops/") if _reads_personal(module)] == []


def _reads_personal(module: str) -> bool:
    if PERSONAL_TABLES & imported_from(module, "hub.tables"):
        return True
    return any(_PERSONAL_SQL.search(text) for text in strings_of(tree_of(module)))


def _has_scope(module: str) -> bool:
    return "hub.registry.scope" in imports_of(module)


def test_areas_are_compared_by_scopes_and_slices_alone() -> None:
    slicing = {
        "hub/registry/scope.py",
        "hub/exchange/slice_sql.py",
        "hub/exchange/slices.py",
        "hub/exchange/rerouting.py",
    }
    comparing = {module for module in modules_in("hub/", "admin/") if _compares_areas(module)}
    assert {module for module in comparing - slicing if not _has_scope(module)} == set()


def _compares_areas(module: str) -> bool:
    operators = (".overlap(", '.op("&&"')
    in_code = any(written in sources()[module] for written in operators)
    return in_code or any(re.search(r"\bareas\w*\s*&&", text) for text in strings_of(tree_of(module)))


# ---- 5 and 6. the change log ----


def test_one_module_writes_the_change_log() -> None:
    writing = re.compile(r"(INSERT\s+INTO|UPDATE|DELETE\s+FROM|COPY)\s+[\w\"{}.]*\bchange_log\b", re.I)
    by_text = {module for module in sources() if any(writing.search(text) for text in strings_of(tree_of(module)))}
    by_table = {module for module in sources() if _calls_on(module, "change_log")}
    outside = {module for module in by_text | by_table if not module.startswith("hub/migrations/")}
    assert outside == {"hub/exchange/changelog.py"}


def _calls_on(module: str, table: str) -> bool:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Call) and called(node) in WRITING_CALLS:
            target = node.args[0] if node.args else getattr(node.func, "value", None)
            if isinstance(target, ast.Name) and target.id == table:
                return True
    return False


_ID_CURSOR = re.compile(
    r"\b(?:id|\w+_id|serial|created_at|recorded_at|received_at)\s*>=?\s*(?::\w*(?:cursor|since|after|last)|%\()", re.I
)


def test_nobody_reads_on_from_an_id() -> None:
    """A reader of ``id > cursor`` steps over rows committed late; only change_log.seq may be read on from."""
    in_sql = {module for module in sources() if any(_ID_CURSOR.search(text) for text in strings_of(tree_of(module)))}
    in_code = {module for module in sources() for node in ast.walk(tree_of(module)) if _reads_on_from_id(node)}
    assert in_sql | in_code == set()


def _reads_on_from_id(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare) or not isinstance(node.ops[0], ast.Gt | ast.GtE):
        return False
    left = node.left
    is_column = isinstance(left, ast.Attribute) and isinstance(left.value, ast.Attribute) and left.value.attr == "c"
    return is_column and isinstance(left, ast.Attribute) and (left.attr == "id" or left.attr.endswith("_id"))


# ---- 7. row errors ----

_ROW_ERROR = re.compile(r"\b[EHWNF]_[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\b")


def codes_in_source(without: str = "nothing") -> dict[str, str]:
    """Row-error codes written in the source, in texts or in SQL, each with one module that writes it."""
    return {
        code: module
        for module in sources()
        if not module.startswith(without)
        for text in strings_of(tree_of(module))
        for code in _ROW_ERROR.findall(text)
    }


def test_every_row_error_in_the_source_is_in_the_catalogue(catalogue: Catalogue) -> None:
    assert {code: module for code, module in codes_in_source().items() if code not in catalogue.row_errors} == {}


def test_every_row_error_of_the_catalogue_can_happen(catalogue: Catalogue) -> None:
    assert sorted(catalogue.row_errors.keys() - codes_in_source(without="hub/demo/").keys()) == []


def test_every_row_error_says_what_happened_and_what_to_do_in_both_languages(catalogue: Catalogue) -> None:
    incomplete = [
        kind.code
        for kind in catalogue.row_errors.values()
        if not all((kind.title, kind.title_en, kind.message, kind.message_en, kind.fix, kind.fix_en))
    ]
    assert incomplete == []


# ---- 8. the manner ----


@pytest.mark.parametrize("folder", [*ROOMS, "tests"])
def test_no_file_is_too_long(folder: str) -> None:
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in (ROOT / folder).rglob("*.py")}
    assert {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_every_module_says_in_its_first_line_what_happens_there() -> None:
    silent = [module for module in sources() if not (ast.get_docstring(tree_of(module)) or "").strip()]
    assert [module for module in silent if not _is_empty_package(module)] == []


def _is_empty_package(module: str) -> bool:
    return module.endswith("__init__.py") and len(tree_of(module).body) <= 1


def test_no_module_is_a_drawer_for_anything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
    named = (module for module in sources() if not module.startswith("hub/migrations/"))
    assert [module for module in named if {*Path(module).with_suffix("").parts} & drawers] == []


def test_no_number_in_the_repository_could_be_a_residents() -> None:
    """Identity cards are numbered from a province, 11 to 65; the fictitious 999001 is none."""
    number = re.compile(
        r"(?<![0-9A-Za-z])[1-6]\d{5}(?:18|19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?![0-9A-Za-z])"
    )
    printed_in_the_standard = {"11010519491231002X", "440524188001010014"}  # GB 11643-1999
    files = [path for folder in (*ROOMS, "tests", "docs") for path in (ROOT / folder).rglob("*.*")]
    texts = [path for path in files if path.suffix in (".py", ".toml", ".md", ".html")]
    found = {(path.name, each) for path in texts for each in number.findall(path.read_text("utf-8"))}
    assert {(name, each) for name, each in found if each not in printed_in_the_standard} == set()
