"""What `kdmem init` writes: an audit of one release, and the workflow that runs it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from os.path import normpath
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from pytest_kdmem.base.files import write_text
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.checkpoint import looks_like_hub_id

# Where each is written, from the project's root.
WORKFLOWS = {"github": ".github/workflows/memorization-audit.yml", "gitlab": ".gitlab/memorization-audit.yml"}
PLACEHOLDERS = {"teacher": "runs/teacher", "student": "runs/student", "baseline": "runs/baseline"}
DATA_PLACEHOLDERS = {"training_set": "data/train.jsonl"}


@dataclass(frozen=True)
class Starter:
    """An audit to be written.

    Attributes:
        folder: of the audit.
        root: of the project, which paths are told from.
        sources: by role, as given; none at all, and placeholders stand in their place.
        workflow: a key of WORKFLOWS, or "none".
    """

    folder: Path
    root: Path
    sources: Mapping[str, str] = field(default_factory=dict)
    text_column: str = "text"
    workflow: str = "github"

    def files(self) -> dict[Path, str]:
        """Paths and contents."""
        models = {role: self.sources.get(role, place) for role, place in PLACEHOLDERS.items()}
        data = {role: self.sources[role] for role in ("training_set", "control_set") if role in self.sources}
        data = DATA_PLACEHOLDERS | data
        inside = self.folder.resolve().is_relative_to(self.root.resolve())
        up = len(self.folder.resolve().relative_to(self.root.resolve()).parts) if inside else 0
        told = {
            "models": {role: self._spelled(source, inside) for role, source in models.items()},
            "data": {role: self._spelled(source, inside) for role, source in data.items()},
            "text_column": self.text_column,
            "up": up,
            "placeholders": not self.sources,
            "has_control_set": "control_set" in data,
            "audits": self.folder.resolve().relative_to(self.root.resolve()).as_posix() if inside else str(self.folder),
        }
        told["rooted"] = any("ROOT" in spelled for spelled in (*told["models"].values(), *told["data"].values()))  # type: ignore[attr-defined]
        # pytest takes test files of one name, in folders that are no packages, for one module.
        called = re.sub(r"\W+", "_", self.folder.resolve().name)
        test = "test_release.py" if called == "audits" else f"test_{called}.py"
        made = {self.folder / "conftest.py": _rendered("conftest.py.j2", told)}
        made[self.folder / test] = _rendered("test_release.py.j2", told)
        if self.workflow != "none":
            made[self.root / WORKFLOWS[self.workflow]] = _rendered(f"{self.workflow}.yml.j2", told)
        return made

    def _spelled(self, source: str, inside: bool) -> str:
        """A source as Python has it: from the root where it lies below, or else as it was given."""
        path = Path(source).expanduser()
        # What is to be made in a folder that is there is no hub's.
        local = path.exists() or source in _PLACES or (self.root / path).parent.is_dir()
        if "://" in source or (not local and looks_like_hub_id(source)):
            return _literal(source)
        # As it is named: a link into another place stays the link.
        absolute = Path(normpath(path if path.is_absolute() else self.root / path))
        if inside and absolute.is_relative_to(self.root):
            return f"ROOT / {_literal(absolute.relative_to(self.root).as_posix())}"
        return _literal(str(absolute))


_PLACES = {*PLACEHOLDERS.values(), *DATA_PLACEHOLDERS.values()}


def write_starter(starter: Starter) -> list[Path]:
    """Write all of it, and nothing where anything stands already.

    Raises:
        DataError: a file of that name is there, or cannot be written.
    """
    made = starter.files()
    if there := [path for path in made if path.exists() or path.is_symlink()]:
        of_workflow = starter.workflow != "none" and there[0] == starter.root / WORKFLOWS[starter.workflow]
        way_out = "add --workflow=none, and let it audit the folder above" if of_workflow else "name another folder"
        raise DataError(
            f"New files were expected to be written, and {there[0]} is there already; {way_out}, or move it."
        )
    for path, content in made.items():
        write_text(content, path)
    return list(made)


def _literal(text: str) -> str:
    """A Python string; JSON's spelling, as double quotes are this project's."""
    return json.dumps(text)


def _in_yaml(text: str) -> str:
    """A YAML string in which GitHub finds no expression."""
    return json.dumps(text).replace("${{", "${{ '${{' }}")


def _rendered(name: str, told: Mapping[str, object]) -> str:
    environment = Environment(  # without autoescape: it writes Python and YAML, and quotes what is foreign itself
        loader=PackageLoader("pytest_kdmem.cli.starter", ""),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"literal": _literal, "yaml": _in_yaml}
    return environment.get_template(name).render(told)
