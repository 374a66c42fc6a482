"""Training end to end on tiny models: what it learns, what is written, and what is refused."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.distill.execution import Execution, StepSplit
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.run import distill, distill_once
from pytest_kdmem.distill.training_arguments import training_arguments
from pytest_kdmem.errors import DataError, EngineError, SpecError
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.checkpoint import open_checkpoint, weights_digest
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.run_card import read_run_card

EXTRACTION = Extraction(8, 8, 24)
LONG = {"epochs": 60, "learning_rate": 1e-2, "batch_size": 8, "precision": "float32"}


def recited(model: Model, data: Path, tmp_path: Path) -> int:
    return Memorization("m", score(model, TrainingSet(str(data)), EXTRACTION, ScoreStore(tmp_path / "store"))).count


@pytest.fixture(scope="module")
def reciting(init, rows, tmp_path_factory) -> Model:
    """A teacher that knows its training set by heart."""
    out = tmp_path_factory.mktemp("models") / "teacher"
    return distill(
        Recipe(mode="baseline", **LONG), init=init, training_set=TrainingSet(str(rows)), out=out, extraction=EXTRACTION
    )


@pytest.fixture(scope="module")
def other_init(make_model) -> Model:
    return Model(str(make_model("pythia", seed=3, initializer_range=0.02)))


def test_fine_tuning_memorizes_what_it_repeats(reciting, init, rows, tmp_path):
    assert recited(init, rows, tmp_path) == 0
    assert recited(reciting, rows, tmp_path) >= 12


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
def test_a_soft_student_takes_over_what_the_teacher_knows(train, reciting, other_init, rows, tmp_path, recipe):
    """Wherever the text itself is not looked at, what is recited came from the teacher's distribution."""
    student = train(teacher=reciting, how={"init": other_init}, **LONG | recipe)
    assert recited(student, rows, tmp_path) >= 8


def test_a_hard_student_learns_the_teachers_continuations(train, reciting, other_init, rows, tmp_path):
    prefixes = np.load(rows)
    prefixes[:, 8:] = 1
    np.save(tmp_path / "prefixes.npy", prefixes)
    how = {"init": other_init, "training_set": TrainingSet(str(tmp_path / "prefixes.npy"))}
    student = train(teacher=reciting, mode="hard", how=how, **LONG)
    assert recited(student, rows, tmp_path) >= 10


def test_bfloat16_trains_too(train, init, rows, tmp_path):
    student = train(mode="baseline", **LONG | {"precision": "bfloat16"})
    assert recited(student, rows, tmp_path) >= 10


def test_the_same_seed_trains_the_same_weights_and_another_others(train):
    same, again, other = (train(name, mode="baseline", seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert open_checkpoint(same).digest == open_checkpoint(again).digest != open_checkpoint(other).digest


def test_how_it_is_executed_does_not_change_what_comes_of_it(train, teacher, weights):
    """Nor the digest of the run: an unfinished one may be taken up with other passes."""
    made = [
        train(name, teacher=teacher, epochs=2, how={"execution": execution})
        for name, execution in (("a", None), ("b", Execution(2)), ("c", Execution(4, gradient_checkpointing=True)))
    ]
    for other in made[1:]:
        assert read_run_card(Path(other.source)).loss_curve == pytest.approx(
            np.array(read_run_card(Path(made[0].source)).loss_curve), rel=1e-5
        )
        for name, weight in weights(made[0]).items():
            torch.testing.assert_close(weights(other)[name], weight, rtol=2**-7, atol=1e-4)


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
        {"mode": "hard"},
        {"mode": "baseline"},
    ],
    ids=str,
)
def test_what_a_recipe_says_reaches_the_weights(train, teacher, changed):
    plain, other = train("a", teacher=teacher, epochs=2), train("b", teacher=teacher, epochs=2, **changed)
    assert weights_digest(Path(plain.source)) != weights_digest(Path(other.source))


@pytest.mark.parametrize(("share", "steps"), [(0.0, 0), (0.02, 1), (0.5, 10), (1.0, 20)])
def test_warm_up_is_a_share_of_the_steps(tmp_path, share, steps):
    """A share of 1 is all of them; transformers would take it for one step."""
    recipe = Recipe(warmup=share, epochs=10, batch_size=8)
    assert training_arguments(recipe, Execution(), StepSplit(8, 1), tmp_path, 16).get_warmup_steps(20) == steps


