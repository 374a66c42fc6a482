"""Checkpoint → vLLM's engine, with every weight and nothing of the checkpoint's own wishes of how to decode."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_kdmem.engines.vllm.cascade import HIGHEST
from pytest_kdmem.engines.vllm.heads import kernel_width, pad_heads
from pytest_kdmem.engines.vllm.versions import installed_vllm
from pytest_kdmem.engines.vllm.wire import Header

# KV bytes above what the sequences at once can fill: vLLM keeps a block or more for itself.
ROOM = 1.25
# Of free memory, for the KV cache on a CPU; the model and its activations take their own.
KV_SHARE = 0.25
KV_BLOCK = 128
# Tokens of a step: vLLM takes 2048 for one that is called from Python, which keeps neither device busy with prefixes.
STEP_TOKENS = {"cpu": 8192, "cuda": 16384}


class Refusal(Exception):
    """What the user is told in one sentence."""


def check_weights(asked: Header) -> int:
    """The number of rows of the model's head; refuses a checkpoint that lacks weights.

    vLLM does not notice a missing matrix of a linear layer, and leaves memory as it found it in its place. transformers
    tells what is missing without loading anything.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from pytest_kdmem.engines.transformers.loading import quiet

    with quiet():
        found: Any = AutoModelForCausalLM.from_pretrained(
            asked["folder"],
            dtype=getattr(torch, asked["dtype"]),
            device_map="meta",
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    model, report = found
    absent = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if absent:
        raise Refusal(
            f"All weights of {type(model).__name__} were expected in {asked['name']}; {len(absent)} are missing or of"
            f" another shape (first: {absent[0]}): save the whole model again."
        )
    return int(model.get_output_embeddings().weight.shape[0])


def sampling_maker() -> Callable[..., Any]:
    """Greedy, of exactly so many tokens: EOS is one like any other, and nothing is banned, penalized or spelled out."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    fixed = {
        "temperature": 0.0,
        "ignore_eos": True,
        "detokenize": False,
        "flat_logprobs": True,
        "output_kind": RequestOutputKind.DELTA,
    }
    _expect(SamplingParams, {*fixed, "max_tokens", "logprobs", "prompt_logprobs"})

    def sampling(tokens: int, **logits: int) -> Any:
        return SamplingParams(max_tokens=tokens, **fixed, **logits)

    return sampling


def start(asked: Header, head: int) -> tuple[Any, Callable[[list[int]], Any], int]:
    """vLLM's engine, what makes prompts of ids, and the most sequences that run at once."""
    from vllm import EngineArgs, LLMEngine
    from vllm.inputs import tokens_input
    from vllm.platforms import current_platform

    if current_platform.device_type != asked["device"]:
        raise Refusal(
            f"A vLLM for {asked['device']} was expected, and vLLM {installed_vllm()} here runs on"
            f" {current_platform.device_type or 'no device'}; set --kdmem-device to that, or install the other vLLM."
        )
    at_once, kv_cache = _kv_cache(asked) if asked["device"] == "cpu" else (asked["batch_size"], None)
    folder = Path(asked["folder"])
    # What vLLM compiles it finds again by the model's path as given, which is to be the same at each start.
    os.chdir(folder.parent)
    settings = {
        "model": folder.name,
        "config_format": "hf",
        "load_format": "safetensors",
        "dtype": asked["dtype"],
        "skip_tokenizer_init": True,
        "generation_config": "vllm",  # not the checkpoint's
        "logprobs_mode": "raw_logits",
        "max_logprobs": HIGHEST,
        "max_model_len": asked["longest_tokens"] + 1,  # the token that a pass over a whole example generates
        "max_num_seqs": at_once,
        "max_num_batched_tokens": max(STEP_TOKENS[asked["device"]], asked["longest_tokens"] + 1, at_once),
        "kv_cache_memory_bytes": kv_cache,  # None is 0.92 of a GPU's memory less what the model takes
        "tensor_parallel_size": asked["tensor_parallel"],
        # Examples share no prefix, and a row's figures should not depend on what came before it.
        "enable_prefix_caching": False,
        # On a CPU, compiling costs 30 s and more at each start and gains less than a tenth.
        "enforce_eager": asked["device"] == "cpu",
        "disable_log_stats": True,
        "seed": 0,
    }
    _expect(EngineArgs, set(settings))
    for method, names in (("add_request", {"request_id", "prompt", "params"}), ("abort_request", {"request_ids"})):
        _expect(getattr(LLMEngine, method), names)
    engine = LLMEngine.from_engine_args(EngineArgs(**settings))
    vocabulary = engine.model_config.get_vocab_size()
    if vocabulary != head:
        raise Refusal(
            f"A head of {head} rows was expected in {asked['name']}, and vLLM decodes over {vocabulary} tokens; use"
            " --kdmem-engine transformers."
        )
    return engine, tokens_input, at_once


def _expect(what: Any, names: set[str]) -> None:
    """Refuse a vLLM in which something used here has gone."""
    absent = sorted(names - set(inspect.signature(what).parameters))
    if absent:
        raise Refusal(
            f"vLLM's {what.__qualname__} was expected to take {', '.join(absent)}, which that of vLLM"
            f" {installed_vllm()} does not; install a version that this package was tested with."
        )


def _kv_cache(asked: Header) -> tuple[int, int]:
    """Sequences at once on a CPU, halved until they fit, and the bytes of KV cache they can fill.

    Heads of a width that no kernel takes are padded, in the cache as well.
    """
    import psutil
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(asked["folder"], local_files_only=True).get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    wide = kernel_width(width)
    if wide is None:
        raise Refusal(
            f"Attention heads for which vLLM has a kernel on a CPU were expected in {asked['name']}, and they are of"
            f" width {width}; use --kdmem-engine transformers."
        )
    if wide != width:
        pad_heads(width, wide)
    per_token = 2 * config.num_hidden_layers * heads * wide * getattr(torch, asked["dtype"]).itemsize
    blocks = math.ceil((asked["longest_tokens"] + 1) / KV_BLOCK) + 1
    at_once, free = asked["batch_size"], psutil.virtual_memory().available * KV_SHARE
    while at_once > 1 and at_once * blocks * KV_BLOCK * per_token * ROOM > free:
        at_once //= 2
    return at_once, int(at_once * blocks * KV_BLOCK * per_token * ROOM)
