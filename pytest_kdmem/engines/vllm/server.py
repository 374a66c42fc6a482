"""The side of the vLLM engine that runs in a process of its own, which ends when the other side does.

Started as ``python -m pytest_kdmem.engines.vllm.server FD``, where FD is a socket to the other side. It answers
``open``, then ``score`` and ``decode`` for as long as it is asked, and ends at ``close``.
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

from pytest_kdmem.engines.vllm.cascade import HIGHEST, BrokenLogits, Steps, cascade, decode, target_margins
from pytest_kdmem.engines.vllm.loading import Refusal, check_weights, sampling_maker, start
from pytest_kdmem.engines.vllm.wire import Array, Header, receive, send

# What the tolerance is measured on: rows together, as many of them alone, and tokens of each. A CPU's kernels hardly
# heed the number of rows, which costs it more.
MEASURED_ROWS, MEASURED_ALONE, MEASURED_TOKENS = {"cpu": 16, "cuda": 64}, 4, 64


class Served:
    """A loaded model and what is asked of it."""

    def __init__(self, asked: Header) -> None:
        head = check_weights(asked)
        self.vocabulary, self._sampling = head, sampling_maker()
        self._engine, prompt, at_once = start(asked, head)
        self._steps = Steps(self._engine, prompt, 2 * at_once)  # as many waiting as running, to follow without a gap
        rows = min(at_once, MEASURED_ROWS[asked["device"]])
        self.tolerance = self._measured_tolerance(rows, min(MEASURED_TOKENS, asked["longest_tokens"]), asked["dtype"])

    def score(self, asked: Header, arrays: list[Array], done: Callable[[int], None]) -> list[Array]:
        return list(cascade(self._steps, self._sampling, arrays[0], asked["prefix_tokens"], self.tolerance, done))

    def decode(self, asked: Header, arrays: list[Array], done: Callable[[int], None]) -> list[Array]:
        ids, lengths = arrays
        prefixes = [part.tolist() for part in np.split(ids, np.cumsum(lengths)[:-1])]
        return [np.array(decode(self._steps, self._sampling, prefixes, asked["new_tokens"], done), dtype=np.int32)]

    def close(self) -> None:
        """End vLLM's own processes, if it has any, so that they give back what outlives a process."""
        self._engine.engine_core.shutdown(timeout=15.0)  # else 5, after which it kills

    def _measured_tolerance(self, rows: int, length: int, dtype: str) -> float:
        """What batch, and decoding instead of one pass, change of a margin, times four, up to the next power of two.

        Measured on random ids, as the transformers engine does; it also proves what is used of vLLM. Its kernels for
        CPUs change nothing whatever the batch, and others would: so it counts as a change of one rounding at least,
        that of the largest logit.
        """
        import torch

        known = max(1, length * 3 // 4)
        ids = np.random.default_rng(0).integers(0, self.vocabulary, (rows, length))
        together, largest = self._margins(ids)
        alone = np.concatenate([self._margins(row[None])[0] for row in ids[:MEASURED_ALONE]])
        spoken = np.array(decode(self._steps, self._sampling, ids[:, :known].tolist(), length - known), dtype=np.int32)
        recited = np.concatenate([ids[:, :known], spoken], axis=1)
        # A token that is decoded is the target, so that the least margin of all decoded is found both ways.
        stepped, _ = cascade(self._steps, self._sampling, recited, known, math.inf, lambda rows: None)
        at_once = self._margins(recited)[0][:, known - 1 :].min(axis=1)
        rounding = torch.finfo(getattr(torch, dtype)).eps * largest
        change = max(
            float(np.abs(together[: len(alone)] - alone).max()), float(np.abs(stepped - at_once).max()), rounding
        )
        return float(2.0 ** math.ceil(math.log2(max(4 * change, torch.finfo(getattr(torch, dtype)).eps))))

    def _margins(self, ids: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], float]:
        """Margins ``[rows, tokens − 1]``, by one pass over all, and the largest logit's size."""
        found: dict[int, list[float]] = {}
        largest = 0.0

        def heed(index: int, output: Any) -> bool:
            nonlocal largest
            found[index] = target_margins(index, ids[index], output.prompt_logprobs)
            largest = max(largest, *map(abs, output.prompt_logprobs.logprobs))
            return True

        whole = self._sampling(1, prompt_logprobs=HIGHEST)
        self._steps.run(((index, row.tolist(), whole) for index, row in enumerate(ids)), heed)
        return np.array([found[index] for index in range(len(ids))], dtype=np.float32), largest


def main(descriptor: int) -> None:
    os.set_inheritable(descriptor, False)  # else what vLLM starts holds it, and this one's end is not seen
    connection = Connection(descriptor)

    def tell(rows: int) -> None:
        send(connection, {"done": rows})

    requests: SimpleQueue[tuple[Header, list[Array]]] = SimpleQueue()
    Thread(target=_listen, args=(connection, requests), daemon=True).start()
    served: Served | None = None
    while True:
        asked, arrays = requests.get()
        try:
            if asked["do"] == "open":
                served = Served(asked)
                send(connection, {"tolerance": served.tolerance, "vocabulary": served.vocabulary})
            elif served is not None and asked["do"] == "score":
                send(connection, {}, *served.score(asked, arrays, tell))
            elif served is not None and asked["do"] == "decode":
                send(connection, {}, *served.decode(asked, arrays, tell))
            elif asked["do"] == "close":
                if served is not None:
                    served.close()
                return
        except BrokenLogits as broken:
            send(connection, {"broken": broken.row})
        except Refusal as refusal:
            send(connection, {"refusal": str(refusal)})
        except Exception as error:
            lines = str(error).strip().splitlines()
            send(connection, {"failure": f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]})


def _listen(connection: Connection, requests: SimpleQueue[tuple[Header, list[Array]]]) -> None:
    """Hand on requests; once the other side is gone, end this process and all that it started, whatever it does."""
    try:
        while True:
            requests.put(receive(connection))
    except (EOFError, OSError):
        os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
