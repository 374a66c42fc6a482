"""RunCard ↔ ``kdmem_run.json``: how a model of ours was made, beside its weights and bound to them by their digest."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from reprlib import repr as short
from typing import Any

from pytest_kdmem.base.files import write_bytes
from pytest_kdmem.base.text import last_part
from pytest_kdmem.base.typed_json import from_json_number, to_json_number
from pytest_kdmem.errors import DataError

FILE_NAME = "kdmem_run.json"
SCHEMA_VERSION = 1
LARGEST = 1 << 63
CURVES = ("loss_curve", "held_out")
Curve = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class ModelOrigin:
    """A model that a run used; ``digest`` is its checkpoint's (`checkpoint.Checkpoint.digest`)."""

    source: str
    digest: str


@dataclass(frozen=True)
class DataOrigin:
    """What a model was trained on; ``fingerprint`` is that of `training_fingerprint`, None where content is unknown."""

    source: str
    fingerprint: str | None
    examples: int
    tokens: int

    @property
    def name(self) -> str:
        """As `TrainingSet.name`, whether the source is a path or that name."""
        return last_part(self.source).split(".")[0]


@dataclass(frozen=True)
class RunCard:
    """One training run.

    Args:
        weights: digest of the weights that came of it, by `checkpoint.weights_digest`; of configuration and tokenizer
            beside them the card says nothing.
        mode: ``baseline``, ``soft`` or ``hard``.
        recipe: settings of the recipe, by name.
        loss: what was minimised, in words: ``forward KL, T = 2``.
        init: the model that training started from.
        teacher: the model that was learned from; None where there was none.
        training_set: what it was trained on; for ``hard``, what the teacher continued.
        extraction: lengths in tokens, by name.
        steps: optimizer steps.
        epochs: passes over the training set.
        seconds: of training, all stretches of a resumed run together.
        processes: that trained side by side.
        resumed_at: steps at which the run was taken up again.
        versions: of packages, by name.
        loss_curve: (step, training loss), in order.
        held_out: (step, loss on held-out text), in order.
    """

    weights: str
    mode: str
    recipe: dict[str, Any]
    loss: str
    init: ModelOrigin
    teacher: ModelOrigin | None
    training_set: DataOrigin
    extraction: dict[str, int]
    steps: int
    epochs: float
    seconds: float
    processes: int
    resumed_at: tuple[int, ...]
    versions: dict[str, str]
    loss_curve: Curve = ()
    held_out: Curve = ()

    @property
    def last_held_out(self) -> float | None:
        """Loss on held-out text at the end of the run; None where none was measured."""
        return self.held_out[-1][1] if self.held_out else None

    def to_json(self) -> dict[str, Any]:
        """The card as strict JSON: a loss that is not finite is None or "inf"."""
        curves = {name: [[step, to_json_number(loss)] for step, loss in getattr(self, name)] for name in CURVES}
        return {"schema_version": SCHEMA_VERSION, **asdict(self), "resumed_at": list(self.resumed_at), **curves}

    def summary(self) -> dict[str, Any]:
        """The card without its curves, for reports; ``last_held_out`` stands for them.

        Of sources it has the last part only: a path tells of the machine that it was on.
        """
        whole = {key: value for key, value in self.to_json().items() if key not in CURVES}
        for name in ("init", "teacher", "training_set"):
            if whole[name] is not None:
                whole[name] = {**whole[name], "source": last_part(whole[name]["source"])}
        return {**whole, "last_held_out": to_json_number(self.last_held_out)}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> RunCard:
        """Read what `to_json` gave.

        Raises:
            DataError: it is of another schema version, or a part of it is missing, unknown or of another kind.
        """
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise DataError(
                f"A run card of schema_version {SCHEMA_VERSION} was expected, and {short(version)} was found;"
                " read it with the pytest-kdmem that wrote it."
            )
        parts = {key: value for key, value in content.items() if key != "schema_version"}
        names = {field.name for field in fields(RunCard)}
        if parts.keys() != names:
            wrong = ", ".join(sorted(names ^ parts.keys()))
            raise DataError(
                f"A run card was expected, and {wrong} is missing or unknown in it; train the model again,"
                f" or remove its {FILE_NAME}."
            )
        try:
            json.dumps(parts, ensure_ascii=False, allow_nan=False).encode()  # as reports will hold it
            return RunCard(
                weights=_kind(str, parts["weights"]),
                mode=_kind(str, parts["mode"]),
                recipe={_kind(str, name): _setting(value) for name, value in _kind(dict, parts["recipe"]).items()},
                loss=_kind(str, parts["loss"]),
                init=_model(parts["init"]),
                teacher=None if parts["teacher"] is None else _model(parts["teacher"]),
                training_set=_data(parts["training_set"]),
                extraction={_kind(str, name): _kind(int, length) for name, length in parts["extraction"].items()},
                steps=_kind(int, parts["steps"]),
                epochs=_number(parts["epochs"]),
                seconds=_number(parts["seconds"]),
                processes=_kind(int, parts["processes"]),
                resumed_at=tuple(_kind(int, step) for step in _kind(list, parts["resumed_at"])),
                versions={_kind(str, name): _kind(str, found) for name, found in parts["versions"].items()},
                loss_curve=_curve(parts["loss_curve"]),
                held_out=_curve(parts["held_out"]),
            )
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise DataError(
                f"A run card was expected, and a part of it is of another kind ({error}); train the model again,"
                f" or remove its {FILE_NAME}."
            ) from None


