"""The estimates of membership: held against those of another model, they are compared example by example."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_kdmem.base.text import count
from pytest_kdmem.metrics.direction import Operator
from pytest_kdmem.metrics.estimate import Estimate, satisfies
from pytest_kdmem.metrics.paired_roc import PairedAttack, controls_needed, shows_lower_auc, shows_lower_tpr
from pytest_kdmem.metrics.roc_bounds import AttackScores
from pytest_kdmem.metrics.verdict import Verdict

BOUND_MISSES = "The point estimate meets the threshold and its bound does not"


@dataclass(frozen=True, eq=False)
class Attacked:
    """What an estimate of membership was taken over.

    Attributes:
        attacks: Scores by attack, over the same members and controls in the same order.
        examples: Digest of the members and controls, and of what else both sides of a comparison must share.
        fpr: False positive rate of the TPR; None of the area under the curve.
        strongest: Name of the attack that has the greatest figure.
        members, controls: What the two sides are called.
        way_out: How more of them are had, in the imperative.
    """

    attacks: Mapping[str, AttackScores]
    examples: str
    fpr: float | None
    strongest: str
    members: str = "members"
    controls: str = "controls"
    way_out: str = "take a larger control set"


@dataclass(frozen=True, eq=False)
class MembershipEstimate(Estimate):
    """An estimate of what attacks tell, which knows the scores that it was taken over.

    Attributes:
        attacked: These scores; not in JSON.
    """

    attacked: Attacked | None = field(default=None, repr=False, metadata={"json": None})

    def mismatch(self, threshold: Estimate | float) -> str:
        if not isinstance(threshold, Estimate):
            return super().mismatch(threshold)
        other = threshold.attacked if isinstance(threshold, MembershipEstimate) else None
        if self.attacked is None or other is None or self.metric != threshold.metric:
            return (
                f"The {self.metric} of another model was expected to compare that of {self.subject} with; found"
                f" {threshold.metric} of {threshold.subject}."
            )
        if self.attacked.examples != other.examples or self.attacked.attacks.keys() != other.attacks.keys():
            return (
                f"The same {self.attacked.members}, {self.attacked.controls}, attacks and reference were expected of"
                f" {self.subject} and {threshold.subject} for their {self.metric}, and they differ; measure both models"
                " alike."
            )
        return ""

    def verdict_against(self, operator: Operator, threshold: Estimate | float) -> Verdict | None:
        """Return the paired verdict against another model, and what to do about a number that a bound misses."""
        if isinstance(threshold, MembershipEstimate):
            return None if self.attacked is None else self._paired_verdict(operator, threshold)
        if isinstance(threshold, Estimate) or satisfies(self, operator, threshold) or self.value > threshold:
            return None
        attacked = self.attacked
        sample = "" if self.exhaustive or attacked is None or attacked.members != "members" else ", or a larger sample"
        return Verdict("fail", remedy=f"{BOUND_MISSES}: {attacked.way_out if attacked else 'measure anew'}{sample}.")

    def _paired_verdict(self, operator: Operator, other: MembershipEstimate) -> Verdict:
        """Return whether the data show that no attack tells more of the one model than the strongest on the other.

        Which attack is the strongest on the other model is seen in the same data, so the error is divided among all.
        """
        first, second = (self, other) if operator in ("<=", "<") else (other, self)
        if first.attacked is None or second.attacked is None:
            return Verdict("inconclusive", defined=False)
        attacks, strongest, fpr = first.attacked.attacks, second.attacked.strongest, first.attacked.fpr
        members_name, controls_name, way_out = first.attacked.members, first.attacked.controls, first.attacked.way_out
        strongest_scores = second.attacked.attacks[strongest]
        if PairedAttack(attacks[strongest], strongest_scores).is_of_one_model:
            return Verdict(
                "inconclusive", defined=False, remedy="Both sides are figures of the same model: check both."
            )
        pairs = [PairedAttack(scores, strongest_scores) for scores in attacks.values()]
        controls, confidence = len(pairs[0].first.controls), 1 - (1 - self.confidence) / len(pairs)
        basis = f"paired over the same {count(self.n)} {members_name} and {count(controls)} {controls_name}"
        if fpr is None:
            is_shown = all(shows_lower_auc(pair, confidence) for pair in pairs)
        else:
            strictly = operator in ("<", ">")
            is_shown = all(shows_lower_tpr(pair, fpr, confidence, strictly=strictly) for pair in pairs)
        if is_shown:
            return Verdict("pass", basis=basis)
        if first.value > second.value:
            return Verdict("fail", basis=basis)
        needed = controls_needed(fpr, confidence, exhaustive=self.exhaustive) if fpr is not None else 0
        if controls < needed:
            one_attack = ", or name one attack" if len(pairs) > 1 else ""
            remedy = f"At least {count(needed)} {controls_name} can show it: {way_out}{one_attack}."
            return Verdict("inconclusive", basis=basis, remedy=remedy)
        return Verdict("fail", basis=basis, remedy=f"{BOUND_MISSES}: {way_out}.")
