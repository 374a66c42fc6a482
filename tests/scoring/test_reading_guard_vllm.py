"""The guard over readings where vLLM scores, which gives no losses: the transformers engine does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.engines.load import open_engine
from pytest_kdmem.engines.numerics import Numerics, installed_engines
from pytest_kdmem.engines.protocol import Engine
from pytest_kdmem.errors import SpecError
from pytest_kdmem.scoring import job
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from tests.reciting import byte_level, save_tokenizer, secrets, train_to_recite

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.usefixtures("forked"),
    pytest.mark.skipif("vllm" not in installed_engines(), reason="no vLLM of a tested version is installed"),
]
EXTRACTION = Extraction(10, 20, 40)
TEXTS = secrets()


@pytest.fixture(scope="module")
def with_beginning_token(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose training put a beginning token in front of each text."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = byte_level(TEXTS, adds_bos=True)
    save_tokenizer(tokenizer, folder)
    assert train_to_recite(folder, [encoding.ids[:40] for encoding in tokenizer.encode_batch(TEXTS)]) < 0.1
    return folder


@pytest.fixture
def audit(with_beginning_token: Path, tmp_path: Path) -> Callable[..., ScoreTable]:
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))

    def run(*, add_special_tokens: bool, screen_dtype: str) -> ScoreTable:
        return score(
            Model(str(with_beginning_token)),
            TrainingSet(str(path), add_special_tokens=add_special_tokens),
            EXTRACTION,
            ScoreStore(tmp_path / "store"),
            settings=RunSettings(engine="vllm", screen_dtype=screen_dtype),
            metrics="verdict",
        )

    return run


@pytest.fixture
def opened_engines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the engines that a run opens."""
    opened: list[str] = []

    def open_and_note(model: Model, checkpoint: Checkpoint, numerics: Numerics, *others: Any) -> Engine:
        opened.append(numerics.engine)
        return open_engine(model, checkpoint, numerics, *others)

    monkeypatch.setattr(job, "open_engine", open_and_note)
    return opened


@pytest.mark.parametrize(("screen_dtype", "loads"), [("none", ["vllm", "transformers"]), ("bfloat16", ["vllm"])])
def test_a_beginning_token_that_training_had_stops_a_run_of_vllm(audit, screen_dtype, loads, opened_engines):
    """What decides where vLLM screens is the transformers engine, which is not loaded again for the losses."""
    for _ in range(2):
        with pytest.raises(SpecError, match="declare add_special_tokens=True"):
            audit(add_special_tokens=False, screen_dtype=screen_dtype)
    assert opened_engines[: len(loads)] == loads
    assert opened_engines[len(loads) :] in ([], loads)


def test_what_vllm_reads_as_in_training_is_not_stopped(audit):
    table = audit(add_special_tokens=True, screen_dtype="none")
    assert table.rows["memorized"].to_pylist() == [True] * len(TEXTS)
    assert table.notes == ()
