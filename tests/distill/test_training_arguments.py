"""Recipe and execution, as arguments of transformers' trainer."""

from __future__ import annotations

import pytest

from pytest_kdmem.distill.execution import Execution, StepSplit
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.training_arguments import CURVE_POINTS, training_arguments


def arguments_for(folder, recipe, execution=None, split=None, examples=16):
    return training_arguments(recipe, execution or Execution(), split or StepSplit(8, 1), folder, examples)


@pytest.mark.parametrize(("share", "steps"), [(0.0, 0), (0.02, 1), (0.5, 10), (1.0, 20)])
def test_warm_up_is_a_share_of_the_steps(tmp_path, share, steps):
    """transformers would take a share of 1 for one step."""
    recipe = Recipe(warmup=share, epochs=10, batch_size=8)
    assert arguments_for(tmp_path, recipe).get_warmup_steps(20) == steps


def test_a_single_step_has_no_warm_up(tmp_path):
    """The first step of a warm-up has learning rate 0."""
    assert arguments_for(tmp_path, Recipe(warmup=1.0, epochs=1, batch_size=16)).get_warmup_steps(1) == 0


def test_settings_reach_the_arguments(tmp_path):
    recipe = Recipe(epochs=3, learning_rate=1e-3, weight_decay=0.1, max_gradient_norm=0.5, seed=7, batch_size=8)
    arguments = arguments_for(tmp_path, recipe, Execution(gradient_checkpointing=True), StepSplit(2, 4))
    assert (arguments.num_train_epochs, arguments.learning_rate, arguments.seed) == (3, 1e-3, 7)
    assert (arguments.weight_decay, arguments.max_grad_norm) == (0.1, 0.5)
    assert (arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps) == (2, 4)
    assert arguments.gradient_checkpointing


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_precision_is_that_of_autocast(tmp_path, precision):
    assert arguments_for(tmp_path, Recipe(precision=precision, batch_size=8)).bf16 == (precision == "bfloat16")


@pytest.mark.parametrize(("epochs", "logged_every"), [(1, 1), (CURVE_POINTS, 2), (5 * CURVE_POINTS, 10)])
def test_long_trainings_have_curves_of_limited_length(tmp_path, epochs, logged_every):
    assert arguments_for(tmp_path, Recipe(epochs=epochs, batch_size=8)).logging_steps == logged_every


def test_the_optimizer_is_fused_in_every_version_of_torch(tmp_path):
    assert arguments_for(tmp_path, Recipe(batch_size=8)).optim == "adamw_torch_fused"
