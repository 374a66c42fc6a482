"""Samples of a training come in its order, and an order that does not fit its data is one sentence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.corpus.sources import check_source, expected_examples, fingerprint, read_documents
from pytest_kdmem.errors import KdmemError
from pytest_kdmem.specs.declared import TrainingSet
from tests.corpus.megatron_files import write_order, write_pair

ROWS = [list(range(start, start + size)) for start, size in ((100, 7), (200, 1), (300, 20), (400, 2), (500, 9))]


def read(path, order, **declared):
    return [row.tolist() for row in read_documents(TrainingSet(path, order=order, **declared))]


@given(
    st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=8), min_size=2, max_size=8),
    st.integers(1, 7), st.integers(0, 9),
)  # fmt: skip
def test_samples_are_those_of_the_training_in_its_order(tmp_path_factory, rows, length, seed):
    folder = tmp_path_factory.mktemp("order")
    path = write_pair(folder / "a.bin", rows)
    order, samples = write_order(folder, rows, length, seed)
    if samples:
        assert read(path, order) == samples
        assert expected_examples(TrainingSet(path, order=order)) == len(samples)


def test_both_ways_to_name_the_files_are_read(tmp_path):
    path = write_pair(tmp_path / "a.bin", ROWS)
    order, samples = write_order(tmp_path, ROWS, 4)
    for old, new in (("doc_idx", "document_index"), ("sample_idx", "sample_index"), ("shuffle_idx", "shuffle_index")):
        order.with_name(f"set_train_indexmap_{old}.npy").rename(tmp_path / f"0a-GPTDataset-train-{new}.npy")
    assert read(path, tmp_path / "0a-GPTDataset-train-shuffle_index.npy") == samples


def test_samples_that_training_did_not_take_are_left_out(tmp_path):
    path = write_pair(tmp_path / "a.bin", ROWS)
    order, samples = write_order(tmp_path, ROWS, 4, name="_3ns_4sl_1234s")
    assert len(samples) > 3
    assert read(path, order) == samples[:3]
    assert expected_examples(TrainingSet(path, order=order)) == 3


def test_the_fingerprint_covers_the_order(tmp_path):
    path = write_pair(tmp_path / "a.bin", ROWS)
    orders = [write_order(tmp_path, ROWS, 4, seed, name=f"_{seed}s")[0] for seed in range(3)]
    assert len({fingerprint(TrainingSet(path, order=order)) for order in (None, *orders)}) == 4


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("shuffle", np.array([99]), r"Places of \d+ samples were expected in .*shuffle_idx\.npy; found 99"),
        ("shuffle", np.array([-1]), r"found -1"),
        ("shuffle", np.array([0.5]), r"Whole numbers, row by row, were expected in .*found float64 of shape \[1\]"),
        ("sample", np.array([[9, 0]] * 20), r"Documents from 0 to below 5 were expected in .*begins in 9"),
        ("sample", np.array([[3, 0], [1, 0]] * 10), r"begins in \d and ends in \d"),
        ("sample", np.array([[0, 999]] * 20), r"Tokens of document \d, which has \d+, were expected"),
        ("sample", np.arange(5), r"Pairs of document and token were expected"),
        (
            "doc",
            np.array([7] * 5),
            r"Documents from 0 to below 5 were expected in .*found 7: it is the order of another",
        ),
    ],
)
def test_an_order_that_does_not_fit_is_one_sentence(tmp_path, name, values, message):
    path = write_pair(tmp_path / "a.bin", ROWS)
    order, _ = write_order(tmp_path, ROWS, 4)
    np.save(order.with_name(f"set_train_indexmap_{name}_idx.npy"), values)
    with pytest.raises(KdmemError, match=message) as raised:
        read(path, order)
    assert "\n" not in str(raised.value)


def test_an_order_that_is_not_whole_or_not_of_a_pair_is_refused(tmp_path):
    path = write_pair(tmp_path / "a.bin", ROWS)
    order, _ = write_order(tmp_path, ROWS, 4)
    for data, message in (
        (TrainingSet(path, order=tmp_path / "order.npy"), r"The order of samples was expected in a file …_shuffle_idx"),
        (TrainingSet(path, order=tmp_path / "x_shuffle_idx.npy"), r"side by side; there is no .*x_shuffle_idx\.npy"),
        (TrainingSet(path, order=order, form="blocks"), r'cut already.*drop form="blocks"'),
        (TrainingSet(tmp_path / "a.txt", order=order), r"A \.bin file of this machine with its index was expected"),
    ):
        (tmp_path / "a.txt").write_text("one")
        with pytest.raises(KdmemError, match=message):
            check_source(data)
