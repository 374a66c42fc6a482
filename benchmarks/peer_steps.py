"""A step of soft distillation in several libraries: forward KL at temperature 2, gradients and AdamW."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.peer_process import Job, Run

TEMPERATURE = 2.0
LEARNING_RATE = 1e-5
OPEN_CONTEXTS = ExitStack()


def load(job: Job, role: str, **settings: Any) -> Any:
    """Student in float32, or teacher, in the dtype of the job."""
    from transformers import AutoModelForCausalLM

    dtype = torch.float32 if role == "student" else getattr(torch, job["dtype"])
    model = AutoModelForCausalLM.from_pretrained(job[role], dtype=dtype, **settings).to(job["device"])
    return model.train() if role == "student" else model.eval().requires_grad_(False)


def read_ids(job: Job) -> Tensor:
    """Token ids ``[batch, tokens]``, int64, on the device of the job."""
    return torch.from_numpy(np.load(job["ids"]).astype(np.int64)).to(job["device"])


def optimized(job: Job, student: Any, loss_of_step: Callable[[], Tensor]) -> Run:
    """A whole step: loss, gradients and AdamW."""
    optimizer = torch.optim.AdamW(student.parameters(), lr=LEARNING_RATE, weight_decay=0.0, fused=True)

    def run() -> float:
        with torch.autocast(job["device"], torch.bfloat16, enabled=job["dtype"] == "bfloat16"):
            loss = loss_of_step()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return run


def chunked(job: Job, details: dict[str, Any]) -> Run:
    """This package: head and loss in chunks, the gradient in closed form."""
    from pytest_kdmem.distill.batches import predicted_mask
    from pytest_kdmem.distill.loss_forward import forward_returns_loss
    from pytest_kdmem.distill.losses import Objective
    from pytest_kdmem.distill.teachers import LiveTeacher
    from pytest_kdmem.engines.transformers.compilation import Compilation, compile_layers

    attention = {"attn_implementation": "eager"} if job["device"] == "cpu" else {}  # as its trainer chooses
    student, teacher, ids = load(job, "student", **attention), load(job, "teacher", **attention), read_ids(job)
    live_teacher, predicted = LiveTeacher(teacher, TEMPERATURE), predicted_mask(ids)
    compilation = Compilation(print) if job["device"] == "cuda" else None
    if compilation is not None:
        compile_layers(teacher, compilation)
    objective = Objective("forward", TEMPERATURE, vocabulary=student.config.vocab_size)
    OPEN_CONTEXTS.enter_context(forward_returns_loss(student, objective, compilation=compilation))

    def loss_of_step() -> Tensor:
        outputs = live_teacher.outputs(ids, None, predicted)
        loss: Tensor = student(input_ids=ids, labels=ids, teacher=outputs) / predicted.sum()
        return loss

    return optimized(job, student, loss_of_step)


def full_logits(job: Job, details: dict[str, Any]) -> Run:
    """Both models' logits of all positions, and autograd."""
    student, teacher, ids = load(job, "student"), load(job, "teacher"), read_ids(job)

    def loss_of_step() -> Tensor:
        with torch.inference_mode():
            target = teacher(input_ids=ids, use_cache=False).logits
        logits = student(input_ids=ids, use_cache=False).logits
        log_p = torch.log_softmax(target[:, :-1].float() / TEMPERATURE, dim=-1)
        log_q = torch.log_softmax(logits[:, :-1].float() / TEMPERATURE, dim=-1)
        loss: Tensor = TEMPERATURE**2 * (log_p.exp() * (log_p - log_q)).sum(dim=-1).mean()
        return loss

    return optimized(job, student, loss_of_step)


def trl(job: Job, details: dict[str, Any]) -> Run:
    """TRL's DistillationTrainer: its loss, on given text in place of text that the student generates."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import DistillationConfig, DistillationTrainer

    student, teacher, ids = load(job, "student"), load(job, "teacher"), read_ids(job)
    trainer = DistillationTrainer(
        model=student,
        teacher_model=teacher,
        args=DistillationConfig(
            output_dir=tempfile.mkdtemp(),
            beta=0.0,
            temperature=TEMPERATURE,
            max_completion_length=ids.shape[1] - 1,
            gradient_checkpointing=False,
            bf16=job["dtype"] == "bfloat16",
            use_cpu=job["device"] == "cpu",
            report_to=[],
        ),
        train_dataset=Dataset.from_dict({"prompt": ["text"] * len(ids)}),
        processing_class=AutoTokenizer.from_pretrained(job["student"], padding_side="left"),
    )
    mask = torch.ones_like(ids)
    inputs = {
        "prompt_ids": ids[:, :1],
        "prompt_mask": mask[:, :1],
        "completion_ids": ids[:, 1:],
        "completion_mask": mask[:, 1:],
    }
    # Its loss has no factor T².
    return optimized(job, student, lambda: TEMPERATURE**2 * trainer.compute_loss(trainer.model, dict(inputs)))


def liger(job: Job, details: dict[str, Any]) -> Run:
    """The backbones, and Liger's fused linear JSD loss, which is the forward KL with β = 0."""
    from liger_kernel.chunked_loss import LigerFusedLinearJSDLoss

    student, teacher, ids = load(job, "student"), load(job, "teacher"), read_ids(job)
    loss_of = LigerFusedLinearJSDLoss(weight_hard_loss=0.0, weight_soft_loss=1.0, beta=0.0, temperature=TEMPERATURE)
    dtype = getattr(torch, job["dtype"])

    def states(model: Any) -> Tensor:
        hidden: Tensor = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        return hidden.reshape(-1, hidden.shape[-1]).to(dtype)

    def loss_of_step() -> Tensor:
        with torch.no_grad():
            teacher_states = states(teacher)
        heads = (model.get_output_embeddings().weight.to(dtype) for model in (student, teacher))
        student_head, teacher_head = heads
        loss = loss_of(states(student), student_head, teacher_states, teacher_head, ids[:, 1:].reshape(-1))
        summed: Tensor = loss[0] if isinstance(loss, tuple) else loss
        return TEMPERATURE**2 * summed

    return optimized(job, student, loss_of_step)


STEPS: dict[str, Callable[[Job, dict[str, Any]], Run]] = {
    "pytest-kdmem step": chunked,
    "full logits": full_logits,
    "TRL DistillationTrainer": trl,
    "Liger fused JSD": liger,
}
