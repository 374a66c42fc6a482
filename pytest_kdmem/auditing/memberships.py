"""Measures membership for an audit: both sets are scored, matched, and held to be alike before any figure is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_kdmem.base.text import count, percent
from pytest_kdmem.corpus.blind_classifier import BlindTest
from pytest_kdmem.corpus.overlap import check_control
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.attacks import ATTACK_NAMES, Attack, check_attack
from pytest_kdmem.metrics.membership import Membership, compute_membership
from pytest_kdmem.metrics.membership_sides import Sides, check_reference, match_sides
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.beyond_sample import held_beyond_sample
from pytest_kdmem.scoring.exchangeability import LEVEL, exchangeability
from pytest_kdmem.scoring.near_controls import near_controls
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Model, TrainingSet

# Share of the controls above which they are so much like the training set that no figure is given.
MOST_NEAR = 0.2


@dataclass(frozen=True)
class MembershipRequest:
    """What a test asks of membership.

    Attributes:
        model: The attacked model.
        training_set: The members.
        control_set: Examples of the same distribution that the model was not trained on.
        attack: The attack; None for the strongest of all for which there are scores.
        reference: Model that calibrates the loss; None for no such attack.

    Raises:
        SpecError: The attack is unknown, calibration has no model, or both sets are one.
    """

    model: Model
    training_set: TrainingSet
    control_set: TrainingSet
    attack: Attack | None = None
    reference: Model | None = None

    def __post_init__(self) -> None:
        if self.attack is not None:
            check_attack(self.attack)
        if self.attack == "calibrated" and self.reference is None:
            raise SpecError(
                "A model that calibrates the loss was expected with attack calibrated: pass reference=Model(…), such as"
                " the base model that training started from."
            )
        if self.attack not in ("calibrated", None) and self.reference is not None:
            raise SpecError(f"No reference was expected with attack {self.attack}, which calibrates nothing: drop it.")

    @property
    def models(self) -> tuple[Model, ...]:
        """The models that are scored over both sets."""
        return (self.model,) if self.reference is None else (self.model, self.reference)


@dataclass(frozen=True)
class Against:
    """Names of what figures of membership are taken against.

    Attributes:
        controls: Name of the control set, with its settings.
        reference: Source of the model that calibrates the loss; empty if there is none.
    """

    controls: str = ""
    reference: str = ""


@dataclass(frozen=True, eq=False)
class MeasuredMembership:
    """A membership, and how well its two sets are told apart without any model.

    Attributes:
        membership: The figures.
        blind_test: How well a classifier without a model tells the sets apart.
        against: What the figures are taken against, in the words of the request: the control set, and the model that
            calibrates the loss; empty if there is none.
    """

    membership: Membership
    blind_test: BlindTest
    against: Against = Against()

    @property
    def warnings(self) -> list[str]:
        """What was left out of the figures, in sentences."""
        membership = self.membership
        reasons = [f"no attack by {ATTACK_NAMES[name]}: {reason}" for name, reason in membership.left_out.items()]
        if membership.shared:
            reasons.append(f"{count(membership.shared)} examples of both training set and control set were left out")
        if membership.near:
            reasons.append(
                f"{count(membership.near)} controls that are near-duplicates of text in the training set were left out,"
                " and this text with them"
            )
        return [f"membership of {membership.subject}: {reason}" for reason in reasons]


def measure_membership(
    request: MembershipRequest,
    memorize: Callable[[Model, TrainingSet], Memorization],
    store: ScoreStore,
    *,
    offline: bool,
) -> MeasuredMembership:
    """Measure what attacks on a model tell.

    Args:
        request: What is measured.
        memorize: Scores a model over a set with every column.
        store: Where the comparison of the two sets is read and stored.
        offline: Whether sets must be read without a connection.

    Raises:
        SpecError: The sets cannot be matched, or are told apart without a model.
        KdmemError: A model cannot be scored, or a set not be read.
    """
    check_control(request.training_set, request.control_set, offline=offline)
    sides, *references = (
        match_sides(*(memorize(model, data) for data in (request.training_set, request.control_set)))
        for model in request.models
    )
    for reference in references:
        check_reference(sides.members, reference.members)
        check_reference(sides.controls, reference.controls)
    sides = without_near_controls(sides, store, offline=offline)
    blind_test = check_exchangeable(sides, store, offline=offline)
    membership = compute_membership(sides, request.attack, next(iter(references), None))
    against = Against(request.control_set.label, request.reference.source if request.reference is not None else "")
    return MeasuredMembership(membership, blind_test, against)


def without_near_controls(sides: Sides, store: ScoreStore, *, offline: bool) -> Sides:
    """Return members and controls without those that are nearly the same as text on the other side.

    Raises:
        SpecError: These are many of the controls, so that the sets were not drawn apart; or too few examples are left.
        KdmemError: A set cannot be read.
    """
    _, controls = sides.digests()
    near = near_controls(sides.members.scores, sides.controls.scores, controls, store, offline=offline)
    if len(near.controls) > MOST_NEAR * len(controls):
        raise SpecError(
            f"Controls of which at most {percent(MOST_NEAR)} are near-duplicates of text in the training set were"
            f" expected in {sides.controls.scores.training_set.source}, and {count(len(near.controls))} of"
            f" {count(len(controls))} are, so a model that learned the training set also learned them: deduplicate"
            " before the two sets are divided."
        )
    return sides.without(*near)


def check_exchangeable(sides: Sides, store: ScoreStore, *, offline: bool) -> BlindTest:
    """Test whether members and controls are of one distribution, and no control is a member that was not drawn.

    Raises:
        SpecError: They are told apart without any model, so that nothing that an attack finds speaks of one; or the
            training set holds controls beyond the sample of it.
        KdmemError: A set cannot be read.
    """
    members, controls = sides.digests()
    if held := held_beyond_sample(sides.members.scores, controls, store, offline=offline):
        raise SpecError(
            "Controls that do not occur in the training set were expected in"
            f" {sides.controls.scores.training_set.source}, and {count(held)} of {count(len(controls))} stand in"
            f" {sides.members.scores.training_set.source} outside its sample, so attacks on them would seem to fail:"
            " drop them, or measure over the whole training set, which leaves them out."
        )
    sets = (sides.members.scores, members), (sides.controls.scores, controls)
    outcome = exchangeability(*sets, store, offline=offline)
    if not outcome.p_value > LEVEL:
        raise SpecError(
            f"A control set of the same distribution as the training set {sides.members.scores.training_set.name} was"
            " expected to measure membership, and a classifier that sees token ids and no model tells"
            f" {sides.controls.scores.training_set.name} apart from it (AUC {outcome.auc:.2f} over"
            f" {count(outcome.examples)} examples of each, p = {outcome.p_value:.3f}, refused up to {LEVEL:g}): attacks"
            " would find the difference of the texts and not what was learned; take text that was drawn at random"
            " together with the training set, and left out of training."
        )
    return outcome
