"""The house: which folders there are, and that imports, those inside functions counted, only ever run downward."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from tests.conftest import ROOT

PACKAGE = ROOT / "pytest_kdmem"
# From the ground up: a folder imports from those before it, and from itself.
FLOORS = (
    "errors",
    "base",
    "specs",
    "corpus",
    "engines",
    "scoring",
    "secrets",
    "distill",
    "metrics",
    "canaries",
    "risk",
    "auditing",
    "tracking",
    "report",
    "study",
    "api",
    "plugin",
    "cli",
)
FILES = {"__init__.py", "__main__.py", "py.typed"}
# The public names and the command `python -m pytest_kdmem` lead to every floor.
ENTRANCES = {"pytest_kdmem", "pytest_kdmem.__main__"}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imported_modules(path: Path) -> set[str]:
    """Every module that a file imports: at its top, inside its functions, and for its annotations alone."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: an import by the full name was expected"
            module = node.module or ""
            imported |= {
                f"{module}.{alias.name}" if f"{module}.{alias.name}" in MODULES else module for alias in node.names
            }
    return imported


@cache
def graph() -> dict[str, set[str]]:
    """What each module imports; read when a test asks, as every process of pytest-xdist imports this file."""
    return {name: imported_modules(path) for name, path in MODULES.items()}


def own_graph() -> dict[str, set[str]]:
    """Which other modules of the package each of them imports."""
    return {name: {other for other in imported if other in MODULES} - {name} for name, imported in graph().items()}


def floor(name: str) -> int:
    return FLOORS.index(name.split(".")[1])


def test_the_package_holds_its_floors_and_three_files() -> None:
    entries = [entry for entry in PACKAGE.iterdir() if entry.name != "__pycache__"]
    assert {entry.name for entry in entries if entry.is_file()} == FILES
    assert {entry.name for entry in entries if entry.is_dir()} == set(FLOORS)


def test_imports_run_downward() -> None:
    own = own_graph()
    upward = [
        f"{name} imports {other}"
        for name in sorted(own.keys() - ENTRANCES)
        for other in sorted(own[name])
        if other in ENTRANCES or floor(other) > floor(name)
    ]
    assert upward == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    TopologicalSorter(own_graph()).prepare()  # raises CycleError with the modules of the circle


def test_nothing_below_the_plugin_imports_pytest() -> None:
    below = [name for name in graph().keys() - ENTRANCES if floor(name) < FLOORS.index("plugin")]
    roots = {name: {imported.partition(".")[0] for imported in graph()[name]} for name in below}
    assert [name for name in sorted(below) if roots[name] & {"pytest", "_pytest", "pluggy", "xdist"}] == []


def test_the_graph_is_read_as_a_whole() -> None:
    """A reader of imports that misses those in functions, or for annotations, would find nothing wrong anywhere."""
    assert "pytest_kdmem.plugin.hooks" in graph()["pytest_kdmem.plugin"]
    assert "pytest_kdmem.metrics.estimate" in graph()["pytest_kdmem"]
    assert "pytest" in graph()["pytest_kdmem.plugin"]
