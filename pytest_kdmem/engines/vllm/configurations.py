"""Configurations that vLLM was held against transformers on: any other key or value could mean another model to it.

vLLM obeys keys that a class of transformers does not have, such as ``sliding_window`` in a Llama, and the other way
round. So a configuration is compared key by key; the tests run both engines on every value that is listed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]


def _any(value: Any) -> bool:
    return True


def _in(*values: Any) -> Check:
    return lambda value: value in values


def _default_rope(value: Any) -> bool:
    keys = {"rope_type", "rope_theta", "partial_rotary_factor"}
    return isinstance(value, dict) and value.get("rope_type", "default") == "default" and value.keys() <= keys


def _llama_rope(value: Any) -> bool:
    """Rotary frequencies as they are, or stretched as in Llama 3."""
    if not isinstance(value, dict) or value.get("rope_type") != "llama3":
        return _default_rope(value)
    keys = {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}
    return keys <= value.keys() <= keys | {"rope_type", "rope_theta"}


# Keys that neither engine computes with. Dropout is off, and token ids other than the vocabulary's size change nothing.
_INERT = """
    architectures model_type dtype torch_dtype transformers_version _name_or_path use_cache bos_token_id eos_token_id
    pad_token_id initializer_range init_std attention_dropout hidden_dropout classifier_dropout resid_pdrop embd_pdrop
    dropout layerdrop output_attentions output_hidden_states return_dict id2label label2id problem_type
    chunk_size_feed_forward task_specific_params unsloth_version unsloth_fixed _attn_implementation_autoset
""".split()
_SIZES = """
    vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size max_position_embeddings
""".split()
_COMMON: dict[str, Check] = {
    **dict.fromkeys(_INERT + _SIZES, _any),
    "is_encoder_decoder": _in(False),
    "tie_word_embeddings": _in(True, False),
    "rope_theta": _any,
}
_GATED: dict[str, Check] = {
    **_COMMON,
    **dict.fromkeys(("num_key_value_heads", "head_dim", "rms_norm_eps"), _any),
    "hidden_act": _in("silu"),
    "rope_parameters": _default_rope,
    "pretraining_tp": _in(1),
}


def _qwen(layers: Mapping[str, Check]) -> dict[str, Check]:
    return {
        **_GATED,
        **layers,
        "use_sliding_window": _in(False),
        "use_mrope": _in(False),
        "sliding_window": _any,  # without use_sliding_window both engines put it aside
        "max_window_layers": _any,
        "layer_types": lambda value: isinstance(value, list) and all(kind == "full_attention" for kind in value),
    }


# By the name of the class: its model type, and the values of each key on which both engines were compared.
COMPARED: dict[str, tuple[str, Mapping[str, Check]]] = {
    "GPTNeoXForCausalLM": (
        "gpt_neox",
        {
            **_COMMON,
            **dict.fromkeys(("layer_norm_eps", "rotary_pct", "rotary_emb_base"), _any),
            "hidden_act": _in("gelu"),
            "is_decoder": _in(False),
            "use_parallel_residual": _in(True, False),
            "attention_bias": _in(True),
            "rope_parameters": _default_rope,
        },
    ),
    "LlamaForCausalLM": (
        "llama",
        {**_GATED, "attention_bias": _in(True, False), "mlp_bias": _in(True, False), "rope_parameters": _llama_rope},
    ),
    "MistralForCausalLM": ("mistral", {**_GATED, "sliding_window": _any}),
    "OPTForCausalLM": (
        "opt",
        {
            **_COMMON,
            **dict.fromkeys(("ffn_dim", "word_embed_proj_dim"), _any),
            "activation_function": _in("relu"),
            "do_layer_norm_before": _in(True, False),
            "enable_bias": _in(True),
            "layer_norm_elementwise_affine": _in(True),
            "_remove_final_layer_norm": _in(False),
        },
    ),
    "Olmo2ForCausalLM": ("olmo2", {**_GATED, "attention_bias": _in(False)}),
    "Phi3ForCausalLM": ("phi3", {**_GATED, "original_max_position_embeddings": _any}),
    "Qwen2ForCausalLM": ("qwen2", _qwen({})),
    # vLLM leaves out one of the biases of attention.
    "Qwen3ForCausalLM": ("qwen3", _qwen({"attention_bias": _in(False)})),
}


def uncompared_setting(architecture: str, config: Mapping[str, Any]) -> str:
    """Name and value of the first setting that both engines were not compared on; an empty string if there is none.

    A key without a value counts as absent.

    Args:
        architecture: Name of the class, one of ``COMPARED``.
        config: The configuration of the model.
    """
    model_type, checks = COMPARED[architecture]
    if config.get("model_type") != model_type or config.get("architectures") != [architecture]:
        return f"model_type {config.get('model_type')!r} with architectures {config.get('architectures')!r}"
    if "rope_parameters" in config and "rope_theta" in config:
        return "rope_theta beside rope_parameters"
    for key, value in config.items():
        if value is not None and not checks.get(key, _never)(value):
            return f"{key} {value!r}"[:120]
    return ""


def _never(value: Any) -> bool:
    return False
