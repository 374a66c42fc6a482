"""The cascade: vLLM decodes all examples a token at a time, and each leaves as soon as it has left its target.

An example so costs its prefill and as many decoding steps as it survives, with no prefill twice. A token that the
model prefers to the target only within the tolerance settles nothing, as kernel and batch size could turn it: such an
example's margins are then all read off one pass over prefix and suffix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_kdmem.engines.protocol import Floats

# The target's and the best other logit: at a hit both are among the two highest.
HIGHEST = 2
Done = Callable[[int], None]


class BrokenLogits(Exception):
    """The model gives NaN or infinity at a row."""

    def __init__(self, row: int) -> None:
        super().__init__(row)
        self.row = row


@dataclass
class Row:
    """A row while it is in the engine: how far it has followed its target, and its least margin so far."""

    index: int
    target: list[int]
    reached: int = 0
    least: float = math.inf


class Steps:
    """Runs requests through vLLM's engine step by step, few enough at once that memory does not grow with their number.

    Args:
        engine: a ``vllm.LLMEngine``.
        prompt: ids → what the engine takes as a prompt.
        at_once: the most requests to hold in the engine.
    """

    def __init__(self, engine: Any, prompt: Callable[[list[int]], Any], at_once: int) -> None:
        self._engine = engine
        self._prompt = prompt
        self._at_once = at_once
        self._names = count()

    def run(
        self,
        requests: Iterable[tuple[Any, Sequence[int], Any]],
        heed: Callable[[Any, Any], bool],
        after_step: Callable[[], None] = lambda: None,
    ) -> None:
        """Run requests, each a key, a prompt's ids and sampling parameters.

        Args:
            heed: told of each output with the request's key; False ends the request there.
        """
        waiting = iter(requests)
        live: dict[str, Any] = {}
        try:
            while True:
                for key, ids, sampling in islice(waiting, self._at_once - len(live)):
                    name = str(next(self._names))
                    self._engine.add_request(name, self._prompt(list(ids)), sampling)
                    live[name] = key
                if not live:
                    return
                ended = []
                for output in self._engine.step():
                    name = output.request_id
                    if name not in live:  # ended a step ago, when this one was under way
                        continue
                    goes_on = heed(live[name], output)
                    if output.finished:
                        del live[name]
                    elif not goes_on:
                        del live[name]
                        ended.append(name)
                if ended:
                    self._engine.abort_request(ended)
                after_step()
        finally:
            if live:
                self._engine.abort_request(list(live))


def cascade(
    steps: Steps,
    sampling: Callable[..., Any],
    ids: npt.NDArray[np.int32],
    prefix_tokens: int,
    tolerance: float,
    done: Done,
) -> tuple[Floats, npt.NDArray[np.int16]]:
    """Margins and first misses ``[rows]`` of ids ``[rows, prefix + suffix]``, as `Scores` has them.

    Args:
        sampling: lengths and numbers of logits asked for → vLLM's sampling parameters.
        done: told how many rows more are settled.

    Raises:
        BrokenLogits: a logit that settles a row is NaN or infinite.
    """
    suffix_tokens = ids.shape[1] - prefix_tokens
    margin = np.full(len(ids), np.nan, dtype=np.float32)
    first_miss = np.full(len(ids), -1, dtype=np.int16)
    unsettled: list[int] = []
    settled = 0

    def heed(row: Row, output: Any) -> bool:
        nonlocal settled
        spoken = output.outputs[0]
        for token, (tokens, logits) in zip(spoken.token_ids, positions_of(spoken.logprobs), strict=True):
            target = row.target[row.reached]
            found = margin_of(row.index, target, tokens, logits)
            if token != target or found < 0:
                if found < -tolerance:  # its margin is unknown: later ones could be less
                    first_miss[row.index] = row.reached
                    settled += 1
                else:
                    unsettled.append(row.index)
                return False
            row.least = min(row.least, found)
            row.reached += 1
        if row.reached == suffix_tokens:
            margin[row.index] = row.least
            settled += 1
        return True

    def heed_whole(index: int, output: Any) -> bool:
        nonlocal settled
        found = target_margins(index, ids[index], output.prompt_logprobs)[prefix_tokens - 1 :]
        margin[index] = min(found)
        first_miss[index] = next((at for at, one in enumerate(found) if one < 0), -1)
        settled += 1
        return True

    def tell() -> None:
        nonlocal settled
        settled, told = 0, settled
        if told:
            done(told)

    decoding = sampling(suffix_tokens, logprobs=HIGHEST)
    rows = (
        (Row(index, one[prefix_tokens:].tolist()), one[:prefix_tokens].tolist(), decoding)
        for index, one in enumerate(ids)
    )
    steps.run(rows, heed, tell)
    whole = sampling(1, prompt_logprobs=HIGHEST)
    steps.run(((index, ids[index].tolist(), whole) for index in unsettled), heed_whole, tell)
    lost = np.isnan(margin) & (first_miss < 0)
    if lost.any():
        raise RuntimeError(f"vLLM ended {int(lost.sum())} requests before their verdict")
    return margin, first_miss


def decode(
    steps: Steps,
    sampling: Callable[..., Any],
    prefixes: Sequence[Sequence[int]],
    new_tokens: int,
    done: Done = lambda rows: None,
) -> list[list[int]]:
    """vLLM's plain greedy decoding of every prefix; ``done`` is told how many more have ended."""
    spoken: list[list[int]] = [[] for _ in prefixes]

    def heed(index: int, output: Any) -> bool:
        spoken[index] += output.outputs[0].token_ids
        if output.finished:
            done(1)
        return True

    plain = sampling(new_tokens)
    steps.run(((index, prefix, plain) for index, prefix in enumerate(prefixes)), heed)
    return spoken


def positions_of(flat: Any) -> Iterator[tuple[list[int], list[float]]]:
    """Ids and logits at each position of vLLM's ``FlatLogprobs``: the sampled or prompt token, then the highest."""
    for start, end in zip(flat.start_indices, flat.end_indices, strict=True):
        yield flat.token_ids[start:end], flat.logprobs[start:end]


def target_margins(index: int, ids: Sequence[int], flat: Any) -> list[float]:
    """Margin of each token of a prompt but its first, of which there are logits of none."""
    found = islice(positions_of(flat), 1, None)
    return [
        margin_of(index, int(target), tokens, logits) for target, (tokens, logits) in zip(ids[1:], found, strict=True)
    ]


def margin_of(index: int, target: int, tokens: Sequence[int], logits: Sequence[float]) -> float:
    """The target's logit minus the best other; at most that if the target is not among the tokens."""
    if any(map(math.isnan, logits)) or math.isinf(max(logits)):
        raise BrokenLogits(index)
    if target not in tokens:
        return min(logits) - max(logits)
    return logits[tokens.index(target)] - max(
        logit for token, logit in zip(tokens, logits, strict=True) if token != target
    )
