"""A generation_config.json names the sampler of transformers, or what stands against it is refused by its name."""

from __future__ import annotations

import json

import pytest
from transformers import GenerationConfig

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.generation_config import (
    OF_SAMPLING,
    OFF,
    REFUSED,
    WITHOUT_EFFECT,
    named_sampler,
    read_deployed_sampler,
    sampler_of,
)
from pytest_kdmem.specs.sampler import Sampler


def deployed(**settings) -> Sampler:
    return sampler_of(settings, "generation_config.json").sampler


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, Sampler(top_k=50)),
        ({"temperature": 0.6, "top_k": 20, "top_p": 0.95, "min_p": 0}, Sampler(0.6, 20, 0.95)),
        ({"top_k": 0, "top_p": 1.0, "min_p": 0.05}, Sampler(min_p=0.05)),
        ({"top_k": None, "temperature": None}, Sampler(top_k=50)),
        ({"epsilon_cutoff": 3e-4, "eta_cutoff": 0.0, "top_k": 0}, Sampler(epsilon_cutoff=3e-4)),
        ({"epsilon_cutoff": 1.5, "eta_cutoff": 2e-3, "top_k": 0}, Sampler(eta_cutoff=2e-3)),
        ({"repetition_penalty": 1.0, "typical_p": 1.0, "no_repeat_ngram_size": 0, "num_beams": 1}, Sampler(top_k=50)),
        ({"bos_token_id": 1, "eos_token_id": [2, 3], "max_new_tokens": 9, "use_cache": False}, Sampler(top_k=50)),
    ],
)
def test_a_file_that_samples_names_its_sampler(settings, expected):
    assert deployed(do_sample=True, **settings) == expected


def test_what_is_not_named_is_what_transformers_takes():
    defaults = GenerationConfig._get_default_generation_params()
    named = {name: defaults[name] for name in OF_SAMPLING if name in defaults}
    assert deployed(**{**named, "do_sample": True}) == deployed(do_sample=True)
    assert deployed(**defaults) == Sampler(0), "by default transformers decodes greedily"


@pytest.mark.parametrize("settings", [{}, {"do_sample": False}, {"do_sample": None, "temperature": 0.6, "top_p": 0.9}])
def test_without_sampling_it_is_greedy_and_says_why(settings):
    own = sampler_of(settings, "generation_config.json")
    assert own.sampler == Sampler(0)
    assert "do_sample" in own.remark
    assert own.remark.endswith("name the sampler if your service uses another.")


