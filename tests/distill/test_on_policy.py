"""A student continues prompts by sampling and learns from its own text: what it writes, and what it learns."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from scipy.stats import chisquare
from transformers import TrainingArguments

from pytest_kdmem.distill.batches import IGNORED, WholeSteps
from pytest_kdmem.distill.execution import Execution
from pytest_kdmem.distill.loss_forward import forward_returns_loss
from pytest_kdmem.distill.losses import Objective
from pytest_kdmem.distill.on_policy import Prompts, SampledText, SeededChoice, collate_prompts, with_whole_prompt
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.teachers import LiveTeacher
from pytest_kdmem.distill.trainer import DistillationTrainer
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from pytest_kdmem.specs.run_card import read_run_card
from pytest_kdmem.specs.weights import weights_digest

SAMPLING = SampledText(window_tokens=12, vocabulary=61, temperature=0.8, seed=5)


def prompts_of(lengths, seed=0):
    generator = np.random.default_rng(seed)
    rows = [{"input_ids": generator.integers(0, 61, length), "row": row} for row, length in enumerate(lengths)]
    return collate_prompts(rows)


def sampled_slowly(model, prompt, row, step):
    """The text of one prompt, by a whole pass and a cumulative sum for each token."""
    generator = np.random.default_rng([SAMPLING.seed, step, row])
    ids = list(prompt)
    while len(ids) < SAMPLING.window_tokens:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0, -1].double().numpy() / SAMPLING.temperature
        shares = np.exp(logits - logits.max())
        cumulative = np.cumsum(shares / shares.sum())
        ids.append(int(np.searchsorted(cumulative, generator.random() * cumulative[-1], side="right")))
    return ids


@pytest.mark.parametrize("kind", ["neox", "qwen3", "gpt2"])
def test_a_text_is_sampled_as_a_slow_loop_does_whatever_stands_beside_it(toy, kind):
    model, lengths = toy(kind), [4, 7, 4, 0, 1]
    batch = prompts_of(lengths)
    sampled = SAMPLING.continued(model, batch, step=3)
    for line, length in enumerate(lengths):
        prompt = batch["input_ids"][line, :length].tolist()
        if not length:
            assert (sampled["labels"][line] == IGNORED).all()
            continue
        assert sampled["input_ids"][line].tolist() == sampled_slowly(model, prompt, line, 3)
        assert sampled["labels"][line].tolist() == [IGNORED] * length + sampled["input_ids"][line, length:].tolist()


def test_tokens_are_drawn_as_often_as_the_model_says_and_none_beyond_the_vocabulary():
    logits = torch.randn(1, 8, generator=torch.Generator().manual_seed(0)).mul(2).repeat(4000, 1)
    choice = SeededChoice([(0, 0, row) for row in range(4000)], temperature=1.5, vocabulary=6)
    drawn = choice(torch.zeros(4000, 1, dtype=torch.int64), logits).argmax(dim=1)
    expected = (logits[0, :6].double() / 1.5).softmax(dim=0) * 4000
    assert chisquare(np.bincount(drawn.numpy(), minlength=6), expected.numpy()).pvalue > 0.01
    again = SeededChoice([(0, 1, row) for row in range(4000)], temperature=1.5, vocabulary=6)
    assert (again(torch.zeros(4000, 1, dtype=torch.int64), logits).argmax(dim=1) != drawn).any()


def test_what_stands_behind_the_first_end_is_not_learned(toy):
    texts = SAMPLING.continued(toy(), prompts_of([4, 4]), step=0)["input_ids"]
    end = int(texts[0, 6])
    ended = SampledText(12, 61, 0.8, 5, end=end).continued(toy(), prompts_of([4, 4]), step=0)
    first = 4 + texts[0, 4:].tolist().index(end)
    assert ended["labels"][0].tolist() == [IGNORED] * 4 + texts[0, 4 : first + 1].tolist() + [IGNORED] * (11 - first)


def test_prompts_are_prefixes_or_what_stands_before_an_answer_and_short_rows_have_none():
    rows = Dataset.from_dict({"input_ids": [[1, 2, 3, 4], [5, 6]]}).with_format("numpy")
    whole = with_whole_prompt(rows, 3)
    assert [row["input_ids"].tolist() for row in (Prompts(whole, 3)[at] for at in range(len(whole)))] == [[1, 2, 3]]
    answers = Dataset.from_dict({"input_ids": [[1, 2, 3, 4]], "prompt_tokens": [1]}).with_format("numpy")
    assert Prompts(with_whole_prompt(answers, 3), 3)[0]["input_ids"].tolist() == [1]


@pytest.mark.parametrize(("divergence", "beta"), [("forward", 0.0), ("jsd", 0.3), ("reverse", 1.0)])
@pytest.mark.parametrize("passes", [1, 2])
def test_a_step_has_the_gradient_of_trls_loss_on_the_same_texts(toy, tmp_path, divergence, beta, passes):
    gkd_trainer = pytest.importorskip("trl.experimental.gkd.gkd_trainer")
    student, teacher = toy(seed=0), toy(seed=1)
    rows = Dataset.from_dict({"input_ids": np.random.default_rng(1).integers(0, 61, (4, 9)).tolist()}).with_format(
        "numpy"
    )
    prompts = Prompts(rows, 5)
    # What the student writes before it changes.
    texts = SAMPLING.continued(student, collate_prompts([prompts[row] for row in range(4)]), step=0)
    reference, reference_teacher = copy.deepcopy(student).double().train(), copy.deepcopy(teacher).double()
    loss = gkd_trainer.GKDTrainer.generalized_jsd_loss(
        reference(input_ids=texts["input_ids"]).logits[:, :-1],
        reference_teacher(input_ids=texts["input_ids"]).logits[:, :-1].detach(),
        texts["labels"][:, 1:],
        beta=beta,
    )
    loss.backward()

    trained = copy.deepcopy(student)
    optimizer = torch.optim.SGD(trained.parameters(), lr=1.0)
    trainer = DistillationTrainer(
        teacher=LiveTeacher(copy.deepcopy(teacher), 1.0),
        sampling=SAMPLING,
        model=trained,
        args=TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=1,
            per_device_train_batch_size=4 // passes,
            gradient_accumulation_steps=passes,
            max_grad_norm=0.0,
            use_cpu=True,
            save_strategy="no",
            logging_steps=1,
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
        ),
        train_dataset=WholeSteps(prompts, 4),
        data_collator=collate_prompts,
        optimizers=(optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)),
    )
    with forward_returns_loss(trained, Objective(divergence, 1.0, jsd_weight=beta, vocabulary=61)):
        trainer.train()
    logged = next(entry["loss"] for entry in trainer.state.log_history if "loss" in entry)
    assert logged == pytest.approx(loss.item(), rel=1e-4)
    before = dict(student.named_parameters())
    for (name, weight), expected in zip(trained.named_parameters(), reference.parameters(), strict=True):
        change = (before[name] - weight).detach().double()
        largest = max(float(expected.grad.abs().max()), 1e-3)
        assert float((change - expected.grad).abs().max()) <= 1e-4 * largest, name


ON_POLICY = {"mode": "on-policy", "divergence": "reverse", "temperature": 1.0}


@pytest.fixture(scope="module")
def student(train_in, teacher, tmp_path_factory):
    """An on-policy student of four steps."""
    return train_in(tmp_path_factory.mktemp("student") / "out", epochs=2, arguments={"teacher": teacher}, **ON_POLICY)


def test_the_run_card_says_how_the_student_learned(student):
    card = read_run_card(Path(student.source))
    assert card.mode == "on-policy"
    assert card.loss == "reverse KL, T = 1, on text sampled at T = 1"
    assert card.recipe["sampling_temperature"] == 1.0


def test_the_student_comes_nearer_to_the_teacher_on_its_own_text(train, teacher):
    model = train(arguments={"teacher": teacher}, epochs=20, **ON_POLICY)
    losses = [loss for _, loss in read_run_card(Path(model.source)).loss_curve]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("changed", [{"sampling_temperature": 2.0}, {"seed": 1}], ids=str)
def test_what_it_samples_by_changes_the_weights(train, teacher, student, changed):
    model = train(epochs=2, arguments={"teacher": teacher}, **ON_POLICY, **changed)
    assert weights_digest(Path(model.source)) != weights_digest(Path(student.source))


def test_passes_over_fewer_rows_change_the_weights_by_rounding_alone(train, teacher, student, weights):
    split = train(epochs=2, arguments={"teacher": teacher, "execution": Execution(2)}, **ON_POLICY)
    for name, weight in weights(student).items():
        torch.testing.assert_close(weights(split)[name], weight, rtol=2**-7, atol=1e-4)


def test_a_stopped_training_ends_in_the_same_weights(train, stop, teacher, student):
    stop("resumed", 1, epochs=2, arguments={"teacher": teacher}, **ON_POLICY)
    resumed = train("resumed", epochs=2, arguments={"teacher": teacher}, **ON_POLICY)
    assert weights_digest(Path(resumed.source)) == weights_digest(Path(student.source))


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, True], ids=["whole", "sharded"])
def test_two_processes_sample_what_one_samples_and_shards_are_refused(
    train, init, teacher, seven_rows, tmp_path, weights, sharded
):
    recipe = ["--mode", "on-policy", "--batch-size", "4", "--learning-rate", "1e-2", "--precision", "float32"]
    lengths = ["--epochs", "1", "--prefix-tokens", "8", "--suffix-tokens", "8", "--window-tokens", "24"]
    models = ["--init", init.source, "--teacher", teacher.source, "--out", str(tmp_path / "two")]
    plan = tmp_path / "plan.json"
    command = ["distill", *models, "--train", str(seven_rows), *recipe, *lengths]
    plan.write_text(json.dumps([{"stop_at": None, "arguments": command}]))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "KDMEM_CACHE_DIR": str(tmp_path / "cache")}
    environment |= {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"} if sharded else {}
    script = str(Path(__file__).with_name("fsdp_on_cpu.py"))
    process = subprocess.run(
        [*launcher, script, str(plan)], env=environment, capture_output=True, text=True, timeout=240
    )
    assert process.returncode == 0, process.stdout + process.stderr
    if sharded:
        assert json.loads(plan.with_suffix(".0").read_text()) == [2]
        assert "DDP or one process was expected in mode on-policy" in process.stderr
        return
    arguments = {"teacher": teacher, "training_set": TrainingSet(str(seven_rows))}
    alone = weights(train("one", mode="on-policy", batch_size=4, arguments=arguments))
    for name, weight in load_file(tmp_path / "two" / "model.safetensors").items():
        torch.testing.assert_close(weight, alone[name], rtol=2**-7, atol=1e-4)


def test_an_adapter_learns_on_policy(train, teacher):
    pytest.importorskip("peft")
    adapter = train(arguments={"teacher": teacher}, lora_rank=4, **ON_POLICY)
    assert (Path(adapter.source) / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"teacher_top_k": 8}, "teacher-top-k"),
        ({"packing": True}, "packing"),
        ({"cross_entropy_weight": 0.1}, "cross-entropy-weight"),
    ],
)
def test_settings_that_need_written_rows_are_refused(settings, named):
    with pytest.raises(SpecError, match=f"No {named} was expected in mode on-policy"):
        Recipe(mode="on-policy", **settings)


def test_a_set_without_a_whole_prefix_is_refused(train, teacher, rows):
    short = {"teacher": teacher, "training_set": TrainingSet(str(rows)), "extraction": Extraction(30, 8, 40)}
    with pytest.raises(DataError, match=r"Examples of 30 tokens or more were expected .* for the student"):
        train(arguments=short, **ON_POLICY)


def test_the_sampling_temperature_alone_leaves_other_digests_as_they_were():
    assert Recipe(mode="soft").digest == Recipe(mode="soft", sampling_temperature=2.0).digest
    assert Recipe(mode="on-policy").digest != Recipe(mode="on-policy", sampling_temperature=2.0).digest
