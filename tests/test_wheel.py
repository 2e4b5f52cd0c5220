"""The hub from a wheel, away from the project's folder: it has its handbooks, pages, words, style, mappings and migrations."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("hub", "adapters", "drops", "mappings", "admin")
_NEEDED = (*PACKAGES, "tools", "docs", "pyproject.toml", "README.md")
_LOOK = """
import json
import admin.handbooks, admin.language, admin.pages, admin.assets, hub, hub.app, hub.migrations, hub.__main__
from pathlib import Path
from mappings.catalogue import load_catalogue
print(json.dumps({
    "from": str(Path(hub.__file__).parent.parent),
    "handbooks": {code: len(admin.handbooks.read_handbook(code).tasks) for code in admin.handbooks.HANDBOOKS},
    "pictures": len(list((admin.handbooks.PLACE / "pictures").glob("*.png"))),
    "templates": len(list(admin.pages.TEMPLATES.glob("*.html"))),
    "english": admin.language.translator("en")("镇街手册"),
    "style": [str(admin.assets.STATIC / place) for place in admin.assets.vendor_paths().values()],
    "types": len(load_catalogue().record_types),
    "migrations": len(list(Path(hub.migrations.__path__[0]).rglob("0*.py"))),
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Built from a copy, with what the virtual environment has, and unpacked where nothing of the project is."""
    folder = tmp_path_factory.mktemp("wheel")
    source, target = folder / "source", folder / "installed"
    source.mkdir()
    for name in _NEEDED:
        its = ROOT / name
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(its, source / name, ignore=ignored) if its.is_dir() else shutil.copy(its, source / name)
    _run(["-c", f"import setuptools.build_meta as backend; backend.build_wheel({str(folder)!r})"], source)
    (wheel,) = folder.glob("*.whl")
    into = ["install", "--no-deps", "--no-index", "--no-compile", "--target", str(target), str(wheel)]
    _run(["-m", "pip", "--quiet", "--disable-pip-version-check", *into], folder)
    yield target


def _run(arguments: list[str], folder: Path) -> None:
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True, capture_output=True)


def _there(installed: Path, *command: str) -> str:
    """What a command says in a folder of its own, with the packages of the wheel before those of the project."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=installed.parent, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout


@pytest.fixture(scope="module")
def found(installed: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(_there(installed, "-c", _LOOK))
    return told


def test_an_installed_hub_has_all_that_the_projects_folder_has(installed: Path, found: dict[str, Any]) -> None:
    assert found["from"] == str(installed)
    headings = {
        one.stem: len(re.findall("^## ", one.read_text("utf-8"), re.M)) for one in (ROOT / "docs/zh").glob("*.md")
    }
    assert found["handbooks"].keys() == headings.keys() and all(found["handbooks"].values())
    assert found["pictures"] == len(list((ROOT / "docs/zh/pictures").glob("*.png")))
    assert found["templates"] == len(list((ROOT / "admin/templates").glob("*.html")))
    assert found["english"] != "镇街手册"
    assert found["types"] == len(list((ROOT / "mappings/record_types").glob("*.toml")))
    assert found["migrations"] == len(list((ROOT / "hub/migrations").rglob("0*.py")))


def test_its_pages_have_their_style_and_scripts(installed: Path, found: dict[str, Any]) -> None:
    assert len(found["style"]) == 2 and all(Path(one).is_relative_to(installed) for one in found["style"])
    assert all(Path(one).stat().st_size > 1_000 for one in found["style"])
    ours = {one.name for one in (ROOT / "admin/static").iterdir() if one.is_file()}
    assert ours == {one.name for one in (installed / "admin/static").iterdir() if one.is_file()}


def test_its_command_runs_and_its_mappings_are_in_order(installed: Path) -> None:
    assert (installed / "bin" / "hub").is_file()
    assert _there(installed, "-m", "hub", "check-mappings")


def test_nothing_that_is_served_needs_what_only_developers_install() -> None:
    """The virtual environment has both, so that only the lists can tell."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    for_developers = {_named(one) for one in listed["dependency-groups"]["dev"]}
    served = {_named(one) for one in listed["project"]["dependencies"]}
    belongs = packages_distributions()
    wrong = [
        f"{file.relative_to(ROOT)}: {name}"
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        for name in _imported(file)
        if {_named(one) for one in belongs.get(name, ())} & (for_developers - served)
    ]
    assert wrong == []


def _named(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")


def _imported(file: Path) -> set[str]:
    """Packages a module imports when it is imported itself."""
    nodes = ast.parse(file.read_text("utf-8")).body
    plain = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {str(node.module).split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