@pytest.mark.parametrize("do_sample", [True, False])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("repetition_penalty", 1.1), ("no_repeat_ngram_size", 3), ("typical_p", 0.9), ("num_beams", 4), ("top_h", 0.5),
        ("bad_words_ids", [[1]]), ("suppress_tokens", [1]), ("sequence_bias", {"a": 1}), ("guidance_scale", 1.5),
        ("min_new_tokens", 5), ("forced_eos_token_id", 2), ("penalty_alpha", 0.6), ("watermarking_config", {"b": 1}),
        ("exponential_decay_length_penalty", [1, 1.0]), ("dola_layers", "high"), ("chat_format", "chatml"),
        ("repetition_penalty", "1.0"),
    ],
)  # fmt: skip
def test_what_changes_the_draws_otherwise_is_refused_by_name(do_sample, name, value):
    with pytest.raises(SpecError, match=rf"^[^\n]*folder/generation_config\.json, and {name} =[^\n]*\.$"):
        sampler_of({"do_sample": do_sample, name: value}, "folder/generation_config.json")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"do_sample": "yes"}, "true or false was expected as do_sample"),
        ({"do_sample": True, "temperature": -1}, "found -1 in here"),
        ({"do_sample": True, "top_k": -1}, "as top_k; found -1 in here"),
        ({"do_sample": True, "top_p": "0.9"}, "as top_p; found '0.9' in here"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(SpecError, match=message):
        sampler_of(settings, "here")


def test_every_setting_of_transformers_is_known_or_refused():
    """A setting that a later version adds is refused until somebody has looked at it."""
    for name in vars(GenerationConfig()):
        if name not in OF_SAMPLING and name not in WITHOUT_EFFECT:
            with pytest.raises(SpecError, match=name):
                sampler_of({name: "?" if name not in OFF else 7.5}, "here")


def test_every_setting_of_transformers_is_looked_for_in_a_configuration():
    how_fast = {"use_mtp", "speculation_type", "continuous_batching_config", "_original_object_hash"}
    known = {*OF_SAMPLING, *OFF, *REFUSED, *WITHOUT_EFFECT, *how_fast}
    assert set(vars(GenerationConfig())) <= known


def test_the_file_of_an_adapter_is_not_another_than_that_of_its_base(tmp_path):
    adapter, base = tmp_path / "adapter", tmp_path / "base"
    for folder in (adapter, base):
        folder.mkdir()
    own = read_deployed_sampler(adapter, base)
    assert own.sampler == Sampler(0)
    assert "no generation_config.json" in str(own)
    (base / "generation_config.json").write_text(json.dumps({"do_sample": True, "top_k": 3}))
    assert read_deployed_sampler(adapter, base).sampler == Sampler(top_k=3)
    (adapter / "generation_config.json").write_text(json.dumps({"do_sample": True, "top_k": 3, "max_length": 9}))
    assert str(read_deployed_sampler(adapter, base)) == "at temperature 1, top-k 3 (generation_config.json)"
    (adapter / "generation_config.json").write_text(json.dumps({"max_length": 9}))
    with pytest.raises(SpecError, match="found by greedy decoding and at temperature 1, top-k 3: make"):
        read_deployed_sampler(adapter, base)
    (adapter / "generation_config.json").write_text("[]")
    with pytest.raises(SpecError, match="no JSON object"):
        read_deployed_sampler(adapter, base)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"do_sample": True, "temperature": 0.7, "top_k": 20},
        {"do_sample": False, "temperature": 0.7},
        {"text_config": {"do_sample": True, "top_p": 0.9}},
        {"do_sample": True, "top_p": None, "text_config": {"top_p": 0.8, "top_k": 7}},
    ],
)
def test_without_the_file_a_model_is_sampled_as_its_configuration_says(tmp_path, config):
    """As transformers does, which makes the settings of models that were saved before there was such a file."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 9, **config}))
    taken = GenerationConfig.from_pretrained(tmp_path, config_file_name="config.json", _from_model_config=True)
    own = read_deployed_sampler(tmp_path, tmp_path)
    assert own.sampler == sampler_of({name: getattr(taken, name) for name in OF_SAMPLING}, "here").sampler
    assert "no generation_config.json" in own.remark


def test_of_a_gguf_alone_no_sampler_is_known(tmp_path):
    (tmp_path / "model.gguf").touch()
    with pytest.raises(SpecError, match="The sampler of a model in GGUF was expected"):
        read_deployed_sampler(tmp_path, tmp_path)
    (tmp_path / "generation_config.json").write_text(json.dumps({"do_sample": True, "top_k": 3}))
    assert read_deployed_sampler(tmp_path, tmp_path).sampler == Sampler(top_k=3)


def test_what_changes_the_draws_in_a_configuration_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"repetition_penalty": 1.3, "min_length": 0, "top_k": 50}))
    with pytest.raises(SpecError, match=r"config\.json, and repetition_penalty = 1\.3"):
        read_deployed_sampler(tmp_path, tmp_path)


def test_a_named_sampler_says_what_the_models_own_is_if_it_is_another():
    own = sampler_of({"do_sample": True}, "here")
    assert named_sampler(own.sampler, own).remark == ""
    assert named_sampler(Sampler(), own).remark == (
        "The test names this sampler; by its own files, the model generates"
        " at temperature 1, top-k 50 (generation_config.json)."
    )
    assert "whose probabilities are not computed" in named_sampler(Sampler(), None).remark
