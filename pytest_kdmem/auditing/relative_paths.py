"""Makes paths in a report relative to the folder where its audits begin, as a report is read on other machines."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import DataEntry, Gate, ModelEntry

# What may stand before a path in a sentence or a command; anything else is a part of a longer path.
BEFORE_PATH = r"(?<![^\s'\"=(\[,])"


def with_relative_paths(result: AuditResult, root: Path, from_here: str = ".") -> AuditResult:
    """Return a result whose paths below a folder are relative to it.

    The names of models without a role are kept, as figures are found by them.

    Args:
        result: The result of an audit.
        root: The folder, absolute.
        from_here: Path to it from the folder where commands will be run, to which paths in commands are relative.
    """
    if len(root.parts) < 2:  # below the root of the machine lies everything
        return result
    prefix = re.compile(f"{BEFORE_PATH}{re.escape(root.as_posix())}/")

    def text(value: str) -> str:
        return prefix.sub("", value)

    def command(value: str) -> str:
        return prefix.sub(lambda _: "" if from_here == "." else f"{from_here}/", value)

    def reading_of(entry: DataEntry) -> dict[str, Any]:
        return {name: _changed(value, text) for name, value in entry.reading.items()}

    def of_set(entry: DataEntry | None) -> DataEntry | None:
        return entry and replace(entry, source=text(entry.source), reading=reading_of(entry))

    return replace(
        result,
        settings={name: _changed(value, text) for name, value in result.settings.items()},
        models={subject: _model(subject, entry, text) for subject, entry in result.models.items()},
        training_set=of_set(result.training_set),
        control_set=of_set(result.control_set),
        teacher_set=of_set(result.teacher_set),
        other_sets={label: replaced for label, entry in result.other_sets.items() if (replaced := of_set(entry))},
        gates=tuple(_gate(gate, text, command) for gate in result.gates),
        warnings=tuple(map(text, result.warnings)),
    )


def _changed(value: Any, text: Callable[[str], str]) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_changed(each, text) for each in value)
    return text(value) if isinstance(value, str) else value


def _model(subject: str, entry: ModelEntry, text: Callable[[str], str]) -> ModelEntry:
    has_role = subject.partition(" on ")[0] != entry.source
    declared = {name: _changed(value, text) for name, value in entry.declared.items()}
    return replace(entry, source=text(entry.source), declared=declared) if has_role else entry


def _gate(gate: Gate, text: Callable[[str], str], command: Callable[[str], str]) -> Gate:
    parts = tuple(replace(part, reason=text(part.reason)) for part in gate.further_parts)
    return replace(
        gate,
        reason=text(gate.reason),
        next_step=text(gate.next_step),
        command=command(gate.command),
        further_parts=parts,
    )
