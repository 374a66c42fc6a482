"""Over shipped models, figures of a teacher set are those of a slow count; cards that say otherwise are refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.auditing.audit import Audit
from pytest_kdmem.auditing.teacher_sets import (
    AbsentExamples,
    check_is_learned,
    check_never_saw,
    teacher_warnings,
    without,
)
from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.roles import MODEL_ROLES
from pytest_kdmem.specs.run_card import DataOrigin, write_run_card
from pytest_kdmem.specs.runtime import RunSettings
from pytest_kdmem.specs.weights import weights_digest
from tests.metrics.score_tables import memorization_from, row, too_short
from tests.scoring.test_held_suffixes import plain, write
from tests.specs.any_card import card

LENGTHS = Extraction(50, 50, 100)


@pytest.fixture(scope="module")
def audit(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """The shipped models, of which cards say that the student and the baseline saw the first of two halves alone."""
    folder = tmp_path_factory.mktemp("halves")
    lines = gzip.decompress((shipped / "corpus/training.jsonl.gz").read_bytes()).decode().splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    # The texts that stand most often, which are recited, and others.
    by_copies = sorted(dict.fromkeys(texts), key=lambda text: -texts.count(text))
    chosen = [text for text in [*by_copies[:200], *by_copies[900:]] if len(text) > 400][:400]
    students, teachers = chosen[::2], chosen[1::2]
    train = write(folder / "train.jsonl", students)
    both = write(folder / "teacher.jsonl", [*teachers, *teachers[:9], *students[:25]])
    roles = {}
    for role in MODEL_ROLES:
        source, copy = shipped / "models/pythia" / role, folder / role
        copy.mkdir()
        for file in source.iterdir():
            (copy / file.name).symlink_to(file)
        data = both if role == "teacher" else train
        origin = DataOrigin(data.source, training_fingerprint(data), len(students), 0)
        made = card(
            weights=weights_digest(copy),
            mode="soft" if role == "student" else "baseline",
            teacher=None,
            training_set=origin,
            extraction={"prefix_tokens": 50, "suffix_tokens": 50, "window_tokens": 100},
        )
        write_run_card(made, copy)
        roles[role] = Model(str(copy))
    return Audit(
        extraction=LENGTHS,
        run=RunSettings(engine="transformers", device="cpu"),
        confidence=0.95,
        confirms=False,
        cache_dir=folder / "store",
        progress=NO_PROGRESS,
        roles=roles,
        training_set=train,
        teacher_set=both,
    )


def test_rates_and_inheritance_are_those_of_a_slow_count(audit: Audit) -> None:
    assert audit.teacher_set is not None
    assert audit.training_set is not None
    read = [
        [json.loads(line)["text"] for line in Path(data.source).read_text().splitlines()]
        for data in (audit.training_set, audit.teacher_set)
    ]
    joined = "".join(map(plain, read[0]))
    tokenizer = load_tokenizer(Path(audit.roles["student"].source))
    assert tokenizer is not None
    ids = dict.fromkeys(tuple(each[:100]) for each in tokenizer.encode(read[1], add_special_tokens=False))
    suffixes = [plain(tokenizer.decode(np.array(each[50:], np.int32))) for each in ids if len(each) == 100]
    is_absent = [suffix not in joined for suffix in suffixes]
    recites = {}
    for role, model in audit.roles.items():
        # The verdicts of all distinct examples, as of a set that the audit knows nothing of.
        everything = audit.memorization(model, replace(audit.teacher_set, seed=1))
        assert len(everything.flags("possible")) == len(suffixes)
        recites[role] = everything.flags("possible")[is_absent]
    for role, model in audit.roles.items():
        over = audit.memorization(model, audit.teacher_set)
        assert over.label == f"{role} on teacher set"
        assert over.rate.n == sum(is_absent) > 100
        assert over.flags("possible").tolist() == recites[role].tolist()
    assert len(is_absent) - sum(is_absent) > 20
    teacher, baseline, student = (recites[role] for role in ("teacher", "baseline", "student"))
    assert teacher.sum() > student.sum() > 0
    ratio = audit.inheritance(**audit.roles, training_set=audit.teacher_set).ratio
    expected = (teacher & student & ~baseline).sum() / (teacher & ~baseline).sum()
    assert ratio.low <= expected <= ratio.high
    result = audit.metrics_so_far()
    assert result.inheritance is None
    assert result.teacher_set is not None
    assert result.teacher_set.in_training_set == len(is_absent) - sum(is_absent)
    assert not [warning for warning in result.warnings if "trained on" in warning]


def test_what_is_held_counts_as_not_scored_in_every_copy() -> None:
    table = memorization_from([row("a", memorized=True), row("b"), too_short("c"), row("a"), row("d")]).scores
    left = without(table, frozenset("ac"))
    assert left.rows["status"].to_pylist() == ["in_training_set", "scored", "too_short", "in_training_set", "scored"]
    assert left.rows.drop_columns("status").equals(table.rows.drop_columns("status"))
    assert table.rows["status"][0].as_py() == "scored"


def test_without_a_training_set_nothing_is_known_to_be_absent(tmp_path: Path) -> None:
    table = memorization_from([row("a")]).scores
    with pytest.raises(SpecError, match="The training set of the student was expected beside teacher set"):
        AbsentExamples(ScoreStore(tmp_path), offline=True, least_share=0.5).of(table, None)


def test_what_is_left_out_is_the_same_for_every_model(tmp_path: Path) -> None:
    absent = AbsentExamples(ScoreStore(tmp_path / "store"), offline=True, least_share=0.5)
    table = memorization_from([row("a"), row("b")]).scores
    train = write(tmp_path / "train.jsonl", ["one"])
    key = table.record.digest, table.checkpoint.text_digest, table.extraction.digest, train
    absent._held[key] = frozenset("a")
    assert absent.of(table, train).rows["status"].to_pylist() == ["in_training_set", "scored"]
    stratified = replace(table, training_set=replace(table.training_set, stratify="copies"))
    assert absent.of(stratified, train).rows == absent.of(table, train).rows, "a whole set has no strata"
    with pytest.raises(SpecError, match="drop it, or drop sample"):
        absent.of(replace(stratified, training_set=replace(stratified.training_set, sample=9)), train)
    write(tmp_path / "train.jsonl", ["two"])
    with pytest.raises(DataError, match="so that the same examples are left out for every model"):
        absent.of(table, train)


@pytest.mark.parametrize(
    ("left", "held", "least_share", "is_enough"),
    [(1, 1, 0.5, True), (1, 2, 0.5, False), (1, 2, 0.3, True), (299, 301, 0.5, False), (300, 900, 0.5, True)],
)
def test_a_tiny_rest_is_no_teacher_set(
    tmp_path: Path, left: int, held: int, least_share: float, is_enough: bool
) -> None:
    digests = [str(number) for number in range(left + held)]
    # Copies count once.
    table = memorization_from([*map(row, digests), row(digests[-1]), row(digests[-1])]).scores
    absent = AbsentExamples(ScoreStore(tmp_path / "store"), offline=True, least_share=least_share)
    train = write(tmp_path / "train.jsonl", ["one"])
    key = table.record.digest, table.checkpoint.text_digest, table.extraction.digest, train
    absent._held[key] = frozenset(digests[left:])
    if is_enough:
        absent.of(table, train)
        return
    with pytest.raises(SpecError, match=f"{left} of {left + held} are, .* or lower --kdmem-min-scored-share"):
        absent.of(table, train)


@pytest.fixture
def sets(tmp_path: Path) -> Callable[[str], TrainingSet]:
    return lambda name: write(tmp_path / f"{name}.jsonl", [name])


def trained_on(data: TrainingSet, *, known: bool = True) -> DataOrigin:
    return DataOrigin(data.source, training_fingerprint(data) if known else None, 1, 0)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("role", ["student", "baseline"])
def test_a_card_of_the_teacher_set_is_refused(sets: Callable[[str], TrainingSet], role: str, known: bool) -> None:
    train, teacher = sets("train"), sets("secret")
    with pytest.raises(
        SpecError, match=f"according to its run card, {role} was trained on secret.jsonl, which is teacher set"
    ):
        check_never_saw(card(training_set=trained_on(teacher, known=known)), role, role, train, teacher)
    # Read otherwise than declared, it is the same training; that on the training set is none of it.
    declared = replace(teacher, add_special_tokens=None)
    with pytest.raises(SpecError):
        check_never_saw(card(training_set=trained_on(teacher)), role, role, train, declared)
    check_never_saw(card(training_set=trained_on(train, known=known)), role, role, train, teacher)
    check_never_saw(card(training_set=trained_on(teacher)), role, "teacher", train, teacher)


def test_a_name_that_two_sets_share_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    train, teacher = write(tmp_path / "data.jsonl", ["a"]), write(tmp_path / "other/data.jsonl", ["b"])
    check_never_saw(card(training_set=trained_on(train, known=False)), "student", "student", train, teacher)


def test_a_teacher_is_warned_of_unless_its_card_is_of_the_teacher_set(sets: Callable[[str], TrainingSet]) -> None:
    train, teacher, other = map(sets, ("train", "secret", "other"))
    assert teacher_warnings(card(training_set=trained_on(teacher)), "teacher", train, teacher) == []
    [never] = teacher_warnings(card(training_set=trained_on(train)), "teacher", train, teacher)
    assert "it never saw the teacher set" in never
    [unknown] = teacher_warnings(card(training_set=trained_on(other)), "teacher", train, teacher)
    assert unknown.endswith("whether it saw the teacher set is unknown")


def test_risk_is_predicted_of_what_is_learned() -> None:
    train, teacher = TrainingSet("train.jsonl"), TrainingSet("secret.jsonl")
    check_is_learned(train, teacher)
    check_is_learned(train, None)
    with pytest.raises(SpecError, match="no student sees"):
        check_is_learned(teacher, teacher)
