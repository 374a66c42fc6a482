"""Passes of backbone and head give what the whole model gives at the tokens that are asked for."""

from __future__ import annotations

from pathlib import Path
from threading import get_ident

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.transformers.head import HeadOfThread, StandardHead
from pytest_kdmem.engines.transformers.passes import ForwardPasses, starts_of
from pytest_kdmem.errors import OverflowedError
from pytest_kdmem.specs.declared import Extraction

BATCH, TOKENS, CHUNK = 3, 17, 7  # a chunk that divides no batch


@pytest.fixture(scope="module")
def model(tiny: Path):
    return AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def passes(model) -> ForwardPasses:
    heads = HeadOfThread(StandardHead(model), get_ident())
    return ForwardPasses("student", heads, device="cpu", dtype=torch.float32, chunk=CHUNK)


@pytest.fixture(scope="module")
def ids() -> torch.Tensor:
    return torch.randint(1, 299, (BATCH, TOKENS), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def expected(model, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Margin and log-probability ``[batch, tokens]`` of each token but the first, which stays 0."""
    margins, logprobs = torch.zeros(BATCH, TOKENS), torch.zeros(BATCH, TOKENS)
    with torch.inference_mode():
        logits = model(input_ids=ids).logits
    for row in range(BATCH):
        for at in range(1, TOKENS):
            before, target = logits[row, at - 1], ids[row, at]
            others = torch.cat([before[:target], before[target + 1 :]])
            margins[row, at] = before[target] - others.max()
            logprobs[row, at] = torch.log_softmax(before.double(), dim=0)[target]
    return margins, logprobs


@pytest.mark.parametrize("first", [1, 5, TOKENS - 1])
def test_values_are_those_of_the_tokens_from_the_first_on(passes, ids, expected, first: int) -> None:
    margins, logprobs = expected
    torch.testing.assert_close(passes.margins(ids, first), margins[:, first:], rtol=1e-4, atol=1e-4)
    values = passes.values(ids, first)
    torch.testing.assert_close(values.margin, margins[:, first:], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(values.logprob.float(), logprobs[:, first:], rtol=1e-4, atol=1e-4)


def test_suffixes_begin_where_each_example_says(passes, ids, expected) -> None:
    starts = torch.tensor([1, 9, 4])
    margins = passes.suffix_margins(ids, starts, 6)
    rows = [expected[0][row, start : start + 6] for row, start in enumerate(starts.tolist())]
    torch.testing.assert_close(margins, torch.stack(rows), rtol=1e-4, atol=1e-4)


def test_examples_of_one_prefix_need_no_places() -> None:
    extraction, ids = Extraction(4, 4, 9), np.arange(9, dtype=np.int32)
    assert starts_of([Example(0, ids), Example(1, ids)], extraction) is None
    assert starts_of([Example(0, ids), Example(1, ids, prefix_tokens=2)], extraction) == [4, 2]


def test_the_first_example_without_finite_logits_is_named(passes) -> None:
    batch = [Example(position, np.arange(3, dtype=np.int32)) for position in (7, 8, 9)]
    passes.check_finite(np.array([False, False, False]), batch)
    with pytest.raises(OverflowedError, match=r"of model student, and it gives NaN or infinity at example 8; its"):
        passes.check_finite(np.array([False, True, True]), batch)
    with pytest.raises(OverflowedError, match="NaN or infinity whatever the text"):
        passes.check_finite(np.array([True]), [Example(-1, np.arange(3, dtype=np.int32))])
