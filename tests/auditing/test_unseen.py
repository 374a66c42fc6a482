"""What a least length leaves out counts as not looked at, unless a run card says that training left it out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_kdmem.auditing.unseen import left_out_warning, unseen_copies, was_left_out_by_training
from pytest_kdmem.corpus.copy_counts import CopyCount
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.run_card import DataOrigin
from tests.metrics.score_tables import memorization_from, row
from tests.specs.any_card import card

SHORT, SHORTER = (CopyCount(16, 1, 30, 30),), (CopyCount(1, 5, 3, 9), CopyCount(24, 2, 10, 12))


@pytest.fixture
def data(tmp_path: Path) -> TrainingSet:
    np.save(tmp_path / "notes.npy", np.arange(40).reshape(4, 10))
    return TrainingSet(tmp_path / "notes.npy", minimum_tokens=100)


def scores_over(data: TrainingSet) -> ScoreTable:
    scores = memorization_from([row("a")]).scores
    return replace(scores, training_set=data, record=replace(scores.record, short=SHORT, shorter=SHORTER))


def origin(fingerprint: str | None, **reading: Any) -> DataOrigin:
    return DataOrigin("notes.npy", fingerprint, 4, 40, reading=reading)


def test_training_left_out_what_its_run_card_says_that_it_left_out(data: TrainingSet) -> None:
    own = training_fingerprint(data)
    assert not was_left_out_by_training(None, data)
    for training_set, expected in (
        (origin(own), True),
        (origin("other"), False),
        (origin(None), False),
        (origin(None, minimum_tokens=99), False),
        (origin(None, minimum_tokens=100), True),
        (origin("other", minimum_tokens=256), True),
        (replace(origin(None), reading=None), False),
    ):
        made = card(training_set=training_set)
        assert was_left_out_by_training(made, data) == expected
        unseen = unseen_copies(scores_over(data), made, 3)
        assert (unseen.short, unseen.shorter) == (SHORT, () if expected else SHORTER)
        assert bool(left_out_warning(unseen)) != expected


def test_what_is_left_out_is_warned_of_whatever_is_allowed(data: TrainingSet) -> None:
    [warning] = left_out_warning(unseen_copies(scores_over(data), None, 1_000_000))
    assert warning == (
        "minimum_tokens leaves 7 distinct documents out of notes.npy (one stands there 24 times), and no run card says"
        " that training left them out: what stands often is recited first"
    )
    assert unseen_copies(scores_over(data), None, 23).set_name == "notes.npy"
    once = replace(unseen_copies(scores_over(data), None, 3), shorter=SHORTER[:1])
    assert left_out_warning(once) == []
