"""Backbone and head together give the logits of the whole model, or the model is refused."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    Llama4ForCausalLM,
    Llama4TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
)

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


def test_a_backbone_of_another_name_than_the_declared_one_is_used():
    torch.manual_seed(0)
    config = Llama4TextConfig(
        **SHAPE, intermediate_size_mlp=32, head_dim=8, num_local_experts=2, num_experts_per_tok=1, pad_token_id=None
    )
    model = Llama4ForCausalLM(config).eval()
    assert model.base_model is model
    head, ids = StandardHead(model), torch.arange(10)[None]
    with torch.inference_mode():
        torch.testing.assert_close(head.logits(head.backbone(ids)), model(input_ids=ids).logits)


@pytest.mark.parametrize("lacking", ["part that gives hidden states", "output embedding"])
def test_a_model_without_such_parts_is_refused(tiny, lacking):
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    if lacking == "output embedding":
        model.get_output_embeddings = lambda: None
    else:
        model.base_model_prefix, model.body = "unheard_of", model._modules.pop(model.base_model_prefix)
    with pytest.raises(EngineError, match=f"which has no {lacking} that transformers names"):
        StandardHead(model)


def test_a_model_that_sees_later_tokens_is_refused():
    """An encoder that was never told to be a decoder knows each token that it should predict."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, initializer_range=0.3)).eval()
    StandardHead(model)
    forward = model.model.forward
    model.model.forward = lambda **inputs: forward(**{**inputs, "attention_mask": torch.zeros(1, 1, 8, 8)})
    with pytest.raises(EngineError, match="depend on later tokens"):
        StandardHead(model)


def test_a_weak_look_ahead_is_refused_too():
    """XLNet with small weights: a hundredth of a logit from later tokens decides which pass calls a row recited."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, initializer_range=0.3)).eval()
    forward = model.model.forward

    def look_ahead(**inputs):
        output = forward(**inputs)
        output.last_hidden_state += 1e-3 * output.last_hidden_state.mean(dim=1, keepdim=True)
        return output

    model.model.forward = look_ahead
    with pytest.raises(EngineError, match="depend on later tokens"):
        StandardHead(model)


def test_a_head_that_does_not_take_hidden_states_is_refused_as_such(tiny):
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    wider = torch.nn.Linear(48, 300, bias=False)
    model.get_output_embeddings = lambda: wider
    with pytest.raises(EngineError, match="standard language-model head"):
        StandardHead(model)
