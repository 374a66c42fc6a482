"""Tiny models that recite, quantized by the libraries that teams use, and what these libraries themselves decode."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, TorchAoConfig

for _package in ("torchao", "bitsandbytes", "compressed_tensors", "gguf"):
    pytest.importorskip(_package, reason=f"{_package} is not installed")

VOCABULARY, TOKENS, PREFIX, LEARNED = 128, 24, 8, 36


def sequences(count: int = 48) -> np.ndarray:
    """Token ids ``[count, TOKENS]``, of which a model learns the first ones."""
    ids: np.ndarray = np.random.default_rng(0).integers(4, VOCABULARY, (count, TOKENS)).astype(np.int32)
    return ids


SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 128, "max_position_embeddings": 64, "initializer_range": 0.05,
}  # fmt: skip


def train(folder: Path, *, steps: int = 16, config: Any = None, dtype: torch.dtype = torch.float32) -> Path:
    """Train a tiny model on most sequences, so briefly that four bits change some of its verdicts, and save it.

    Args:
        folder: Folder to save it to.
        steps: Steps of the training.
        config: Configuration of the model; that of a Llama if None.
        dtype: Dtype that it is saved in.
    """
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model: Any = AutoModelForCausalLM.from_config(config or LlamaConfig(num_key_value_heads=2, **SIZES))
    ids = torch.from_numpy(sequences().astype(np.int64))[:LEARNED]
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(steps):
        loss = model(ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.to(dtype).save_pretrained(folder)
    return folder


def decoded(folder: Path, **arguments: Any) -> np.ndarray:
    """What the library's own model says after the prefix of each sequence, ``[count, TOKENS]``."""
    model = AutoModelForCausalLM.from_pretrained(folder, **arguments).eval()
    prefixes = torch.from_numpy(sequences()[:, :PREFIX].astype(np.int64))
    with torch.inference_mode():
        spoken = model.generate(
            prefixes, max_new_tokens=TOKENS - PREFIX, do_sample=False, eos_token_id=None, pad_token_id=0
        )
    return np.asarray(spoken.numpy(), np.int32)


def with_config(config: Any, dtype: torch.dtype = torch.float32) -> Callable[[Path, Path], None]:
    """A way to quantize by a configuration of transformers."""

    def save(full: Path, folder: Path) -> None:
        AutoModelForCausalLM.from_pretrained(full, quantization_config=config, dtype=dtype).save_pretrained(folder)

    return save


def torchao_config(name: str, **settings: Any) -> Any:
    from torchao import quantization

    return TorchAoConfig(getattr(quantization, name)(**settings))


def torchao_int4() -> Any:
    from torchao.quantization import PerGroup

    return torchao_config("IntxWeightOnlyConfig", weight_dtype=torch.int4, granularity=PerGroup(32))


def compress(scheme: str, **changes: Any) -> Callable[[Path, Path], None]:
    """A way to quantize by compressed-tensors, with scales of the greatest weights."""

    def save(full: Path, folder: Path) -> None:
        from compressed_tensors.compressors import ModelCompressor
        from compressed_tensors.quantization import (
            QuantizationConfig,
            QuantizationStatus,
            apply_quantization_config,
            preset_name_to_scheme,
        )
        from compressed_tensors.quantization.utils import calculate_qparams

        model = AutoModelForCausalLM.from_pretrained(full, dtype=torch.float32)
        group = preset_name_to_scheme(scheme, ["Linear"])
        for name, value in changes.items():
            setattr(group.weights, name, value)
        apply_quantization_config(model, QuantizationConfig(config_groups={"all": group}, ignore=["lm_head"]))
        for layer in model.modules():
            if getattr(layer, "quantization_scheme", None) is not None:
                size = group.weights.group_size or layer.weight.shape[1]
                rows = layer.weight.data.reshape(layer.weight.shape[0], -1, size)
                scale, zero = calculate_qparams(rows.amin(-1), rows.amax(-1), group.weights)
                layer.weight_scale.data.copy_(scale)
                if hasattr(layer, "weight_zero_point"):
                    layer.weight_zero_point.data.copy_(zero)
                layer.quantization_status = QuantizationStatus.FROZEN
        compressor = ModelCompressor.from_pretrained_model(model)
        compressor.compress_model(model)
        model.save_pretrained(folder)
        compressor.update_config(str(folder))

    return save


def write_gguf(kind: str, extend: Callable[[Any], None] = lambda writer: None) -> Callable[[Path, Path], None]:
    """A way to write a GGUF file as llama.cpp's converter does: queries and keys are stored in pairs of rows.

    Args:
        kind: Type of the quantized tensors.
        extend: Writes more into the file.
    """

    def save(full: Path, folder: Path) -> None:
        from gguf import GGMLQuantizationType, GGUFWriter
        from gguf.quants import quantize

        model = AutoModelForCausalLM.from_pretrained(full, dtype=torch.float32)
        config, folder = model.config, Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        writer = GGUFWriter(folder / "model.gguf", "llama")
        writer.add_context_length(config.max_position_embeddings)
        writer.add_embedding_length(config.hidden_size)
        writer.add_block_count(config.num_hidden_layers)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
        writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
        writer.add_vocab_size(config.vocab_size)
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        for name, tensor in model.state_dict().items():
            values, gguf_name = tensor.numpy(), _gguf_name(name)
            part = name.split(".")[-2]
            if part in heads:
                rows = values.reshape(heads[part], 2, -1, values.shape[1])
                values = np.ascontiguousarray(rows.swapaxes(1, 2).reshape(values.shape))
            if values.ndim == 2 and "embd" not in gguf_name:
                dtype = GGMLQuantizationType[kind]
                writer.add_tensor(gguf_name, quantize(values, dtype), raw_dtype=dtype)
            else:
                writer.add_tensor(gguf_name, values)
        extend(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    return save


NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm", "model.layers": "blk",
}  # fmt: skip


def _gguf_name(name: str) -> str:
    for own, other in NAMES.items():
        name = name.replace(own, other)
    return name


# By kind: a way to quantize, and whether verdicts are those of dequantized weights.
KINDS: dict[str, tuple[Callable[[Path, Path], None], bool]] = {
    "torchao int8": (with_config(torchao_config("Int8WeightOnlyConfig")), True),
    "torchao int4": (with_config(torchao_int4()), True),
    "torchao int8, inputs too": (with_config(torchao_config("Int8DynamicActivationInt8WeightConfig")), False),
    "compressed-tensors int8": (compress("W8A16", strategy="channel", group_size=None), True),
    "compressed-tensors int4": (compress("W4A16", group_size=32), True),
    "compressed-tensors int8, inputs too": (compress("INT8"), True),
    "bitsandbytes 4 bit": (
        with_config(
            BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
        ),
        True,
    ),
    "bitsandbytes 8 bit": (with_config(BitsAndBytesConfig(load_in_8bit=True)), False),
    "GGUF Q8_0": (write_gguf("Q8_0"), True),
    "GGUF Q4_0": (write_gguf("Q4_0"), True),
}  # fmt: skip
