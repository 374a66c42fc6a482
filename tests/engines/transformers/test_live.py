"""A model that is being trained is scored as a greedy loop decodes it, wherever suffixes begin, and left as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.transformers import live
from pytest_kdmem.engines.transformers.live import LiveModel, undisturbed
from pytest_kdmem.engines.transformers.processes import Summarized, in_shares
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.declared import Extraction
from tests.tracking.trainings import WORDS, tiny_model

LENGTHS = Extraction(8, 4, 32)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model():
    """A random model that is sure of what it says."""
    return tiny_model(initializer_range=0.5)


def spoken(model, prefix: np.ndarray, tokens: int) -> np.ndarray:
    """The prefix and what a model says after it, token by token without a cache."""
    ids = torch.from_numpy(prefix.astype(np.int64))[None]
    with torch.no_grad():
        for _ in range(tokens):
            ids = torch.cat([ids, model(input_ids=ids).logits[:, -1].argmax(dim=-1, keepdim=True)], dim=1)
    return ids[0].numpy().astype(np.int32)


def examples_of(model) -> list[Example]:
    """Twelve examples whose suffixes begin at four places; every other one is what the model says itself."""
    draw = np.random.default_rng(0)
    examples = []
    for position in range(12):
        start = (8, 3, 17, 5)[position % 4]
        ids = draw.integers(1, WORDS, start + 4, dtype=np.int32)
        ids = spoken(model.eval(), ids[:start], 4) if position % 2 else ids
        examples.append(Example(position, np.append(ids, [1, 2]).astype(np.int32), None if start == 8 else start))
    return examples


@pytest.mark.parametrize("batch_size", [1, 5, 12])
def test_verdicts_are_those_of_a_greedy_loop_wherever_suffixes_begin(model, batch_size):
    examples = examples_of(model)
    expected = [
        np.array_equal(spoken(model, example.ids[: (start := example.start(LENGTHS))], 4), example.ids[: start + 4])
        for example in examples
    ]
    model.train()
    scores = LiveModel(model, CPU, torch.float32, batch_size).verdicts(examples, LENGTHS)
    assert scores.memorized.tolist() == expected
    assert sum(expected) == 6
    assert 0 < scores.tolerance < 1e-3
    assert model.training


def test_batches_are_of_one_size_in_every_process(model, monkeypatch):
    """Logits are bounded by the examples of all processes, and not by those of a process's own share."""
    monkeypatch.setattr(live, "LOGITS_BYTES", 4 * WORDS * 40)
    examples = examples_of(model)
    live_model = LiveModel(model, CPU, torch.float32, 8)
    assert live_model._fitting_size(examples, LENGTHS) == 40 // (17 - 3 + 4)
    assert live_model._fitting_size(examples[:1], LENGTHS) == 8
    assert live_model.verdicts(examples, LENGTHS).memorized.sum() == 6


def test_ids_and_positions_must_fit(model):
    live_model = LiveModel(model, CPU, torch.float32, 8)
    with pytest.raises(EngineError, match="At most 64 positions were expected by GPTNeoXForCausalLM"):
        live_model.check([], Extraction(50, 50, 256))
    with pytest.raises(EngineError, match="the ids were made with another tokenizer"):
        live_model.check([Example(0, np.full(12, WORDS, np.int32))], LENGTHS)


def test_modes_are_restored_after_an_error(model):
    def fail() -> None:
        with undisturbed(model):
            assert not any(part.training for part in model.modules())
            raise RuntimeError("on the way")

    model.train()
    model.gpt_neox.embed_in.eval()
    before = [part.training for part in model.modules()]
    with pytest.raises(RuntimeError, match="on the way"):
        fail()
    assert [part.training for part in model.modules()] == before
    model.train()


def test_a_process_without_a_group_has_all_rows():
    summarized = in_shares(3, lambda rows: Summarized(rows[:, None] + np.zeros(2), 0.5), columns=2, device=CPU)
    assert summarized.summaries.tolist() == [[0, 0], [1, 1], [2, 2]]
    assert summarized.tolerance == 0.5