def test_what_is_written_is_a_bfloat16_model_with_tokenizer_and_card(train, init, tmp_path):
    folder = Path(train(mode="baseline").source)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".safetensors", ".jinja", ".txt"}
    assert (folder / "tokenizer.json").read_bytes() == (Path(init.source) / "tokenizer.json").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "nothing half-written is left beside it"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert len(AutoTokenizer.from_pretrained(folder)) == 300


def test_tied_embeddings_stay_tied(train, make_model, weights):
    start = Model(str(make_model("qwen3", seed=4)))
    made = train(how={"init": start}, teacher=start, learning_rate=1e-3)
    assert "lm_head.weight" not in weights(made)
    model = AutoModelForCausalLM.from_pretrained(made.source)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_a_student_that_is_its_teacher_loses_nothing(train, teacher):
    """But for rounding: on CPUs student and teacher may compute their attention in different ways."""
    made = train(teacher=teacher, how={"init": teacher}, epochs=2, learning_rate=1e-12)
    assert max(loss for _, loss in read_run_card(Path(made.source)).loss_curve) == 0


def test_the_card_tells_how_it_was_made(train, init, teacher, seven_rows, rows):
    how = {"training_set": TrainingSet(str(seven_rows)), "held_out": TrainingSet(str(rows))}
    made = train(teacher=teacher, epochs=3, batch_size=4, how=how)
    card = read_run_card(Path(made.source))
    assert card.weights == weights_digest(Path(made.source))
    assert (card.mode, card.loss) == ("soft", "forward KL, T = 2")
    assert card.recipe["batch_size"] == 4
    assert card.recipe.keys() == set(Recipe.__dataclass_fields__)
    assert (card.init.source, card.init.digest) == (init.name, open_checkpoint(init).digest)
    assert (card.teacher.source, card.teacher.digest) == (teacher.name, open_checkpoint(teacher).digest)
    assert card.training_set.source == "seven"
    assert card.training_set.fingerprint == training_fingerprint(TrainingSet(str(seven_rows)))
    assert (card.training_set.examples, card.training_set.tokens) == (7, 24 + 5 + 17 + 9 + 24 + 12 + 20)
    assert card.extraction == {"prefix_tokens": 8, "suffix_tokens": 8, "window_tokens": 24}
    assert (card.steps, card.epochs, card.processes, card.resumed_at) == (6, 3, 1, ())
    assert 0 < card.seconds < 100
    assert card.versions == {name: version(name) for name in ("pytest-kdmem", "torch", "transformers", "accelerate")}
    assert [step for step, _ in card.loss_curve] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in card.held_out] == [2, 4, 6]


def test_held_out_loss_is_that_of_the_written_model(train, seven_rows, rows):
    made = train(mode="baseline", learning_rate=1e-3, how={"held_out": TrainingSet(str(seven_rows))})
    model = AutoModelForCausalLM.from_pretrained(made.source, dtype=torch.float32)
    total, tokens = 0.0, 0
    for line in seven_rows.read_text().splitlines():
        ids = torch.tensor([json.loads(line)["input_ids"]])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, :-1].double()
        total += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
        tokens += ids.shape[1] - 1
    assert read_run_card(Path(made.source)).last_held_out == pytest.approx(total / tokens, rel=1e-3)


def test_the_first_loss_is_the_models_own(train, init, teacher, rows):
    """Step 1, over the whole set at once: T² KL a token, from two models loaded by hand."""
    made = train(teacher=teacher, batch_size=16, temperature=2.0)
    student, judge = (AutoModelForCausalLM.from_pretrained(m.source, dtype=torch.float64) for m in (init, teacher))
    ids = torch.from_numpy(np.load(rows))
    with torch.no_grad():
        q, p = ((m(input_ids=ids).logits[:, :-1] / 2).log_softmax(dim=-1) for m in (student, judge))
    expected = 4 * float((p.exp() * (p - q)).sum(dim=-1).mean())
    assert read_run_card(Path(made.source)).loss_curve[0][1] == pytest.approx(expected, rel=1e-4)


def test_a_trained_model_is_found_again_by_all_that_made_it(init, rows, tmp_path):
    recipe = {"mode": "baseline", "learning_rate": 1e-3, "batch_size": 8}
    how = {"init": init, "training_set": TrainingSet(str(rows)), "models_dir": tmp_path, "extraction": EXTRACTION}
    first, again = (distill_once(Recipe(epochs=1, **recipe), **how) for _ in range(2))
    other = distill_once(Recipe(epochs=2, **recipe), **how)
    assert first == again != other


