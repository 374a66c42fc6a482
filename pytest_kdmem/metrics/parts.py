"""What a model memorized of parts of its training set: by the number of copies, and by group."""

from __future__ import annotations

from abc import ABC, abstractmethod

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.corpus.groups import Groups
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import without_commands
from pytest_kdmem.metrics.by_copies import copy_tiers
from pytest_kdmem.metrics.by_group import Members, group_members
from pytest_kdmem.metrics.flags import FLAG_COLUMNS, FlagColumn
from pytest_kdmem.metrics.recorder import refused
from pytest_kdmem.metrics.scored_examples import ScoredExamples
from pytest_kdmem.metrics.subsets import Subset, Subsets


class InParts(ScoredExamples, ABC):
    """Base of what a model memorized, which gives the same of each part of the training set.

    Over a whole training set every rate is exact but for ambiguous verdicts, so that the bounds of all parts hold at
    once, however many there are. A sample is refused: it holds each distinct example once, and does not tell in how
    many copies and in which groups the others stand.
    """

    groups: Groups | None

    @abstractmethod
    def flags(self, column: FlagColumn) -> Flags: ...

    @property
    def by_copies(self) -> Subsets[Subset]:
        """What was memorized of the examples that stand 1, 2-3, 4-15 and 16+ times in the training set, by tier.

        Raises:
            SpecError: Only a sample was scored.
        """
        self._check_whole("the number of copies")
        tiers = copy_tiers(self.distinct_rows.copies)
        names = {tier: "1 copy" if tier == "1" else f"{tier} copies" for tier in tiers}
        return Subsets("tier of copies", {tier: self.subset(names[tier], tiers[tier]) for tier in tiers})

    @property
    def by_group(self) -> Subsets[Subset]:
        """What was memorized of each group of the training set, by its name.

        Raises:
            SpecError: The training set names no column of groups, or only a sample was scored.
        """
        members = self.group_members
        assert self.groups is not None
        column = self.groups.column
        return Subsets(
            "group", {name: self.subset(without_commands(f"{column} {name}"), members[name]) for name in members}
        )

    @property
    def group_members(self) -> dict[str, Members]:
        """Indices among the n distinct examples of those of each group; raises as `by_group`."""
        self._check_whole("group")
        if self.groups is None:
            raise refused(
                SpecError(
                    f"A column of groups was expected of {self.scores.training_set.source}, and none is named: declare"
                    ' TrainingSet(…, group_column="…"), or set --kdmem-group-column.'
                )
            )
        return group_members(self.groups, self.scores.rows["example_id"].to_numpy(), self.distinct_rows)

    def subset(self, name: str, members: Flags | Members) -> Subset:
        """Return what was memorized of some of the n distinct examples.

        Args:
            name: What the examples have in common, in a few words.
            members: Whether each example is of the subset, bool ``[n]``, or the indices ``[m]`` of those that are.
        """
        verdicts = {column: self.flags(column)[members] for column in FLAG_COLUMNS}
        return Subset(
            f"{self.label} on {name}",
            self.example_ids[members],
            **verdicts,
            exhaustive=self.scores.record.exhaustive,
            confidence=self.confidence,
            model_digest=self.scores.checkpoint.digest,
        )

    def _check_whole(self, by: str) -> None:
        if not self.scores.record.exhaustive:
            raise refused(
                SpecError(
                    f"Figures by {by} were expected over a whole training set, and {self.scores.training_set.label} is"
                    " sampled, so that copies are not counted; audit it without --kdmem-sample (sample=)."
                )
            )
