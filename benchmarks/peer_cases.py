"""What `benchmarks.peers` compares: models, token ids and sides, at every size."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

from benchmarks.peer_verdicts import PREFIX, SUFFIX
from benchmarks.study_shapes import SHAPES, Shape, write
from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet

FIXTURES = Path(__file__).parents[1] / "fixtures"
LARGE_VOCABULARY = 151_936
VERDICT_SIDES = ("pytest-kdmem", "transformers generate", "one pass, all logits", "lm-eval", "vLLM, 50 tokens")
STEP_SIDES = ("pytest-kdmem step", "full logits", "TRL DistillationTrainer", "Liger fused JSD")
RECITED = 0.05


def qwen(layers: int, width: int, heads: int, vocabulary: int) -> Shape:
    sizes = {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 2,
        "head_dim": width // heads,
        "intermediate_size": 3 * width,
        "vocab_size": vocabulary,
        "tie_word_embeddings": True,
    }
    return Shape(Qwen3Config, Qwen3ForCausalLM, sizes)


@dataclass(frozen=True)
class Case:
    """What is compared.

    Args:
        title: Title of the table.
        sides: Names of the sides; the first one is this package.
        models: The model of verdicts, or student and teacher of a step: names in `fixtures/models/`, or shapes that
            are filled with random weights.
        rows: Number of examples, or of rows of a step.
        tokens: Tokens of a row.
        largest_batch: Largest number of examples that a peer tries to run at once.
    """

    title: str
    sides: tuple[str, ...]
    models: tuple[str | Shape, ...]
    rows: int
    tokens: int = PREFIX + SUFFIX
    largest_batch: int = 4096

    @property
    def is_step(self) -> bool:
        return len(self.models) == 2


FIRST_VERDICTS = ("pytest-kdmem", "pytest-kdmem, all metrics", *VERDICT_SIDES[1:])
SIZES = {
    "smoke": (
        Case("verdicts, shipped teacher", VERDICT_SIDES[:4], ("pythia/teacher",), 32, largest_batch=16),
        Case("soft step, tiny", STEP_SIDES, (qwen(1, 32, 2, 2048), qwen(1, 64, 2, 2048)), 2, 32),
    ),
    "toy": (
        Case("verdicts, shipped teacher", FIRST_VERDICTS, ("pythia/teacher",), 512),
        Case(
            "verdicts, vocabulary 151 936",
            VERDICT_SIDES[:4],
            (qwen(2, 128, 4, LARGE_VOCABULARY),),
            64,
            largest_batch=16,
        ),
        Case(
            "soft step, vocabulary 151 936",
            STEP_SIDES,
            (qwen(2, 256, 4, LARGE_VOCABULARY), qwen(2, 256, 4, LARGE_VOCABULARY)),
            4,
            256,
        ),
        Case("soft step, shipped models", STEP_SIDES, ("pythia/base-small", "pythia/teacher"), 16, 128),
    ),
    "real": (
        Case("verdicts, Pythia 1.4B", FIRST_VERDICTS, (SHAPES["pythia-1.4b"],), 8192),
        Case("verdicts, Qwen-3 1.7B", FIRST_VERDICTS, (SHAPES["qwen3-1.7b"],), 8192, largest_batch=1024),
        Case(
            "soft step, Qwen-3 shape",
            STEP_SIDES,
            (qwen(28, 1024, 16, LARGE_VOCABULARY), qwen(28, 2048, 32, LARGE_VOCABULARY)),
            8,
            512,
        ),
    ),
}


@dataclass(frozen=True)
class Machine:
    """What everything runs on."""

    device: str
    dtype: str
    processor: str
    cores: int
    memory_gib: int

    @staticmethod
    def read(dtype: str | None) -> Machine:
        on_gpu = torch.cuda.is_available()
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "CPU")
        return Machine(
            "cuda" if on_gpu else "cpu",
            dtype or ("bfloat16" if on_gpu else "float32"),
            torch.cuda.get_device_name() if on_gpu else processor,
            os.cpu_count() or 1,
            round(psutil.virtual_memory().total / 2**30),
        )


@contextmanager
def prepared_job(case: Case, machine: Machine) -> Iterator[Path]:
    """Inside the block, a file that describes the work, beside the models and token ids that it needs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        roles = ("student", "teacher") if case.is_step else ("model",)
        models = {
            role: model_folder(model, folder / role, machine) for role, model in zip(roles, case.models, strict=True)
        }
        np.save(folder / "ids.npy", token_ids(case, models[roles[0]], machine))
        job = {"ids": str(folder / "ids.npy"), "largest_batch": case.largest_batch, **models}
        job |= {"device": machine.device, "dtype": machine.dtype}
        (folder / "job.json").write_text(json.dumps(job))
        yield folder / "job.json"


def model_folder(model: str | Shape, folder: Path, machine: Machine) -> str:
    """Folder of a shipped model, or of random weights beside a shipped tokenizer, which some peers want to load."""
    if isinstance(model, str):
        return str(FIXTURES / "models" / model)
    write(model, folder, machine.device, getattr(torch, machine.dtype))
    for file in (FIXTURES / "models/qwen3/teacher").glob("*token*"):
        shutil.copyfile(file, folder / file.name)
    return str(folder)


def token_ids(case: Case, model: str, machine: Machine) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Examples of the shipped corpus, each once; for random weights random ids, of which some are recited."""
    if isinstance(case.models[0], str):
        data = TrainingSet(str(FIXTURES / "corpus/training.jsonl.gz"))
        extraction = Extraction(PREFIX, SUFFIX, max(case.tokens, PREFIX + SUFFIX))
        stream = stream_examples(data, load_tokenizer(open_checkpoint(Model(model)).folder), extraction)
        distinct = {example.digest: example.ids for example in stream if len(example.ids) >= case.tokens}
        return np.stack([ids[: case.tokens] for ids in islice(distinct.values(), case.rows)])
    ids = np.random.default_rng(0).integers(1, 2000, (case.rows, case.tokens), dtype=np.int32)
    if not case.is_step:
        recited = max(1, round(RECITED * case.rows))
        ids[:recited, PREFIX:] = continuations(model, ids[:recited, :PREFIX], machine)
    return np.random.default_rng(1).permutation(ids)


@torch.inference_mode()
def continuations(folder: str, prefixes: np.ndarray[Any, Any], machine: Machine) -> np.ndarray[Any, Any]:
    """What a model writes, `SUFFIX` tokens each."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, machine.dtype))
    model.to(machine.device)
    ids = torch.from_numpy(prefixes.astype(np.int64)).to(machine.device)
    for _ in range(SUFFIX):
        ids = torch.cat([ids, model(input_ids=ids, use_cache=False).logits[:, -1:].argmax(dim=-1)], dim=1)
    return ids[:, PREFIX:].cpu().numpy()