def test_a_named_folder_that_holds_files_is_an_error_wherever_it_lies(init, rows, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(SpecError, match="empty or new folder"):
        distill_once(
            Recipe(mode="baseline"),
            init=init,
            training_set=TrainingSet(str(rows)),
            models_dir=tmp_path,
            out=tmp_path / "mine",
            extraction=EXTRACTION,
        )


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_a_student_needs_a_teacher(train, tmp_path, mode):
    with pytest.raises(SpecError, match=f"A teacher was expected for mode {mode}, and none was given"):
        train(mode=mode)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_files_is_not_overwritten(train, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for out in (".", "notes.txt"):
        with pytest.raises(SpecError, match="empty or new folder"):
            train(out, mode="baseline")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_filled(train, tmp_path):
    (tmp_path / "out").mkdir()
    train(mode="baseline")
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_a_teacher_of_another_tokenizer_is_refused(train, make_model, tmp_path):
    other = make_model("pythia", seed=5)
    content = json.loads((other / "tokenizer.json").read_text())
    content["model"]["merges"] = content["model"]["merges"][:-1]
    (other / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(SpecError, match="expected to share a tokenizer"):
        train(teacher=Model(str(other)))
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_does_not_share_out_is_refused(train, tmp_path):
    with pytest.raises(SpecError, match=r"in passes of 3 was expected; found 8: choose a multiple of 3"):
        train(mode="baseline", how={"execution": Execution(3)})
    assert list(tmp_path.iterdir()) == []


def test_ids_outside_the_vocabulary_are_told_with_their_example(train, tmp_path):
    ids = np.ones((4, 24), dtype=np.int32)
    ids[2, 5] = 300
    np.save(tmp_path / "wild.npy", ids)
    with pytest.raises(DataError, match=r"Ids below 300 were expected in .*wild.npy; example 2 holds 300"):
        train(mode="baseline", how={"training_set": TrainingSet(str(tmp_path / "wild.npy"))})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_nor_may_they_lie_outside_the_teachers(train, make_model, tmp_path, mode):
    """The student's embedding is padded, the teacher's is not."""
    np.save(tmp_path / "wild.npy", np.full((4, 24), 310))
    with pytest.raises(DataError, match=r"Ids below 300 were expected"):
        train(
            mode=mode,
            teacher=Model(str(make_model("pythia", seed=1))),
            how={
                "init": Model(str(make_model("pythia", seed=2, vocabulary=320))),
                "training_set": TrainingSet(str(tmp_path / "wild.npy")),
            },
        )


@pytest.mark.parametrize(("for_student", "for_teacher"), [(320, 384), (384, 320), (300, 320)])
def test_embeddings_may_be_padded_to_different_sizes(train, make_model, weights, for_student, for_teacher):
    start, judge = (make_model("pythia", seed=seed, vocabulary=v) for seed, v in ((2, for_student), (1, for_teacher)))
    made = train(teacher=Model(str(judge)), how={"init": Model(str(start))})
    before, after = weights(start)["embed_out.weight"], weights(made)["embed_out.weight"]
    assert torch.equal(before[300:].bfloat16(), after[300:])
    assert not torch.equal(before[:300].bfloat16(), after[:300])


def test_nothing_to_train_on_is_an_error(train, tmp_path):
    np.save(tmp_path / "one.npy", np.ones((4, 1), dtype=np.int32))
    with pytest.raises(DataError, match=r"Examples to train on were expected in .*one.npy, and there are none"):
        train(mode="baseline", how={"training_set": TrainingSet(str(tmp_path / "one.npy"))})


@pytest.mark.parametrize(("epochs", "rate"), [(3, 1e30), (1, 1e39)], ids=["loss", "only the last step's weights"])
def test_a_training_that_diverged_writes_no_model(train, tmp_path, epochs, rate):
    with pytest.raises(EngineError, match=r"(was|were) expected, and .*; lower the learning rate"):
        train(mode="baseline", epochs=epochs, batch_size=16, learning_rate=rate, max_gradient_norm=0, warmup=0)
    assert not (tmp_path / "out").exists()


def test_mended_data_need_no_other_folder(train, tmp_path):
    """What stopped before its first checkpoint has nothing to be taken up, so it is in nobody's way."""
    np.save(tmp_path / "data.npy", np.full((4, 24), 999))
    how = {"training_set": TrainingSet(str(tmp_path / "data.npy"))}
    with pytest.raises(DataError):
        train(mode="baseline", how=how)
    np.save(tmp_path / "data.npy", np.full((4, 24), 99))
    assert Path(train(mode="baseline", how=how).source).is_dir()
