"""Training end to end on tiny models: what a student learns, and when a trained model is reused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from pytest_kdmem.distill.execution import Execution
from pytest_kdmem.distill.losses import Objective
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.run import distill_once
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.run_card import read_run_card
from pytest_kdmem.specs.weights import weights_digest
from tests.distill.reference_loss import reference_step

LONG = {"epochs": 60}


@pytest.fixture
def recited(rows, extraction, tmp_path):
    """How many of the sixteen rows a model memorized."""

    def count(model: Model) -> int:
        scores = score(model, TrainingSet(str(rows)), extraction, ScoreStore(tmp_path / "store"))
        return Memorization("m", scores).count

    return count


@pytest.fixture(scope="module")
def reciting_teacher(train_in, tmp_path_factory) -> Model:
    """A teacher that memorized its training set."""
    return train_in(tmp_path_factory.mktemp("models") / "teacher", mode="baseline", **LONG)


@pytest.fixture(scope="module")
def other_init(make_model) -> Model:
    return Model(str(make_model("pythia", seed=3, initializer_range=0.02)))


def test_fine_tuning_memorizes_what_it_repeats(reciting_teacher, init, recited):
    assert recited(init) == 0
    assert recited(reciting_teacher) >= 12


def test_training_in_bfloat16_memorizes_too(train, recited):
    assert recited(train(mode="baseline", precision="bfloat16", **LONG)) >= 10


@pytest.mark.parametrize(
    "recipe",
    [
        {"temperature": 2.0},
        {"divergence": "reverse", "temperature": 1.0},
        {"divergence": "jsd", "temperature": 1.0, "packing": True},
        {"teacher_top_k": 8},
    ],
    ids=str,
)
def test_a_soft_student_recites_what_the_teacher_memorized(train, reciting_teacher, other_init, recited, recipe):
    """The loss does not use the text's own tokens, so what is recited came from the teacher's distribution."""
    student = train(arguments={"teacher": reciting_teacher, "init": other_init}, **LONG, **recipe)
    assert recited(student) >= 8


def test_a_hard_student_recites_the_teachers_continuations(
    train, reciting_teacher, other_init, rows, tmp_path, recited
):
    prefixes = np.load(rows)
    prefixes[:, 8:] = np.random.default_rng(1).integers(1, 256, prefixes[:, 8:].shape)
    np.save(tmp_path / "prefixes.npy", prefixes)
    training_set = TrainingSet(str(tmp_path / "prefixes.npy"))
    arguments = {"teacher": reciting_teacher, "init": other_init, "training_set": training_set}
    assert recited(train(mode="hard", arguments=arguments, **LONG)) >= 10


@pytest.fixture(scope="module")
def student(train_in, teacher, tmp_path_factory) -> Model:
    """A soft student of two epochs, with which others are compared."""
    return train_in(tmp_path_factory.mktemp("student") / "out", epochs=2, arguments={"teacher": teacher})


@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": 4.0},
        {"divergence": "reverse"},
        {"divergence": "jsd"},
        {"cross_entropy_weight": 0.5},
        {"teacher_top_k": 4},
        {"max_gradient_norm": 0.01},
        {"weight_decay": 0.5},
        {"warmup": 0.9},
        {"seed": 1},
        {"mode": "hard"},
        {"mode": "baseline"},
    ],
    ids=str,
)
def test_every_setting_of_a_recipe_changes_the_weights(train, teacher, student, changed):
    model = train(epochs=2, arguments={"teacher": teacher}, **changed)
    assert weights_digest(Path(model.source)) != weights_digest(Path(student.source))


def test_the_same_recipe_gives_the_same_weights(train, teacher, student):
    model = train(epochs=2, arguments={"teacher": teacher})
    assert weights_digest(Path(model.source)) == weights_digest(Path(student.source))


def curve(model: Model) -> list[float]:
    return [loss for _, loss in read_run_card(Path(model.source)).loss_curve]


def assert_agree_but_for_rounding(model: Model, expected: Model, weights) -> None:
    assert curve(model) == pytest.approx(curve(expected), rel=1e-5)
    for name, weight in weights(expected).items():
        torch.testing.assert_close(weights(model)[name], weight, rtol=2**-7, atol=1e-4)


@pytest.mark.parametrize("execution", [Execution(2), Execution(4, gradient_checkpointing=True)], ids=str)
def test_the_execution_changes_the_model_by_rounding_alone(train, teacher, student, weights, execution):
    model = train(epochs=2, arguments={"teacher": teacher, "execution": execution})
    assert_agree_but_for_rounding(model, student, weights)


@pytest.mark.parametrize("packing", [False, True], ids=["unpacked", "packed"])
def test_all_stored_log_probabilities_train_as_the_loaded_teacher_does(train, teacher, seven_rows, weights, packing):
    arguments = {"teacher": teacher, "training_set": TrainingSet(str(seven_rows))}
    recipe = {"epochs": 2, "batch_size": 4, "packing": packing, "cross_entropy_weight": 0.25}
    live = train("live", arguments=arguments, **recipe)
    stored = train("stored", arguments=arguments, teacher_top_k=300, **recipe)
    assert_agree_but_for_rounding(stored, live, weights)


def test_a_student_equal_to_its_teacher_has_exactly_no_loss(train, teacher):
    model = train(epochs=2, learning_rate=1e-12, arguments={"teacher": teacher, "init": teacher})
    assert curve(model) == [0] * 4


@pytest.fixture(scope="module")
def first_loss_by_reference(init, teacher):
    """The loss of the first step over rows of token ids, per token, by the reference."""

    def compute(rows: list[list[int]], objective: Objective) -> float:
        student, judge = (
            AutoModelForCausalLM.from_pretrained(model.source, dtype=torch.float32) for model in (init, teacher)
        )
        return reference_step(student, judge, rows, objective)[0]

    return compute


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_first_loss_is_t_squared_times_kl_at_the_temperature(
    train, teacher, rows, first_loss_by_reference, temperature
):
    """Neither the temperature nor its square is missing."""
    ids = np.load(rows).tolist()
    loss = curve(train(batch_size=16, temperature=temperature, arguments={"teacher": teacher}))[0]
    expected = first_loss_by_reference(ids, Objective("forward", temperature, vocabulary=300))
    assert loss == pytest.approx(expected, rel=1e-4)
    if temperature != 1.0:
        assert loss != pytest.approx(expected / temperature**2, rel=0.05)
        assert loss != pytest.approx(first_loss_by_reference(ids, Objective("forward", 1.0, vocabulary=300)), rel=0.01)


@pytest.mark.parametrize("kind", ["reverse", "jsd"])
def test_the_first_loss_has_the_direction_of_the_divergence(train, teacher, rows, first_loss_by_reference, kind):
    recipe = {"divergence": kind, "jsd_weight": 0.2, "temperature": 1.0}
    loss = curve(train(batch_size=16, arguments={"teacher": teacher}, **recipe))[0]
    expected = first_loss_by_reference(np.load(rows).tolist(), Objective(kind, jsd_weight=0.2, vocabulary=300))
    assert loss == pytest.approx(expected, rel=1e-4)


def test_every_token_counts_the_same_in_short_and_long_examples(train, teacher, seven_rows, first_loss_by_reference):
    """Over rows of 5 to 24 tokens, each a pass of its own, a mean of the rows' means would be another loss."""
    lines = [json.loads(line)["input_ids"] for line in seven_rows.read_text().splitlines()]
    objective = Objective("forward", 2.0, vocabulary=300)
    mean_of_means = np.mean([first_loss_by_reference([line], objective) for line in lines])
    arguments = {"teacher": teacher, "training_set": TrainingSet(str(seven_rows)), "execution": Execution(1)}
    loss = curve(train(arguments=arguments))[0]
    assert loss == pytest.approx(first_loss_by_reference(lines, objective), rel=1e-5)
    assert abs(loss - mean_of_means) > 1e-3 * loss


