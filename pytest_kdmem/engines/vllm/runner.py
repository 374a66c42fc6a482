"""Runs requests through vLLM's engine step by step, as many at once as it should hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count, islice
from typing import Any

# Receives the number of rows completed since the last call.
ReportDone = Callable[[int], None]


class RequestRunner:
    """Runs requests through vLLM's engine step by step, few at once, so that memory does not grow with their number.

    Args:
        engine: A ``vllm.LLMEngine``.
        make_prompt: Turns token ids into a prompt of vLLM.
        at_once: Largest number of requests held in the engine.
    """

    def __init__(self, engine: Any, make_prompt: Callable[[list[int]], Any], at_once: int) -> None:
        self._engine = engine
        self._make_prompt = make_prompt
        self._at_once = at_once
        self._request_ids = count()

    def run(
        self,
        requests: Iterable[tuple[Any, Sequence[int], Any]],
        on_output: Callable[[Any, Any], bool],
        after_step: Callable[[], None] = lambda: None,
    ) -> None:
        """Run requests to their end.

        Args:
            requests: A key of any kind, the prompt's token ids, and vLLM's sampling parameters of each request.
            on_output: Called with the request's key and each output of it; the request is aborted if it returns False.
            after_step: Called after each step of the engine.
        """
        waiting = iter(requests)
        running: dict[str, Any] = {}
        try:
            while True:
                for key, ids, sampling in islice(waiting, self._at_once - len(running)):
                    request_id = str(next(self._request_ids))
                    self._engine.add_request(request_id, self._make_prompt(list(ids)), sampling)
                    running[request_id] = key
                if not running:
                    return
                self._step(running, on_output)
                after_step()
        finally:
            if running:
                self._engine.abort_request(list(running))

    def _step(self, running: dict[str, Any], on_output: Callable[[Any, Any], bool]) -> None:
        """Run one step of the engine, and remove the requests that end with it."""
        aborted = []
        for output in self._engine.step():
            request_id = output.request_id
            if request_id not in running:  # aborted in the step before, while this one was under way
                continue
            goes_on = on_output(running[request_id], output)
            if output.finished or not goes_on:
                del running[request_id]
                if not output.finished:
                    aborted.append(request_id)
        if aborted:
            self._engine.abort_request(aborted)


def decode(
    runner: RequestRunner,
    sampling: Callable[..., Any],
    prefixes: Sequence[Sequence[int]],
    new_tokens: int,
    report_done: ReportDone = lambda rows: None,
) -> list[list[int]]:
    """vLLM's plain greedy continuation of every prefix; ``report_done`` receives 1 for each that is complete."""
    continuations: list[list[int]] = [[] for _ in prefixes]

    def on_output(index: int, output: Any) -> bool:
        continuations[index] += output.outputs[0].token_ids
        if output.finished:
            report_done(1)
        return True

    greedy = sampling(new_tokens)
    runner.run(((index, prefix, greedy) for index, prefix in enumerate(prefixes)), on_output)
    return continuations
