"""Examples are read again as they were scored: from the set, no further than needed, or from a sample in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.errors import DataError, EngineError
from pytest_kdmem.scoring import read_examples as module
from pytest_kdmem.scoring.check_sample import Expected
from pytest_kdmem.scoring.drawn_sets import DRAWN_SETS
from pytest_kdmem.scoring.read_examples import read_examples
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

EXTRACTION = Extraction(6, 6, 16)
ROWS = np.random.default_rng(0).integers(1, 290, (40, 16), dtype=np.int32)


@pytest.fixture(autouse=True)
def _nothing_drawn_before() -> None:
    DRAWN_SETS.forget()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "rows.jsonl", ROWS)


def write(path: Path, rows: Sequence[np.ndarray], end: str = "") -> Path:
    path.write_text("".join(json.dumps({"input_ids": row.tolist()}) + "\n" for row in rows) + end)
    return path


def scored(tiny: Path, path: Path, sample: int | None = None) -> ScoreTable:
    settings = RunSettings(device="cpu", accept_reading="noise")
    store, data = ScoreStore(path.parent / "store"), TrainingSet(path, sample=sample)
    return score(Model(tiny), data, EXTRACTION, store, settings=settings, metrics="verdict")


def expected(scores: ScoreTable, rows: Sequence[int]) -> list[Expected]:
    columns = scores.rows.take(list(rows)).select(["example_id", "digest"]).to_pylist()
    return [Expected(row["example_id"], row["digest"], False, False, None) for row in columns]


def test_the_set_is_read_no_further_than_the_last_example(tiny: Path, path: Path) -> None:
    """A malformed line stands far behind it, where a reader that goes on fails."""
    scores = scored(tiny, path)
    write(path, [*ROWS[:24], *np.concatenate([ROWS] * 10)], end="{")
    examples = read_examples(scores, expected(scores, [3, 20]), offline=True)
    assert [example.position for example in examples] == [3, 20]
    np.testing.assert_array_equal([example.ids for example in examples], ROWS[[3, 20]])
    with pytest.raises(DataError, match="malformed"):
        list(stream_examples(scores.training_set, None, EXTRACTION))


def test_nothing_is_read_for_no_example(tiny: Path, path: Path) -> None:
    scores = scored(tiny, path)
    path.unlink()
    assert read_examples(scores, [], offline=True) == []


@pytest.mark.parametrize("sample", [None, 9])
def test_examples_that_were_changed_since_are_refused(tiny: Path, path: Path, sample: int | None) -> None:
    scores = scored(tiny, path, sample)
    wanted = expected(scores, [2, 5])
    write(path, ROWS[::-1])
    with pytest.raises(EngineError, match=r"rows\.jsonl were expected as they were scored, and 2 of the 2 to"):
        read_examples(scores, wanted, offline=True)


def test_a_sample_of_this_process_is_not_read_again(tiny: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = scored(tiny, path, 9)
    wanted = expected(scores, [7, 1, 4])
    streamed = read_examples(replace(scores, record=replace(scores.record, read_as="")), wanted, offline=True)

    def refuse(*arguments: object, **settings: object) -> None:
        raise AssertionError("the set was read")

    monkeypatch.setattr(module, "stream_examples", refuse)
    kept = read_examples(scores, wanted, offline=True)
    for first, second in zip(kept, streamed, strict=True):
        assert (first.position, first.digest) == (second.position, second.digest)
        np.testing.assert_array_equal(first.ids, second.ids)
    for changed in (
        replace(scores, record=replace(scores.record, read_as="another")),
        replace(scores, model=Model(tiny, trust_remote_code=True)),
        replace(scores, training_set=TrainingSet(path, sample=10)),
    ):
        with pytest.raises(AssertionError, match="the set was read"):
            read_examples(changed, wanted, offline=True)


def test_what_is_not_of_the_sample_is_read(tiny: Path, path: Path) -> None:
    scores = scored(tiny, path, 9)
    drawn = set(scores.rows["example_id"].to_pylist())
    other = next(position for position in range(len(ROWS)) if position not in drawn)
    examples = stream_examples(scores.training_set, None, EXTRACTION)
    example = next(each for each in examples if each.position == other)
    wanted = [*expected(scores, [0]), Expected(other, example.digest, False, False, None)]
    assert {each.position for each in read_examples(scores, wanted, offline=True)} == {wanted[0].example_id, other}
