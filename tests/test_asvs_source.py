"""What OWASP ASVS 5.0 asks for and the source or an empty hub shows: pages, passwords, randomness, caches, logs."""

from __future__ import annotations

import ast
import re
from itertools import islice

import pytest
from sqlalchemy import func, select
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from admin.assets import STATIC
from admin.pages import TEMPLATES
from hub.database import Database
from hub.registry.passwords import UnfitPassword, is_common, refuse_unfit
from hub.settings import AccountPolicy
from hub.tables import account
from tests.source import modules_in, sources, tree_of

SCRIPT = (STATIC / "panel.js").read_text("utf-8")
PAGES = {path.name: path.read_text("utf-8") for path in sorted(TEMPLATES.iterdir())}


# ---- pages ----


ROUND_THE_ESCAPING = re.compile(
    r"\|\s*safe\b|autoescape(\s+false|=False)|\.(inner|outer)HTML|insertAdjacentHTML|document\.write|eval\("
)
KEPT_OR_EMBEDDED = re.compile(
    r"localStorage|sessionStorage|indexedDB|postMessage|onmessage|document\.cookie|serviceWorker"
    r"|<object|<embed|<applet|<iframe"
)
FOREIGN = re.compile(r"(?:src|href|action|hx-\w+)=\"(?:https?:)?//")


def test_nothing_goes_round_the_escaping() -> None:
    written = PAGES | {"panel.js": SCRIPT} | {module: sources()[module] for module in modules_in("admin/", "hub/")}
    assert len(written) > 80
    assert [name for name, text in written.items() if ROUND_THE_ESCAPING.search(text)] == []


def test_only_what_is_written_out_in_the_source_is_markup_and_the_handbooks_own_text() -> None:
    """``Markup("<b>{}</b>").format(value)`` escapes the value; ``Markup(value)`` would not."""
    marked = {name: found for name in modules_in("admin/", "hub/") if (found := unwritten_markup(tree_of(name)))}
    assert marked == {"admin/handbooks.py": ["markdown.renderer.render(tokens, markdown.options, {})"]}
    assert unwritten_markup(ast.parse('Markup(f"<b>{name}</b>")\nMarkup(name)\nMarkup("<b>" + name)')) != []
    assert '{"html": False}' in sources()["admin/handbooks.py"]


def unwritten_markup(tree: ast.AST) -> list[str]:
    """What is taken as markup without being a plain string of the source."""
    calls = [one for one in ast.walk(tree) if isinstance(one, ast.Call) and ast.unparse(one.func) == "Markup"]
    return [ast.unparse(each) for one in calls for each in one.args if not isinstance(each, ast.Constant)]


def test_pages_load_call_and_keep_nothing_elsewhere() -> None:
    assert [name for name, text in PAGES.items() if FOREIGN.search(text) or KEPT_OR_EMBEDDED.search(text)] == []
    assert not KEPT_OR_EMBEDDED.search(SCRIPT) and "http" not in SCRIPT
    assert '"historyCacheSize":0' in PAGES["base.html"] and '"selfRequestsOnly":true' in PAGES["base.html"]


def test_static_files_are_styles_scripts_pictures_and_licences() -> None:
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".css", ".js", ".svg", ""}
    assert {path.name for path in files if not path.suffix} <= {"LICENSE"}
    assert [path for path in STATIC.rglob("*") if path.is_symlink()] == []


def test_every_form_with_a_secret_is_posted() -> None:
    forms = [form for text in PAGES.values() for form in re.findall(r"<form.*?</form>", text, re.S)]
    secret = [form for form in forms if re.search(r'type="password"|<(?!select)[^>]* name="(token|code|sealed)"', form)]
    assert len(secret) > 8
    assert [form[:80] for form in secret if 'method="post"' not in form.split(">")[0]] == []


def test_a_password_field_hides_what_is_typed_and_takes_what_a_keeper_fills_in() -> None:
    field = re.compile(r"<input[^>]*name=\"(?:password|old|new|again)\"[^>]*>")
    fields = [one for text in PAGES.values() for one in field.findall(text)]
    assert len(fields) >= 6
    for one in fields:
        assert 'type="password"' in one, one
        assert re.search(r'autocomplete="(current|new)-password"', one), one
        assert not re.search(r"\son\w+=|readonly", one), one
    assert not re.search(r"paste|copy|keypress|beforeinput", SCRIPT)
    heard = [part[:320] for part in SCRIPT.split('addEventListener("keydown"')[1:]]
    assert [one for one in heard if "if (typing ||" not in one and "select.form.submit" not in one] == []
    assert SCRIPT.count('closest("textarea, select, input:not([type=radio]):not([type=checkbox]), dialog")') == 1


# ---- passwords and secrets ----


def test_a_long_passphrase_of_small_letters_is_taken_where_the_site_asks_for_one_class() -> None:
    passphrase = "kingfisher lantern sorrel quartz meadow " * 2
    assert len(passphrase) >= 64
    for phrase in (passphrase, "夜雨寄北巴山夜雨涨秋池", "8301 5529 7746 1038 5512"):
        refuse_unfit(phrase, "wang", AccountPolicy(password_least_classes=1))
    with pytest.raises(UnfitPassword):
        refuse_unfit(passphrase, "wang", AccountPolicy())


def test_the_commonest_leaked_passwords_are_refused() -> None:
    leaked = [each for each in FREQUENCY_LISTS["passwords"] if len(each) >= AccountPolicy().password_least_length]
    assert len(leaked) > 3_000
    assert [each for each in islice(leaked, 5_000) if not is_common(each)] == []


def test_secrets_come_from_the_systems_own_randomness() -> None:
    chance = {
        module
        for module in sources()
        for node in ast.walk(tree_of(module))
        if (isinstance(node, ast.Import) and "random" in {each.name for each in node.names})
        or (isinstance(node, ast.ImportFrom) and node.module == "random")
    }
    pauses = {"hub/exchange/pipeline.py", "hub/channels/timetable.py", "adapters/client.py"}  # before trying again
    assert {module for module in chance if not module.startswith("hub/demo/")} == pauses


def test_a_new_hub_has_no_accounts_at_all(app_database: Database) -> None:
    with app_database.begin() as connection:
        assert connection.execute(select(func.count()).select_from(account)).scalar_one() == 0


# ---- what is kept, what is logged ----


def test_nothing_asked_from_the_database_is_kept_between_requests() -> None:
    asking = {"connection", "database", "actor", "request", "session", "keyring"}
    cached = [
        f"{module}:{node.name}"
        for module in sources()
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.FunctionDef) and any(_is_cache(each) for each in node.decorator_list)
        and asking & {argument.arg for argument in node.args.args}
    ]  # fmt: skip
    assert cached == []


def _is_cache(decorator: ast.expr) -> bool:
    return re.search(r"\b(lru_)?cache\b", ast.unparse(decorator)) is not None


def test_logs_are_set_up_in_one_place_and_sent_to_one() -> None:
    setting_up = re.compile(r"basicConfig\(|structlog\.configure\(|addHandler\(|FileHandler|dictConfig|fileConfig")
    sending = re.compile(r"SysLogHandler|SMTPHandler|HTTPHandler|SocketHandler|DatagramHandler")
    quieter = "hub/demo/run.py"  # while its summary speaks
    assert {one for one, text in sources().items() if setting_up.search(text)} == {"hub/commands/logging.py", quieter}
    assert {module for module, text in sources().items() if sending.search(text)} == {"hub/operations/audit_anchors.py"}
