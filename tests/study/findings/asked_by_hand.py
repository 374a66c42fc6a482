"""Answers to further questions, written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.metrics.membership import Membership
from pytest_kdmem.metrics.roc_bounds import AttackScores
from pytest_kdmem.study.answers import Answers, AtPrefix
from pytest_kdmem.study.record import ModelRun, Study
from tests.study.studies_by_hand import ByHand

N = 40


def flags(members: Iterable[int], n: int = N) -> Flags:
    marked = np.zeros(n, dtype=bool)
    marked[list(members)] = True
    return marked


def answers(
    memorized: Iterable[int] = (),
    *,
    at_prefix: Mapping[int, tuple[Iterable[int], Iterable[int]]] | None = None,
    near: Mapping[str, Iterable[int]] | None = None,
    extractable: Mapping[str, Iterable[int]] | None = None,
    specific: Iterable[int] = (),
    secrets: Mapping[str, Iterable[int]] | None = None,
    **changed: Any,
) -> Answers:
    """Answers over N examples of which those are marked that are named."""
    values: dict[str, Any] = {
        "examples": "digest",
        "memorized": flags(memorized),
        "copies": np.ones(N, dtype=np.int64),
        "at_prefix": {
            length: AtPrefix(flags(recited), flags(measured))
            for length, (recited, measured) in (at_prefix or {}).items()
        },
        "longest_runs": np.zeros(N, dtype=np.int32),
        "near": {name: flags(members) for name, members in (near or {}).items()},
        "extractable": {name: flags(members) for name, members in (extractable or {}).items()},
        "specific": flags(specific),
        "secrets": {name: flags(members) for name, members in (secrets or {}).items()},
    }
    return Answers(**values | changed)


def study_of(hand: type[ByHand], *models: tuple[str, int, Answers]) -> Study:
    """A study of models by role and seed with their answers, which are all that findings look at."""
    make = hand(range(4))

    def run(role: str, seed: int, given: Answers) -> ModelRun:
        if role != "on-policy":
            return make.model(role, seed=seed, answers=given)
        return make.model(role, seed=seed, answers=given, part="on_policy", loss=2.4)

    return make.study(*(run(*model) for model in models))


def membership(attacks: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Membership:
    """Membership by scores of members and controls."""
    scores = {name: AttackScores(members, controls, exhaustive=True) for name, (members, controls) in attacks.items()}
    return Membership("model", scores, 0.95, "examples", "model digest")  # type: ignore[arg-type]
