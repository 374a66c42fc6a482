"""Backbone and head together give the logits of the whole model, or the model is refused."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma2ForCausalLM, GraniteConfig, GraniteForCausalLM

from pytest_kdmem.engines.transformers.head import StandardHead
from pytest_kdmem.errors import EngineError

SHAPE = {
    "vocab_size": 64,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 32,
}


@pytest.mark.parametrize("kind", ["soft cap", "divisor"])
def test_soft_caps_and_scales_of_the_head_are_applied(kind):
    torch.manual_seed(0)
    if kind == "soft cap":
        model = Gemma2ForCausalLM(Gemma2Config(**SHAPE, head_dim=8, final_logit_softcapping=2.0)).eval()
    else:
        model = GraniteForCausalLM(GraniteConfig(**SHAPE, logits_scaling=3.0)).eval()
    head, ids = StandardHead(model), torch.arange(10)[None]
    assert head.scale == (1.0 if kind == "soft cap" else 1 / 3.0)
    with torch.inference_mode():
        torch.testing.assert_close(head.logits(head.backbone(ids)), model(input_ids=ids).logits)


def test_positions_that_are_given_are_those_of_the_tokens(tiny):
    head = StandardHead(AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval())
    ids = torch.arange(10, 20)[None]
    with torch.inference_mode():
        default = head.backbone(ids)
        torch.testing.assert_close(head.backbone(ids, torch.arange(10)[None]), default)
        assert not torch.allclose(head.backbone(ids, 3 * torch.arange(10)[None]), default)


def test_a_head_that_is_not_standard_is_refused(tiny):
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    StandardHead(model)
    model.register_forward_hook(lambda module, inputs, output: setattr(output, "logits", output.logits * 3) or output)
    with pytest.raises(EngineError, match="standard language-model head"):
        StandardHead(model)
