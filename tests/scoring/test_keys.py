"""Keys of stored rows: another model, numerics or length is another key, and rows of all metrics serve for verdicts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_kdmem.scoring.keys import pair_key, row_keys
from pytest_kdmem.specs.declared import Extraction


def job(metrics="verdict", *, model="a" * 64, numerics="b" * 64, extraction=None):
    lengths = extraction or Extraction(12, 8, 20)
    digests = [SimpleNamespace(digest=digest) for digest in (model, numerics)]
    return SimpleNamespace(metrics=metrics, checkpoint=digests[0], numerics=digests[1], extraction=lengths)


def pair(*jobs):
    return SimpleNamespace(jobs=jobs, teacher=jobs[0])


def test_rows_of_all_metrics_serve_for_verdicts_and_verdicts_for_nothing_else():
    verdicts, everything = row_keys(job()), row_keys(job("all"))
    assert len(set(verdicts)) == 4
    assert everything == verdicts[:1]


def test_verdicts_are_found_where_every_version_stored_them():
    assert row_keys(job())[-1] == "aaaaaaaaaaaaaaaa-a9debb6e-bbbbbbbb"


@pytest.mark.parametrize("change", [{"model": "c" * 64}, {"numerics": "c" * 64}, {"extraction": Extraction(12, 7, 20)}])
def test_what_changes_rows_changes_every_key(change):
    assert not set(row_keys(job())) & set(row_keys(job(**change)))
    other = job(**change)
    assert pair_key(pair(job(), job())) != pair_key(pair(other, other))


def test_divergence_is_of_models_in_their_order():
    first, second = job(), job(model="c" * 64)
    assert pair_key(pair(first, second)) != pair_key(pair(second, first))
