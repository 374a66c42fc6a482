"""Members and controls are made alike, stand on one side alone, and are enough."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.membership import compute_membership
from pytest_kdmem.metrics.membership_sides import check_reference, match_sides
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from tests.metrics.score_tables import memorization_from, row
from tests.metrics.test_membership import scored


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


def test_near_duplicates_are_left_out_of_both_sides_and_counted_apart() -> None:
    members, controls = scored("train", np.full(150, 1.0)), scored("control", np.full(150, 2.0))
    sides = match_sides(members, controls).without({f"train {at}" for at in range(3)}, {"control 7", "control 9"})
    assert (sides.shared, sides.near) == (0, 2)
    assert [len(side) for side in sides.digests()] == [147, 148]
    membership = compute_membership(sides, "loss")
    assert (membership.members, membership.controls, membership.near) == (147, 148, 2)
    with pytest.raises(SpecError, match="found 99, and 51 more that the other set also holds, or nearly holds"):
        match_sides(members, controls).without(set(), {f"control {at}" for at in range(51)})


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


def test_a_reference_is_another_model_over_the_same_examples() -> None:
    student, base = (memorization_from([row("a")], subject=name) for name in ("student", "base"))
    check_reference(student, base)
    with pytest.raises(SpecError, match="Another model was expected as reference for student, and it is the same"):
        check_reference(student, student)
    with pytest.raises(SpecError):
        check_reference(student, memorization_from([row("a")], subject="base", tokenizer="other"))
    with pytest.raises(SpecError):
        check_reference(student, memorization_from([row("a")], subject="base", shards=("other",)))
