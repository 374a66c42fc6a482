"""What an audit declares for a role, or its settings name, and what may be set for one run in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from pytest_kdmem.errors import SpecError
from pytest_kdmem.plugin.settings import Settings
from pytest_kdmem.specs.adapter import is_adapter
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.roles import MODEL_ROLES
from pytest_kdmem.specs.students import students_of_setting


@dataclass(frozen=True)
class RoleSettings:
    """How settings of a run change what an audit declares for a role.

    Attributes:
        kind: Class of what the role takes.
        overriding: Fields for which a run may set another value, each with the key of its setting.
        of_source: Fields that say where in a source to look, and go with it where a run names another source.
    """

    kind: type[Model] | type[TrainingSet]
    overriding: Mapping[str, str]
    of_source: tuple[str, ...]


Declared = TypeVar("Declared", Model, TrainingSet)

# Settings of a training set that have the names of its fields, and those that have not.
CHAT = ("chat_columns", "chat_turns", "chat_roles", "answer_tokens", "chat_template")
SAME_NAMES = (
    *("text_column", "form", "eos", "add_special_tokens", "tokenizer", "eos_id", "order"),
    *(*CHAT, "sample", "seed", "group_column", "stratify", "stratum_sample"),
)
OTHER_NAMES = {"dtype": "token_dtype"}
# Held-out text is read whole and without groups, and the order of a training names none of it.
TRAINING_ALONE = ("sample", "order", "group_column", "stratify", "stratum_sample")

OF_EVERY_MODEL = ("dtype", "trust_remote_code")
TRAINING_SET = RoleSettings(
    TrainingSet,
    {name: name for name in SAME_NAMES} | OTHER_NAMES,
    ("revision", "config", "split", "documents", "minimum_tokens", "dtype", "eos_id", "order", *CHAT, "group_column"),
)
# The order of a training, and the column of its groups and strata, name nothing of a set that the student never saw.
OF_STUDENTS_DATA = ("order", "group_column", "stratify", "stratum_sample")
CONTROL_SET, TEACHER_SET = (
    replace(
        TRAINING_SET, overriding={name: key for name, key in TRAINING_SET.overriding.items() if name not in left_out}
    )
    for left_out in (TRAINING_ALONE, OF_STUDENTS_DATA)
)
ROLE_SETTINGS: Mapping[str, RoleSettings] = {
    role: RoleSettings(Model, {name: name for name in OF_EVERY_MODEL} | {"base": f"{role}_base"}, ("revision", "base"))
    for role in MODEL_ROLES
} | {"training_set": TRAINING_SET, "control_set": CONTROL_SET, "teacher_set": TEACHER_SET}


def overridden(declared: Declared, role: str, settings: Settings) -> Declared:
    """Return what an audit declared for a role, with everything that was set for this run in its place."""
    role_settings = ROLE_SETTINGS[role]
    changed: dict[str, Any] = {}
    if settings.overrides(role):
        defaults = {field.name: field.default for field in fields(declared)}
        changed = {name: defaults[name] for name in role_settings.of_source} | {"source": settings[role]}
    changed |= {name: settings[key] for name, key in role_settings.overriding.items() if settings.overrides(key)}
    return replace(declared, **changed)


def overridden_student(declared: Model, settings: Settings) -> Model:
    """Return one of several students, with everything that was set for this run in its place.

    The base that the settings name for the student is that of the adapters among them.

    Raises:
        SpecError: A base is set, and the student is at no place where it could be seen whether it is an adapter.
    """
    student, base = overridden(declared, "student", settings), settings["student_base"]
    is_of_settings = base is not None and student.base == base
    if not is_of_settings or is_adapter(student, offline=settings["offline"] or False):
        return student
    return replace(student, base=None)


def spec_from_settings(role: str, settings: Settings) -> Model | TrainingSet:
    """Return the model or set that the settings name for a role.

    Raises:
        SpecError: They name none.
    """
    source = settings[role]
    if source is None:
        flag = role.replace("_", "-")
        origin = " (kdmem distill --mode baseline trains one)" if role == "baseline" else ""
        raise SpecError(
            f"A {flag.replace('-', ' ')} was expected by this audit, and none is declared: write a fixture {role!r},"
            f" or set --kdmem-{flag} or kdmem_{role}{origin}."
        )
    if role in MODEL_ROLES:
        return _model(source, role, role, settings)
    return TrainingSet(source, **{name: settings[key] for name, key in ROLE_SETTINGS[role].overriding.items()})


def students_from_settings(settings: Settings) -> dict[str, Model]:
    """Return the students that the settings name, by name.

    Raises:
        SpecError: They name none, or name them wrongly.
    """
    students = students_of_setting(settings["students"])
    return {name: _model(student.source, "student", "students", settings) for name, student in students.items()}


def _model(source: str, role: str, key: str, settings: Settings) -> Model:
    """Return a model that the setting ``key`` names for a role."""
    base_key = ROLE_SETTINGS[role].overriding["base"]
    # The base that a configuration names is that of the model that it names.
    is_of_this_model = settings.overrides(base_key) or not settings.overrides(key)
    return Model(
        source,
        dtype=settings["dtype"],
        trust_remote_code=settings["trust_remote_code"] or False,
        base=settings[base_key] if is_of_this_model else None,
    )
