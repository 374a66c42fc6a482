"""What a stored row says of every token of its example's window, as bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.protocol import Floats, Windows
from pytest_kdmem.specs.declared import Extraction


def window_columns(examples: Sequence[Example], windows: Windows, extraction: Extraction) -> dict[str, pa.Array]:
    """The columns of `table.WINDOW_SCHEMA` of scored examples.

    Bit i of ``hits`` is 1 if token i + 1 has a margin of at least 0, and of ``unsure`` if its margin is near 0.
    """
    within = windows.unsure_within.tolist()
    places = (slice(example.start(extraction) - 1, example.end(extraction) - 1) for example in examples)
    return {
        "tokens": pa.array([len(example.ids) for example in examples], pa.int32()),
        "suffix_at": pa.array([example.start(extraction) for example in examples], pa.int32()),
        "hits": pa.array([pack_bits(margins >= 0) for margins in windows.margins], pa.binary()),
        "unsure": pa.array(
            [pack_bits(np.abs(margins) <= width) for margins, width in zip(windows.margins, within, strict=True)],
            pa.binary(),
        ),
        "min_k": pa.array(windows.min_k, pa.float32()),
        "min_k_plus": pa.array(windows.min_k_plus, pa.float32()),
        "shortfall": pa.array(
            [
                least_shortfall(margins[suffix], width)
                for margins, suffix, width in zip(windows.margins, places, within, strict=True)
            ],
            pa.float32(),
        ),
    }


def least_shortfall(margins: Floats, unsure_within: float) -> float:
    """The sum over a suffix of how far the target's logit lies below the greatest, by margins ``[suffix]``, in logits.

    Each is counted as less by what another kernel, batch size or dtype could change of it, so that the sum of the run
    that decides is no less. Under any temperature T and any truncation that keeps the greatest logit, a target's
    probability is at most exp(−d/T) where its logit lies d below the greatest, and that of the suffix exp(−sum/T).
    """
    below = -margins.astype(np.float64) - unsure_within
    return float(np.maximum(below, 0.0).sum())


def pack_bits(flags: Flags) -> bytes:
    """Flags ``[places]`` as bytes, the first as the lowest bit of the first byte."""
    return np.packbits(flags, bitorder="little").tobytes()


def unpack_bits(column: pa.ChunkedArray, places: int) -> Flags:
    """Flags ``[rows, places]`` of a column of bytes; those that a row has no bits for are false."""
    rows = column.to_pylist()
    width = (places + 7) // 8
    content = np.frombuffer(b"".join(row[:width].ljust(width, b"\0") for row in rows), np.uint8)
    bits: npt.NDArray[np.uint8] = np.unpackbits(content.reshape(len(rows), width), axis=1, bitorder="little")
    return bits[:, :places].astype(bool)
