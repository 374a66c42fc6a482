"""Gates are refused before anything is scored where a model is missing that they need."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from pytest_kdmem.api.measure import KINDS, check_gates, compares
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.gates import named_thresholds
from pytest_kdmem.specs.roles import MODEL_ROLES

EVERYTHING = (*MODEL_ROLES, "control_set", "canaries")


@pytest.mark.parametrize("gate", KINDS)
def test_a_gate_needs_each_of_its_models_and_no_other(gate: str) -> None:
    needed = KINDS[gate].roles
    check_gates({gate: 0.1}, needed)
    for missing in needed:
        with pytest.raises(SpecError, match=re.escape(f"was expected by the gate {gate}, and none is declared; give")):
            check_gates({gate: 0.1}, [role for role in EVERYTHING if role != missing])


def test_a_gate_that_compares_with_another_model_needs_that_model() -> None:
    gate, roles = "max_membership_auc", ("student", "control_set")
    check_gates({gate: "baseline"}, (*roles, "baseline"))
    with pytest.raises(SpecError, match=f"A baseline was expected by the gate {gate}"):
        check_gates({gate: "baseline"}, roles)


def test_every_threshold_that_can_be_named_has_its_gate() -> None:
    values = dict.fromkeys(KINDS, 0.5)
    assert named_thresholds(values, with_further=True) == values


def test_an_audit_of_no_model_is_refused() -> None:
    with pytest.raises(SpecError, match="A model was expected to be audited"):
        check_gates({}, ["training_set", "control_set"])


def test_models_are_compared_if_all_are_there_or_risk_is_asked_for() -> None:
    for size in range(len(MODEL_ROLES) + 1):
        for roles in combinations(MODEL_ROLES, size):
            assert compares(roles, ["max_memorization_rate"]) == (size == len(MODEL_ROLES))
            assert compares(roles, ["max_predicted_risk"])
