"""How a model is trained: a frozen value that names a run and finds it again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

from pytest_kdmem.errors import SpecError
from pytest_kdmem.spec import digest_of

Mode = Literal["baseline", "soft", "hard"]
Precision = Literal["bfloat16", "float32"]


@dataclass(frozen=True)
class Recipe:
    """Settings of one training run; the defaults are those of the study's Pythia student (arXiv 2601.15394).

    Args:
        mode: ``baseline`` is cross-entropy on the training set (teachers are made so, too), ``soft`` matches the
            teacher's distribution (forward KL, T²), ``hard`` is cross-entropy on text that the teacher generated.
        temperature: T of the soft loss.
        epochs: passes over the training set, repeated examples included.
        learning_rate: peak; cosine decay after a linear warm-up over ``warmup`` of the steps.
        batch_size: examples a step and process.
        weight_decay: of AdamW.
        precision: of the forward pass; weights and losses are float32.
        seed: of the order of the data.

    Raises:
        SpecError: an unknown mode, or a number that is not positive.
    """

    mode: Mode = "soft"
    temperature: float = 2.0
    epochs: int = 4
    learning_rate: float = 5e-5
    batch_size: int = 16
    warmup: float = 0.02
    weight_decay: float = 0.0
    precision: Precision = "bfloat16"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (("mode", get_args(Mode)), ("precision", get_args(Precision))):
            if getattr(self, name) not in choices:
                raise SpecError(f"{name} must be one of {', '.join(choices)}; found {getattr(self, name)!r}.")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("mode", "precision"):
                continue
            whole = field.name in ("epochs", "batch_size", "seed")
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                kind = "whole number" if whole else "number"
                raise SpecError(f"{field.name.replace('_', '-')} must be a {kind}; found {value!r}.")
            can_be_zero = field.name in ("seed", "warmup", "weight_decay")
            if not (value > 0 or (can_be_zero and value == 0)):
                raise SpecError(f"{field.name.replace('_', '-')} must be positive; found {value!r}.")

    @property
    def digest(self) -> str:
        return digest_of(asdict(self))