def test_a_batch_that_cannot_be_split_is_refused_before_anything_is_loaded(train, tmp_path):
    with pytest.raises(SpecError, match=r"in passes of 3 was expected; found 8: choose a multiple of 3"):
        train(mode="baseline", arguments={"execution": Execution(3)})
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def train_once(init, rows, extraction, tmp_path):
    """`distill_once` of the toy model."""

    def run(recipe: Recipe, **arguments) -> Model:
        defaults = {"init": init, "training_set": TrainingSet(str(rows)), "extraction": extraction}
        return distill_once(recipe, models_dir=tmp_path / "models", **(defaults | arguments))

    return run


def test_a_trained_model_is_reused_by_the_same_recipe_models_and_data(train_once):
    recipe = {"mode": "baseline", "learning_rate": 1e-3, "batch_size": 8}
    model = train_once(Recipe(epochs=1, **recipe))
    written = (Path(model.source) / "model.safetensors").stat().st_mtime_ns
    assert train_once(Recipe(epochs=1, **recipe)) == model
    assert (Path(model.source) / "model.safetensors").stat().st_mtime_ns == written
    assert train_once(Recipe(epochs=2, **recipe)) != model


def test_a_named_folder_that_holds_files_is_not_reused(train_once, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(SpecError, match="empty or new folder"):
        train_once(Recipe(mode="baseline"), out=tmp_path / "mine")


def test_several_processes_are_directed_to_the_command(train_once, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SpecError, match="WORLD_SIZE is 2; several train one model together"):
        train_once(Recipe(mode="baseline"))
