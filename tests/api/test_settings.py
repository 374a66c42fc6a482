"""Settings have the names and the ranges that they have under pytest, and errors name them as arguments."""

from __future__ import annotations

import pytest

from pytest_kdmem.api.settings import TAKEN, in_python, setting_values
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.options import OPTIONS


def test_every_setting_is_one_of_pytests():
    keys = {option.key for option in OPTIONS}
    assert set(TAKEN) <= keys
    assert setting_values({}) == {option.key: option.default for option in OPTIONS}
    assert setting_values({"window_tokens": 128, "labels_from": Model("m")})["window_tokens"] == 128


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("devise", "cpu", "found 'devise': write device"),
        ("sample", 9, r"write training_set=TrainingSet\(…, sample=…\)"),
        ("max_memorization_rate", 0.1, r"which is a gate: write gates=\{'max_memorization_rate': …\}"),
        ("max_canary_exposure", 3, r"which is a gate: write gates=\{'max_canary_exposure': …\}"),
        ("canaries", "canaries.txt", "canaries must"),
        ("report", "a.json", r"write audit\(…\).save\(path\)"),
        ("qqq", 1, "the settings are prefix_tokens, .*trust_remote_code"),
        ("device", "tpu", "device must be one of auto, cpu, cuda; found 'tpu'"),
        ("prefix_tokens", 1.5, "prefix_tokens must be a whole number"),
        ("confirm", "no", "confirm must be true or false"),
        ("cache_dir", 3, "cache_dir must be a path"),
        ("confidence", 1, "confidence must be"),
        ("accept_provenance", "role", "accept_provenance must be of the form"),
    ],
)
def test_other_settings_are_refused(key, value, message):
    with pytest.raises(SpecError, match=message):
        setting_values({key: value})


def test_sentences_name_settings_as_arguments():
    sentence = "Raise --kdmem-sample, or accept it by --kdmem-accept-provenance=student:role; --kdmem-seed=3."
    expected = 'Raise sample=…, or accept it by accept_provenance="student:role"; seed=3.'
    assert in_python(sentence) == expected
