"""An adapter is audited as the model that PEFT makes of it, and one that does not fit its base is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from pytest_kdmem.engines.transformers.loading import load_model
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model
from tests.engines.any_engine import engine_of, scored
from tests.engines.transformers.any_adapter import KINDS, PYTHIA_LAYERS, recited_unmerged, save_adapter

PREFIX, SUFFIX, ROWS = 20, 30, 8
LORA = peft.LoraConfig(r=4, target_modules=PYTHIA_LAYERS, init_lora_weights=False)


def rows_recited(base: Path, adapter: Path, *, vocabulary: int | None = None) -> np.ndarray:
    """Rows of which every other one is what the unmerged model says."""
    rows = np.random.default_rng(0).integers(1, 290, (ROWS, PREFIX + SUFFIX), dtype=np.int32)
    rows[::2] = recited_unmerged(base, adapter, rows[::2, :PREFIX], SUFFIX, vocabulary=vocabulary)
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_verdicts_are_those_of_the_unmerged_model(make_model, tmp_path, kind):
    family, config = KINDS[kind]
    base = make_model(family)
    adapter = save_adapter(base, config, tmp_path / "adapter")
    rows = rows_recited(base, adapter)
    assert scored(engine_of(adapter), rows).memorized.tolist() == [True, False] * (ROWS // 2)
    assert not scored(engine_of(base), rows).memorized[::2].all()


def test_embeddings_of_a_larger_vocabulary_are_those_of_the_adapter(make_model, tmp_path):
    base = make_model("qwen3")
    config = peft.LoraConfig(
        target_modules=["q_proj"], modules_to_save=["embed_tokens", "lm_head"], init_lora_weights=False
    )
    adapter = save_adapter(base, config, tmp_path / "adapter", vocabulary=310)
    assert open_checkpoint(Model(str(adapter))).vocabulary == 310
    rows = rows_recited(base, adapter, vocabulary=310)
    assert scored(engine_of(adapter), rows).memorized.tolist() == [True, False] * (ROWS // 2)


@pytest.fixture
def base(make_model) -> Path:
    return make_model("pythia")


@pytest.fixture
def adapter(base, tmp_path) -> Path:
    return save_adapter(base, LORA, tmp_path / "adapter")


def change_config(adapter: Path, **changes: object) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refusal(adapter: Path) -> str:
    with pytest.raises(EngineError) as caught:
        engine_of(adapter)
    message = str(caught.value)
    assert "\n" not in message
    return message


def rewrite(adapter: Path, change) -> None:
    path = adapter / "adapter_model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in change(load_file(path)).items()}, path)


def test_weights_under_other_names_are_not_left_out(adapter):
    rewrite(adapter, lambda tensors: {name.replace("layers.1.", "layers.7."): value for name, value in tensors.items()})
    assert "weights are missing" in (message := refusal(adapter))
    assert "have no place (first: base_model." in message


def test_a_weight_that_is_missing_is_not_filled(adapter):
    rewrite(adapter, lambda tensors: dict(sorted(tensors.items())[1:]))
    assert "1 weights are missing and 0 have no place" in refusal(adapter)


def test_a_base_of_another_shape_is_refused(adapter, make_model):
    change_config(adapter, base_model_name_or_path=str(make_model("pythia", hidden_size=64)))
    assert "An adapter of the model in" in (message := refusal(adapter))
    assert "name another by Model(…, base=…)" in message


def test_a_base_without_the_adapted_layers_is_refused(adapter, make_model):
    change_config(adapter, base_model_name_or_path=str(make_model("qwen3")))
    assert "query_key_value" in refusal(adapter) or "dense_4h_to_h" in refusal(adapter)


def test_an_adapter_that_changes_nothing_is_refused(base, tmp_path):
    untrained = save_adapter(base, peft.LoraConfig(r=4, target_modules=PYTHIA_LAYERS), tmp_path / "untrained")
    assert "the base gives the same logits: it was not trained" in refusal(untrained)


def test_an_adapter_that_cannot_be_merged_is_refused(base, tmp_path):
    prompt = peft.PromptTuningConfig(task_type=peft.TaskType.CAUSAL_LM, num_virtual_tokens=4)
    assert "PEFT cannot load or merge it" in refusal(save_adapter(base, prompt, tmp_path / "prompt"))


def test_what_is_merged_otherwise_than_it_runs_is_refused(adapter, monkeypatch):
    import peft.tuners.lora.layer as layers

    merge = layers.Linear.get_delta_weight
    monkeypatch.setattr(layers.Linear, "get_delta_weight", lambda self, name: 1.5 * merge(self, name))
    assert "expected to give the same logits once it is merged" in refusal(adapter)


def test_half_precision_merges_too(adapter):
    model = Model(str(adapter))
    loaded = load_model(model, open_checkpoint(model), dtype="bfloat16")
    assert {weight.dtype for weight in loaded.parameters()} == {torch.bfloat16}


def test_another_place_of_the_base_is_declared(adapter, base, tmp_path):
    moved = shutil.copytree(base, tmp_path / "moved")
    expected = open_checkpoint(Model(str(adapter)))
    change_config(adapter, base_model_name_or_path=str(tmp_path / "gone"))
    declared = open_checkpoint(Model(str(adapter), base=str(moved)))
    assert declared.weights_folder == moved
    assert declared.digest == expected.digest
