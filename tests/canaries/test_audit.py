"""The planted truth: of canaries in a training set a model shows more the more copies it saw, and else nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.canaries.make import CanaryPlan
from pytest_kdmem.canaries.manifest import write_manifest
from pytest_kdmem.cli import main
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model
from tests.canaries.canary_sets import canaries_of, sentences, tokenizer_in
from tests.reciting import train_to_recite

PLAN = CanaryPlan(prefix_tokens=8, suffix_tokens=8, copies=(1, 16), count=8, twins=120)
LENGTHS = ["--prefix-tokens=8", "--suffix-tokens=8", "--window-tokens=24"]
RUN = ["--device=cpu", "--cache-dir=cache"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with canaries, a training set with them, a model trained on it, and one trained without them."""
    folder = tmp_path_factory.mktemp("planted")
    texts = sentences(40, 20, seed=5)
    (folder / "train.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    for name in ("saw", "unseen"):
        tokenizer = tokenizer_in(folder / name)
    plain = tokenizer.encode(texts, add_special_tokens=False)
    train_to_recite(folder / "unseen", plain, vocabulary=500, steps=30)
    digest = open_checkpoint(Model(str(folder / "unseen"))).tokenizer_digest
    manifest = replace(canaries_of(tokenizer, PLAN), tokenizer=digest)
    write_manifest(manifest, folder / "canaries.json")
    rows = [list(canary.ids) for canary in manifest.planted for _ in range(canary.copies)]
    train_to_recite(folder / "saw", [*plain, *rows], vocabulary=500, steps=7)
    return folder


def figures(folder: Path, model: str) -> dict[int, dict]:
    arguments = [model, "with.jsonl", "--manifest=canaries.json", f"--json={model}.json"]
    main_exits(["canaries", "audit", *arguments, *LENGTHS, *RUN])
    return {tier["copies"]: tier for tier in json.loads((folder / f"{model}.json").read_text())["tiers"]}


def main_exits(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0


def test_canaries_show_what_was_planted(planted: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(planted)
    inject = ["inject", "train.jsonl", "--model=unseen", "--manifest=canaries.json", "--out=with.jsonl"]
    main_exits(["canaries", *inject, *LENGTHS])
    assert "136 rows put in" in capsys.readouterr().out
    saw, unseen = figures(planted, "saw"), figures(planted, "unseen")
    printed = capsys.readouterr().out
    assert "none of 120 twins" in printed
    assert not [word for word in sentences(1, 1) if f" {word} " in printed]
    # 1.44 bits are expected of strings that were never seen.
    assert saw[16]["exposure"]["value"] > saw[1]["exposure"]["value"] + 1
    assert saw[16]["exposure"]["low"] > 4
    assert saw[16]["tpr"]["k"] > saw[1]["tpr"]["k"]
    for tier in unseen.values():
        assert tier["exposure"]["low"] <= 1 / np.log(2) <= tier["exposure"]["high"]
        assert tier["tpr"]["k"] <= 1
        assert tier["recited"]["k"] == 0
