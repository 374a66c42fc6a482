"""Stored log-probabilities: what is learned from them, and that the teacher is asked once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pytest_kdmem.distill import prepare as run
from pytest_kdmem.distill.losses import Objective
from pytest_kdmem.distill.teachers import StoredOutputs


def stored(teacher: torch.Tensor, k: int) -> StoredOutputs:
    top, ids = torch.log_softmax(teacher, dim=1).topk(k, dim=1)
    return StoredOutputs(ids, top)


def with_any_other(log_p: torch.Tensor, log_q: torch.Tensor, k: int) -> torch.Tensor:
    """KL over the teacher's k most probable outcomes and one more, "any other", from float64 log-probabilities."""
    ids = log_p.topk(k, dim=1).indices
    kept = torch.zeros_like(log_p, dtype=torch.bool).scatter_(1, ids, torch.ones_like(ids, dtype=torch.bool))
    p, q = (
        torch.cat([one.gather(1, ids), one.masked_fill(kept, -torch.inf).logsumexp(dim=1, keepdim=True)], dim=1)
        for one in (log_p, log_q)
    )
    return (p.exp() * (p - q)).sum(dim=1)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("k", [1, 3, 16])
@pytest.mark.parametrize("size", [1.0, 4.0])
def test_the_rest_is_one_outcome(temperature, k, size):
    generator = torch.Generator().manual_seed(k)
    teacher, student = (size * torch.randn(6, 17, generator=generator) for _ in range(2))
    leaf = student.double().requires_grad_(True)
    log_p, log_q = (torch.log_softmax(z / temperature, dim=1) for z in (teacher.double(), leaf))
    expected = temperature**2 * with_any_other(log_p, log_q, k)
    expected.sum().backward()
    student_logprobs = torch.log_softmax(student / temperature, dim=1)
    completed = stored(teacher / temperature, k).logprobs(slice(None), student_logprobs)
    value, gradient = Objective("forward", temperature).divergence_of(completed, student_logprobs)
    torch.testing.assert_close(value.double(), expected.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient.double(), leaf.grad, rtol=1e-4, atol=1e-5)


def test_a_student_surer_than_its_teacher_is_told_the_truth():
    """What it leaves to the rest is less than 1 − Σ can tell from 0 in float32."""
    teacher = torch.tensor([[10.0, 1.0, 0.0, 0.0, 0.5]])
    for sureness in (15.0, 20.0, 30.0, 60.0):
        student = torch.tensor([[sureness, 1.0, 0.2, -0.1, 0.3]])
        leaf = student.double().requires_grad_(True)
        log_p, log_q = (torch.log_softmax(z, dim=1) for z in (teacher.double(), leaf))
        expected = with_any_other(log_p, log_q, 2)
        expected.sum().backward()
        student_logprobs = torch.log_softmax(student, dim=1)
        value, gradient = Objective("forward").divergence_of(
            stored(teacher, 2).logprobs(slice(None), student_logprobs), student_logprobs
        )
        torch.testing.assert_close(value.double(), expected.detach(), rtol=2e-2, atol=1e-6)
        torch.testing.assert_close(gradient.double(), leaf.grad, rtol=2e-2, atol=1e-6)


def test_all_of_the_vocabulary_is_the_teacher_itself():
    generator = torch.Generator().manual_seed(0)
    teacher, student = (torch.log_softmax(4 * torch.randn(6, 17, generator=generator), dim=1) for _ in range(2))
    assert torch.equal(stored(teacher, 17).logprobs(slice(None), student), torch.log_softmax(teacher, dim=1))


@pytest.fixture
def loaded(monkeypatch) -> list[str]:
    """Sources of the models that were loaded, in order."""
    sources: list[str] = []
    load = run.load_model

    def spy(model, *arguments, **more):
        sources.append(model.source)
        return load(model, *arguments, **more)

    monkeypatch.setattr(run, "load_model", spy)
    return sources


def curve(model) -> list[float]:
    return [loss for _, loss in json.loads((Path(model.source) / "kdmem_run.json").read_text())["loss_curve"]]


@pytest.mark.parametrize("packing", [False, True], ids=["apart", "packed"])
def test_training_from_all_of_them_is_training_beside_the_teacher(train, teacher, seven_rows, weights, packing):
    from pytest_kdmem.specs.declared import TrainingSet

    how = {"training_set": TrainingSet(str(seven_rows))}
    recipe = {"epochs": 2, "batch_size": 4, "packing": packing, "cross_entropy_weight": 0.25}
    live = train("live", teacher=teacher, how=how, **recipe)
    kept = train("kept", teacher=teacher, how=how, teacher_top_k=300, **recipe)
    assert curve(kept) == pytest.approx(curve(live), rel=1e-5)
    for name, weight in weights(live).items():
        torch.testing.assert_close(weights(kept)[name], weight, rtol=2**-7, atol=1e-4)


def test_the_teacher_is_loaded_once_for_all_runs_that_share_a_cache(train, teacher, tmp_path, loaded):
    recipe = {"teacher_top_k": 8}
    how = {"cache_dir": tmp_path / "cache"}
    train("a", teacher=teacher, how=how, **recipe)
    assert loaded.count(teacher.source) == 1
    train("b", teacher=teacher, how=how, **recipe, learning_rate=1e-3)
    assert loaded.count(teacher.source) == 1
    # Log-probabilities are of one temperature and one k.
    train("c", teacher=teacher, how=how, **recipe, temperature=1.0)
    assert loaded.count(teacher.source) == 2
    train("d", teacher=teacher, how=how, teacher_top_k=9)
    assert loaded.count(teacher.source) == 3
    assert len(list((tmp_path / "cache" / "teachers").iterdir())) == 3


def test_nor_are_they_used_for_other_data(train, teacher, tmp_path, loaded, seven_rows):
    from pytest_kdmem.specs.declared import TrainingSet

    how = {"cache_dir": tmp_path / "cache"}
    train("a", teacher=teacher, how=how, teacher_top_k=8)
    train("b", teacher=teacher, how=how | {"training_set": TrainingSet(str(seven_rows))}, teacher_top_k=8)
    assert loaded.count(teacher.source) == 2


def test_without_a_cache_nothing_is_left(train, teacher, tmp_path):
    train("a", teacher=teacher, teacher_top_k=8)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_is_stored_are_the_teachers_greatest(train, teacher, tmp_path, rows):
    from datasets import Dataset
    from transformers import AutoModelForCausalLM

    train("a", teacher=teacher, how={"cache_dir": tmp_path / "cache"}, teacher_top_k=8, temperature=2.0)
    [shard] = (tmp_path / "cache" / "teachers").glob("*/*.arrow")
    kept = Dataset.from_file(str(shard)).with_format("numpy")
    assert [row["input_ids"].tolist() for row in kept] == np.load(rows).tolist()
    model = AutoModelForCausalLM.from_pretrained(teacher.source, dtype=torch.float32)
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(np.load(rows)[:4])).logits[:, :-1, :300] / 2.0
    top, ids = logits.log_softmax(dim=-1).topk(8, dim=-1)
    for at in range(4):
        np.testing.assert_allclose(kept[at]["teacher_logprobs"], top[at].reshape(-1), atol=1e-4)
        assert (kept[at]["teacher_ids"] == ids[at].reshape(-1).numpy()).mean() > 0.95  # but for near ties
    assert load_file(Path(teacher.source) / "model.safetensors")
