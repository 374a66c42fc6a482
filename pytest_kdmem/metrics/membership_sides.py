"""Members and controls that attacks on membership are measured on: made alike, and no example on both sides."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.text import count
from pytest_kdmem.corpus.presets import resolve
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.comparable import check_comparable
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.specs.declared import TrainingSet

# Of fewer distinct examples of either set a classifier could not tell whether the sets are alike.
FEWEST_EXAMPLES = 100
# Settings of a set that decide how its text becomes examples; None leaves one to the model or its run card.
CUTTING = ("form", "documents", "add_special_tokens", "eos", "answer_tokens", "chat_turns", "chat_template")


@dataclass(frozen=True, eq=False)
class Sides:
    """The distinct scored examples of a training set and of a control set, by one model.

    Attributes:
        members, controls: Scores over either set.
        is_member: Which of the distinct examples of the training set stand in it alone, bool ``[n]``.
        is_control: Which of those of the control set stand in it alone, bool ``[m]``.
        near: Number of controls that were left out as near-duplicates of an example of the training set.
    """

    members: Memorization
    controls: Memorization
    is_member: Flags
    is_control: Flags
    near: int = 0

    @property
    def shared(self) -> int:
        """Number of distinct examples that stand in both sets."""
        return int((~self.is_control).sum()) - self.near

    def without(self, members: Collection[str], controls: Collection[str]) -> Sides:
        """Return the sides without members and controls of some digests, which are near-duplicates of each other.

        As with copies, both are left out, so that neither side gets more of what is common.

        Raises:
            SpecError: Too few examples are left of either set.
        """
        is_member = self.is_member & ~_are_of(self.members, members)
        is_control = self.is_control & ~_are_of(self.controls, controls)
        _check_size(self.members, self.controls, is_member, is_control)
        return replace(
            self, is_member=is_member, is_control=is_control, near=int((self.is_control & ~is_control).sum())
        )

    @property
    def digest(self) -> str:
        """Digest of the examples of both sets."""
        return digest_of([side.scores.record.digest for side in (self.members, self.controls)])

    def digests(self) -> tuple[list[str], list[str]]:
        """Digests of the members, and of the controls."""
        members, controls = _digests(self.members), _digests(self.controls)
        return members.filter(pa.array(self.is_member)).to_pylist(), controls.filter(
            pa.array(self.is_control)
        ).to_pylist()


def match_sides(members: Memorization, controls: Memorization) -> Sides:
    """Match a training set and a control set that one model was scored over.

    An example in both sets says nothing: it is left out of both, so that neither side gets more of what is common.

    Raises:
        SpecError: The sets were made in different ways, or have too few examples that stand in one of them alone.
    """
    check_made_alike(members, controls)
    member_digests, control_digests = _digests(members), _digests(controls)
    is_member = ~np.asarray(pc.is_in(member_digests, control_digests))
    is_control = ~np.asarray(pc.is_in(control_digests, member_digests))
    _check_size(members, controls, is_member, is_control)
    return Sides(members, controls, is_member, is_control)


def _check_size(members: Memorization, controls: Memorization, is_member: Flags, is_control: Flags) -> None:
    for name, side, alone in (("training", members, is_member), ("control", controls, is_control)):
        if alone.sum() < FEWEST_EXAMPLES:
            held = f", and {count(int((~alone).sum()))} more that the other set also holds, or nearly holds"
            shared = held if not alone.all() else ""
            raise SpecError(
                f"At least {FEWEST_EXAMPLES} distinct examples of the {name} set {side.scores.training_set.source} were"
                f" expected to measure membership; found {count(int(alone.sum()))}{shared}: take a larger {name} set."
            )


def check_made_alike(members: Memorization, controls: Memorization) -> None:
    """Check that the text of both sets becomes examples in the same way.

    Raises:
        SpecError: It does not.
    """
    check_same_lengths = members.scores.extraction, controls.scores.extraction
    if check_same_lengths[0] != check_same_lengths[1]:
        raise SpecError(
            "The same lengths of prefix, suffix and window were expected of training set and control set to measure"
            f" membership; found {check_same_lengths[0]} and {check_same_lengths[1]}."
        )
    first, second = (_cutting(side.scores.training_set) for side in (members, controls))
    for name, value in first.items():
        is_left_open = name != "minimum_tokens" and None in (value, second[name])
        if value != second[name] and not is_left_open:
            raise SpecError(
                "A control set that is cut into examples in the same way as the training set was expected to measure"
                f" membership; {name} is {value!r} of {members.scores.training_set.source} and {second[name]!r} of"
                f" {controls.scores.training_set.source}: declare both alike."
            )


def check_reference(members: Memorization, reference: Memorization) -> None:
    """Check that a model that calibrates the loss is another one, of the same tokenizer over the same examples.

    Raises:
        SpecError: It is not.
    """
    check_comparable([members, reference])
    if members.scores.checkpoint.digest == reference.scores.checkpoint.digest:
        raise SpecError(
            f"Another model was expected as reference for {members.subject}, and it is the same: take the base model"
            " that it started from, or leave reference out."
        )


def _cutting(training_set: TrainingSet) -> dict[str, object]:
    read, selection = resolve(training_set)
    always_there = {"minimum_tokens": selection.minimum_tokens, "chat_roles": read.chat_roles or "assistant"}
    return {name: getattr(read, name) for name in CUTTING} | always_there


def _are_of(side: Memorization, digests: Collection[str]) -> Flags:
    return np.asarray(pc.is_in(_digests(side), pa.array(sorted(digests), pa.string())))


def _digests(side: Memorization) -> pa.ChunkedArray:
    return side.distinct_rows.at_first(side.distinct_rows.digest)
