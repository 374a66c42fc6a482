"""A shipped model, confirmed by both engines: each checks the other's verdicts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from pytest_kdmem.engines.numerics import installed_engines
from pytest_kdmem.scoring.confirm import confirm
from pytest_kdmem.scoring.confirmation import Confirmation
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.usefixtures("forked"),
    pytest.mark.skipif("vllm" not in installed_engines(), reason="no vLLM of a tested version is installed"),
]

EXTRACTION = Extraction(50, 50, 128)
ROWS = 400
ENGINE_CHECKS = ["transformers scored", "transformers decoded", "vllm scored", "vllm decoded"]


@pytest.fixture(scope="module")
def data(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first examples of the shipped training set."""
    with gzip.open(shipped / "corpus" / "training.jsonl.gz", "rt", encoding="utf-8") as file:
        lines = [line for line, _ in zip(file, range(ROWS), strict=False)]
    assert all(json.loads(line)["text"] for line in lines)
    path = tmp_path_factory.mktemp("data") / "train.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ScoreStore:
    return ScoreStore(tmp_path_factory.mktemp("store"))


def confirmed(shipped: Path, data: Path, store: ScoreStore, engine: str, metrics: str = "verdict") -> Confirmation:
    settings = RunSettings(engine=engine)
    scores = score(
        Model(str(shipped / "models" / "pythia" / "student")),
        TrainingSet(str(data)),
        EXTRACTION,
        store,
        settings=settings,
        metrics=metrics,  # type: ignore[arg-type]
    )
    return confirm(scores, settings, store)


@pytest.mark.parametrize(("engine", "metrics"), [("transformers", "verdict"), ("vllm", "verdict"), ("vllm", "all")])
def test_both_engines_confirm_the_verdicts_of_either(shipped, data, store, engine, metrics):
    confirmation = confirmed(shipped, data, store, engine, metrics)
    assert [str(check) for check in confirmation.engine_checks] == ENGINE_CHECKS
    assert {check.checked for check in confirmation.engine_checks} == {confirmation.checked}
    assert confirmation.checked > 64
    assert confirmation.outside_band == 0
    assert confirmation.greatest_difference is not None
    assert confirmation.within_claimed_tolerance, confirmation
    confirmation.check("student")


def test_what_both_engines_confirmed_is_stored(shipped, data, store, no_model_loads):
    first = confirmed(shipped, data, store, "vllm")
    no_model_loads()  # transformers would be the first to run again
    assert confirmed(shipped, data, store, "vllm") == first
