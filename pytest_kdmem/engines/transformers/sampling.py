"""Log-probabilities of suffixes under samplers: of what is left of each distribution once it is scaled and truncated.

The truncations are those of `transformers` itself, in its order. A target that rounding could have kept or dropped is
seen by moving its logit, and the limits of the truncations, by as much as another kernel could.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import (
    EpsilonLogitsWarper,
    EtaLogitsWarper,
    LogitsProcessor,
    MinPLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.protocol import check_ids
from pytest_kdmem.engines.transformers.batches import rows_by_length
from pytest_kdmem.engines.transformers.engine import TransformersEngine
from pytest_kdmem.engines.transformers.padded_ids import PaddedIds
from pytest_kdmem.specs.declared import Extraction
from pytest_kdmem.specs.sampler import Sampler

# Copies of a chunk's logits that truncating takes at once.
COPIES = 8


class SampledLogprobs(NamedTuple):
    """Log-probabilities of n suffixes under one sampler, in nats, each float64 ``[n]``; −inf of what is never drawn.

    Attributes:
        logprob: As observed.
        least: The least that another kernel or batch size could give.
        most: The most that it could give.
    """

    logprob: npt.NDArray[np.float64]
    least: npt.NDArray[np.float64]
    most: npt.NDArray[np.float64]


def suffix_logprobs(
    engine: TransformersEngine,
    examples: Sequence[Example],
    extraction: Extraction,
    samplers: Sequence[Sampler],
    advance: Callable[[int], None],
) -> list[SampledLogprobs]:
    """The log-probabilities of the suffixes of examples under each of several samplers, from one pass.

    Args:
        engine: The model.
        examples: Examples of at least prefix and suffix tokens.
        extraction: Lengths of prefix and suffix.
        samplers: Samplers that are not greedy.
        advance: Receives the number of examples done, every few examples.

    Raises:
        EngineError: The model gives NaN, or a single example does not fit into memory.
    """
    check_ids(examples, engine.vocabulary, engine.name)
    passes, suffix_tokens = engine.passes, extraction.suffix_tokens
    logprobs = np.full((len(samplers), 3, len(examples)), np.nan)
    order = rows_by_length(examples)
    starts = [examples[row].start(extraction) for row in order]
    cut = [examples[row].ids[: start + suffix_tokens] for row, start in zip(order, starts, strict=True)]
    ids = PaddedIds(cut, passes.device, starts=starts)
    chunk = max(1, passes.chunk // COPIES)

    @torch.inference_mode()
    def score_batch(batch: slice) -> None:
        batch_starts = ids.places(batch).starts
        assert batch_starts is not None
        hidden, targets = passes.suffix_hidden(ids.batch(batch), batch_starts, suffix_tokens)
        parts, is_broken = [], []
        for start in range(0, len(targets), chunk):
            part = slice(start, start + chunk)
            logits = passes.logits(hidden[part]).float()
            is_broken.append(~logits.amax(dim=1).isfinite())  # NaN is the greatest where there is one
            parts.append(
                torch.stack([target_logprobs(logits, targets[part], each, engine.tolerance) for each in samplers])
            )
        rows = order[batch]
        of_tokens = torch.cat(parts, dim=2)
        # A probability that is NaN would reach no threshold, and must not pass for an unlikely one.
        broken = (torch.cat(is_broken) | of_tokens.isnan().any(dim=(0, 1))).reshape(len(rows), suffix_tokens)
        passes.check_finite(broken.any(dim=1).cpu().numpy(), [examples[row] for row in rows])
        of_tokens = of_tokens.reshape(len(samplers), 3, len(rows), suffix_tokens)
        logprobs[:, :, rows] = of_tokens.sum(dim=3, dtype=torch.float64).cpu().numpy()

    with engine.computing():
        engine.batches.run(len(examples), score_batch, advance)
    return [SampledLogprobs(*of_sampler) for of_sampler in logprobs]


def target_logprobs(logits: Tensor, targets: Tensor, sampler: Sampler, tolerance: float) -> Tensor:
    """Log-probabilities of tokens under a sampler: as observed, the least and the most, float32 ``[3, m]``.

    Args:
        logits: Finite but for −inf, float32 ``[m, vocabulary]``.
        targets: Token ids ``[m]``, int64.
        sampler: A sampler that is not greedy.
        tolerance: How far another kernel could move the target's logit from the others, in logits.
    """
    index = targets[:, None]
    # Probabilities depend on differences alone; those from the greatest do not overflow at a low temperature.
    scaled = (logits - logits.amax(dim=1, keepdim=True)) / sampler.temperature
    step = tolerance / sampler.temperature
    target = scaled.gather(1, index)
    observed = truncate(scaled, sampler).log_softmax(dim=1).gather(1, index)[:, 0]
    bounds = []
    for moved, others_by, target_by in (
        (target - step, sampler.loosened(step), sampler.loosened(-step)),
        (target + step, sampler.loosened(-step), sampler.loosened(step)),
    ):
        at_moved = scaled.scatter(1, index, moved)
        # Of the other tokens, those that are left take probability from the target.
        others = truncate(at_moved, others_by).scatter(1, index, -torch.inf).logsumexp(dim=1)
        logprob = torch.nn.functional.logsigmoid(moved[:, 0] - others)
        is_kept = truncate(at_moved, target_by).gather(1, index)[:, 0] > -torch.inf
        bounds.append(torch.where(is_kept, logprob, -torch.inf))
    least, most = bounds
    return torch.stack([observed, torch.minimum(least, observed), torch.maximum(most, observed)])


def truncate(scaled: Tensor, sampler: Sampler) -> Tensor:
    """Logits ``[m, vocabulary]`` over the temperature, with −inf in place of those that a sampler drops."""
    for processor in _truncations(sampler, scaled.device.type):
        # None of them looks at the tokens before.
        scaled = processor(None, scaled)
    return scaled


def _truncations(sampler: Sampler, device: str) -> list[LogitsProcessor]:
    """The truncations of a sampler, in the order in which `transformers` applies them."""
    processors: list[LogitsProcessor] = []
    if sampler.top_k is not None:
        processors.append(TopKLogitsWarper(sampler.top_k))
    if sampler.top_p is not None:
        processors.append(TopPLogitsWarper(sampler.top_p))
    if sampler.min_p is not None:
        processors.append(MinPLogitsWarper(sampler.min_p))
    if sampler.epsilon_cutoff is not None:
        processors.append(EpsilonLogitsWarper(sampler.epsilon_cutoff))
    if sampler.eta_cutoff is not None:
        processors.append(EtaLogitsWarper(sampler.eta_cutoff, device=device))
    return processors
