"""A shard of token sequences of which the loss of each token is asked, and not what a model recites."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.engines.protocol import Floats

# Column of each model's losses, by the model's place in its task.
COLUMN = "losses.{}"


class LossShard(Shard):
    """Sequences of at least two tokens."""


def loss_rows(shard: LossShard, losses: Sequence[Sequence[Floats]]) -> pa.Table:
    """A row for each sequence: ``example_id``, ``digest``, and a column of losses for each model.

    Args:
        shard: The sequences.
        losses: For each model, the loss of each token of each sequence but its first, in nats.
    """
    columns = {
        "example_id": pa.array([example.position for example in shard.examples], pa.int64()),
        "digest": pa.array([example.digest for example in shard.examples], pa.string()),
    }
    values = {COLUMN.format(model): pa.array(rows, pa.list_(pa.float32())) for model, rows in enumerate(losses)}
    return pa.table(columns | values)
