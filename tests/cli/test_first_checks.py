"""A slip in what a command is given is told before torch and transformers are loaded, and before weights are read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.cli.first_checks import check_order
from pytest_kdmem.errors import SpecError
from tests.conftest import ROOT

SLOW = ("torch", "transformers", "tokenizers", "sklearn")
# Runs commands one after another, and tells of each what it wrote to stderr, and what was loaded by then.
RUN_ALL = f"""
import contextlib, io, json, sys
from pytest_kdmem.cli import main
for command in json.loads(sys.argv[1]):
    written = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stderr(written), contextlib.redirect_stdout(written):
        main(command)
    print(json.dumps([written.getvalue(), [name for name in {SLOW!r} if name in sys.modules]]))
"""

TRAIN = "distill --prefix-tokens=8 --suffix-tokens=8 --window-tokens=24 --init=broken --offline --out="
SLIPS: dict[str, str | tuple[str, ...]] = {
    TRAIN + "new --train=data.jsonl": "A teacher was expected for mode soft, and none was given; name one with",
    TRAIN + "new --train=data.jsonl --teacher=no/teacher": "Model no/teacher was expected as a folder or on the hub",
    TRAIN + "new --train=data.jsonl --teacher=./none": "./none, and there is none",
    TRAIN + "new --train=nowhere.jsonl --mode=baseline": "nothing is there",
    TRAIN + "full --train=data.jsonl --mode=baseline": "An empty or new folder was expected",
    TRAIN + "new --train=data.jsonl --mode=baseline --report-to=none": "report-to must be names of",
    TRAIN + "full --train=data.jsonl --text-column=body --teacher=short": (
        "An empty or new folder was expected",
        "Column 'body' was expected in line 1",
        "A window of at most 16 tokens was expected, because short has no more",
    ),
    TRAIN + "new --train=nowhere.jsonl --held-out=data.jsonl --text-column=body": (
        "A teacher was expected for mode soft",
        "nothing is there",
        "Column 'body' was expected in line 1",
    ),
    "score ./none data.jsonl --out=scores.parquet": "./none, and there is none",
    "score data.jsonl broken --out=scores.parquet": "write kdmem score broken data.jsonl.",
    "confirm data.jsonl broken": "write kdmem confirm broken data.jsonl.",
    "confirm broken nowhere.jsonl": "nothing is there",
    "canaries audit data.jsonl broken --manifest=canaries.json": "write kdmem canaries audit broken data.jsonl.",
    "canaries audit ./none data.jsonl --manifest=canaries.json": "./none, and there is none",
    "compare-models broken ./none --training-set=data.jsonl": "./none, and there is none",
    "compare-models broken data.jsonl --training-set=data.jsonl": "found a training set among the models (data.jsonl)",
    "compare-models data.jsonl broken --training-set=broken": "(data.jsonl) and a model as --training-set (broken)",
    "compare-models broken broken --training-set=data.jsonl --text-column=body": "Column 'body' was expected in line 1",
    "score broken data.jsonl --out=scores.parquet --text-column=body": "Column 'body' was expected in line 1",
    "score broken data.parquet --out=scores.parquet": "Column 'text' was expected in",
    "risk data.jsonl --teacher=broken --baseline=./none": "./none, and there is none",
    "prefilter data.jsonl --teacher=broken --baseline=./none --out=new": "./none, and there is none",
    "prefilter data.jsonl --teacher=broken --baseline=broken --labels-from=./none --out=new": "./none, and there is",
}


def test_a_slip_is_told_before_anything_large_is_loaded(tmp_path: Path) -> None:
    """The weights of the one model that is there are damaged: the slip is told before they are read."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"damaged")
    (tmp_path / "short").mkdir()
    (tmp_path / "short" / "config.json").write_text('{"max_position_embeddings": 16}')
    (tmp_path / "short" / "model.safetensors").write_bytes(b"damaged")
    (tmp_path / "data.jsonl").write_text('{"text": "words"}\n')
    pq.write_table(pa.table({"body": ["words"]}), tmp_path / "data.parquet")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL, json.dumps([command.split() for command in SLIPS])],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    ends = [json.loads(line) for line in done.stdout.splitlines()]
    for (command, expected), (told, loaded) in zip(SLIPS.items(), ends, strict=True):
        messages = (expected,) if isinstance(expected, str) else expected
        for message in messages:
            assert message in told, (command, told)
        assert told.count("kdmem: ") - told.count("kdmem: opening") == len(messages), told
        assert loaded == [], command


def test_a_model_and_a_set_in_their_places_are_not_refused(tmp_path: Path) -> None:
    for name in ("model", "adapter", "saved"):
        (tmp_path / name).mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    (tmp_path / "saved" / "dataset_info.json").write_text("{}")
    (tmp_path / "data.jsonl").write_text("")
    models = [str(tmp_path / "model"), str(tmp_path / "adapter"), "someone/model"]
    sets = [str(tmp_path / "data.jsonl"), str(tmp_path / "saved"), "someone/data", "s3://bucket/data.jsonl"]
    for model in models:
        for training_set in sets:
            check_order("kdmem score", model, training_set)
            if model != "someone/model" or training_set == sets[0]:
                with pytest.raises(SpecError, match="A model was expected first"):
                    check_order("kdmem score", training_set, model)
