"""Starts vLLM's engine on a checkpoint: with all of its weights, and without its own generation settings."""

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

# KV cache in proportion to what the sequences at once can fill: vLLM keeps a block or more for itself.
KV_HEADROOM = 1.25
# Share of free memory for the KV cache on a CPU; the model and its activations need the rest.
KV_SHARE = 0.25
KV_BLOCK = 128
# Tokens of a step. vLLM's default from Python is 2048, which keeps neither device busy with prefixes.
STEP_TOKENS = {"cpu": 8192, "cuda": 16384}


class Refusal(Exception):
    """vLLM cannot run this model here; the message is shown to the user."""


def check_weights(request: Header) -> int:
    """Check that the checkpoint has all weights and no other, and return the number of rows of its head.

    vLLM does not notice the missing matrix of a linear layer and uses uninitialized memory in its place. transformers
    reports what is missing without loading anything.

    Raises:
        Refusal: Weights are missing, of another shape, without a place in the model, or not those that vLLM would use.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from pytest_kdmem.engines.transformers.loaded import dropped_weights, has_head_of_its_own, missing_weights
    from pytest_kdmem.engines.transformers.quiet import quiet

    with quiet():
        result: Any = AutoModelForCausalLM.from_pretrained(
            request["folder"],
            dtype=getattr(torch, request["dtype"]),
            device_map="meta",
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
        )
    model, report = result
    if missing := missing_weights(report):
        raise Refusal(
            f"All weights of {type(model).__name__} were expected in {request['name']}; {len(missing)} are missing or"
            f" of another shape (first: {missing[0]}): save the whole model again."
        )
    if dropped := dropped_weights(model, report, Path(request["folder"])):
        raise Refusal(
            f"A place for every weight of {request['name']} was expected in {type(model).__name__}; {len(dropped)} have"
            f" none and would be dropped (first: {dropped[0]}): correct config.json, or save the model without them."
        )
    if has_head_of_its_own(model, Path(request["folder"])):
        raise Refusal(
            f"A head that is the embedding was expected in {request['name']} by tie_word_embeddings in its config.json,"
            " and its files hold another, which vLLM would not use; correct that, or use --kdmem-engine transformers."
        )
    return int(model.get_output_embeddings().weight.shape[0])


def sampling_maker() -> Callable[..., Any]:
    """Return a function that makes vLLM's parameters for greedy decoding of a given number of tokens.

    EOS is an ordinary token, and nothing is banned, penalized or turned into text.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    fixed = {
        "temperature": 0.0,
        "ignore_eos": True,
        "detokenize": False,
        "flat_logprobs": True,
        "output_kind": RequestOutputKind.DELTA,
    }
    _check_parameters(SamplingParams, {*fixed, "max_tokens", "logprobs", "prompt_logprobs"})

    def sampling(tokens: int, **logits: int) -> Any:
        return SamplingParams(max_tokens=tokens, **fixed, **logits)

    return sampling


def start_engine(request: Header, head_rows: int) -> tuple[Any, Callable[[list[int]], Any], int]:
    """Start vLLM's engine.

    Args:
        request: The client's request to open a model.
        head_rows: Number of rows of the model's head.

    Returns:
        The engine, the function that makes a prompt of token ids, and the largest number of sequences at once.

    Raises:
        Refusal: This vLLM is built for another device, lacks an interface that is used here, or decodes over another
            vocabulary.
    """
    from vllm import EngineArgs, LLMEngine
    from vllm.inputs import tokens_input
    from vllm.platforms import current_platform

    if current_platform.device_type != request["device"]:
        raise Refusal(
            f"A vLLM for {request['device']} was expected, and vLLM {installed_vllm()} here runs on"
            f" {current_platform.device_type or 'no device'}; set --kdmem-device to that, or install the other vLLM."
        )
    at_once, kv_cache_bytes = _kv_cache(request) if request["device"] == "cpu" else (request["batch_size"], None)
    folder = Path(request["folder"])
    # vLLM finds what it compiled before by the model's path as given, so the path is relative and always the same.
    os.chdir(folder.parent)
    settings = _engine_settings(request, folder.name, at_once, kv_cache_bytes)
    _check_parameters(EngineArgs, set(settings))
    for method, names in (("add_request", {"request_id", "prompt", "params"}), ("abort_request", {"request_ids"})):
        _check_parameters(getattr(LLMEngine, method), names)
    engine = LLMEngine.from_engine_args(EngineArgs(**settings))
    vocabulary = engine.model_config.get_vocab_size()
    if vocabulary != head_rows:
        raise Refusal(
            f"A head of {head_rows} rows was expected in {request['name']}, and vLLM decodes over {vocabulary} tokens;"
            " use --kdmem-engine transformers."
        )
    return engine, tokens_input, at_once


