"""The server of the vLLM engine: runs in a process of its own, which ends when its client does.

It is started as ``python -m pytest_kdmem.engines.vllm.server FD``, where FD is a socket to the client. It answers the
commands ``open``, then ``score`` and ``decode``, until it receives ``close``.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_kdmem.engines.protocol import Floats
from pytest_kdmem.engines.vllm.cascade import HIGHEST, BrokenLogits, cascade, prompt_margins
from pytest_kdmem.engines.vllm.loading import Refusal, check_weights, sampling_maker, start_engine
from pytest_kdmem.engines.vllm.runner import RequestRunner, decode
from pytest_kdmem.engines.vllm.wire import Array, Header, receive, send

# Rows and tokens that the tolerance is measured on: so many rows in one batch, and so many of them one by one. A CPU's
# kernels hardly depend on the number of rows, and more rows cost it more time.
BATCHED_ROWS = {"cpu": 16, "cuda": 64}
SINGLE_ROWS = 4
MEASURED_TOKENS = 64


class LoadedModel:
    """A model in vLLM's engine.

    Args:
        request: The client's request to open it.

    Raises:
        Refusal: vLLM cannot run it here.
    """

    def __init__(self, request: Header) -> None:
        self.vocabulary, self._sampling = check_weights(request), sampling_maker()
        self._engine, make_prompt, at_once = start_engine(request, self.vocabulary)
        # As many requests wait in the engine as run there, so that the next ones follow without a gap.
        self._runner = RequestRunner(self._engine, make_prompt, 2 * at_once)
        rows = min(at_once, BATCHED_ROWS[request["device"]])
        tokens = min(MEASURED_TOKENS, request["longest_tokens"])
        self.tolerance = self._measured_tolerance(rows, tokens, request["dtype"])

    def score(self, request: Header, arrays: list[Array], report_done: Callable[[int], None]) -> list[Array]:
        margin, first_miss = cascade(
            self._runner, self._sampling, arrays[0], request["prefix_tokens"], request["sure_miss"], report_done
        )
        return [margin, first_miss]

    def decode(self, request: Header, arrays: list[Array], report_done: Callable[[int], None]) -> list[Array]:
        ids, lengths = arrays
        prefixes = [part.tolist() for part in np.split(ids, np.cumsum(lengths)[:-1])]
        continuations = decode(self._runner, self._sampling, prefixes, request["new_tokens"], report_done)
        return [np.array(continuations, dtype=np.int32)]

    def close(self) -> None:
        """End vLLM's own processes, if it has any, so that they free memory that outlives a process."""
        self._engine.engine_core.shutdown(timeout=15.0)  # by default they are killed after 5 seconds

    def _measured_tolerance(self, rows: int, length: int, dtype: str) -> float:
        """Four times the change of a margin by batch size and by decoding, rounded up to a power of two.

        As in the transformers engine, it is measured on random ids; this also proves what is used of vLLM's interface.
        vLLM's kernels for CPUs change nothing with the batch, and others would: so the change counts as one rounding
        of the largest logit at least.
        """
        import torch

        prompt_tokens = max(1, length * 3 // 4)
        new_tokens = length - prompt_tokens
        ids = np.random.default_rng(0).integers(0, self.vocabulary, (rows, length))
        batched, largest_logit = self._margins(ids)
        single = np.concatenate([self._margins(row[None])[0] for row in ids[:SINGLE_ROWS]])
        prompts = ids[:, :prompt_tokens]
        continuations = decode(self._runner, self._sampling, prompts.tolist(), new_tokens)
        recited = np.concatenate([prompts, np.array(continuations, dtype=np.int32)], axis=1)
        # Every decoded token is its own target, so both ways give the least margin over all of them.
        stepped, _ = cascade(self._runner, self._sampling, recited, prompt_tokens, math.inf, lambda rows: None)
        one_pass = self._margins(recited)[0][:, prompt_tokens - 1 :].min(axis=1)
        spacing = torch.finfo(getattr(torch, dtype)).eps
        change = max(
            float(np.abs(batched[: len(single)] - single).max()),
            float(np.abs(stepped - one_pass).max()),
            spacing * largest_logit,
        )
        return float(2.0 ** math.ceil(math.log2(max(4 * change, spacing))))

    def _margins(self, ids: npt.NDArray[Any]) -> tuple[Floats, float]:
        """Margins ``[rows, tokens − 1]`` by one pass over all rows, and the largest absolute logit."""
        margins: dict[int, list[float]] = {}
        largest_logit = 0.0

        def on_output(index: int, output: Any) -> bool:
            nonlocal largest_logit
            margins[index] = prompt_margins(index, ids[index], output.prompt_logprobs)
            largest_logit = max(largest_logit, *map(abs, output.prompt_logprobs.logprobs))
            return True

        one_pass = self._sampling(1, prompt_logprobs=HIGHEST)
        self._runner.run(((index, row.tolist(), one_pass) for index, row in enumerate(ids)), on_output)
        return np.array([margins[index] for index in range(len(ids))], dtype=np.float32), largest_logit


def main(descriptor: int) -> None:
    """Answer requests from the socket of this number."""
    # Processes that vLLM starts must not inherit the socket: then the client would not see this process end.
    os.set_inheritable(descriptor, False)
    connection = Connection(descriptor)
    requests: SimpleQueue[tuple[Header, list[Array]]] = SimpleQueue()
    Thread(target=_listen, args=(connection, requests), daemon=True).start()
    model: LoadedModel | None = None
    while True:
        request, arrays = requests.get()
        try:
            if request["command"] == "open":
                model = LoadedModel(request)
                send(connection, {"tolerance": model.tolerance, "vocabulary": model.vocabulary})
            elif request["command"] == "close":
                if model is not None:
                    model.close()
                return
            elif model is not None:
                run = {"score": model.score, "decode": model.decode}[request["command"]]
                send(connection, {}, *run(request, arrays, lambda rows: send(connection, {"progress": rows})))
        except BrokenLogits as broken:
            send(connection, {"broken_row": broken.row})
        except Refusal as refusal:
            send(connection, {"refusal": str(refusal)})
        except Exception as error:
            lines = str(error).strip().splitlines()
            send(connection, {"failure": f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]})


def _listen(connection: Connection, requests: SimpleQueue[tuple[Header, list[Array]]]) -> None:
    """Queue incoming requests; once the client is gone, kill this process and all that it started."""
    try:
        while True:
            requests.put(receive(connection))
    except (EOFError, OSError):
        os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
