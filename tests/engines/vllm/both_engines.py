"""vLLM and the transformers engine on a model, and shipped examples for both."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from pytest_kdmem.corpus.examples import Example, stream_examples
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.engines.transformers.engine import TransformersEngine
from pytest_kdmem.engines.vllm.engine import VllmEngine
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from tests.engines.any_engine import EXTRACTION, ignore_progress


def numerics(name: str = "vllm", device: str = "cpu", dtype: str = "float32") -> Numerics:
    return Numerics(name, device, dtype, "any", "any")


def vllm_of(
    folder: Path, extraction: Extraction = EXTRACTION, *, device="cpu", dtype="float32", batch_size=None
) -> VllmEngine:
    model = Model(str(folder))
    return VllmEngine(
        model,
        open_checkpoint(model),
        numerics(device=device, dtype=dtype),
        longest_tokens=extraction.scored_tokens,
        batch_size=batch_size,
    )


def transformers_of(folder: Path, dtype: str = "float32") -> TransformersEngine:
    model = Model(str(folder))
    return TransformersEngine(model, open_checkpoint(model), numerics("transformers", dtype=dtype))


def verdicts_of(engine, examples, extraction=EXTRACTION, advance=ignore_progress):
    return engine.score(examples, extraction, "verdict", advance)


def shipped_examples(shipped: Path, folder: Path, count: int, extraction: Extraction) -> list[Example]:
    data = TrainingSet(str(shipped / "corpus/training.jsonl.gz"))
    stream = stream_examples(data, load_tokenizer(folder), extraction)
    distinct = {example.digest: example for example in stream if len(example.ids) >= extraction.scored_tokens}
    return list(islice(distinct.values(), count))
