"""An adapter that is trained is one of PEFT: by the same loss and steps, loaded by PEFT, and audited as it is run."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from pytest_kdmem.auditing.report import read_report
from pytest_kdmem.distill.checkpoints import latest_checkpoint
from pytest_kdmem.distill.execution import Execution
from pytest_kdmem.distill.lora import _origin
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.run_card import read_run_card
from tests.engines.transformers.any_adapter import recited_unmerged

RANK, PREFIX, SUFFIX = 4, 8, 8
# What a tiny adapter needs to learn rows by heart.
LEARNING = {"lora_rank": 16, "epochs": 40, "learning_rate": 3e-2}


@pytest.fixture(scope="module")
def models(make_model) -> dict[str, Model]:
    """Models to start from by family: one with a head of its own, and one whose head is tied to the embedding."""
    return {family: Model(str(make_model(family, seed=2))) for family in ("pythia", "qwen3")}


def tensors_of(model: Model) -> dict[str, torch.Tensor]:
    return load_file(Path(model.source) / "adapter_model.safetensors")


def recited_by_peft(base: Model, adapter: Model, rows: Path) -> set[int]:
    """Positions of the rows that base and adapter beside each other recite, decoded token by token."""
    ids = np.load(rows)[:, : PREFIX + SUFFIX].astype(np.int32)
    spoken = recited_unmerged(Path(base.source), Path(adapter.source), ids[:, :PREFIX], SUFFIX)
    return set(np.flatnonzero((spoken == ids).all(axis=1)).tolist())


@pytest.fixture
def audited(rows, extraction, tmp_path):
    """Positions of the rows that a model memorized."""

    def positions(model: Model) -> set[int]:
        scores = score(model, TrainingSet(str(rows)), extraction, ScoreStore(tmp_path / "store"))
        table = Memorization("m", scores).scores.rows
        return {at for at, hit in enumerate(table["memorized"].to_pylist()) if hit}

    return positions


@pytest.fixture(scope="module")
def adapted_teacher(train_in, models, tmp_path_factory) -> Model:
    """An adapter that memorized its training set."""
    return train_in(
        tmp_path_factory.mktemp("models") / "teacher", arguments={"init": models["pythia"]}, mode="baseline", **LEARNING
    )


def test_an_audit_of_a_trained_adapter_judges_what_peft_runs(pytester, models, rows):
    init = models["pythia"]
    pytester.makeconftest(
        f"""
        import pytest
        from pytest_kdmem import Model, TrainingSet

        @pytest.fixture(scope="session")
        def training_set():
            return TrainingSet({str(rows)!r})

        @pytest.fixture(scope="session")
        def student(distiller):
            return distiller(
                init=Model({init.source!r}), mode="baseline", batch_size=8, precision="float32", out="student",
                **{LEARNING!r},
            )
        """
    )
    pytester.makepyfile("def test_rate(memorization, student): assert memorization(student).rate <= 0.1")
    lengths = ["--kdmem-prefix-tokens=8", "--kdmem-suffix-tokens=8", "--kdmem-window-tokens=24"]
    accepted = "--kdmem-accept-provenance=student:role"
    result = pytester.runpytest_inprocess("-p", "no:xdist", "--kdmem-report=report.json", accepted, *lengths)
    result.assert_outcomes(failed=1)
    [audit] = read_report(pytester.path / "report.json").audits
    recited = recited_by_peft(init, Model(str(pytester.path / "student")), rows)
    assert audit.memorization["student"].k == len(recited) >= 10
    assert audit.models["student"].base == init.name


@pytest.mark.parametrize("recipe", [{"temperature": 1.0, "cross_entropy_weight": 0.5}, {"mode": "hard"}], ids=str)
def test_a_student_of_an_adapter_is_an_adapter(train, make_model, adapted_teacher, rows, audited, recipe):
    start = Model(str(make_model("pythia", seed=3)))
    student = train(arguments={"teacher": adapted_teacher, "init": start}, **LEARNING, **recipe)
    assert audited(student) == recited_by_peft(start, student, rows)
    assert len(audited(student)) >= 6
    assert not audited(start)


@pytest.mark.parametrize("target", [None, "q_proj,embed_tokens"])
def test_a_step_is_that_of_peft_by_hand(train, models, rows, target):
    """One step of AdamW on the mean loss of all rows, through the whole model and its logits."""
    init = models["qwen3"]
    recipe = {"mode": "baseline", "batch_size": 16, "warmup": 0.0, "learning_rate": 1e-2, "seed": 5}
    trained = train(arguments={"init": init}, lora_rank=RANK, lora_target=target, **recipe)
    base = AutoModelForCausalLM.from_pretrained(init.source, dtype=torch.float32)
    torch.manual_seed(5)
    layers = target.split(",") if target else "all-linear"
    adapted = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=8, target_modules=layers))
    ids = torch.from_numpy(np.load(rows).astype(np.int64))
    parameters = [weight for weight in adapted.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.0)
    loss = adapted(input_ids=ids, labels=ids).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    assert read_run_card(Path(trained.source)).loss_curve[0][1] == pytest.approx(loss.item(), rel=1e-5)
    expected = {name: weight.detach() for name, weight in adapted.named_parameters() if weight.requires_grad}
    written = tensors_of(trained)
    assert {name.replace(".default", "") for name in expected} == written.keys()
    assert {weight.dtype for weight in written.values()} == {torch.float32}
    for name, weight in expected.items():
        torch.testing.assert_close(written[name.replace(".default", "")], weight, rtol=1e-4, atol=2e-5)


def test_peft_and_transformers_load_it_from_any_place(train, models, monkeypatch, tmp_path):
    init = models["qwen3"]
    monkeypatch.chdir(Path(init.source).parent)
    trained = train(arguments={"init": Model(Path(init.source).name)}, mode="baseline", lora_rank=RANK, epochs=3)
    folder = Path(trained.source)
    assert {path.name for path in folder.iterdir()} >= {"adapter_config.json", "kdmem_run.json", "tokenizer.json"}
    assert not list(folder.glob("model*"))
    monkeypatch.chdir(tmp_path)
    by_transformers = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    base = AutoModelForCausalLM.from_pretrained(init.source, dtype=torch.float32)
    ids = torch.arange(1, 9)[None]
    with torch.inference_mode():
        untrained = base(input_ids=ids).logits
        logits = PeftModel.from_pretrained(base, str(folder)).eval()(input_ids=ids).logits
        assert torch.equal(by_transformers(input_ids=ids).logits, logits)
    assert not torch.allclose(logits, untrained, atol=1e-2)


def test_a_base_on_the_hub_is_named_with_its_commit(models, tmp_path):
    checkpoint = replace(open_checkpoint(models["pythia"]), folder=tmp_path / "snapshots" / "4ab2")
    assert _origin(Model("owner/name"), checkpoint) == ("owner/name", "4ab2")
    assert _origin(Model(str(tmp_path)), checkpoint) == (str(checkpoint.folder), None)


@pytest.mark.parametrize("family", ["pythia", "qwen3"])
def test_a_stopped_training_ends_in_the_same_adapter(train, stop, models, tmp_path, family):
    settings = {"mode": "baseline", "lora_rank": RANK, "epochs": 2, "arguments": {"init": models[family]}}
    stop("out", 2, **settings)
    [state] = latest_checkpoint(tmp_path / ".out.training").glob("*.safetensors")
    with safe_open(state, framework="pt") as file:
        names = list(file.keys())
    assert {name.split("/")[0] for name in names} == {"weights", "optimizer"}
    assert all(".lora_" in name for name in names), "a checkpoint holds the adapter alone"
    resumed, whole = train("out", **settings), train("whole", **settings)
    assert read_run_card(Path(resumed.source)).resumed_at == (2,)
    assert open_checkpoint(resumed).digest == open_checkpoint(whole).digest
    first, second = tensors_of(resumed), tensors_of(whole)
    assert all(torch.equal(first[name], second[name]) for name in first | second)


def test_activations_may_be_recomputed(train, models):
    settings = {"mode": "baseline", "lora_rank": RANK, "epochs": 2}
    trained = [
        train(name, arguments={"init": models["qwen3"], "execution": execution}, **settings)
        for name, execution in (("kept", Execution()), ("again", Execution(gradient_checkpointing=True)))
    ]
    kept, again = map(tensors_of, trained)
    for name, weight in kept.items():
        torch.testing.assert_close(again[name], weight, rtol=1e-4, atol=1e-6)


def test_the_run_card_is_of_base_and_adapter(train, models, rows):
    trained = train(arguments={"init": models["pythia"]}, mode="baseline", lora_rank=RANK, lora_target="dense")
    card, checkpoint = read_run_card(Path(trained.source)), open_checkpoint(trained)
    assert card.weights == checkpoint.weights_digest
    assert card.init.digest == checkpoint.base.digest
    with pytest.raises(SpecError, match="was trained on a base with digest"):
        open_checkpoint(Model(trained.source, base=models["qwen3"].source))
    assert (card.recipe["lora_rank"], card.recipe["lora_target"]) == (RANK, "dense")
    config = json.loads((Path(trained.source) / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["target_modules"]) == (RANK, 2 * RANK, ["dense"])


@pytest.mark.parametrize("target", ["q_proj", "dense,nothing", "embed_out", "mlp", "dense,"])
def test_a_target_that_is_no_layer_before_the_head_is_refused(train, init, tmp_path, target):
    with pytest.raises(SpecError) as caught:
        train(mode="baseline", lora_rank=RANK, lora_target=target)
    assert str(caught.value) == (
        "Layers before the head of GPTNeoXForCausalLM were expected as lora-target (all-linear, or of dense,"
        " dense_4h_to_h, dense_h_to_4h, embed_in, query_key_value, separated by commas); found"
        f" {target.rpartition(',')[2]!r}."
    )
    assert not (tmp_path / "out").exists()


def test_an_adapter_of_an_adapter_is_refused(train, adapted_teacher):
    with pytest.raises(SpecError, match="A whole model was expected as --init of a training with lora-rank"):
        train(arguments={"init": adapted_teacher}, mode="baseline", lora_rank=RANK)


def test_peft_is_named_where_it_is_missing(train, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(SpecError, match=r"package peft was expected .*: pip install 'pytest-kdmem\[peft\]'"):
        train(mode="baseline", lora_rank=RANK)
