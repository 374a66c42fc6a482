"""The files that `kdmem init` writes: an audit of one release, and the CI workflow that runs it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os.path import normpath
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from pytest_kdmem.base.files import write_text
from pytest_kdmem.cli.starter.own_columns import OF_COLUMNS
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.locations import looks_like_hub_id
from pytest_kdmem.specs.roles import DATA_ROLES
from pytest_kdmem.specs.run_card import Setting

# Path of each workflow, relative to the project's root.
WORKFLOWS = {"github": ".github/workflows/memorization-audit.yml", "gitlab": ".gitlab/memorization-audit.yml"}
MODEL_PLACEHOLDERS = {"teacher": "runs/teacher", "student": "runs/student", "baseline": "runs/baseline"}
DATA_PLACEHOLDERS = {"training_set": "data/train.jsonl"}
# Settings that a control set or a teacher set, which is another source, need not share.
OF_TRAINING_SET_ALONE = ("split", "config", "group_column")
PLACEHOLDERS = {*MODEL_PLACEHOLDERS.values(), *DATA_PLACEHOLDERS.values()}


@dataclass(frozen=True)
class Starter:
    """An audit to be written.

    Args:
        folder: Folder of the audit.
        root: Root of the project; paths below it are written relative to it.
        sources: Models and texts by role, as the user gave them. Roles that an audit needs and that are not given get
            a placeholder.
        workflow: CI service whose workflow is written, a key of WORKFLOWS; or "none".
        reading: Settings by which training read the training set, by the argument of a training set.
        columns: Settings that name the columns of other sets, by their roles; those of the training set if not given.
        is_chat: Whether the training set holds conversations.
        options: Options of pytest that every run of the audit needs.
    """

    folder: Path
    root: Path
    sources: Mapping[str, str] = field(default_factory=dict)
    workflow: str = "github"
    reading: Mapping[str, Setting] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)
    is_chat: bool = False
    options: Sequence[str] = ()

    def files(self) -> dict[Path, str]:
        """Return the content of each file by its path."""
        values = self._template_values()
        # pytest takes test files of the same name for one module, unless their folders are packages.
        folder_name = re.sub(r"\W+", "_", self.folder.resolve().name)
        test_name = "test_release.py" if folder_name == "audits" else f"test_{folder_name}.py"
        contents = {
            self.folder / "conftest.py": _render("conftest.py.j2", values),
            self.folder / test_name: _render("test_release.py.j2", values),
        }
        if self.workflow != "none":
            contents[self.root / WORKFLOWS[self.workflow]] = _render(f"{self.workflow}.yml.j2", values)
        return contents

    @property
    def _inner_path(self) -> Path | None:
        """Path of the folder relative to the root; None if it lies elsewhere."""
        folder, root = self.folder.resolve(), self.root.resolve()
        return folder.relative_to(root) if folder.is_relative_to(root) else None

    def _template_values(self) -> dict[str, object]:
        data = DATA_PLACEHOLDERS | {role: self.sources[role] for role in DATA_ROLES if role in self.sources}
        models = {role: self.sources.get(role, place) for role, place in MODEL_PLACEHOLDERS.items()}
        data_expressions = {role: self._expression(source) for role, source in data.items()}
        model_expressions = {role: self._expression(source) for role, source in models.items()}
        inner_path = self._inner_path
        return {
            "models": model_expressions,
            "data": data_expressions,
            "reading": _arguments(self.reading),
            "reading_of": {role: _arguments(self._reading_of(role)) for role in DATA_ROLES},
            "explains_chat_roles": self.is_chat and "chat_roles" not in self.reading,
            "options": "".join(f" {option}" for option in self.options),
            "levels_below_root": len(inner_path.parts) if inner_path is not None else 0,
            "uses_root": any(
                expression.startswith("ROOT / ")
                for expression in (*model_expressions.values(), *data_expressions.values())
            ),
            "has_placeholders": not self.sources,
            "has_control_set": "control_set" in data,
            "has_teacher_set": "teacher_set" in data,
            "audits": inner_path.as_posix() if inner_path is not None else str(self.folder),
        }

    def _reading_of(self, role: str) -> dict[str, Setting]:
        """How another set than the training set is read: as that one, but for its own columns."""
        own = self.columns.get(role)
        left_out = (*OF_TRAINING_SET_ALONE, *(OF_COLUMNS if own is not None else ()))
        return dict(own or {}) | {name: value for name, value in self.reading.items() if name not in left_out}

    def _expression(self, source: str) -> str:
        """Return a source as a Python expression: relative to ROOT if it lies below, or else a string."""
        path = Path(source).expanduser()
        # A path that does not exist yet is no hub id if its folder exists.
        is_local = path.exists() or source in PLACEHOLDERS or (self.root / path).parent.is_dir()
        if "://" in source or (not is_local and looks_like_hub_id(source)):
            return _python_string(source)
        # Links are not resolved: what a link points to may be replaced.
        absolute = Path(normpath(path if path.is_absolute() else self.root / path))
        if self._inner_path is not None and absolute.is_relative_to(self.root):
            return f"ROOT / {_python_string(absolute.relative_to(self.root).as_posix())}"
        return _python_string(str(absolute))


def write_starter(starter: Starter) -> list[Path]:
    """Write all files and return their paths; if one of them exists, nothing is written.

    Raises:
        DataError: A file exists, or cannot be written.
    """
    contents = starter.files()
    existing = next((path for path in contents if path.exists() or path.is_symlink()), None)
    if existing is not None:
        is_workflow = starter.workflow != "none" and existing == starter.root / WORKFLOWS[starter.workflow]
        way_out = (
            "to add only this audit, use --workflow none, and let that workflow run a folder that holds all audits"
            if is_workflow
            else "name another folder"
        )
        raise DataError(f"A new file was expected, and {existing} exists already; {way_out}, or move the file.")
    for path, content in contents.items():
        write_text(content, path)
    return list(contents)


def _arguments(settings: Mapping[str, Setting]) -> str:
    """Settings as further arguments of a call."""
    values = {name: _python_string(value) if isinstance(value, str) else value for name, value in settings.items()}
    return "".join(f", {name}={value}" for name, value in values.items())


def _python_string(text: str) -> str:
    """Quote a text as a Python string, which JSON spells with the double quotes that formatters want."""
    return json.dumps(text)


def _yaml_string(text: str) -> str:
    """Quote a text as a YAML string in which GitHub evaluates no expression."""
    return json.dumps(text).replace("${{", "${{ '${{' }}")


def _render(template: str, values: Mapping[str, object]) -> str:
    environment = Environment(  # without autoescape, as no HTML is written; the filter quotes what users gave
        loader=PackageLoader("pytest_kdmem.cli.starter", ""),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["yaml_string"] = _yaml_string
    return environment.get_template(template).render(values)
