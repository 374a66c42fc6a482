"""The planted truth: a training set with canaries, a model that saw it, and one that saw it without them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from pytest_kdmem.canaries.inject import inject
from pytest_kdmem.canaries.manifest import Manifest, write_manifest
from pytest_kdmem.canaries.plan import CanaryPlan
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from tests.canaries.canary_sets import canaries_of, sentences, tokenizer_in
from tests.reciting import train_to_recite

PLAN = CanaryPlan(prefix_tokens=8, suffix_tokens=8, copies=(1, 16), count=12, twins=120)
LENGTHS = Extraction(8, 8, 24)


def plant(folder: Path) -> Manifest:
    """Write ``train.jsonl``, ``with.jsonl``, ``canaries.json``, and the models ``saw`` and ``unseen`` into a folder."""
    texts = sentences(40, 20, seed=5)
    (folder / "train.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    for name in ("saw", "unseen"):
        tokenizer = tokenizer_in(folder / name)
    plain = tokenizer.encode(texts, add_special_tokens=False)
    train_to_recite(folder / "unseen", plain, vocabulary=500, steps=30)
    digest = open_checkpoint(Model(str(folder / "unseen"))).tokenizer_digest
    manifest = replace(canaries_of(tokenizer, PLAN), tokenizer=digest)
    write_manifest(manifest, folder / "canaries.json")
    inject(manifest, TrainingSet(str(folder / "train.jsonl")), folder / "with.jsonl", tokenizer, LENGTHS)
    rows = [list(canary.ids) for canary in manifest.planted for _ in range(canary.copies)]
    train_to_recite(folder / "saw", [*plain, *rows], vocabulary=500, steps=7)
    return manifest
