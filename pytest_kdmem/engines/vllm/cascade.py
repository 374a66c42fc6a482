"""Verdicts by a cascade: vLLM decodes all rows token by token, and each row stops at its first sure miss.

So a row costs its prefill and one decoding step for each token that it follows its target. If the model prefers another
token within the tolerance only, another kernel or batch size could change that: all margins of such a row are then read
from one pass over prefix and suffix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_kdmem.engines.protocol import Floats
from pytest_kdmem.engines.vllm.runner import ReportDone, RequestRunner

# Number of highest logits asked for. At a hit these are the target's and the best other logit.
HIGHEST = 2


class BrokenLogits(Exception):
    """The model gives NaN or infinity for the row of this index."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


@dataclass
class RowProgress:
    """A row while it is decoded: its target suffix, the tokens matched so far, and the least margin among them."""

    index: int
    target: list[int]
    matched: int = 0
    least_margin: float = math.inf


class VerdictCollector:
    """Collects margins and first misses ``[rows]`` from vLLM's outputs.

    Args:
        ids: Token ids ``[rows, prefix + suffix]``.
        prefix_tokens: Length of the prefix.
        sure_miss: A miss is sure if its margin, in logits, lies below the negative of this.
        report_done: Receives the number of rows completed, after each step.
    """

    def __init__(
        self, ids: npt.NDArray[np.int32], prefix_tokens: int, sure_miss: float, report_done: ReportDone
    ) -> None:
        self._ids = ids
        self._prefix_tokens = prefix_tokens
        self._sure_miss = sure_miss
        self._report_done = report_done
        self._completed = 0
        self.margin: Floats = np.full(len(ids), np.nan, dtype=np.float32)
        self.first_miss = np.full(len(ids), -1, dtype=np.int16)
        # Rows that missed their target by less, to be scored in one pass.
        self.unsettled: list[int] = []

    def on_decoded(self, row: RowProgress, output: Any) -> bool:
        """Compare newly decoded tokens with the target; False once the row misses."""
        decoded = output.outputs[0]
        for token, (tokens, logits) in zip(decoded.token_ids, positions_of(decoded.logprobs), strict=True):
            target = row.target[row.matched]
            margin = target_margin(row.index, target, tokens, logits)
            if token != target or margin < 0:
                if margin < -self._sure_miss:  # later margins may be lower still, so the least stays unknown
                    self.first_miss[row.index] = row.matched
                    self._completed += 1
                else:
                    self.unsettled.append(row.index)
                return False
            row.least_margin = min(row.least_margin, margin)
            row.matched += 1
        if row.matched == len(row.target):
            self.margin[row.index] = row.least_margin
            self._completed += 1
        return True

    def on_whole_row(self, index: int, output: Any) -> bool:
        """Read every suffix margin of a row from one pass over prefix and suffix."""
        margins = prompt_margins(index, self._ids[index], output.prompt_logprobs)[self._prefix_tokens - 1 :]
        self.margin[index] = min(margins)
        self.first_miss[index] = next((position for position, margin in enumerate(margins) if margin < 0), -1)
        self._completed += 1
        return True

    def after_step(self) -> None:
        completed, self._completed = self._completed, 0
        if completed:
            self._report_done(completed)


def cascade(
    runner: RequestRunner,
    sampling: Callable[..., Any],
    ids: npt.NDArray[np.int32],
    prefix_tokens: int,
    sure_miss: float,
    report_done: ReportDone,
) -> tuple[Floats, npt.NDArray[np.int16]]:
    """Margins and first misses ``[rows]`` of rows of token ids, as in `Scores`.

    Args:
        runner: Runs the requests.
        sampling: Makes vLLM's sampling parameters from a number of tokens and the numbers of logits asked for.
        ids: Token ids ``[rows, prefix + suffix]``.
        prefix_tokens: Length of the prefix.
        sure_miss: A row ends at a miss whose margin, in logits, lies below the negative of this.
        report_done: Receives the number of rows completed, after each step.

    Raises:
        BrokenLogits: A logit that decides a row is NaN or infinite.
    """
    verdicts = VerdictCollector(ids, prefix_tokens, sure_miss, report_done)
    decoding = sampling(ids.shape[1] - prefix_tokens, logprobs=HIGHEST)
    rows = (
        (RowProgress(index, row[prefix_tokens:].tolist()), row[:prefix_tokens].tolist(), decoding)
        for index, row in enumerate(ids)
    )
    runner.run(rows, verdicts.on_decoded, verdicts.after_step)
    one_pass = sampling(1, prompt_logprobs=HIGHEST)
    whole_rows = ((index, ids[index].tolist(), one_pass) for index in verdicts.unsettled)
    runner.run(whole_rows, verdicts.on_whole_row, verdicts.after_step)
    undecided = np.isnan(verdicts.margin) & (verdicts.first_miss < 0)
    if undecided.any():
        raise RuntimeError(f"vLLM ended {int(undecided.sum())} requests before their verdict")
    return verdicts.margin, verdicts.first_miss


def positions_of(flat: Any) -> Iterator[tuple[list[int], list[float]]]:
    """Token ids and logits by position of vLLM's ``FlatLogprobs``: the sampled or prompt token, then the highest."""
    for start, end in zip(flat.start_indices, flat.end_indices, strict=True):
        yield flat.token_ids[start:end], flat.logprobs[start:end]


def prompt_margins(index: int, ids: Sequence[int], flat: Any) -> list[float]:
    """Margin of each token of a prompt but the first, which nothing predicts.

    Args:
        index: Index of the row, for the exception.
        ids: Token ids of the prompt.
        flat: vLLM's ``FlatLogprobs`` of the prompt.
    """
    predicted = islice(positions_of(flat), 1, None)
    return [
        target_margin(index, int(target), tokens, logits)
        for target, (tokens, logits) in zip(ids[1:], predicted, strict=True)
    ]


def target_margin(index: int, target: int, tokens: Sequence[int], logits: Sequence[float]) -> float:
    """The target's logit minus the best other logit; an upper bound of it if the target is not among the tokens.

    Args:
        index: Index of the row, for the exception.
        target: The target token.
        tokens: The tokens whose logits are known.
        logits: Their logits.

    Raises:
        BrokenLogits: A logit is NaN, or the highest is infinite.
    """
    if any(map(math.isnan, logits)) or math.isinf(max(logits)):
        raise BrokenLogits(index)
    if target not in tokens:
        return min(logits) - max(logits)
    return logits[tokens.index(target)] - max(
        logit for token, logit in zip(tokens, logits, strict=True) if token != target
    )
