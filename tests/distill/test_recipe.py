"""A recipe is checked when it is made, names its loss, and has a digest of all its settings."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from pytest_kdmem.distill.recipe import CHECKS, Recipe
from pytest_kdmem.errors import SpecError

# For every setting, a valid value that is not its default.
OTHER_VALUES = {
    "mode": "hard",
    "temperature": 3.0,
    "divergence": "reverse",
    "jsd_weight": 0.25,
    "sampling_temperature": 0.5,
    "cross_entropy_weight": 0.125,
    "teacher_top_k": 8,
    "epochs": 7,
    "learning_rate": 2e-3,
    "batch_size": 6,
    "warmup": 0.25,
    "weight_decay": 0.01,
    "max_gradient_norm": 0.5,
    "packing": True,
    "precision": "float32",
    "seed": 9,
    "lora_rank": 3,
    "lora_target": "dense",
}
# Settings that are made only together with others.
BASES = {"lora_target": Recipe(lora_rank=4), "sampling_temperature": Recipe(mode="on-policy")}
NAMES = [field.name for field in fields(Recipe)]


def test_every_setting_has_another_value_here():
    assert list(OTHER_VALUES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_changes_the_digest(name):
    recipe = BASES.get(name, Recipe())
    assert getattr(recipe, name) != OTHER_VALUES[name]
    assert replace(recipe, **{name: OTHER_VALUES[name]}).digest != recipe.digest


def test_the_digest_is_that_of_earlier_versions():
    """Models are reused, and unfinished trainings resumed, by it."""
    assert Recipe().digest == "08d20f1a77176e53a31fa58215073048"


def test_every_setting_has_a_check():
    assert list(CHECKS) == [field.name for field in fields(Recipe)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "sotf"}, "mode must be one of baseline, soft, hard, on-policy; found 'sotf'"),
        ({"divergence": "kl"}, "divergence must be one of forward, reverse, jsd; found 'kl'"),
        ({"precision": "int8"}, "precision must be one of bfloat16, float32"),
        ({"temperature": 0.0}, "temperature must be a number above 0; found 0.0"),
        ({"temperature": float("nan")}, "temperature must be a number above 0; found nan"),
        ({"temperature": float("inf")}, "temperature must be a number above 0; found inf"),
        ({"temperature": True}, "temperature must be a number above 0; found True"),
        ({"temperature": "2"}, "temperature must be a number above 0; found '2'"),
        ({"epochs": -1}, "epochs must be a whole number of at least 1; found -1"),
        ({"epochs": 1.5}, "epochs must be a whole number of at least 1; found 1.5"),
        ({"batch_size": 0}, "batch-size must be a whole number of at least 1"),
        ({"learning_rate": 0.0}, "learning-rate must be a number above 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"seed": 2**32}, r"seed must be below 2\*\*32; found 4294967296"),
        ({"warmup": 1.5}, "warmup must be a number between 0 and 1"),
        ({"weight_decay": -0.1}, "weight-decay must be a number of at least 0"),
        ({"max_gradient_norm": -1.0}, "max-gradient-norm must be a number of at least 0"),
        ({"cross_entropy_weight": 1.1}, "cross-entropy-weight must be a number between 0 and 1"),
        ({"jsd_weight": 0.0}, "jsd-weight must be a number above 0 and below 1"),
        ({"jsd_weight": 1.0}, "jsd-weight must be a number above 0 and below 1"),
        ({"teacher_top_k": 0}, "teacher-top-k must be a whole number of at least 1"),
        ({"teacher_top_k": 8, "divergence": "reverse"}, "Divergence forward was expected with teacher-top-k"),
        ({"lora_rank": 0}, "lora-rank must be a whole number of at least 1; found 0"),
        ({"lora_rank": 2, "lora_target": ""}, "lora-target must be a text; found ''"),
        ({"lora_target": "q_proj"}, "lora-rank was expected with lora-target, and it is not given"),
        ({"packing": 1}, "packing must be true or false; found 1"),
    ],
    ids=str,
)
def test_invalid_settings_are_refused_in_a_sentence(settings, message):
    with pytest.raises(SpecError, match=message):
        Recipe(**settings)


@pytest.mark.parametrize("name", ["seed", "warmup", "weight_decay", "cross_entropy_weight", "max_gradient_norm"])
def test_some_settings_may_be_zero(name):
    assert getattr(Recipe(**{name: 0}), name) == 0


@pytest.mark.parametrize(
    ("recipe", "loss"),
    [
        (Recipe(), "forward KL, T = 2"),
        (Recipe(divergence="reverse", temperature=0.5), "reverse KL, T = 0.5"),
        (Recipe(divergence="jsd", jsd_weight=0.1, temperature=1.0), "JSD, β = 0.1, T = 1"),
        (Recipe(teacher_top_k=64, cross_entropy_weight=0.25), "forward KL, T = 2, top 64, 0.25 cross-entropy"),
        (Recipe(mode="baseline", cross_entropy_weight=0.5), "cross-entropy"),
        (Recipe(mode="hard"), "cross-entropy on the teacher's text"),
    ],
)
def test_the_loss_is_named_in_words(recipe, loss):
    assert recipe.loss == loss


def test_only_a_baseline_needs_no_teacher():
    assert [Recipe(mode=mode).needs_teacher for mode in ("baseline", "soft", "hard")] == [False, True, True]
