"""The planted truth: of canaries in a training set a model shows more the more copies it saw, and else nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.canaries.audit import audit_canaries, check_planted
from pytest_kdmem.canaries.manifest import MANIFEST, Manifest
from pytest_kdmem.canaries.measured import MeasuredCanaries
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from tests.canaries.planted import LENGTHS, plant


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    plant(folder)
    return folder


def audited(folder: Path, model: str, training_set: str = "with.jsonl", **declared: object) -> MeasuredCanaries:
    return audit_canaries(
        MANIFEST.read(folder / "canaries.json"),
        Model(str(folder / model)),
        TrainingSet(str(folder / training_set), **declared),
        LENGTHS,
        ScoreStore(folder / "cache"),
        settings=RunSettings(device="cpu"),
    )


def reference_logprobs(folder: Path, model: str, manifest: Manifest) -> np.ndarray:
    """Log-probability of each string's suffix, one string at a time in float64."""
    import torch
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(folder / model).double().eval()
    logprobs = []
    for canary in manifest.canaries:
        with torch.no_grad():
            predicted = loaded(torch.tensor([canary.ids])).logits[0].log_softmax(-1)
        places = range(manifest.prefix_tokens, len(canary.ids))
        logprobs.append(sum(float(predicted[place - 1, canary.ids[place]]) for place in places))
    return np.array(logprobs)


def test_exposure_is_that_of_a_slow_reference(planted: Path) -> None:
    """log2 of the number of strings less log2 of the rank, counted string by string."""
    measured, manifest = audited(planted, "saw"), MANIFEST.read(planted / "canaries.json")
    logprobs = reference_logprobs(planted, "saw", manifest)
    np.testing.assert_allclose(measured.logprobs, logprobs, rtol=1e-4)
    twins = [value for value, canary in zip(logprobs, manifest.canaries, strict=True) if not canary.copies]
    for copies in (1, 16):
        own = [value for value, canary in zip(logprobs, manifest.canaries, strict=True) if canary.copies == copies]
        ranks = [1 + sum(twin > value for twin in twins) for value in own]
        expected = np.mean([np.log2(121) - np.log2(rank) for rank in ranks])
        assert measured.exposure(copies).value == pytest.approx(expected)


def test_canaries_show_what_was_planted(planted: Path) -> None:
    saw, unseen = audited(planted, "saw"), audited(planted, "unseen")
    # 1.44 bits are expected of strings that were never seen.
    assert saw.exposure(16).value > saw.exposure(1).value + 1
    assert saw.exposure(16).low > 4
    assert saw.tpr(0.05, 16).k > saw.tpr(0.05, 1).k
    for copies in (1, 16):
        exposure = unseen.exposure(copies)
        assert exposure.low <= 1 / np.log(2) <= exposure.high
        assert unseen.tpr(0.01, copies).k <= 1
        assert unseen.recited(copies).k == 0


def test_a_sample_of_the_training_set_does_not_hide_a_twin(planted: Path) -> None:
    manifest = MANIFEST.read(planted / "canaries.json")
    content = (planted / "with.jsonl").read_text() + json.dumps({"text": manifest.twins[0].text}) + "\n"
    (planted / "twin.jsonl").write_text(content)
    with pytest.raises(DataError, match="1 are in it"):
        audited(planted, "saw", "twin.jsonl", sample=5)


def test_canaries_of_another_tokenizer_or_set_are_refused(planted: Path) -> None:
    with pytest.raises(DataError, match="24 of 24 are whole in fewer"):
        audited(planted, "saw", "train.jsonl")
    manifest = replace(MANIFEST.read(planted / "canaries.json"), tokenizer="another")
    model, data = Model(str(planted / "saw")), TrainingSet(str(planted / "with.jsonl"))
    with pytest.raises(SpecError, match="tokenizer that the canaries were made of"):
        check_planted(manifest, model, open_checkpoint(model), data, LENGTHS)