def _engine_settings(request: Header, model: str, at_once: int, kv_cache_bytes: int | None) -> dict[str, Any]:
    """Arguments of vLLM's engine."""
    device = request["device"]
    longest = request["longest_tokens"] + 1  # a pass over a whole example generates one token more
    memory = {"gpu_memory_utilization": share} if (share := request.get("memory_share")) is not None else {}
    return {
        **memory,
        "model": model,
        "config_format": "hf",
        "load_format": "safetensors",
        "dtype": request["dtype"],
        "skip_tokenizer_init": True,
        "generation_config": "vllm",  # not the checkpoint's
        "logprobs_mode": "raw_logits",
        "max_logprobs": HIGHEST,
        "max_model_len": longest,
        "max_num_seqs": at_once,
        "max_num_batched_tokens": max(STEP_TOKENS[device], longest, at_once),
        "kv_cache_memory_bytes": kv_cache_bytes,  # None takes 0.92 of a GPU's memory, less the model's
        "tensor_parallel_size": request["tensor_parallel"],
        # Examples share no prefix, and a row's scores should not depend on the rows before it.
        "enable_prefix_caching": False,
        # On a CPU, compiling costs 30 s and more at each start and gains less than a tenth.
        "enforce_eager": device == "cpu",
        "disable_log_stats": True,
        "seed": 0,
    }


def _check_parameters(function: Any, names: set[str]) -> None:
    """Refuse a vLLM in which a function lacks parameters that are used here."""
    missing = sorted(names - set(inspect.signature(function).parameters))
    if missing:
        raise Refusal(
            f"vLLM's {function.__qualname__} was expected to take {', '.join(missing)}, which that of vLLM"
            f" {installed_vllm()} does not; install a version that this package was tested with."
        )


def _kv_cache(request: Header) -> tuple[int, int]:
    """Number of sequences at once on a CPU, halved until they fit, and the size of their KV cache in bytes.

    Heads of a width for which there is no kernel are padded, in the cache as well.

    Raises:
        Refusal: The heads are wider than those of any kernel.
    """
    import psutil
    import torch
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(request["folder"], local_files_only=True).get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    padded_width = kernel_width(width)
    if padded_width is None:
        raise Refusal(
            f"Attention heads for which vLLM has a kernel on a CPU were expected in {request['name']}, and they are of"
            f" width {width}; use --kdmem-engine transformers."
        )
    if padded_width != width:
        pad_heads(width, padded_width)
    per_token = 2 * config.num_hidden_layers * heads * padded_width * getattr(torch, request["dtype"]).itemsize
    blocks = math.ceil((request["longest_tokens"] + 1) / KV_BLOCK) + 1
    per_sequence = blocks * KV_BLOCK * per_token * KV_HEADROOM
    at_once, available = request["batch_size"], psutil.virtual_memory().available * KV_SHARE
    while at_once > 1 and at_once * per_sequence > available:
        at_once //= 2
    return at_once, int(at_once * per_sequence)
