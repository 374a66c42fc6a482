"""A teacher's log-probabilities: of a loaded model, and completed from the k values that were stored."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from pytest_kdmem.distill.batches import Collator, predicted_mask
from pytest_kdmem.distill.losses import Objective
from pytest_kdmem.distill.teachers import LiveTeacher, StoredOutputs
from pytest_kdmem.engines.transformers.loading import load_model
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model
from tests.quantized_models import torchao_config, with_config


def test_live_outputs_are_the_models_own_log_probabilities(toy, unequal_rows):
    model = toy("gemma2", seed=2)
    batch = Collator()([{"input_ids": row} for row in unequal_rows])
    predicted = predicted_mask(batch["labels"])
    outputs = LiveTeacher(model, 2.0).outputs(batch["input_ids"], None, predicted)
    with torch.no_grad():
        logits = model(input_ids=batch["input_ids"]).logits[:, :-1][predicted][:, :50]
    expected = torch.log_softmax(logits / 2.0, dim=1)
    torch.testing.assert_close(outputs.chunk(slice(None), 50).logprobs(), expected)
    torch.testing.assert_close(outputs.chunk(slice(3, 7), 50).logprobs(), expected[3:7])
    torch.testing.assert_close(outputs.chunk(slice(3, None), 50).rows(slice(1, 4)).logprobs(), expected[4:7])


def test_a_teacher_has_no_dropout(toy, unequal_rows):
    teacher = LiveTeacher(toy("neox", seed=2, hidden_dropout=0.5, attention_dropout=0.5).train(), 2.0)
    batch = Collator()([{"input_ids": row} for row in unequal_rows])
    predicted = predicted_mask(batch["labels"])
    first, second = (teacher.outputs(batch["input_ids"], None, predicted).hidden for _ in range(2))
    assert torch.equal(first, second)


def test_a_model_of_zeros_is_refused_as_a_teacher(toy):
    model = toy("olmo2")
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    with pytest.raises(EngineError, match="its head holds zeros"):
        LiveTeacher(model, 2.0)


def test_a_teacher_is_loaded_whole_in_every_process_that_fsdp_launches(teacher, monkeypatch):
    """accelerate lets all processes but the first load zeros for FSDP to fill in; nothing would fill in a teacher."""
    for name in ("ACCELERATE_USE_FSDP", "FSDP_CPU_RAM_EFFICIENT_LOADING"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    model = load_model(teacher, open_checkpoint(teacher), dtype="float32")
    assert all(weight.abs().sum() > 0 for name, weight in model.named_parameters() if name.endswith("weight"))


def stored_outputs(teacher_logits: torch.Tensor, k: int) -> StoredOutputs:
    top_logprobs, ids = torch.log_softmax(teacher_logits, dim=1).topk(k, dim=1)
    return StoredOutputs(ids, top_logprobs)


def kl_with_one_tail(log_p: torch.Tensor, log_q: torch.Tensor, k: int) -> torch.Tensor:
    """KL over the teacher's k most probable ids and one further outcome, "any other id"."""
    ids = log_p.topk(k, dim=1).indices
    is_stored = torch.zeros_like(log_p, dtype=torch.bool).scatter_(1, ids, torch.ones_like(ids, dtype=torch.bool))
    p, q = (
        torch.cat(
            [logprobs.gather(1, ids), logprobs.masked_fill(is_stored, -torch.inf).logsumexp(dim=1, keepdim=True)], dim=1
        )
        for logprobs in (log_p, log_q)
    )
    return (p.exp() * (p - q)).sum(dim=1)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("k", [1, 3, 16])
@pytest.mark.parametrize("size", [1.0, 4.0])
def test_ids_that_were_not_stored_count_as_one_outcome(temperature, k, size):
    generator = torch.Generator().manual_seed(k)
    teacher, student = (size * torch.randn(6, 17, generator=generator) for _ in range(2))
    leaf = student.double().requires_grad_(True)
    log_p, log_q = (torch.log_softmax(logits / temperature, dim=1) for logits in (teacher.double(), leaf))
    expected = temperature**2 * kl_with_one_tail(log_p, log_q, k)
    expected.sum().backward()
    student_logprobs = torch.log_softmax(student / temperature, dim=1)
    completed = stored_outputs(teacher / temperature, k).logprobs(student_logprobs)
    value, gradient = Objective("forward", temperature).divergence_of(completed, student_logprobs)
    torch.testing.assert_close(value.double(), expected.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient.double(), leaf.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("largest_logit", [15.0, 20.0, 30.0, 60.0])
def test_the_tail_of_a_very_confident_student_is_exact(largest_logit):
    """In float32, 1 − Σ of such a student's k probabilities is 0."""
    teacher = torch.tensor([[10.0, 1.0, 0.0, 0.0, 0.5]])
    student = torch.tensor([[largest_logit, 1.0, 0.2, -0.1, 0.3]])
    leaf = student.double().requires_grad_(True)
    log_p, log_q = (torch.log_softmax(logits, dim=1) for logits in (teacher.double(), leaf))
    expected = kl_with_one_tail(log_p, log_q, 2)
    expected.sum().backward()
    student_logprobs = torch.log_softmax(student, dim=1)
    completed = stored_outputs(teacher, 2).logprobs(student_logprobs)
    value, gradient = Objective("forward").divergence_of(completed, student_logprobs)
    torch.testing.assert_close(value.double(), expected.detach(), rtol=2e-2, atol=1e-6)
    torch.testing.assert_close(gradient.double(), leaf.grad, rtol=2e-2, atol=1e-6)


def test_stored_values_of_the_whole_vocabulary_are_the_teacher_itself():
    generator = torch.Generator().manual_seed(0)
    teacher, student = (torch.log_softmax(4 * torch.randn(6, 17, generator=generator), dim=1) for _ in range(2))
    assert torch.equal(stored_outputs(teacher, 17).logprobs(student), torch.log_softmax(teacher, dim=1))


def test_a_quantized_teacher_is_that_of_its_dequantized_weights(teacher, train, weights, tmp_path):
    with_config(torchao_config("Int8WeightOnlyConfig"))(Path(teacher.source), tmp_path / "quantized")
    dequantized = load_model(
        Model(str(tmp_path / "quantized")), open_checkpoint(Model(str(tmp_path / "quantized"))), dtype="float32"
    )
    same = AutoModelForCausalLM.from_pretrained(teacher.source, dtype=torch.float32)
    same.load_state_dict(dequantized.state_dict())
    same.save_pretrained(tmp_path / "plain")
    for name in ("quantized", "plain"):
        for file in Path(teacher.source).glob("*token*"):
            shutil.copy(file, tmp_path / name)
    quantized, plain, whole = (
        weights(train(f"by-{Path(source).name}", mode="soft", arguments={"teacher": Model(str(source))}))
        for source in (tmp_path / "quantized", tmp_path / "plain", teacher.source)
    )
    assert all(torch.equal(quantized[name], plain[name]) for name in plain)
    assert not all(torch.equal(quantized[name], whole[name]) for name in whole)
