"""Decoding with a cache against decoding without one, whatever the checkpoint's own settings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from pytest_kdmem.engines.transformers.decoding import decode_greedily, margins_step_by_step


def plain_margins(model, ids: torch.Tensor) -> torch.Tensor:
    """Margins ``[batch, tokens − 1]`` of one pass over all tokens, in float64."""
    with torch.inference_mode():
        logits, targets = model(input_ids=ids).logits[:, :-1].double(), ids[:, 1:, None]
    best_other = logits.scatter(2, targets, -torch.inf).amax(dim=2)
    return logits.gather(2, targets)[..., 0] - best_other


def test_decoding_ignores_the_generation_settings_of_the_checkpoint(tiny, recited_ids):
    ids = recited_ids(tiny, examples=4, prefix=20, suffix=30)
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    model.generation_config.update(
        repetition_penalty=5.0, do_sample=True, temperature=3.0, eos_token_id=int(ids[0, 25])
    )
    out = decode_greedily(model, torch.from_numpy(ids[::2, :20].astype(np.int64)), 30)
    assert np.array_equal(out.numpy(), ids[::2, 20:])


@pytest.mark.parametrize("kind", ["with a cache", "recurrent"])
def test_margins_step_by_step_are_those_of_one_pass(tiny, kind):
    if kind == "recurrent":
        torch.manual_seed(0)
        config = AutoConfig.for_model("mamba", vocab_size=300, hidden_size=32, num_hidden_layers=2)
        model = AutoModelForCausalLM.from_config(config).eval()
    else:
        model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    ids = torch.randint(1, 290, (3, 24), generator=torch.Generator().manual_seed(0))
    stepped = margins_step_by_step(model, ids, 9)
    assert stepped.shape == (3, 24 - 9 - 1)
    torch.testing.assert_close(stepped.double(), plain_margins(model, ids)[:, 9:], atol=1e-4, rtol=1e-4)
