"""Figures of membership, which sets they take, and their comparisons with numbers and with another model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pytest_kdmem.corpus.copy_counts import CopyCount
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.membership import Membership, compute_membership
from pytest_kdmem.metrics.membership_sides import match_sides
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.unseen import UnseenCopies
from pytest_kdmem.specs.declared import TrainingSet
from tests.metrics.score_tables import memorization_from, row


def scored(name: str, losses: np.ndarray, *, subject: str = "student", exhaustive: bool = True) -> Memorization:
    rows = [row(f"{name} {at}", nll=loss, zlib_bytes=200) for at, loss in enumerate(losses.tolist())]
    memorization = memorization_from(rows, subject=subject, exhaustive=exhaustive, shards=(f"{name} of {len(losses)}",))
    return replace(memorization, scores=replace(memorization.scores, training_set=TrainingSet(f"{name}.jsonl")))


def measured(
    shift: float, *, subject: str = "student", members: int = 400, controls: int = 500, seed: int = 0, **options: Any
) -> Membership:
    """Membership where losses of members are lower by so much; the losses of two models share most of their spread."""
    spread = np.random.default_rng(0).normal(size=members + controls)
    own = np.random.default_rng([seed, len(subject)]).normal(scale=0.2, size=members + controls)
    losses = 5 + spread + own
    sides = match_sides(
        scored("train", losses[:members] - shift, subject=subject, exhaustive=options.pop("exhaustive", True)),
        scored("control", losses[members:], subject=subject),
    )
    return compute_membership(sides, **options)


def test_figures_are_those_of_the_strongest_attack() -> None:
    membership = measured(1.0)
    assert membership.by_attack.keys() == membership.attacks.keys() >= {"loss", "zlib"}
    for figure in ("auc", "tpr"):
        whole, *each = (
            getattr(one, figure)(0.02) if figure == "tpr" else one.auc
            for one in (membership, *membership.by_attack.values())
        )
        assert whole.value == max(one.value for one in each)
        assert whole.high == max(one.high for one in each)
        assert whole.low <= max(one.low for one in each)
    scores = membership.attacks["loss"]
    labels = np.repeat([1, 0], [400, 500])
    area = membership.by_attack["loss"].auc
    assert area.value == pytest.approx(roc_auc_score(labels, np.concatenate([scores.members, scores.controls])))
    assert area.metric == "membership AUC by loss"
    assert str(membership.tpr(0.02)).endswith("of 400)")


def test_members_that_stand_often_and_were_not_attacked_hold_back_what_would_pass() -> None:
    """Of the control set they are of no account: nobody was trained on it."""
    losses = np.random.default_rng(0).normal(5, 1, size=900)
    members, controls = scored("train", losses[:400]), scored("control", losses[400:])
    short = UnseenCopies("train.jsonl", (CopyCount(16, 1, 5, 5),), (), 3)
    for hidden, is_shown in ((replace(members, unseen=short), False), (members, True)):
        membership = compute_membership(match_sides(hidden, replace(controls, unseen=short)))
        assert membership.auc.compare("<=", 0.9).holds == is_shown
        assert membership.tpr(0.01).compare("<=", 0.5).holds == is_shown
        assert membership.by_attack["loss"].auc.compare("<=", 0.9).holds == is_shown
        assert not membership.auc.compare("<=", 0.1).holds


def test_a_false_positive_rate_needs_as_many_controls() -> None:
    membership = measured(1.0, controls=150, attack="loss")
    assert membership.tpr(0.01).n == 400
    with pytest.raises(SpecError, match=r"At least 1 000 distinct controls were expected .* of 0\.1%, and 150"):
        membership.tpr(0.001)
    with pytest.raises(SpecError, match="between 0 and 1"):
        membership.tpr(1)
    with pytest.raises(SpecError, match=r"tpr\(…\) or auc"):
        bool(membership)
