"""A recipe is checked where it is made, says its loss in words, and is known by every setting."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.errors import SpecError

# Another valid value of every field: a new one must be added here, and is then checked everywhere below.
OTHER = {
    "mode": "hard",
    "temperature": 3.0,
    "divergence": "reverse",
    "jsd_weight": 0.25,
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
}
NAMES = [field.name for field in fields(Recipe)]


def test_every_field_is_known_here():
    assert list(OTHER) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_part_of_the_digest(name):
    assert getattr(Recipe(), name) != OTHER[name]
    assert replace(Recipe(), **{name: OTHER[name]}).digest != Recipe().digest


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mode": "sotf"}, "mode must be one of baseline, soft, hard; found 'sotf'"),
        ({"divergence": "kl"}, "divergence must be one of forward, reverse, jsd; found 'kl'"),
        ({"precision": "int8"}, "precision must be one of bfloat16, float32"),
        ({"temperature": 0.0}, "temperature must be positive; found 0.0"),
        ({"temperature": float("nan")}, "temperature must be positive; found nan"),
        ({"temperature": float("inf")}, "temperature must be positive; found inf"),
        ({"temperature": True}, "temperature must be a number; found True"),
        ({"temperature": "2"}, "temperature must be a number; found '2'"),
        ({"epochs": -1}, "epochs must be positive"),
        ({"epochs": 1.5}, "epochs must be a whole number; found 1.5"),
        ({"batch_size": 0}, "batch-size must be positive"),
        ({"learning_rate": 0.0}, "learning-rate must be positive"),
        ({"seed": -1}, "seed must be positive"),
        ({"warmup": 1.5}, "warmup must be at most 1"),
        ({"weight_decay": -0.1}, "weight-decay must be positive"),
        ({"max_gradient_norm": -1.0}, "max-gradient-norm must be positive"),
        ({"cross_entropy_weight": 1.1}, "cross-entropy-weight must be at most 1"),
        ({"jsd_weight": 0.0}, "jsd-weight must be positive"),
        ({"jsd_weight": 1.0}, "jsd-weight must lie between 0 and 1"),
        ({"teacher_top_k": 0}, "teacher-top-k must be positive"),
        ({"teacher_top_k": 8, "divergence": "reverse"}, "Divergence forward was expected with teacher-top-k"),
        ({"packing": 1}, "packing must be true or false; found 1"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused_in_a_sentence(changed, message):
    with pytest.raises(SpecError, match=message):
        Recipe(**changed)


@pytest.mark.parametrize("name", ["seed", "warmup", "weight_decay", "cross_entropy_weight", "max_gradient_norm"])
def test_zero_is_a_value_of_some(name):
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
def test_the_loss_is_said_in_words(recipe, loss):
    assert recipe.loss == loss


def test_only_a_baseline_needs_no_teacher():
    assert [Recipe(mode=mode).needs_teacher for mode in ("baseline", "soft", "hard")] == [False, True, True]


@pytest.fixture
def given(monkeypatch, tmp_path):
    """What `kdmem distill` would train, without training."""
    from pytest_kdmem.cli import main
    from pytest_kdmem.distill import run
    from pytest_kdmem.specs.declared import Model

    def capture(*arguments: str) -> tuple[Recipe, dict]:
        taken = []

        def distill(recipe, **how):
            taken.append((recipe, how))
            return Model("made")

        monkeypatch.setattr(run, "distill", distill)
        with pytest.raises(SystemExit) as ended:
            main(["distill", "--init", "start", "--train", "rows.npy", "--out", str(tmp_path / "out"), *arguments])
        assert ended.value.code == 0
        [only] = taken
        return only

    return capture


def test_the_command_alone_is_the_default_recipe(given):
    assert given()[0] == Recipe()


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_an_option_of_the_command(given, name):
    option = f"--{name.replace('_', '-')}"
    recipe, _ = given(*([option] if OTHER[name] is True else [option, str(OTHER[name])]))
    assert recipe == replace(Recipe(), **{name: OTHER[name]})


def test_what_is_no_part_of_the_recipe_arrives_too(given, tmp_path):
    from pathlib import Path

    from pytest_kdmem.distill.execution import Execution
    from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet

    _, how = given(
        *["--teacher", "judge", "--held-out", "other.npy", "--micro-batch-size", "2", "--gradient-checkpointing"],
        *["--checkpoint-minutes", "3", "--text-column", "body", "--form", "blocks", "--prefix-tokens", "8"],
        *["--suffix-tokens", "9", "--window-tokens", "30", "--cache-dir", "kept", "--offline", "--trust-remote-code"],
    )
    assert how["init"] == Model("start", trust_remote_code=True)
    assert how["teacher"] == Model("judge", trust_remote_code=True)
    assert how["training_set"] == TrainingSet("rows.npy", text_column="body", form="blocks")
    assert how["held_out"] == TrainingSet("other.npy", text_column="body", form="blocks")
    assert how["execution"] == Execution(2, True, 3.0)
    assert how["extraction"] == Extraction(8, 9, 30)
    assert (how["out"], how["cache_dir"], how["offline"]) == (tmp_path / "out", Path("kept"), True)


def test_every_field_is_an_argument_of_the_fixture(pytester, tmp_path):
    """`distiller` hands on what it is given, and takes the audit's teacher and training set where none is named."""
    pytester.makeconftest(
        """
        import pytest
        from pytest_kdmem import Model, TrainingSet

        @pytest.fixture(scope="session")
        def teacher():
            return Model("judge")

        @pytest.fixture(scope="session")
        def training_set():
            return TrainingSet("rows.npy")
        """
    )
    pytester.makepyfile(
        f"""
        import pytest
        from pytest_kdmem import Model
        from pytest_kdmem.distill import run
        from pytest_kdmem.distill.execution import Execution
        from pytest_kdmem.distill.recipe import Recipe
        from pytest_kdmem.errors import SpecError

        @pytest.mark.parametrize(("name", "value"), {list(OTHER.items())!r})
        def test_field(distiller, monkeypatch, teacher, training_set, name, value):
            taken = []
            monkeypatch.setattr(run, "distill_once", lambda recipe, **how: taken.append((recipe, how)) or Model("made"))
            assert distiller(init=Model("start"), **{{name: value}}) == Model("made")
            [(recipe, how)] = taken
            assert recipe == Recipe(**{{name: value}})
            assert (how["init"], how["teacher"], how["training_set"]) == (Model("start"), teacher, training_set)
            assert how["out"] is None

        def test_baseline(distiller, monkeypatch):
            taken = []
            monkeypatch.setattr(run, "distill_once", lambda recipe, **how: taken.append(how) or Model("made"))
            distiller(init=Model("start"), mode="baseline")
            assert taken[0]["teacher"] is None

        def test_unknown(distiller):
            with pytest.raises(SpecError, match="found 'temprature'"):
                distiller(init=Model("start"), temprature=2.0)

        def test_execution(distiller, monkeypatch):
            taken = []
            monkeypatch.setattr(run, "distill_once", lambda recipe, **how: taken.append(how) or Model("made"))
            distiller(init=Model("start"), micro_batch_size=2, gradient_checkpointing=True, checkpoint_minutes=3.0)
            assert taken[0]["execution"] == Execution(2, True, 3.0)
        """
    )
    ran = pytester.runpytest_inprocess("-p", "no:xdist")
    ran.assert_outcomes(passed=len(OTHER) + 3)
