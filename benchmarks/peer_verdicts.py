"""Ways to tell which examples a model recites, each as its users run it: a batch size that is fastest here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.peer_process import Job, Run
from pytest_kdmem.engines.protocol import Metrics

PREFIX, SUFFIX = 50, 50
BATCH_SIZES = {"cpu": (1, 4, 16, 64, 256), "cuda": (64, 256, 1024, 4096)}


def read_ids(job: Job) -> Tensor:
    """Token ids ``[examples, 100]``, int64, on the device of the job."""
    return torch.from_numpy(np.load(job["ids"]).astype(np.int64)).to(job["device"])


def one_pass(metrics: Metrics) -> Callable[[Job, dict[str, Any]], Run]:
    """The engine of this package."""

    def prepare(job: Job, details: dict[str, Any]) -> Run:
        from pytest_kdmem.corpus.examples import Example
        from pytest_kdmem.engines.load import open_engine
        from pytest_kdmem.engines.numerics import resolve_numerics
        from pytest_kdmem.specs.checkpoint import open_checkpoint
        from pytest_kdmem.specs.declared import Extraction, Model
        from pytest_kdmem.specs.runtime import RunSettings

        extraction, model = Extraction(PREFIX, SUFFIX, PREFIX + SUFFIX), Model(job["model"])
        checkpoint = open_checkpoint(model)
        # In half precision it screens, and decides in float32.
        dtype = "auto" if job["dtype"] == "bfloat16" else job["dtype"]
        numerics = resolve_numerics(
            model, checkpoint, engine="transformers", device=job["device"], dtype=dtype, metrics=metrics
        )
        engine = open_engine(model, checkpoint, numerics, extraction, RunSettings())
        examples = [Example(at, ids) for at, ids in enumerate(np.load(job["ids"]))]
        return lambda: engine.score(examples, extraction, metrics, lambda done: None).memorized.tolist()

    return prepare


def generate(job: Job, details: dict[str, Any]) -> Run:
    """`generate` of transformers, 50 tokens for every example."""
    from transformers import GenerationConfig

    model, ids = load(job), read_ids(job)
    model.generation_config = GenerationConfig()  # no token ends decoding, and none is banned
    settings = GenerationConfig(do_sample=False, max_new_tokens=SUFFIX, use_cache=True)

    def recited(batch: Tensor) -> Tensor:
        prefix = batch[:, :PREFIX]
        out = model.generate(prefix, attention_mask=torch.ones_like(prefix), generation_config=settings)
        return torch.all(out[:, PREFIX:] == batch[:, PREFIX:], dim=1)

    return in_batches(recited, ids, job, details)


def full_logits(job: Job, details: dict[str, Any]) -> Run:
    """One pass over prefix and suffix, with the logits of every position."""
    model, ids = load(job), read_ids(job)

    def recited(batch: Tensor) -> Tensor:
        logits = model(input_ids=batch[:, :-1], use_cache=False).logits
        return torch.all(logits[:, PREFIX - 1 :].argmax(dim=-1) == batch[:, PREFIX:], dim=1)

    return in_batches(recited, ids, job, details)


def lm_eval(job: Job, details: dict[str, Any]) -> Run:
    """The greedy check of lm-eval, which is part of its log-likelihood."""
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoTokenizer

    ids = read_ids(job)
    evaluated = HFLM(pretrained=load(job), tokenizer=AutoTokenizer.from_pretrained(job["model"]), batch_size=1)

    def recited(batch: Tensor) -> Tensor:
        evaluated.batch_size_per_gpu = len(batch)
        requests = [(("", ""), row[:PREFIX], row[PREFIX:]) for row in batch.tolist()]
        answers = evaluated._loglikelihood_tokens(requests, disable_tqdm=True)
        return torch.tensor([is_greedy for _, is_greedy in answers])

    return in_batches(recited, ids, job, details)


def vllm(job: Job, details: dict[str, Any]) -> Run:
    """vLLM, 50 tokens for every example."""
    from vllm import LLM, SamplingParams

    ids = np.load(job["ids"])
    engine = LLM(
        job["model"],
        dtype=job["dtype"],
        skip_tokenizer_init=True,
        max_model_len=PREFIX + SUFFIX,
        enable_prefix_caching=False,  # later rounds would find the prefixes of the first
        gpu_memory_utilization=0.4,  # the other sides hold their models at the same time
    )
    settings = SamplingParams(temperature=0.0, max_tokens=SUFFIX, ignore_eos=True, detokenize=False)
    prompts = [{"prompt_token_ids": row[:PREFIX].tolist()} for row in ids]
    details["peak_mib"] = None  # it takes its cache in advance

    def run() -> list[bool]:
        outputs = engine.generate(prompts, settings, use_tqdm=False)
        return [
            list(output.outputs[0].token_ids) == row[PREFIX:].tolist() for output, row in zip(outputs, ids, strict=True)
        ]

    return run


def load(job: Job) -> Any:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=getattr(torch, job["dtype"]))
    return model.to(job["device"]).eval()


def in_batches(recited: Callable[[Tensor], Tensor], ids: Tensor, job: Job, details: dict[str, Any]) -> Run:
    """Verdicts in batches of the size that takes the least time per example, which the first run finds out."""

    @torch.inference_mode()
    def verdicts(rows: Tensor, size: int) -> list[bool]:
        return [verdict for batch in torch.split(rows, size) for verdict in recited(batch).tolist()]

    def seconds_each() -> Iterator[tuple[float, int]]:
        for size in [size for size in BATCH_SIZES[job["device"]] if size <= job["largest_batch"]]:
            rows = ids[: max(size, 16)]
            verdicts(rows[:size], size)
            start = time.perf_counter()
            verdicts(rows, size)
            yield (time.perf_counter() - start) / len(rows), size

    def run() -> list[bool]:
        if "batch" not in details:
            details["batch"] = min(seconds_each())[1]
        return verdicts(ids, details["batch"])

    return run


VERDICTS: dict[str, Callable[[Job, dict[str, Any]], Run]] = {
    "pytest-kdmem": one_pass("verdict"),
    "pytest-kdmem, all metrics": one_pass("all"),
    "transformers generate": generate,
    "one pass, all logits": full_logits,
    "lm-eval": lm_eval,
    "vLLM, 50 tokens": vllm,
}
