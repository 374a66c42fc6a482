"""Figures of membership, which sets they take, and their comparisons with numbers and with another model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from pytest_kdmem.auditing.gates import gate_from
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.membership import Membership, compute_membership
from pytest_kdmem.metrics.membership_sides import match_sides
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.specs.declared import Extraction, TrainingSet
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


def test_a_false_positive_rate_needs_as_many_controls() -> None:
    membership = measured(1.0, controls=150, attack="loss")
    assert membership.tpr(0.01).n == 400
    with pytest.raises(SpecError, match=r"At least 1 000 distinct controls were expected .* of 0\.1%, and 150"):
        membership.tpr(0.001)
    with pytest.raises(SpecError, match="between 0 and 1"):
        membership.tpr(1)
    with pytest.raises(SpecError, match=r"tpr\(…\) or auc"):
        bool(membership)


def test_an_example_of_both_sets_is_left_out_of_both() -> None:
    members, controls = scored("train", np.full(150, 1.0)), scored("control", np.full(150, 2.0))
    table = controls.scores.rows.to_pylist()
    for at in range(30):
        table[at]["digest"] = f"train {at}"
    shared = memorization_from(table, shards=("control",))
    sides = match_sides(members, shared)
    assert sides.shared == 30
    assert [len(side) for side in sides.digests()] == [120, 120]
    membership = compute_membership(sides, "loss")
    assert (membership.members, membership.controls, membership.shared) == (120, 120, 30)


def test_sets_that_are_small_or_made_otherwise_are_refused() -> None:
    members, controls = scored("train", np.ones(120)), scored("control", np.ones(99))
    with pytest.raises(SpecError, match=r"At least 100 distinct examples of the control set control\.jsonl .* 99"):
        match_sides(members, controls)
    controls = scored("control", np.ones(120))
    for changed, message in (
        (replace(controls.scores, training_set=TrainingSet("control.jsonl", form="blocks")), "form is 'documents'"),
        (replace(controls.scores, training_set=TrainingSet("control.jsonl", minimum_tokens=9)), "minimum_tokens is 0"),
        (replace(controls.scores, training_set=TrainingSet("control.jsonl", chat_roles="all")), "chat_roles is 'assis"),
        (replace(controls.scores, extraction=Extraction(50, 50, 100)), "same lengths"),
    ):
        with pytest.raises(SpecError, match=message):
            match_sides(members, replace(controls, scores=changed))


def reason(estimate: Estimate, threshold: Estimate | float, operator: Any = "<=") -> tuple[str, str, str]:
    gate = gate_from("test", "test", estimate.compare(operator, threshold))
    return gate.outcome, gate.reason, gate.next_step


def test_a_model_that_tells_less_than_another_passes_by_pairs_though_the_bounds_overlap() -> None:
    student, baseline = (measured(shift, subject=name) for shift, name in ((0.6, "student"), (0.7, "baseline")))
    assert student.auc.high > baseline.auc.low
    assert student.auc <= baseline.auc
    assert baseline.auc >= student.auc
    assert not baseline.auc <= student.auc
    outcome, text, _ = reason(student.auc, baseline.auc)
    assert outcome == "pass"
    assert text.endswith("of baseline, paired over the same 400 members and 500 controls")


def test_a_lower_rate_passes_where_the_controls_can_show_it() -> None:
    many = {"members": 3_000, "controls": 2_000, "attack": "loss"}
    student, baseline = (measured(shift, subject=name, **many) for shift, name in ((0.3, "student"), (1.5, "baseline")))
    assert student.tpr(0.01) <= baseline.tpr(0.01)
    few = {"controls": 150, "attack": "loss"}
    student, baseline = (measured(shift, subject=name, **few) for shift, name in ((0.3, "student"), (1.5, "baseline")))
    outcome, text, step = reason(student.tpr(0.01), baseline.tpr(0.01))
    assert outcome == "inconclusive"
    assert "is not shown ≤" in text
    assert "At least 408 controls can show it" in step
    assert reason(baseline.tpr(0.01), student.tpr(0.01))[0] == "fail"


def test_a_number_is_held_against_the_bound() -> None:
    rate = measured(0.2, attack="loss").tpr(0.01)
    assert rate <= rate.high
    between = (rate.value + rate.high) / 2
    outcome, _, step = reason(rate, between)
    assert outcome == "fail"
    assert "larger control set" in step
    with pytest.raises(SpecError, match="between 0 and 1"):
        _ = measured(0.2).auc <= 50


def test_what_is_not_alike_is_not_compared() -> None:
    student, baseline = (measured(1.0, subject=name) for name in ("student", "baseline"))
    for first, second in (
        (student.tpr(0.01), baseline.tpr(0.02)),
        (student.auc, baseline.by_attack["loss"].auc),
        (student.auc, measured(1.0, subject="baseline", controls=400).auc),
    ):
        with pytest.raises(SpecError, match="expected"):
            _ = first <= second
    rate = memorization_from([row("a")], subject="student").rate
    for first, second in ((rate, baseline.tpr(0.01)), (student.tpr(0.01), rate)):
        with pytest.raises(SpecError, match="expected"):
            _ = first <= second
    assert reason(student.auc, student.auc)[::2] == ("inconclusive", "Both sides are of one model: check both.")
    assert "attacked" not in student.auc.to_json()
