"""Several students of one audit, of which each has a name: the one that its gates and its row in reports bear."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence

from pytest_kdmem.base.text import last_part
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.roles import REFERENCES

# It stands in the ids of tests, in shells and in file names.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


def student_audit_name(place: str, student: str) -> str:
    """Return the name of the audit of a student that is declared at a place, or of all students if it is empty."""
    return f"{place}[{student}]" if student else place


def named_students(students: object) -> dict[str, Model]:
    """Return the students of an audit by name.

    Args:
        students: Models, or their folders or hub ids, by name; or a list of them, in which each has the last part of
            its source for a name, with as many parts before it as tell it from the others.

    Raises:
        SpecError: There is none, two have one name, a name cannot stand in the id of a test, or one is no model.
    """
    return _checked(list(_pairs(students)))


def students_of_setting(entries: Sequence[str]) -> dict[str, Model]:
    """Return the students that a setting names, each as ``NAME=SOURCE`` or by its source alone, as in a list.

    Raises:
        SpecError: They are named wrongly.
    """
    unnamed = [entry for entry in entries if split_entry(entry)[1] == entry]
    names = dict(zip(unnamed, short_names(unnamed), strict=True))
    return _checked([(names.get(entry, split_entry(entry)[0]), split_entry(entry)[1]) for entry in entries])


def short_names(sources: Sequence[str]) -> list[str]:
    """Return the shortest ends of sources that tell them apart, with hyphens between the parts of a path.

    Sources that are the same keep the same name.
    """
    parts = {source: [part for part in re.split(r"[/\\]", source) if part] for source in sources}
    names = []
    for source, own in parts.items():
        others = [other for name, other in parts.items() if name != source]
        lengths = (length for length in range(2, len(own)) if all(other[-length:] != own[-length:] for other in others))
        is_alone = all(last_part(other) != last_part(source) for other in parts if other != source)
        names.append(last_part(source) if is_alone else "-".join(own[-next(lengths, len(own)) :]))
    by_source = dict(zip(parts, names, strict=True))
    return [by_source[source] for source in sources]


def split_entry(entry: str) -> tuple[str, str]:
    """Return the name and the source of ``NAME=SOURCE``; the last part of a source that stands alone is its name."""
    name, equals, source = entry.partition("=")
    return (name, source) if equals and NAME.fullmatch(name) else (last_part(entry), entry)


def _checked(pairs: Sequence[tuple[str, object]]) -> dict[str, Model]:
    if not pairs:
        raise SpecError("At least one model was expected as students; found none.")
    names = [name for name, _ in pairs]
    for name in names:
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in REFERENCES:
            raise SpecError(
                "A student's name must be of up to 64 letters, digits and the marks . _ + -, and no other role's;"
                f" found {quoted(name)}: name the students, as in students={{'soft': Model(…)}}."
            )
        if names.count(name) > 1:
            raise SpecError(
                f"Students of different names were expected; found {names.count(name)} called {name}: name them, as in"
                " students={'soft': Model(…)}."
            )
    return {name: _model(name, value) for name, value in pairs}


def _pairs(students: object) -> Iterable[tuple[str, object]]:
    """The names, which are not checked yet, and what is declared by them."""
    if isinstance(students, Mapping):
        return students.items()
    if isinstance(students, str | os.PathLike | Model) or not isinstance(students, Iterable):
        raise SpecError(
            f"Several models were expected as students, in a list or by name; found {quoted(students)}: declare one"
            " model as student."
        )
    models = [_model("", value) for value in students]
    return list(zip(short_names([model.source for model in models]), models, strict=True))


def _model(name: str, value: object) -> Model:
    if isinstance(value, Model):
        return value
    if not isinstance(value, str | os.PathLike):
        raise SpecError(f"A Model was expected as student{f' {name}' if name else ''}; found {quoted(value)}.")
    return Model(os.fspath(value))
