"""The groups of the rows of an audit's training sets, each set read once."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_kdmem.base.text import count
from pytest_kdmem.corpus.groups import Groups, check_one_example_a_row, read_groups
from pytest_kdmem.corpus.sources import fingerprint
from pytest_kdmem.errors import DataError
from pytest_kdmem.errors.harmless import listed, named, quoted
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.table import ScoreTable, digests_in_training_set
from pytest_kdmem.specs.declared import TrainingSet


@dataclass
class GroupsOfSets:
    """Groups that were read, by training set and the digest of its source."""

    _groups: dict[tuple[TrainingSet, str], Groups] = field(default_factory=dict)

    def of(self, scores: ScoreTable, source_digest: str, *, offline: bool) -> Groups | None:
        """Return the groups of the rows of a training set; None if it names no column of groups.

        Args:
            scores: Scores of a model over the set.
            source_digest: Digest of the set's source when it was scored; empty if it has none.
            offline: Whether the set must be read without a connection.

        Raises:
            DataError: The source cannot be read, or was changed since it was scored.
            SpecError: The examples are not rows of the source.
        """
        training_set = scores.training_set
        if training_set.group_column is None:
            return None
        if (training_set, source_digest) not in self._groups:
            groups = read_groups(training_set, offline=offline)
            if (fingerprint(training_set) or "") != source_digest:
                raise DataError(
                    f"Training set {training_set.source} was expected to stay as it is while its groups are read, and"
                    " it was changed; audit it again."
                )
            self._groups[training_set, source_digest] = groups
        groups = self._groups[training_set, source_digest]
        check_one_example_a_row(groups, training_set, scores.record.examples)
        return groups


def looked_at_warnings(memorization: Memorization) -> list[str]:
    """Return a sentence on groups of which no example was looked at, and what to do about them."""
    if memorization.groups is None or not (unseen := memorization.by_group.not_looked_at):
        return []
    column, groups = quoted(memorization.groups.column), len(memorization.by_group)
    seen = f"{count(groups - len(unseen))} of {count(groups)} groups of column {column}"
    whose = f"{named(memorization.scores.training_set.source)}: an example of {seen} was looked at, and none of"
    if memorization.scores.record.exhaustive:
        held = " or in the training set" if digests_in_training_set(memorization.scores.rows) else ""
        return [f"{whose} {listed(unseen)}, whose rows are all too short{held}"]
    how = "set shorter lengths" if memorization.beyond is not None else "--kdmem-stratify group draws some of each"
    return [f"{whose} {listed(unseen)}: {how}, or raise --kdmem-sample"]
