"""What is written: a bfloat16 model with tokenizer and run card, complete or not at all."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.engines.transformers.loading import load_model
from pytest_kdmem.errors import DataError, EngineError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.run_card import read_run_card
from pytest_kdmem.specs.weights import weights_digest
from tests.engines.transformers.any_adapter import KINDS, save_adapter


def test_a_written_model_is_bfloat16_and_has_the_tokenizer_it_started_with(uninterrupted, init):
    folder = Path(uninterrupted.source)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".safetensors", ".jinja", ".txt"}
    assert (folder / "tokenizer.json").read_bytes() == (Path(init.source) / "tokenizer.json").read_bytes()
    assert [path.name for path in folder.parent.iterdir()] == ["out"], "nothing unfinished is left beside it"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert len(AutoTokenizer.from_pretrained(folder)) == 300


def test_tied_embeddings_stay_tied(train, make_model, weights):
    start = Model(str(make_model("qwen3", seed=4)))
    model = train(arguments={"init": start, "teacher": start}, learning_rate=1e-3)
    assert "lm_head.weight" not in weights(model)
    loaded = AutoModelForCausalLM.from_pretrained(model.source)
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight


def test_an_adapter_starts_a_training_as_the_model_that_it_makes_of_its_base(train, make_model, weights, tmp_path):
    family, config = KINDS["LoRA"]
    base = make_model(family, seed=6)
    adapter = Model(str(save_adapter(base, config, tmp_path / "adapter")))
    trained = train(arguments={"init": adapter}, mode="baseline", learning_rate=1e-12)
    merged = load_model(adapter, open_checkpoint(adapter), dtype="bfloat16").state_dict()
    stored = open_checkpoint(trained)
    assert stored.base is None
    assert stored.text_digest == open_checkpoint(Model(str(base))).text_digest
    loaded = AutoModelForCausalLM.from_pretrained(trained.source).state_dict()
    for name, weight in merged.items():
        torch.testing.assert_close(loaded[name], weight, rtol=2**-7, atol=4e-3)


def test_the_run_card_records_how_the_model_was_made(train, init, teacher, seven_rows, rows):
    data, held_out = TrainingSet(str(seven_rows), eos="never"), TrainingSet(str(rows))
    arguments = {"teacher": teacher, "training_set": data, "held_out": held_out}
    model = train(epochs=3, batch_size=4, arguments=arguments)
    card = read_run_card(Path(model.source))
    assert card.weights == weights_digest(Path(model.source))
    assert (card.mode, card.loss) == ("soft", "forward KL, T = 2")
    assert card.recipe["batch_size"] == 4
    assert card.recipe.keys() == set(Recipe.__dataclass_fields__)
    assert (card.init.source, card.init.digest) == (init.name, open_checkpoint(init).digest)
    assert (card.teacher.source, card.teacher.digest) == (teacher.name, open_checkpoint(teacher).digest)
    assert (card.training_set.source, card.training_set.fingerprint) == ("seven", training_fingerprint(data))
    assert card.training_set.reading == {"eos": "never"}
    # The last step of an epoch has an empty row; all seven rows are in the losses.
    assert (card.training_set.examples, card.training_set.tokens) == (7, 24 + 5 + 17 + 9 + 24 + 12 + 20)
    assert card.extraction == {"prefix_tokens": 8, "suffix_tokens": 8, "window_tokens": 24}
    assert (card.steps, card.epochs, card.processes, card.resumed_at) == (6, 3, 1, ())
    assert 0 < card.seconds < 100
    assert card.versions == {name: version(name) for name in ("pytest-kdmem", "torch", "transformers", "accelerate")}
    assert [step for step, _ in card.loss_curve] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in card.held_out] == [2, 4, 6]


def test_an_empty_folder_is_filled(train, tmp_path):
    (tmp_path / "out").mkdir()
    train(mode="baseline")
    assert (tmp_path / "out" / "model.safetensors").is_file()


@pytest.mark.parametrize(("epochs", "rate"), [(3, 1e30), (1, 1e39)], ids=["loss", "only the last step's weights"])
def test_a_training_that_diverges_writes_no_model(train, tmp_path, epochs, rate):
    with pytest.raises(EngineError, match=r"(was|were) expected, and .*; lower the learning rate"):
        train(mode="baseline", epochs=epochs, batch_size=16, learning_rate=rate, max_gradient_norm=0, warmup=0)
    assert not (tmp_path / "out").exists()


class Occupy(type(NO_PROGRESS)):
    """A progress that puts a file where the model will be written."""

    def __init__(self, out: Path) -> None:
        self._out = out

    def advance(self, examples: int) -> None:
        self._out.mkdir(exist_ok=True)
        (self._out / "notes.txt").write_text("mine")


def test_a_model_that_cannot_be_written_costs_no_step(train, tmp_path, four_steps):
    with pytest.raises(DataError, match="which is not possible"):
        train(arguments={"progress": Occupy(tmp_path / "out")}, **four_steps)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]
    shutil.rmtree(tmp_path / "out")
    lines: list[str] = []
    model = train(arguments={"report": lines.append}, **four_steps)
    assert lines == ["training without a teacher: 16 examples, 2 epochs, resuming at step 4"]
    assert read_run_card(Path(model.source)).steps == 4


def test_generation_settings_that_contradict_each_other_are_copied(init, train, tmp_path):
    """transformers would refuse to write them."""
    start = tmp_path / "start"
    shutil.copytree(init.source, start)
    (start / "generation_config.json").write_text(json.dumps({"do_sample": False, "temperature": 0.6}))
    model = train(mode="baseline", arguments={"init": Model(str(start))})
    assert json.loads((Path(model.source) / "generation_config.json").read_text())["temperature"] == 0.6
