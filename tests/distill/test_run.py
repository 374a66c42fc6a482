"""Training end to end on tiny models: what is written, what it learned from, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, TrainingArguments

from pytest_kdmem.checkpoint import open_checkpoint
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.run import collate, distill, distill_once
from pytest_kdmem.distill.sequence_level import teacher_sequences
from pytest_kdmem.distill.trainer import SoftDistillationTrainer
from pytest_kdmem.errors import SpecError
from pytest_kdmem.memorization import Memorization
from pytest_kdmem.scoring import score
from pytest_kdmem.spec import Extraction, Model, TrainingSet
from pytest_kdmem.store import ScoreStore

EXTRACTION = Extraction(8, 8, 24)
FAST = {"epochs": 100, "learning_rate": 1e-2, "batch_size": 8, "precision": "float32"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.npy"
    np.save(path, np.random.default_rng(0).integers(1, 290, (16, 24)))
    return path


def recited(model: Model, data: Path, tmp_path: Path) -> int:
    return Memorization("m", score(model, TrainingSet(str(data)), EXTRACTION, ScoreStore(tmp_path / "store"))).count


@pytest.fixture(scope="module")
def teacher(make_model, rows, tmp_path_factory) -> Model:
    out = tmp_path_factory.mktemp("models") / "teacher"
    init = Model(str(make_model("pythia", seed=1, initializer_range=0.02)))
    return distill(
        Recipe(mode="baseline", **FAST), init=init, training_set=TrainingSet(str(rows)), out=out, extraction=EXTRACTION
    )


@pytest.fixture(scope="module")
def init(make_model) -> Model:
    return Model(str(make_model("pythia", seed=2, initializer_range=0.02)))


def test_fine_tuning_memorizes_what_it_repeats(teacher, init, rows, tmp_path):
    assert recited(init, rows, tmp_path) == 0
    assert recited(teacher, rows, tmp_path) >= 12


def test_a_soft_student_takes_over_what_the_teacher_knows(teacher, init, rows, tmp_path):
    student = distill(
        Recipe(mode="soft", temperature=2.0, **FAST),
        init=init,
        teacher=teacher,
        training_set=TrainingSet(str(rows)),
        out=tmp_path / "student",
        extraction=EXTRACTION,
    )
    assert recited(student, rows, tmp_path) >= 8


def test_a_hard_student_learns_the_teachers_continuations(teacher, init, rows, tmp_path):
    teacher_model = AutoModelForCausalLM.from_pretrained(teacher.source, dtype=torch.float32)
    prefixes = np.load(rows)
    prefixes[:, 8:] = 1  # only the prefix may be looked at
    said = list(teacher_sequences(teacher_model, prefixes.astype(np.int32), EXTRACTION, batch_size=4))
    assert all(np.array_equal(row[:8], prefix[:8]) for row, prefix in zip(said, prefixes, strict=True))
    assert {len(row) for row in said} == {24}
    np.save(tmp_path / "said.npy", np.stack(said))
    np.save(tmp_path / "prefixes.npy", prefixes)
    student = distill(
        Recipe(mode="hard", **FAST),
        init=init,
        teacher=teacher,
        training_set=TrainingSet(str(tmp_path / "prefixes.npy")),
        out=tmp_path / "student",
        extraction=EXTRACTION,
    )
    assert recited(student, tmp_path / "said.npy", tmp_path) >= 12


def test_repeated_prefixes_come_out_as_often_as_they_went_in(teacher):
    teacher_model = AutoModelForCausalLM.from_pretrained(teacher.source, dtype=torch.float32)
    one, other, short = (np.arange(length, dtype=np.int32) + 1 for length in (10, 9, 5))
    said = list(teacher_sequences(teacher_model, [one, other, one, short, one], EXTRACTION, batch_size=2))
    assert len(said) == 4


def test_the_same_seed_trains_the_same_weights(init, rows, tmp_path):
    recipe = Recipe(mode="baseline", epochs=1, learning_rate=1e-3, batch_size=8, precision="float32")
    made = [
        distill(recipe, init=init, training_set=TrainingSet(str(rows)), out=tmp_path / name, extraction=EXTRACTION)
        for name in "ab"
    ]
    assert open_checkpoint(made[0]).digest == open_checkpoint(made[1]).digest


def test_what_is_written_is_bfloat16_safetensors_with_tokenizer_and_nothing_pickled(teacher):
    folder = Path(teacher.source)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    assert (folder / "tokenizer.json").is_file()
    assert not [path for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]
    assert not list(folder.parent.glob(".*")), "nothing half-written is left beside it"


def test_a_trained_model_is_found_again_by_all_that_made_it(init, rows, tmp_path):
    recipe = Recipe(mode="baseline", epochs=1, learning_rate=1e-3, batch_size=8)
    how = {"init": init, "training_set": TrainingSet(str(rows)), "models_dir": tmp_path, "extraction": EXTRACTION}
    first, again = distill_once(recipe, **how), distill_once(recipe, **how)
    other = distill_once(Recipe(mode="baseline", epochs=2, learning_rate=1e-3, batch_size=8), **how)
    assert first == again != other


@pytest.mark.parametrize("split", [1, 2, 4])
def test_the_gradient_does_not_depend_on_the_micro_batch(teacher, init, tmp_path, split):
    """Rows of unequal length: a mean of micro-batch means would differ from the mean over tokens."""
    model, frozen = (AutoModelForCausalLM.from_pretrained(m.source, dtype=torch.float32) for m in (init, teacher))
    ids = np.random.default_rng(3).integers(1, 290, (8, 24)).tolist()
    data = [{"input_ids": row[: 4 + 2 * at]} for at, row in enumerate(ids)]

    class Recorder(SoftDistillationTrainer):
        def create_optimizer(self, *arguments):
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1.0)
            return self.optimizer

    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    trainer = Recorder(
        teacher=frozen,
        temperature=2.0,
        vocabulary=300,
        model=model,
        args=TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=1,
            per_device_train_batch_size=8 // split,
            gradient_accumulation_steps=split,
            max_grad_norm=0.0,
            learning_rate=1.0,
            lr_scheduler_type="constant",
            use_cpu=True,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=0,
        ),
        train_dataset=data,
        data_collator=collate,
    )
    trainer.train()
    moved = {name: before[name] - weight.detach() for name, weight in model.named_parameters()}

    # The reference: one pass over all eight rows, sum over tokens / number of tokens.
    fresh = AutoModelForCausalLM.from_pretrained(init.source, dtype=torch.float32)
    batch = collate(data)
    from pytest_kdmem.distill.losses import IGNORED, forward_kl

    student_logits, teacher_logits = (m(input_ids=batch["input_ids"]).logits for m in (fresh, frozen))
    tokens = (batch["labels"][:, 1:] != IGNORED).sum()
    loss = forward_kl(student_logits, teacher_logits.detach(), batch["labels"], temperature=2.0, vocabulary=300)
    (loss / tokens).backward()
    for name, weight in fresh.named_parameters():
        torch.testing.assert_close(moved[name], weight.grad, atol=1e-6, rtol=1e-3)
    assert not any("teacher" in name for name in trainer.model.state_dict())
    assert all(weight.grad is None for weight in frozen.parameters())


@pytest.mark.parametrize(
    ("recipe", "message"),
    [({"mode": "soft"}, "A teacher was expected for mode soft"), ({"mode": "hard"}, "A teacher was expected")],
)
def test_a_student_needs_a_teacher(init, rows, tmp_path, recipe, message):
    with pytest.raises(SpecError, match=message):
        distill(Recipe(**recipe), init=init, training_set=TrainingSet(str(rows)), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_files_is_not_overwritten(init, rows, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SpecError, match="empty or new folder"):
        distill(Recipe(mode="baseline"), init=init, training_set=TrainingSet(str(rows)), out=tmp_path)


def test_a_teacher_of_another_tokenizer_is_refused(init, rows, make_model, tmp_path):
    other = make_model("pythia", seed=5)
    content = json.loads((other / "tokenizer.json").read_text())
    content["model"]["merges"] = content["model"]["merges"][:-1]
    (other / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(SpecError, match="expected to share a tokenizer"):
        distill(
            Recipe(mode="soft"),
            init=init,
            teacher=Model(str(other)),
            training_set=TrainingSet(str(rows)),
            out=tmp_path / "out",
        )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mode": "sotf"}, "mode must be one of baseline, soft, hard; found 'sotf'"),
        ({"temperature": 0.0}, "temperature must be positive; found 0.0"),
        ({"epochs": -1}, "epochs must be positive"),
        ({"precision": "int8"}, "precision must be one of"),
    ],
)
def test_recipes_are_checked(changed, message):
    with pytest.raises(SpecError, match=message):
        Recipe(**changed)
