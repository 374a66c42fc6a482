"""How well an attacker tells what a model was trained on from text of the same kind that it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.text import count
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.attacks import ATTACK_NAMES, ATTACKS, Attack, absence, attack_values
from pytest_kdmem.metrics.membership_estimate import Attacked, MembershipEstimate
from pytest_kdmem.metrics.membership_sides import Sides
from pytest_kdmem.metrics.recorder import refused
from pytest_kdmem.metrics.roc_bounds import AttackScores, auc_bounds, hits_at, placements, tpr_bounds
from pytest_kdmem.metrics.verdict import Verdict


class BoundsFunction(Protocol):
    """Bounds of a figure of one attack, each at the confidence."""

    def __call__(self, scores: AttackScores, confidence: float) -> tuple[float, float]: ...


@dataclass(frozen=True, eq=False)
class Membership:
    """How well attacks on a model recognize its training set, against a control set of the same distribution.

    A figure of several attacks is that of the strongest. Its upper bound is the highest of theirs, which needs no
    correction for their number; its lower bound is corrected by Bonferroni's method.

    Attributes:
        subject: Role or name of the model.
        attacks: Scores by attack, over the same members and controls in the same order.
        confidence: Confidence level of each one-sided bound.
        examples: Digest of the members and controls, and of the models that calibrate the loss. Figures of two models
            are compared where these agree.
        model_digest: Digest of the model.
        shared: Number of distinct examples that occur in both sets, and were left out of both.
        not_shown: Verdict of a comparison that would hold, if members stand often that were not attacked; else None.
        near: Number of distinct controls that are near-duplicates of an example of the training set, and were left out
            with these.
        left_out: Why an attack has no scores, by the attack; empty if one was named.
    """

    subject: str
    attacks: Mapping[Attack, AttackScores]
    confidence: float
    examples: str
    model_digest: str
    shared: int = 0
    left_out: Mapping[Attack, str] = field(default_factory=dict)
    near: int = 0
    not_shown: Verdict | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        raise ComparisonError("A membership is neither true nor false; compare its tpr(…) or auc with a threshold.")

    def __repr__(self) -> str:
        return (
            f"Membership({self.subject}: {self.members} members, {self.controls} controls, {', '.join(self.attacks)})"
        )

    @property
    def members(self) -> int:
        """Number of distinct members."""
        return len(self._any.members)

    @property
    def controls(self) -> int:
        """Number of distinct controls."""
        return len(self._any.controls)

    @property
    def by_attack(self) -> dict[Attack, Membership]:
        """The same for each attack alone."""
        return {name: replace(self, attacks={name: scores}) for name, scores in self.attacks.items()}

    def tpr(self, fpr: float = 0.01) -> MembershipEstimate:
        """Estimate the share of members that are found where a share ``fpr`` of non-members is taken for members.

        Raises:
            SpecError: The rate is not between 0 and 1, or there are fewer than 1 / ``fpr`` controls.
        """
        if not 0 < fpr < 1:
            raise refused(SpecError(f"A false positive rate must lie between 0 and 1 (1% is 0.01); found {fpr}."))
        if self.controls * fpr < 1 - 1e-9:
            raise refused(
                SpecError(
                    f"At least {count(math.ceil(1 / fpr - 1e-9))} distinct controls were expected at a false positive"
                    f" rate of {100 * fpr:g}%, and {count(self.controls)} are there: take a larger control set, or a"
                    " higher rate."
                )
            )
        hits = {name: hits_at(scores, fpr) for name, scores in self.attacks.items()}
        strongest = max(hits, key=hits.__getitem__)
        k = hits[strongest]
        low, high = self._bounds(lambda scores, confidence: tpr_bounds(scores, fpr, confidence))
        n, metric = self.members, f"membership TPR at {100 * fpr:g}% FPR{self._by}"
        figure = MembershipEstimate(metric, self.subject, k / n, low, high, k, n)
        return self._completed(figure, fpr, strongest)

    @property
    def auc(self) -> MembershipEstimate:
        """Estimate the probability that a random member scores higher than a random control; 0.5 is chance."""
        areas = {name: float(placements(scores)[1].mean()) for name, scores in self.attacks.items()}
        strongest = max(areas, key=areas.__getitem__)
        low, high = self._bounds(auc_bounds)
        n, metric = self.members, f"membership AUC{self._by}"
        figure = MembershipEstimate(metric, self.subject, areas[strongest], low, high, None, n, unit="area")
        return self._completed(figure, None, strongest)

    @property
    def _any(self) -> AttackScores:
        return next(iter(self.attacks.values()))

    @property
    def _by(self) -> str:
        """The attack, where it is one alone."""
        return f" by {ATTACK_NAMES[next(iter(self.attacks))]}" if len(self.attacks) == 1 else ""

    def _bounds(self, bounds: BoundsFunction) -> tuple[float, float]:
        """Return the bounds of the greatest figure of all attacks."""
        corrected = 1 - (1 - self.confidence) / len(self.attacks)
        low = max(bounds(scores, corrected)[0] for scores in self.attacks.values())
        return low, max(bounds(scores, self.confidence)[1] for scores in self.attacks.values())

    def _completed(self, figure: MembershipEstimate, fpr: float | None, strongest: Attack) -> MembershipEstimate:
        """Return a figure with what all figures of this membership share."""
        attacks = {str(name): scores for name, scores in self.attacks.items()}
        return replace(
            figure,
            exhaustive=self._any.exhaustive,
            confidence=self.confidence,
            model_digest=self.model_digest,
            not_shown=self.not_shown,
            attacked=Attacked(attacks, self.examples, fpr, strongest),
        )


def compute_membership(sides: Sides, attack: Attack | None = None, reference: Sides | None = None) -> Membership:
    """Compute what attacks on a model tell.

    Args:
        sides: Members and controls, scored by the model.
        attack: The attack; None for all for which there are scores.
        reference: The same members and controls, scored by the model that calibrates the loss.

    Raises:
        SpecError: The attack that is named has no scores.
        DataError: A score is not finite.
    """
    pairs = (
        (sides.members, reference.members if reference is not None else None),
        (sides.controls, reference.controls if reference is not None else None),
    )
    wanted = [attack] if attack else [name for name in ATTACKS if reference is not None or name != "calibrated"]
    left_out: dict[Attack, str] = {}
    if attack is None:
        reasons = {name: next(filter(None, (absence(name, *pair) for pair in pairs)), "") for name in wanted}
        left_out = {name: reason for name, reason in reasons.items() if reason and name != "loss"}
    attacks = {}
    for name in [name for name in wanted if name not in left_out]:
        members, controls = (attack_values(name, *pair) for pair in pairs)
        exhaustive = sides.members.scores.record.exhaustive
        attacks[name] = AttackScores(members[sides.is_member], controls[sides.is_control], exhaustive)
    return Membership(
        subject=sides.members.label,
        attacks=attacks,
        confidence=sides.members.confidence,
        examples=digest_of([sides.digest, reference.members.scores.checkpoint.digest if reference else ""]),
        model_digest=sides.members.scores.checkpoint.digest,
        shared=sides.shared,
        near=sides.near,
        left_out=left_out,
        not_shown=sides.members.not_shown,
    )
