"""A hub data set is read file by file, or refused in one sentence. A local folder has the same layout as the hub."""

from __future__ import annotations

import json
import pickle

import pytest

from pytest_kdmem.corpus.hub import hub_readers
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import TrainingSet


@pytest.fixture
def repository(tmp_path):
    """A data set of two files in a split."""
    for number in range(2):
        rows = [{"text": f"text {number} {row}"} for row in range(3)]
        (tmp_path / f"train-{number}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_each_file_has_a_reader_and_they_come_in_order(repository):
    readers = hub_readers(TrainingSet(str(repository)), offline=True)
    assert len(readers) == 2
    assert [list(reader()) for reader in readers] == [[f"text {file} {row}" for row in range(3)] for file in range(2)]


def test_a_reader_can_be_sent_to_another_process_and_called_twice(repository):
    reader = pickle.loads(pickle.dumps(hub_readers(TrainingSet(str(repository)), offline=True)[1]))
    assert list(reader()) == list(reader()) == [f"text 1 {row}" for row in range(3)]


def test_a_missing_column_is_named_with_its_row_and_file(repository):
    readers = hub_readers(TrainingSet(str(repository), text_column="body"), offline=True)
    with pytest.raises(DataError, match=r"'body' was expected in row 0 of file 2 of .*; found text"):
        list(readers[1]())


@pytest.mark.parametrize("how", [{"split": "test"}, {"config": "other"}], ids=str)
def test_what_cannot_be_read_is_one_sentence_that_names_all_that_was_asked_for(repository, how):
    with pytest.raises(
        DataError, match=rf"config {how.get('config')}, split {how.get('split', 'train')}\) was expected"
    ):
        hub_readers(TrainingSet(str(repository), **how), offline=True)


@pytest.mark.parametrize("source", ["someone/data", "nemotron-cc-v2"])
def test_nothing_is_downloaded_offline(source):
    with pytest.raises(DataError, match=rf"Training set {source} lies on the hub, and --kdmem-offline forbids"):
        hub_readers(TrainingSet(source), offline=True)
