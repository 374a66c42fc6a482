"""An audit looks into a training set once for each manifest and content, and measures each model once."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kdmem.auditing.planted_canaries import PlantedCanaries
from pytest_kdmem.auditing.scorer import Scorer
from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.canaries.manifest import MANIFEST, Manifest
from pytest_kdmem.errors import DataError
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from tests.canaries.planted import LENGTHS, plant


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("planted")
    plant(folder)
    return folder, MANIFEST.read(folder / "canaries.json")


def memorized(scorer: Scorer, folder: Path, model: str) -> Memorization:
    opened = Model(str(folder / model))
    data = TrainingSet(str(folder / "with.jsonl"))
    scores = scorer.score(opened, scorer.open(opened), data, "verdict")
    return Memorization(model, scores, 0.95)


def test_a_set_is_read_once_and_again_once_it_was_changed(planted: tuple[Path, Manifest], tmp_path: Path) -> None:
    folder, manifest = planted
    data = Path(shutil.copy(folder / "with.jsonl", tmp_path))
    for model in ("saw", "unseen"):
        (tmp_path / model).symlink_to(folder / model)
    settings = RunSettings(device="cpu", accept_reading="noise")
    scorer = Scorer(LENGTHS, settings, ScoreStore(tmp_path / "cache"), NO_PROGRESS)
    canaries = PlantedCanaries(scorer)
    saw, unseen = (memorized(scorer, tmp_path, model) for model in ("saw", "unseen"))
    first = canaries.measure(saw, manifest)
    assert canaries.measure(saw, manifest) is first
    second = canaries.measure(unseen, manifest)
    assert len(canaries._checked) == 1
    assert [figures.subject for _, figures in canaries.measured] == ["saw", "unseen"]
    assert first.model_digest != second.model_digest == unseen.scores.checkpoint.digest
    assert second.exposure(16) <= first.exposure(16)  # over the same canaries and set
    (tmp_path / "template.jinja").write_text("{{ messages }}")
    otherwise = replace(saw.scores.training_set, chat_template=str(tmp_path / "template.jinja"))
    canaries.measure(replace(saw, scores=replace(saw.scores, training_set=otherwise)), manifest)
    assert len(canaries._checked) == 2, "what is read otherwise may hold others"
    data.write_text(data.read_text() + json.dumps({"text": manifest.twins[0].text}) + "\n")
    with pytest.raises(DataError, match="1 are in it"):
        canaries.measure(saw, manifest)
    more = tuple(replace(canary, copies=canary.copies and 20) for canary in manifest.canaries)
    with pytest.raises(DataError, match="whole in fewer"):
        canaries.measure(unseen, replace(manifest, canaries=more))
