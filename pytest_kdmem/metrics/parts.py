"""What a model memorized of parts of its training set: by the number of copies, and by group."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.corpus.copy_tiers import TIERS
from pytest_kdmem.corpus.drawing import Stratum
from pytest_kdmem.corpus.groups import Groups
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import without_commands
from pytest_kdmem.metrics.by_copies import copy_tiers, short_copies_by_tier
from pytest_kdmem.metrics.by_group import Members, drawn_members, group_members, most_short_copies, rows_too_short
from pytest_kdmem.metrics.flags import FLAG_COLUMNS, FlagColumn
from pytest_kdmem.metrics.recorder import refused
from pytest_kdmem.metrics.scored_examples import ScoredExamples
from pytest_kdmem.metrics.subsets import Subset, Subsets
from pytest_kdmem.metrics.verdict import Verdict
from pytest_kdmem.specs.reading_kinds import Stratify

NONE = np.empty(0, np.int64)
TIER_NAMES = {tier: "1 copy" if tier == "1" else f"{tier} copies" for tier in TIERS}


class InParts(ScoredExamples, ABC):
    """Base of what a model memorized, which gives the same of each part of the training set.

    Over a whole training set every rate is exact but for ambiguous verdicts, so that the bounds of all parts hold at
    once, however many there are. Over a sample the examples of a part are a random sample of the part, so that its
    bounds are Clopper–Pearson's, each at a confidence with which those of all g parts hold at once (Bonferroni:
    1 − (1 − confidence) / g). A part of which no example was looked at has an undefined rate, which passes no gate.
    """

    groups: Groups | None
    beyond: InParts | None

    @abstractmethod
    def flags(self, column: FlagColumn) -> Flags: ...

    @cached_property
    def by_copies(self) -> Subsets[Subset]:
        """What was memorized of the examples that stand 1, 2-3, 4-15 and 16+ times in the training set, by tier.

        Tiers without an example in the training set are left out; if a sample does not tell whether there are any,
        none is.
        """
        members = {tier: np.flatnonzero(is_member) for tier, is_member in copy_tiers(self.copies).items()}
        if (strata := self._strata("copies")) is not None:
            tiers = list(TIERS)
            members = {tiers[index]: members[tiers[index]] for index in strata}
        elif self.scores.record.exhaustive:
            members = {tier: indices for tier, indices in members.items() if len(indices)}
        not_shown = self._not_shown_by_tier()
        # Of what stands so often nothing may have been long enough, so that the tier would be missing.
        members = {tier: members.get(tier, NONE) for tier in TIERS if tier in members or tier in not_shown}
        short_copies = short_copies_by_tier(self._copies_of_short)
        return self._subsets("copies", members, TIER_NAMES, short_copies=short_copies, not_shown=not_shown)

    def _not_shown_by_tier(self) -> dict[str, Verdict]:
        """Verdict of comparisons of each tier with examples that stand too often and were not looked at."""
        ends = [*(least - 1 for least in list(TIERS.values())[1:]), math.inf]
        verdicts = {
            tier: self.unseen.verdict(least, most) if self.unseen is not None else None
            for (tier, least), most in zip(TIERS.items(), ends, strict=True)
        }
        return {tier: verdict for tier, verdict in verdicts.items() if verdict is not None}

    @property
    def _copies_of_short(self) -> npt.NDArray[np.int64]:
        """Number of copies of each example that is too short ``[s]``."""
        if short := self.scores.record.short:
            return np.repeat([each.copies for each in short], [each.distinct for each in short])
        short = self.scores.rows.filter(pc.equal(self.scores.rows["status"], "too_short"))["digest"]
        return np.asarray(pc.value_counts(short).field("counts").to_numpy(zero_copy_only=False), dtype=np.int64)

    @cached_property
    def by_group(self) -> Subsets[Subset]:
        """What was memorized of each group of the training set, by its name.

        Raises:
            SpecError: The training set names no column of groups.
        """
        if self.groups is None:
            raise refused(
                SpecError(
                    f"A column of groups was expected of {self.scores.training_set.source}, and none is named: declare"
                    ' TrainingSet(…, group_column="…"), or set --kdmem-group-column.'
                )
            )
        rows, column = self.scores.rows, self.groups.column
        labels = {name: without_commands(f"{column} {name}") for name in self.groups.names}
        if self.is_drawn:
            members = drawn_members(self.groups, self.example_ids, self.scores.record.copies)
            # Whose the examples are that are too short is not known of a sample.
            not_shown = dict.fromkeys(members, self.not_shown)
            return self._subsets("group", members, labels, not_shown=not_shown)
        positions = rows["example_id"].to_numpy()
        members = group_members(self.groups, positions, self.distinct_rows)
        is_short = pc.equal(rows["status"], "too_short").to_numpy()
        too_short = rows_too_short(self.groups, positions, is_short)
        short_copies = most_short_copies(self.groups, positions, is_short, rows["digest"])
        unseen = self.unseen
        not_shown = {name: unseen.verdict_of_group(most) for name, most in short_copies.items()} if unseen else {}
        return self._subsets("group", members, labels, too_short, short_copies, not_shown)

    def subset(self, name: str, members: Members) -> Subset:
        """Return what was memorized of some of the n distinct examples.

        Args:
            name: What the examples have in common, in a few words.
            members: Their indices ``[m]``.
        """
        memorized, sure, possible = (self.flags(column)[members] for column in FLAG_COLUMNS)
        return Subset(
            f"{self.label} on {name}",
            self.example_ids[members],
            memorized,
            sure,
            possible,
            exhaustive=self.scores.record.exhaustive,
            confidence=self.confidence,
            model_digest=self.scores.checkpoint.digest,
            name=name,
            set_name=self.set_name,
        )

    def _subsets(
        self,
        by: Stratify,
        members: Mapping[str, Members],
        labels: Mapping[str, str],
        too_short: Mapping[str, int] | None = None,
        short_copies: Mapping[str, int] | None = None,
        not_shown: Mapping[str, Verdict | None] | None = None,
    ) -> Subsets[Subset]:
        """The parts of the training set by name, from the indices of their members."""
        is_whole = self.scores.record.exhaustive
        confidence = self.confidence if is_whole else 1 - (1 - self.confidence) / max(len(members), 1)
        subsets = {
            name: replace(
                self.subset(labels[name], indices),
                confidence=confidence,
                too_short=(too_short or {}).get(name, 0),
                short_copies=(short_copies or {}).get(name, 0),
                not_shown=(not_shown or {}).get(name),
                part=by,
            )
            for name, indices in members.items()
        }
        names = self._names(by)
        for index, stratum in (self._strata(by) or {}).items():
            subsets[names[index]] = self._with_stratum(subsets[names[index]], stratum, labels[names[index]])
        return Subsets("group" if by == "group" else "tier of copies", subsets)

    def _with_stratum(self, of_sample: Subset, stratum: Stratum, label: str) -> Subset:
        """A part as the random sample holds it, with what it takes beyond that as a stratum."""
        assert self.beyond is not None
        drawn = np.array(stratum.drawn, dtype=np.int64)
        beyond = self.beyond.subset(label, np.searchsorted(self.beyond.example_ids, drawn))
        memorized, sure, possible = (
            np.concatenate([getattr(of_sample, column), getattr(beyond, column)]) for column in FLAG_COLUMNS
        )
        return replace(
            of_sample,
            example_ids=np.concatenate([of_sample.example_ids, beyond.example_ids]),
            memorized=memorized,
            sure=sure,
            possible=possible,
            exhaustive=len(memorized) == stratum.size,
        )

    def _names(self, by: Stratify) -> tuple[str, ...]:
        if by == "copies":
            return tuple(TIERS)
        return () if self.groups is None else self.groups.names

    def _strata(self, by: Stratify) -> dict[int, Stratum] | None:
        """The strata by index of a sample that is stratified so; None of any other set."""
        if self.beyond is None or self.scores.training_set.stratify != by:
            return None
        return {stratum.index: stratum for stratum in self.beyond.scores.record.strata}
