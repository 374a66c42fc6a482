"""A shard of losses has a row for each sequence, and a column for each model."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.scoring.loss_shard import LossShard, loss_rows


def test_rows_hold_the_losses_of_each_model():
    """By the model's place in its task, in single precision; the first token of a sequence has no loss."""
    examples = tuple(Example(at, np.arange(length, dtype=np.int32)) for at, length in enumerate((2, 5)))
    losses = [[np.full(len(example.ids) - 1, model, np.float32) for example in examples] for model in (1, 2)]
    rows = loss_rows(LossShard(examples), losses)
    assert rows["example_id"].to_pylist() == [0, 1]
    assert rows["digest"].to_pylist() == [example.digest for example in examples]
    assert rows["losses.0"].to_pylist() == [[1.0], [1.0] * 4]
    assert rows["losses.1"].to_pylist() == [[2.0], [2.0] * 4]
    assert rows.schema.field("losses.1").type == pa.list_(pa.float32())
