"""Quantized models have the verdicts of the libraries that they were quantized with, example by example."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, GPTNeoXConfig, LlamaConfig, LlamaForCausalLM

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.engines.transformers.engine import TransformersEngine
from pytest_kdmem.engines.transformers.loading import load_model
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model
from tests.quantized_models import KINDS, PREFIX, SIZES, TOKENS, decoded, sequences, train, with_config, write_gguf


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def quantized(full: Path, tmp_path_factory: pytest.TempPathFactory):
    """The folder of a kind of quantized model, made once."""
    folders: dict[str, Path] = {}

    def quantized(kind: str) -> Path:
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp("quantized")
            KINDS[kind][0](full, folders[kind])
        return folders[kind]

    return quantized


def own_arguments(folder: Path) -> dict[str, str]:
    return {"gguf_file": "model.gguf"} if (folder / "model.gguf").is_file() else {}


def loaded_by_library(folder: Path):
    """The model as transformers loads it, which multiplies in float32.

    On processors with units for bfloat16, bitsandbytes multiplies in that whatever dtype is asked for.
    """
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **own_arguments(folder)).eval()
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_verdicts_are_those_of_the_library(quantized, kind):
    folder: Path = quantized(kind)
    model = Model(str(folder))
    checkpoint = open_checkpoint(model)
    numerics = resolve_numerics(model, checkpoint, engine="transformers", device="cpu", dtype="auto", metrics="verdict")
    engine = TransformersEngine(model, checkpoint, numerics)
    examples = [Example(row, ids) for row, ids in enumerate(sequences())]
    scores = engine.score(examples, Extraction(PREFIX, TOKENS - PREFIX, TOKENS), "verdict", lambda count: None)
    expected = (decoded(folder, **own_arguments(folder)) == sequences()).all(axis=1)
    sure = np.isnan(scores.margin) | (np.abs(scores.margin) > scores.tolerance)
    assert (scores.memorized == expected)[sure].all()
    assert 20 <= expected.sum() <= 36
    # A changed bit of an input's rounding moves margins by much, so that more verdicts are ambiguous.
    assert sure.sum() >= (38 if "inputs" in kind or not KINDS[kind][1] else 46)
    assert numerics.quantization.endswith("dequantized" if KINDS[kind][1] else "by its own kernels")


def test_what_is_not_quantized_runs_in_float32_whatever_dtype_its_file_has(tmp_path):
    """The loader leaves the head of this family, whose weight it renames, in the dtype of the file."""
    full = train(tmp_path / "full", config=GPTNeoXConfig(**SIZES), dtype=torch.bfloat16, steps=20)
    with_config(BitsAndBytesConfig(load_in_8bit=True), dtype=torch.bfloat16)(full, tmp_path / "eight")
    model = Model(str(tmp_path / "eight"))
    loaded = load_model(model, open_checkpoint(model), dtype="float32")
    assert {weight.dtype for weight in loaded.parameters()} == {torch.float32, torch.int8}
    ids = torch.from_numpy(sequences()[:, : TOKENS - 1].astype(np.int64))
    with torch.inference_mode():
        following = loaded(ids).logits.argmax(dim=-1)[:, PREFIX - 1 :].numpy()
    recited = (following == sequences()[:, PREFIX:]).all(axis=1)
    expected = (decoded(tmp_path / "eight") == sequences()).all(axis=1)
    assert (recited == expected).all()
    assert 20 <= expected.sum() <= 36


@pytest.mark.parametrize("kind", [kind for kind, (_, dequantized) in KINDS.items() if dequantized])
def test_dequantized_weights_give_the_logits_of_the_library(quantized, kind):
    folder: Path = quantized(kind)
    model = Model(str(folder))
    plain = load_model(model, open_checkpoint(model), dtype="float32")
    own = loaded_by_library(folder)
    ids = torch.from_numpy(sequences().astype(np.int64))
    with torch.inference_mode():
        expected, logits = own(ids).logits, plain(ids).logits
    assert (expected - logits).abs().max() <= 1e-5 * expected.abs().max()
    assert all(weight.dtype == torch.float32 for weight in plain.parameters() if weight.is_floating_point())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dequantized_weights_are_cast_to_the_dtype_of_a_teacher(quantized, dtype):
    model = Model(str(quantized("torchao int8")))
    teacher = load_model(model, open_checkpoint(model), dtype=dtype)
    assert {weight.dtype for weight in teacher.parameters()} == {getattr(torch, dtype)}


def test_an_adapter_is_merged_into_the_dequantized_weights_of_its_base(quantized, tmp_path):
    folder = quantized("bitsandbytes 4 bit")
    own = loaded_by_library(folder)
    torch.manual_seed(0)
    adapted = get_peft_model(own, LoraConfig(target_modules=["q_proj", "down_proj"], init_lora_weights=False)).eval()
    adapted.peft_config["default"].base_model_name_or_path = str(folder)
    adapted.save_pretrained(tmp_path / "adapter")
    model = Model(str(tmp_path / "adapter"))
    merged = load_model(model, open_checkpoint(model), dtype="float32")
    ids = torch.from_numpy(sequences().astype(np.int64))
    with torch.inference_mode():
        expected, logits = adapted(ids).logits, merged(ids).logits
    assert (expected - logits).abs().max() <= 1e-4 * expected.abs().max()


def test_layers_that_give_other_outputs_than_their_dequantized_weights_are_refused(quantized, monkeypatch):
    monkeypatch.setattr("torchao.quantization.Int8Tensor.dequantize", lambda self, **_: 1.1 * self.qdata * self.scale)
    model = Model(str(quantized("torchao int8")))
    with pytest.raises(
        EngineError, match=r"outputs of the quantized layer .* were expected of its dequantized weights"
    ):
        load_model(model, open_checkpoint(model), dtype="float32")


@pytest.mark.parametrize("kind", ["torchao int8", "compressed-tensors int8", "bitsandbytes 8 bit", "GGUF Q8_0"])
def test_files_that_change_after_they_were_digested_are_refused(quantized, tmp_path, kind):
    folder = Path(shutil.copytree(quantized(kind), tmp_path / "model"))
    model = Model(str(folder))
    checkpoint = open_checkpoint(model)
    file = folder / ("model.gguf" if kind.startswith("GGUF") else "model.safetensors")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(EngineError, match="changed"):
        load_model(model, checkpoint, dtype="float32")


@pytest.mark.parametrize("kind", ["torchao int8, inputs too", "bitsandbytes 8 bit"])
def test_a_model_that_other_kernels_run_lies_in_no_file(quantized, tmp_path, kind):
    """Else who writes to the file changes the model while it runs."""
    folder = Path(shutil.copytree(quantized(kind), tmp_path / "model"))
    model = Model(str(folder))
    loaded = load_model(model, open_checkpoint(model), dtype="float32")
    ids = torch.from_numpy(sequences().astype(np.int64))
    with torch.inference_mode():
        before = loaded(ids).logits
        with (folder / "model.safetensors").open("r+b") as file:
            size = file.seek(0, 2)
            file.seek(size // 2)
            file.write(bytes(size - size // 2))
        assert torch.equal(loaded(ids).logits, before)


def test_progress_and_warnings_of_the_libraries_are_not_written(quantized, capfd):
    for kind in ("compressed-tensors int8", "bitsandbytes 8 bit"):
        model = Model(str(quantized(kind)))
        capfd.readouterr()
        load_model(model, open_checkpoint(model), dtype="float32")
        assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("kind", "bits"), [("compressed-tensors int8", 4), ("compressed-tensors int4", 2)])
def test_weights_that_are_packed_otherwise_than_the_configuration_says_are_refused(quantized, tmp_path, kind, bits):
    """The library itself reads other weights then, by which a model recites nothing."""
    folder = Path(shutil.copytree(quantized(kind), tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    for group in config["quantization_config"]["config_groups"].values():
        group["weights"] |= {"num_bits": bits}
    (folder / "config.json").write_text(json.dumps(config))
    model = Model(str(folder))
    with pytest.raises(EngineError, match=rf"Weights of {bits} bits were expected .*weight_packed is packed otherwise"):
        load_model(model, open_checkpoint(model), dtype="float32")


@pytest.mark.parametrize("lost", ["nested_absmax", "nested_quant_map"])
def test_scales_without_their_own_scales_are_refused(quantized, tmp_path, lost):
    """The library takes the numbers of eight bits for the scales: one such layer, and a model recites nothing."""
    folder = Path(shutil.copytree(quantized("bitsandbytes 4 bit"), tmp_path / "model"))
    with safe_open(folder / "model.safetensors", "pt") as file:
        metadata = file.metadata()
    tensors = load_file(folder / "model.safetensors")
    del tensors[f"model.layers.0.mlp.down_proj.weight.{lost}"]
    save_file(tensors, folder / "model.safetensors", metadata)
    model = Model(str(folder))
    with pytest.raises(EngineError):
        load_model(model, open_checkpoint(model), dtype="float32")


FACTORS = np.full(8, 8.0, np.float32)


@pytest.mark.parametrize(
    ("extend", "name"),
    [
        (lambda writer: writer.add_tensor("rope_freqs.weight", FACTORS), "rope_freqs.weight"),
        (lambda writer: writer.add_tensor("blk.0.attn_q.bias", FACTORS), "blk.0.attn_q.bias"),
        (lambda writer: writer.add_rope_scaling_factor(4.0), "llama.rope.scaling.factor"),
        (lambda writer: writer.add_tensor("rope_freqs.weight", FACTORS / 8), None),
        (lambda writer: writer.add_rope_scaling_factor(1.0), None),
    ],
    ids=["rotary factors", "a bias", "rotary scaling", "factors of one", "scaling by one"],
)
def test_what_transformers_passes_over_in_a_gguf_file_is_another_model(full, tmp_path, extend, name):
    write_gguf("Q8_0", extend)(full, tmp_path)
    model = Model(str(tmp_path))
    if name is None:
        load_model(model, open_checkpoint(model), dtype="float32")
        return
    with pytest.raises(EngineError, match=rf"have none and would be dropped \(first: {name}\)"):
        load_model(model, open_checkpoint(model), dtype="float32")


def test_an_adapter_of_a_base_that_other_kernels_run_is_refused_unless_it_is_merged_as_it_runs(quantized, tmp_path):
    """Merged weights are rounded again, to other ones."""
    folder = quantized("bitsandbytes 8 bit")
    own = loaded_by_library(folder)
    torch.manual_seed(0)
    adapted = get_peft_model(own, LoraConfig(target_modules=["q_proj", "down_proj"], init_lora_weights=False))
    adapted.peft_config["default"].base_model_name_or_path = str(folder)
    adapted.save_pretrained(tmp_path / "adapter")
    model = Model(str(tmp_path / "adapter"))
    with pytest.raises(EngineError, match="expected to give the same logits once it is merged"):
        load_model(model, open_checkpoint(model), dtype="float32")


def test_rows_that_bitsandbytes_reads_wrongly_on_a_cpu_are_refused(tmp_path):
    """Its own forward reads them as wrongly: such a model recites nothing here, and on a GPU it may."""
    config = LlamaConfig(
        vocab_size=32, hidden_size=96, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path / "full")
    KINDS["bitsandbytes 4 bit"][0](tmp_path / "full", tmp_path / "quantized")
    model = Model(str(tmp_path / "quantized"))
    with pytest.raises(EngineError, match="multiple of 64 weights were expected, because kernels of bitsandbytes read"):
        load_model(model, open_checkpoint(model), dtype="float32")
