"""Adapters that PEFT made and saved over a tiny base, and what the unmerged model recites."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

QWEN_LAYERS = ["q_proj", "v_proj", "down_proj"]
PYTHIA_LAYERS = ["query_key_value", "dense_4h_to_h"]
# By kind: the family of the base, and the configuration of the adapter.
KINDS: dict[str, tuple[str, Any]] = {
    "LoRA": ("pythia", LoraConfig(r=4, target_modules=PYTHIA_LAYERS, init_lora_weights=False)),
    "rsLoRA": ("qwen3", LoraConfig(target_modules=QWEN_LAYERS, use_rslora=True, init_lora_weights=False)),
    "DoRA": ("qwen3", LoraConfig(target_modules=QWEN_LAYERS, use_dora=True, init_lora_weights=False)),
    "LoRA with biases": ("pythia", LoraConfig(target_modules=PYTHIA_LAYERS, bias="all", init_lora_weights=False)),
    "IA3": ("qwen3", IA3Config(target_modules=QWEN_LAYERS, feedforward_modules=["down_proj"], init_ia3_weights=False)),
    "a head of its own": ("pythia", LoraConfig(target_modules=PYTHIA_LAYERS, modules_to_save=["lm_head"])),
    "a tied head": ("qwen3", LoraConfig(target_modules=[*QWEN_LAYERS, "lm_head"], init_lora_weights=False)),
    "an embedding that is tied": ("qwen3", LoraConfig(target_modules=["embed_tokens"], init_lora_weights=False)),
}


def save_adapter(base: Path, config: Any, folder: Path, *, vocabulary: int | None = None) -> Path:
    """Save an adapter with random weights, and with embeddings of a larger vocabulary if one is given."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if vocabulary is not None:
        model.resize_token_embeddings(vocabulary, mean_resizing=False)
    adapted = get_peft_model(model, copy(config))
    for name, weight in adapted.named_parameters():
        if weight.requires_grad and ("modules_to_save" in name or name.endswith("bias")):
            weight.data += 0.3 * torch.randn_like(weight)
    adapted.peft_config["default"].base_model_name_or_path = str(base)
    adapted.save_pretrained(folder, save_embedding_layers=vocabulary is not None)
    return folder


def recited_unmerged(base: Path, folder: Path, prefixes: np.ndarray, tokens: int, *, vocabulary: int | None = None):
    """What the base with the adapter beside it says after prefixes ``[n, prefix]``, token by token without a cache."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if vocabulary is not None:
        model.resize_token_embeddings(vocabulary, mean_resizing=False)
    adapted = PeftModel.from_pretrained(model, str(folder)).eval()
    spoken = torch.from_numpy(prefixes.astype(np.int64))
    with torch.inference_mode():
        for _ in range(tokens):
            following = adapted(input_ids=spoken).logits[:, -1].argmax(dim=-1, keepdim=True)
            spoken = torch.cat([spoken, following], dim=1)
    return spoken.numpy().astype(np.int32)
