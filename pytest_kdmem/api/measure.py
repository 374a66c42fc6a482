"""Measures all that the declared models allow, and holds it against the thresholds that were named."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from pytest_kdmem.auditing.audit import Audit
from pytest_kdmem.auditing.gates import gate_from
from pytest_kdmem.auditing.memberships import MembershipRequest
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.base.paths import local_path
from pytest_kdmem.canaries.manifest import MANIFEST
from pytest_kdmem.canaries.measured import MeasuredCanaries
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.direction import Operator
from pytest_kdmem.metrics.estimate import Comparison, Estimate
from pytest_kdmem.metrics.inheritance import Inheritance
from pytest_kdmem.metrics.membership import Membership
from pytest_kdmem.risk.label_source import parse_label_source
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.nearness import Nearness
from pytest_kdmem.specs.roles import MODEL_ROLES


@dataclass(frozen=True)
class GateKind:
    """How a threshold is held.

    Attributes:
        operator: Operator between the estimate and the threshold.
        roles: Models that must be declared, and what else must be given.
    """

    operator: Operator
    roles: tuple[str, ...]


KINDS = {
    "max_predicted_risk": GateKind("<=", ("teacher", "baseline")),
    "max_memorization_rate": GateKind("<=", ("student",)),
    "min_reduction": GateKind(">=", MODEL_ROLES),
    "max_inheritance_ratio": GateKind("<=", MODEL_ROLES),
    "max_near_verbatim_rate": GateKind("<=", ("student",)),
    "max_membership_tpr": GateKind("<=", ("student", "control_set")),
    "max_membership_auc": GateKind("<=", ("student", "control_set")),
    "max_canary_exposure": GateKind("<=", ("student", "canaries")),
}
WORDS = {"control_set": "control set", "canaries": "manifest of canaries"}
# Share of the controls that an attack may take for members.
MEMBERSHIP_FPR = 0.01


def check_gates(thresholds: Mapping[str, float | str], roles: Collection[str]) -> None:
    """Check that the models are declared that gates need.

    Raises:
        SpecError: One is missing, or there is no model at all.
    """
    for name, threshold in thresholds.items():
        compared_with = (threshold,) if isinstance(threshold, str) else ()
        needed = (*KINDS[name].roles, *compared_with)
        if missing := [role for role in needed if role not in roles]:
            raise SpecError(
                f"A {WORDS.get(missing[0], missing[0])} was expected by the gate {name}, and none is declared; give"
                f" {missing[0]}=…, or leave the gate out."
            )
    if not set(MODEL_ROLES).intersection(roles):
        raise SpecError("A model was expected to be audited, and none is declared; give student=….")


def compares(roles: Collection[str], thresholds: Collection[str]) -> bool:
    """Whether models are compared with each other, and not each with the training set alone."""
    return set(MODEL_ROLES) <= set(roles) or "max_predicted_risk" in thresholds


def measured_gates(audit: Audit, thresholds: Mapping[str, float | str], values: Mapping[str, Any]) -> list[Gate]:
    """Measure what an audit declares, and return its gates.

    Raises:
        KdmemError: A model cannot be scored, or is not what it is audited as.
    """
    training_set = audit.training_set
    assert training_set is not None
    estimates = list(_estimates(audit, training_set, thresholds, values))
    control_set = audit.control_set
    if control_set is not None:
        for model in audit.roles.values():
            audit.memorization(model, control_set, "all")
    teacher_set = audit.teacher_set
    if teacher_set is not None:
        for model in audit.roles.values():
            audit.memorization(model, teacher_set)
        if audit.roles.keys() == set(MODEL_ROLES):
            audit.inheritance(**audit.roles, training_set=teacher_set)
    return [
        gate_from(name, _nodeid(name, audit), _compare(estimate, kind.operator, limit))
        for name, kind in KINDS.items()
        for of_gate, estimate, limit in estimates
        if of_gate == name
    ]


def _compare(estimate: Estimate, operator: Operator, threshold: Estimate | float) -> Comparison:
    """Compare a figure with a threshold, or with that of another model, by which something must be shown.

    Raises:
        SpecError: Whatever the figure is, nothing would be shown.
    """
    if problem := estimate.mismatch(threshold):
        raise SpecError(problem)
    return estimate.compare(operator, threshold)


def _estimates(
    audit: Audit, training_set: TrainingSet, thresholds: Mapping[str, float | str], values: Mapping[str, Any]
) -> Iterator[tuple[str, Estimate, Estimate | float]]:
    """Yield name, figure and limit of each gate that is named.

    Risk, near-verbatim rates and membership are measured for their gates alone, as that takes its time.
    """
    roles = audit.roles

    def held(name: str, measure: Callable[[str], Estimate]) -> Iterator[tuple[str, Estimate, Estimate | float]]:
        """Measure the student for a gate if it is named, and the model that it is compared with."""
        if name in thresholds:
            threshold = thresholds[name]
            yield name, measure("student"), measure(threshold) if isinstance(threshold, str) else threshold

    if "max_predicted_risk" in thresholds:
        labels = parse_label_source(values["labels_from"], values["predictor"])
        risk = audit.predicted_risk(roles["teacher"], roles["baseline"], training_set, labels, values["risk_threshold"])
        yield from held("max_predicted_risk", lambda _: risk.share_at_risk)
    if "student" in roles:
        yield from held("max_memorization_rate", lambda role: audit.memorization(roles[role], training_set).rate)
    for model in roles.values():
        audit.memorization(model, training_set)
    if roles.keys() == set(MODEL_ROLES):
        inheritance: Inheritance = audit.inheritance(**roles, training_set=training_set)
        yield from held("min_reduction", lambda _: inheritance.reduction)
        yield from held("max_inheritance_ratio", lambda _: inheritance.ratio)
    if values["canaries"] is not None:
        manifest = MANIFEST.read(local_path(str(values["canaries"])))
        canaries = {role: audit.canaries(model, training_set, manifest) for role, model in roles.items()}
        for copies in canaries["student"].tiers if "student" in canaries else ():
            yield from held("max_canary_exposure", partial(_exposure, canaries, copies))
    yield from held("max_near_verbatim_rate", lambda role: _near_verbatim(audit, role, training_set))
    attacked = cache(partial(_membership, audit, training_set))
    # Which needs many controls.
    yield from held("max_membership_tpr", lambda role: attacked(role).tpr(MEMBERSHIP_FPR))
    yield from held("max_membership_auc", lambda role: attacked(role).auc)


def _exposure(canaries: Mapping[str, MeasuredCanaries], copies: int, role: str) -> Estimate:
    return canaries[role].exposure(copies)


def _near_verbatim(audit: Audit, role: str, training_set: TrainingSet) -> Estimate:
    memorization = audit.memorization(audit.roles[role], training_set)
    return audit.beside.near_verbatim(memorization, Nearness()).rate


def _membership(audit: Audit, training_set: TrainingSet, role: str) -> Membership:
    assert audit.control_set is not None
    return audit.membership(MembershipRequest(audit.roles[role], training_set, audit.control_set))


def _nodeid(name: str, audit: Audit) -> str:
    return f"{name}[{audit.student}]" if audit.student else name
