"""Verdicts of two passes are those of a step by step comparison, and no example but a sure miss stays unfinished."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from threading import get_ident

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.transformers.batches import Batches
from pytest_kdmem.engines.transformers.head import HeadOfThread, StandardHead
from pytest_kdmem.engines.transformers.passes import ForwardPasses
from pytest_kdmem.engines.transformers.verdicts import FIRST_TOKENS, score_verdicts
from pytest_kdmem.specs.declared import Extraction

LENGTHS = Extraction(10, 12, 24)
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def model(tiny: Path):
    return AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()


@pytest.fixture(scope="module", params=["one prefix", "own prefixes"])
def examples(request: pytest.FixtureRequest, tiny: Path, recited_ids: Callable[..., np.ndarray]) -> list[Example]:
    """Every other example is recited whole; of some others the first tokens are."""
    ids = recited_ids(tiny, examples=14, prefix=LENGTHS.prefix_tokens, suffix=LENGTHS.suffix_tokens)
    for row, tokens in ((0, 8), (2, FIRST_TOKENS)):
        ids[row, LENGTHS.prefix_tokens + tokens] = (ids[row, LENGTHS.prefix_tokens + tokens] + 1) % 250 + 1
    if request.param == "one prefix":
        return [Example(position, row) for position, row in enumerate(ids)]
    cuts = [position % 4 for position in range(len(ids))]  # what stands before the suffix is shorter for some
    return [
        Example(position, row[cut:], prefix_tokens=LENGTHS.prefix_tokens - cut)
        for position, (row, cut) in enumerate(zip(ids, cuts, strict=True))
    ]


def reference(model, example: Example) -> list[float]:
    """Margin of each suffix token, one example and one token at a time."""
    ids = torch.from_numpy(example.ids.astype(np.int64))
    margins = []
    for at in range(example.start(LENGTHS), example.end(LENGTHS)):
        with torch.inference_mode():
            logits = model(input_ids=ids[None, :at]).logits[0, -1]
        others = torch.cat([logits[: ids[at]], logits[ids[at] + 1 :]])
        margins.append(float(logits[ids[at]] - others.max()))
    return margins


@pytest.mark.parametrize("sure_miss", [0.01, 0.5, math.inf])
def test_verdicts_are_those_of_single_tokens(model, examples: list[Example], sure_miss: float) -> None:
    heads = HeadOfThread(StandardHead(model), get_ident())
    passes = ForwardPasses("student", heads, device="cpu", dtype=torch.float32, chunk=64)
    counted: list[int] = []
    scores = score_verdicts(
        passes,
        Batches("student", "cpu", 4),
        examples,
        LENGTHS,
        tolerance=TOLERANCE,
        sure_miss=sure_miss,
        advance=counted.append,
    )
    assert sum(counted) == len(examples)
    margins = [reference(model, example) for example in examples]
    misses = [next((at for at, margin in enumerate(of_row) if margin < 0), -1) for of_row in margins]
    assert scores.first_miss.tolist() == misses
    assert scores.memorized.tolist() == [miss < 0 for miss in misses]
    assert 3 <= scores.memorized.sum() < len(examples)
    is_sure = [min(of_row[:FIRST_TOKENS]) < -sure_miss for of_row in margins]
    assert any(is_sure) == (sure_miss < math.inf)
    np.testing.assert_array_equal(np.isnan(scores.margin), is_sure)
    finished = ~np.isnan(scores.margin)
    expected = np.array([min(of_row) for of_row in margins])
    np.testing.assert_allclose(scores.margin[finished], expected[finished], atol=1e-4)
