"""Peak memory and speed of a step of soft distillation, with head and loss in chunks and with full logits.

`python benchmarks/distillation.py` measures the memory of each variant in a process of its own, and their speed in one
process, in turn.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor, log_softmax
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from pytest_kdmem.distill.batches import predicted_mask
from pytest_kdmem.distill.loss_forward import forward_returns_loss
from pytest_kdmem.distill.losses import Objective
from pytest_kdmem.distill.teachers import LiveTeacher

TEMPERATURE = 2.0
MEBIBYTE = 2**20
Step = Callable[[], float]
OPEN_CONTEXTS = ExitStack()


def models(vocabulary: int, width: int) -> tuple[PreTrainedModel, PreTrainedModel]:
    """Student and teacher of random weights."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=width // 4,
        tie_word_embeddings=True,
    )
    return Qwen3ForCausalLM(config).train(), Qwen3ForCausalLM(config)


def plain(student: PreTrainedModel, teacher: PreTrainedModel, ids: Tensor) -> Step:
    """Both models' logits over the whole vocabulary for the whole batch, and autograd."""

    def step() -> float:
        student.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            with torch.inference_mode():
                target = teacher(input_ids=ids, use_cache=False).logits
            logits = student(input_ids=ids, use_cache=False).logits
        log_p = log_softmax(target[:, :-1].float() / TEMPERATURE, dim=-1)
        log_q = log_softmax(logits[:, :-1].float() / TEMPERATURE, dim=-1)
        loss: Tensor = TEMPERATURE**2 * (log_p.exp() * (log_p - log_q)).sum(dim=-1).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    return step


def chunked(student: PreTrainedModel, teacher: PreTrainedModel, ids: Tensor) -> Step:
    """Head and loss in chunks, as the trainer computes them."""
    objective = Objective("forward", TEMPERATURE, vocabulary=student.config.vocab_size)
    OPEN_CONTEXTS.enter_context(forward_returns_loss(student, objective))
    live_teacher = LiveTeacher(teacher, TEMPERATURE)

    def step() -> float:
        student.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            predicted = predicted_mask(ids)
            outputs = live_teacher.outputs(ids, None, predicted)
            loss: Tensor = student(input_ids=ids, labels=ids, teacher=outputs) / predicted.sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    return step


VARIANTS = {"plain": plain, "chunked": chunked}


def make_step(variant: str, vocabulary: int, batch: int, tokens: int, width: int) -> Step:
    student, teacher = models(vocabulary, width)
    ids = torch.randint(1, vocabulary, (batch, tokens), generator=torch.Generator().manual_seed(1))
    return VARIANTS[variant](student, teacher, ids)


def peak_memory(variant: str, shape: tuple[int, int, int, int], results: multiprocessing.Queue[float]) -> None:
    """Put the peak of resident memory during a step, in MiB, beyond what the models hold."""
    vocabulary, batch, tokens, width = shape
    step = make_step(variant, vocabulary, batch, tokens, width)
    before = _status_kib("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    step()
    results.put((_status_kib("VmHWM") - before) * 1024 / MEBIBYTE)


def _status_kib(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    shape = (options.vocabulary, options.batch, options.tokens, options.width)
    print(f"vocabulary {shape[0]}, {shape[1]} × {shape[2]} tokens, width {shape[3]}, bfloat16 autocast")
    context = multiprocessing.get_context("spawn")
    peaks = {}
    for variant in VARIANTS:
        results = context.Queue()
        child = context.Process(target=peak_memory, args=(variant, shape, results))
        child.start()
        peaks[variant] = results.get()
        child.join()
        print(f"{variant:8} peak memory of a step {peaks[variant]:8.0f} MiB")
    print(f"chunked / plain {peaks['chunked'] / peaks['plain']:.2f}")
    steps = {variant: make_step(variant, *shape) for variant in VARIANTS}
    losses = {variant: step() for variant, step in steps.items()}
    seconds: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for _ in range(options.rounds):
        for variant, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[variant].append(time.perf_counter() - start)
    for variant, times in seconds.items():
        rate = options.batch * options.tokens / statistics.median(times)
        print(f"{variant:8} {rate:8.0f} tokens/s, loss {losses[variant]:.5f}")
    ratios = [plain / chunked for plain, chunked in zip(*seconds.values(), strict=True)]
    print(f"speed of chunked, relative to plain: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
