"""What breaks in a library on the way to a model's first token is told in one sentence, with its reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

from pytest_kdmem.engines.transformers.failures import loading_failure, running_failure
from pytest_kdmem.engines.transformers.loading import load_model
from pytest_kdmem.errors import EngineError, KdmemError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model
from tests.engines.any_engine import engine_of


@pytest.fixture
def folder(make_model, tmp_path) -> Path:
    return shutil.copytree(make_model("qwen3"), tmp_path / "model")


def change_config(folder: Path, **settings: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def refusal(folder: Path) -> str:
    with pytest.raises(KdmemError) as caught:
        engine_of(folder)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 700
    return sentence


SETTINGS = {
    "bitsandbytes_4bit": {"load_in_4bit": True},
    "bitsandbytes_8bit": {"load_in_8bit": True},
    "gptq": {"bits": 4},
    "awq": {"bits": 4},
    "quanto": {"weights": "int8"},
    "compressed-tensors": {
        "config_groups": {"all": {"targets": ["Linear"], "weights": {"num_bits": 8}}},
        "format": "int-quantized",
        "quantization_status": "compressed",
    },
    "torchao": {"quant_type": "int4_weight_only"},
    "fbgemm_fp8": {},
}
LOADS_PLAIN = ("fp8", "gguf", "metal", "mxfp4", "mxfp8")


@pytest.mark.parametrize("method", sorted(AUTO_QUANTIZATION_CONFIG_MAPPING))
def test_a_quantized_model_whose_library_is_not_there_is_refused_in_one_sentence(folder, method):
    """Some methods load weights that are not quantized as they are, which is right."""
    change_config(folder, quantization_config={"quant_method": method.split("_4bit")[0], **SETTINGS.get(method, {})})
    if method not in LOADS_PLAIN:
        assert str(folder) in refusal(folder)
        return
    stored, loaded = load_file(folder / "model.safetensors"), engine_of(folder)._model.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in stored.items())


@pytest.mark.parametrize("bits", ["load_in_4bit", "load_in_8bit"])
def test_plain_weights_that_are_declared_to_be_of_few_bits_are_refused(folder, bits):
    """bitsandbytes rounds them to whole numbers, which are zeros: such a model recites nothing."""
    change_config(folder, quantization_config={"quant_method": "bitsandbytes", bits: True})
    refusal(folder)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"pad_token_id": 5_000}, "Padding_idx must be within num_embeddings; set pad_token_id in its config.json"),
        ({"model_type": "unheard_of"}, "unheard_of"),
        ({"model_type": "t5"}, "T5Config"),
        ({"hidden_act": "unheard_of"}, "unheard_of"),
        ({"num_attention_heads": 5}, ""),
        ({"num_attention_heads": 0}, ""),
        ({"hidden_size": "wide"}, ""),
        ({"rope_parameters": {"rope_type": "unheard_of"}}, "unheard_of"),
        ({"rope_parameters": 3}, ""),
        ({"auto_map": {"AutoModelForCausalLM": "modeling.Own"}, "model_type": "own"}, ""),
    ],
    ids=str,
)
def test_a_configuration_that_no_model_can_be_made_from_is_refused_with_the_reason(folder, settings, reason):
    change_config(folder, **settings)
    assert reason in refusal(folder)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import flash_attn\n", "flash_attn"),
        ("def broken(:\n", ""),
        ("raise AssertionError('a GPU is needed')\n", "a GPU is needed"),
        ("import sys\n", "Own"),
    ],
    ids=["a package that is not there", "no Python", "an assertion", "another class"],
)
def test_code_of_a_model_that_does_not_run_is_refused_with_the_reason(folder, code, reason):
    (folder / "modeling.py").write_text(code)
    change_config(folder, auto_map={"AutoModelForCausalLM": "modeling.Own"}, model_type="qwen3")
    model = Model(str(folder), trust_remote_code=True)
    with pytest.raises(EngineError) as caught:
        load_model(model, open_checkpoint(model), dtype="float32")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tensors_that_cannot_be_converted_are_told_to_be_so(tmp_path):
    """transformers raises `look at the above report`, which nobody sees."""
    from transformers import MixtralConfig, MixtralForCausalLM

    config = MixtralConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        num_local_experts=2, vocab_size=32,
    )  # fmt: skip
    MixtralForCausalLM(config).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = next(name for name in weights if "experts.1" in name)
    weights[name] = torch.ones(3, 3)
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    assert "above report" not in refusal(tmp_path)


def test_a_class_that_is_no_causal_model_by_its_logits_is_refused(tmp_path):
    from transformers import BertConfig, BertLMHeadModel

    torch.manual_seed(0)
    config = BertConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=32)
    BertLMHeadModel(config).save_pretrained(tmp_path)
    assert "BertLMHeadModel" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("first\nsecond"), "does not load: first."),
        (ValueError("\n  \n  first.\n"), "does not load: first."),
        (KeyError("metadata"), "does not load: KeyError: 'metadata'."),
        (AssertionError(), "does not load: AssertionError."),
        (ImportError("x needs y"), "x needs y; install what is asked for, or audit the model before it was"),
        (RuntimeError("look at the above report!"), "cannot be converted into the layout that the class expects."),
        (OSError("x" * 1000), f"{'x' * 300}…."),
    ],
    ids=repr,
)
def test_an_error_is_one_sentence_with_its_reason(error, expected):
    sentence = str(loading_failure(Path("folder"), error))
    assert sentence.startswith("A causal language model was expected in folder; it does not load: ")
    assert expected in sentence


def test_a_model_that_fails_is_named_with_its_class():
    assert "was expected in runs/x, and OwnModel fails: TypeError: no." in str(
        running_failure("runs/x", "OwnModel", TypeError("no"))
    )
