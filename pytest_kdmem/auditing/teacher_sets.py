"""The teacher set of an audit: what only the teacher saw, without the examples that the student's data hold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.text import count, last_part, percent
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.corpus.special_tokens import possible_fingerprints
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.scoring.held_suffixes import held_suffixes
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import IN_TRAINING_SET, ScoreTable
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.run_card import RunCard

# So many examples tell much, whatever was left out beside them: 0 of 300 bounds a rate by 1 % at a confidence of 95 %.
ENOUGH = 300
NEVER_SAW_IT = ("student", "baseline")


@dataclass(frozen=True)
class AbsentExamples:
    """Takes out of scores over a teacher set what stands in a training set.

    Args:
        store: Where it is kept which examples these are.
        offline: Whether sets must be read without a connection.
        least_share: Least share of the examples that must be left, unless they are `ENOUGH`, from 0 to 1.
    """

    store: ScoreStore
    offline: bool
    least_share: float
    _held: dict[tuple[object, ...], frozenset[str]] = field(default_factory=dict)
    _contents: dict[TrainingSet, str | None] = field(default_factory=dict)

    def of(self, scores: ScoreTable, training_set: TrainingSet | None) -> ScoreTable:
        """Return scores in which the examples whose suffix stands in the training set count as not scored.

        Raises:
            SpecError: The audit declares no training set, it holds all or nearly all of the examples, or the teacher
                set has strata.
            KdmemError: A set cannot be read, or was changed since another model was scored.
        """
        teacher_set = scores.training_set
        if training_set is None:
            raise SpecError(
                f"The training set of the student was expected beside teacher set {teacher_set.source}, so that it is"
                " known what the student did not see, and none is declared; declare training_set."
            )
        if teacher_set.stratify is not None and teacher_set.sample is not None:
            raise SpecError(
                f"A teacher set without strata was expected; found stratify={teacher_set.stratify!r} of"
                f" {teacher_set.source}, whose strata would hold what is left out: drop it, or drop sample."
            )
        content = training_fingerprint(training_set)
        if self._contents.setdefault(training_set, content) != content:
            raise DataError(
                f"Training set {training_set.source} was expected to stay as it is, so that the same examples are left"
                " out for every model, and it was changed; audit it again."
            )
        key = scores.record.digest, scores.checkpoint.text_digest, scores.extraction.digest, training_set
        if key not in self._held:
            self._held[key] = held_suffixes(scores, training_set, self.store, offline=self.offline)
        absent = without(scores, self._held[key])
        held = len(self._held[key])
        left = pc.count_distinct(absent.rows["digest"].filter(pc.equal(absent.rows["status"], "scored"))).as_py()
        if not left:
            raise SpecError(
                f"Examples that the student was not trained on were expected in teacher set {teacher_set.source}, and"
                f" the suffixes of all {count(held)} stand in training set {training_set.source}; give"
                " text that only the teacher saw."
            )
        if left < min(ENOUGH, self.least_share * (left + held)):
            raise SpecError(
                f"At least {percent(self.least_share)} of the examples of teacher set {teacher_set.source}, or"
                f" {ENOUGH} of them, were expected to be absent from training set {training_set.source}, and"
                f" {count(left)} of {count(left + held)} are, so a figure would cover almost none of what was"
                " declared; give text that only the teacher saw, or lower --kdmem-min-scored-share."
            )
        return absent


def without(scores: ScoreTable, held: frozenset[str]) -> ScoreTable:
    """Return scores in which the examples of some digests count as not scored."""
    rows, status = scores.rows, scores.rows["status"]
    is_held = pc.and_(pc.equal(status, "scored"), pc.is_in(rows["digest"], pa.array(sorted(held), pa.string())))
    column = pc.if_else(is_held, IN_TRAINING_SET, status)
    held_ids = set(rows["example_id"].filter(is_held).to_pylist())
    return replace(
        scores,
        record=replace(scores.record, copies=tuple(ids for ids in scores.record.copies if ids[0] not in held_ids)),
        rows=rows.set_column(rows.schema.get_field_index("status"), "status", column),
    )


def check_is_learned(training_set: TrainingSet, teacher_set: TrainingSet | None) -> None:
    """Raise SpecError if the risk of a set is to be predicted that no student will be trained on."""
    if training_set == teacher_set:
        raise SpecError(
            f"A set that a student will be trained on was expected to predict risk of; {training_set.source} is the"
            " teacher set, which no student sees: predict it of the training set."
        )


def check_never_saw(
    card: RunCard, subject: str, role: str, training_set: TrainingSet | None, teacher_set: TrainingSet
) -> None:
    """Check that the run card of a student or a baseline does not say that it was trained on the teacher set.

    Raises:
        SpecError: It says so.
    """
    if role not in NEVER_SAW_IT or not _is_of(card, teacher_set) or _is_named_by(card, training_set):
        return
    raise SpecError(
        f"A {role} that was never trained on the teacher set was expected, and according to its run card,"
        f" {subject} was trained on {last_part(card.training_set.source)}, which is teacher set {teacher_set.name};"
        f" give text that only the teacher saw, or another {role}."
    )


def teacher_warnings(
    card: RunCard, subject: str, training_set: TrainingSet | None, teacher_set: TrainingSet
) -> list[str]:
    """Warn of a teacher of which its run card does not say that it was trained on the teacher set."""
    if _is_of(card, teacher_set):
        return []
    trained = f"according to its run card, {subject} was trained on {last_part(card.training_set.source)}"
    if training_set is not None and _is_of(card, training_set):
        return [f"{trained}, which is the training set: it never saw the teacher set, so nothing of that set can leak"]
    return [f"{trained}, which is not the teacher set: whether it saw the teacher set is unknown"]


def _is_of(card: RunCard, declared: TrainingSet) -> bool:
    """Whether a card names a set as the one of training: by its content, or where that is not known, by its name."""
    fingerprint = training_fingerprint(declared)
    if fingerprint is None or card.training_set.fingerprint is None:
        return card.training_set.name == declared.name
    return card.training_set.fingerprint in possible_fingerprints(declared)


def _is_named_by(card: RunCard, training_set: TrainingSet | None) -> bool:
    """Whether a card names the training set, as it may where two sets have one name and unknown content."""
    return training_set is not None and _is_of(card, training_set)