def checked_summary(content: Mapping[str, Any]) -> dict[str, Any]:
    """What `RunCard.summary` gave, once it is known to be that.

    Raises:
        DataError: it is not.
    """
    whole = {key: value for key, value in content.items() if key != "last_held_out"}
    RunCard.from_json({**whole, **{name: [] for name in CURVES}})
    return dict(content)


def read_run_card(folder: Path) -> RunCard | None:
    """The card in a model folder; None where there is none.

    Raises:
        DataError: there is a file of its name that is no run card.
    """
    path = folder / FILE_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, OSError, RecursionError) as error:
        raise DataError(f"A run card was expected in {path}, which is no readable JSON ({error}).") from None
    if not isinstance(content, dict):
        raise DataError(f"A run card was expected in {path}, which holds no JSON object.")
    try:
        return RunCard.from_json(content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def write_run_card(card: RunCard, folder: Path) -> None:
    """Write a card into a model folder, whole or not at all.

    Raises:
        DataError: the folder cannot be written.
    """
    text = json.dumps(card.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    path = folder / FILE_NAME
    write_bytes(
        text.encode("utf-8"),
        path,
        lambda reason: DataError(f"A run card was to be written at {path}, which is not possible ({reason})."),
    )


def _kind(kind: type, value: Any) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{kind.__name__} expected, {type(value).__name__} found")
    if isinstance(value, int) and not -LARGEST < value < LARGEST:
        raise ValueError("a whole number of 64 bits expected")
    return value


def _setting(value: Any) -> Any:
    if not isinstance(value, str | int | float | None):
        raise TypeError(f"a setting expected, {type(value).__name__} found")
    return value


def _number(value: Any) -> float:
    number: float = _kind(int, value) if isinstance(value, int) else _kind(float, value)
    if not math.isfinite(number):
        raise ValueError("a finite number expected")
    return number


def _model(content: Any) -> ModelOrigin:
    source, digest = (_kind(str, content[key]) for key in ("source", "digest"))
    return ModelOrigin(source, digest)


def _data(content: Any) -> DataOrigin:
    known = content["fingerprint"]
    return DataOrigin(
        source=_kind(str, content["source"]),
        fingerprint=None if known is None else _kind(str, known),
        examples=_kind(int, content["examples"]),
        tokens=_kind(int, content["tokens"]),
    )


def _curve(content: Any) -> Curve:
    return tuple((_kind(int, step), from_json_number(loss)) for step, loss in _kind(list, content))
