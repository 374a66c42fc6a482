"""What strata take beyond a sample is read as the sample is, and is another corpus than it."""

from __future__ import annotations

from dataclasses import fields

import pytest

from pytest_kdmem.corpus.sources import fingerprint
from pytest_kdmem.corpus.strata_of import strata_of
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import TrainingSet


def test_all_that_a_set_declares_stays_declared() -> None:
    declared = TrainingSet("a.jsonl", sample=5, seed=3, text_column="body", stratify="group", group_column="owner")
    read = strata_of(declared)
    assert {field.name: getattr(read, field.name) for field in fields(TrainingSet)} == {
        field.name: getattr(declared, field.name) for field in fields(TrainingSet)
    }
    assert read != declared


def test_groups_are_strata_where_a_column_names_them() -> None:
    with pytest.raises(SpecError, match=r"A column of groups was expected .*\(--kdmem-group-column\)"):
        TrainingSet("a.jsonl", sample=5, stratify="group")


def test_each_way_to_stratify_is_a_corpus_of_its_own_and_the_random_sample_is_the_same(tmp_path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "owner": "b"}\n')
    ways = [
        {"stratify": "copies"}, {"stratify": "copies", "stratum_sample": 7},
        {"stratify": "group", "group_column": "owner"}, {"stratify": "group", "group_column": "text"},
    ]  # fmt: skip
    sets = [TrainingSet(str(tmp_path / "a.jsonl"), sample=5, **way) for way in ways]
    plain = {fingerprint(declared) for declared in sets}
    assert len(plain) == 1
    assert len({fingerprint(strata_of(declared)) for declared in sets} | plain) == 5
    by_default = TrainingSet(sets[0].source, sample=5, stratify="copies", stratum_sample=300)
    assert fingerprint(strata_of(by_default)) == fingerprint(strata_of(sets[0]))
