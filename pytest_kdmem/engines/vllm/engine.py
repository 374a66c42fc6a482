"""The vLLM engine: fast verdicts from a process of its own, which frees all its memory when it ends."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.engines.protocol import Floats, Metrics, Scores, check_ids, verdict_scores
from pytest_kdmem.engines.vllm.client import (
    REPORTED_ELSEWHERE,
    SILENCE_TIMEOUT,
    ServerProcess,
    server_environment,
)
from pytest_kdmem.engines.vllm.folder import link_checkpoint, save_merged
from pytest_kdmem.engines.vllm.versions import check_vllm
from pytest_kdmem.engines.vllm.wire import Array, Header
from pytest_kdmem.errors import EngineError, OverflowedError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model

# The string by which the server is started; the module must exist under this name.
SERVER_MODULE = "pytest_kdmem.engines.vllm.server"
LARGEST_BATCH = {"cpu": 256, "cuda": 512}
OUT_OF_MEMORY = re.compile(
    r"out ?of ?memory|available memory|cannot allocate|can't allocate|free memory on device|available KV cache memory",
    re.I,
)


class VllmEngine:
    """A causal language model in vLLM on one device, or on several GPUs with ``tensor_parallel``.

    Args:
        model: The model as it was declared.
        checkpoint: Its files.
        numerics: Device and dtype to run it in.
        longest_tokens: Largest number of tokens of an example that is scored, or of prefix and new tokens together.
        batch_size: Largest number of sequences that run at once; chosen by the device if None.
        tensor_parallel: Number of GPUs that share the model.
        memory_share: Share of the GPU's memory to take; vLLM's own if None.

    Raises:
        EngineError: vLLM is not installed, has no tested version or is built for another device, or the model does
            not load.
    """

    def __init__(
        self,
        model: Model,
        checkpoint: Checkpoint,
        numerics: Numerics,
        *,
        longest_tokens: int,
        batch_size: int | None = None,
        tensor_parallel: int = 1,
        memory_share: float | None = None,
    ) -> None:
        check_vllm()
        self._name, self._device = model.source, numerics.device
        self._longest_tokens = longest_tokens
        # The processes of several GPUs share memory, which outlives them unless they free it.
        self._closes_gracefully = tensor_parallel > 1
        self._folder = tempfile.TemporaryDirectory(prefix="kdmem-vllm-")  # exists for as long as the process runs
        # The same name at each start, by which vLLM finds what it compiled before.
        links = Path(self._folder.name) / checkpoint.digest
        self._server = ServerProcess(
            [sys.executable, "-P", "-m", SERVER_MODULE],
            server_environment(
                os.environ,
                device=numerics.device,
                tensor_parallel=tensor_parallel,
                beyond_positions=checkpoint.positions is not None and longest_tokens >= checkpoint.positions,
            ),
        )
        try:
            if checkpoint.base is None:
                link_checkpoint(checkpoint.folder, links)
            else:
                save_merged(model, checkpoint, numerics.dtype, links)
            opened, _ = self._request(
                {
                    "command": "open",
                    "name": model.source,
                    "folder": str(links),
                    "device": numerics.device,
                    "dtype": numerics.dtype,
                    "longest_tokens": longest_tokens,
                    "batch_size": batch_size or LARGEST_BATCH[numerics.device],
                    "tensor_parallel": tensor_parallel,
                    "memory_share": memory_share,
                }
            )
        except BaseException:
            self.close()
            raise
        self.tolerance = self.sure_miss = float(opened["tolerance"])
        self._vocabulary = int(opened["vocabulary"])

    def score(
        self,
        examples: Sequence[Example],
        extraction: Extraction,
        metrics: Metrics,
        advance: Callable[[int], None],
    ) -> Scores:
        if metrics != "verdict":
            raise EngineError(
                "The vllm engine computes only verdicts, and all metrics were asked for; --kdmem-engine transformers"
                " computes perplexity and entropy."
            )
        check_ids(examples, self._vocabulary, self._name)
        margin = np.full(len(examples), np.nan, dtype=np.float32)
        first_miss = np.full(len(examples), -1, dtype=np.int16)
        # Rows of one request have one length of prefix; answers of conversations have many.
        starts = np.array([example.start(extraction) for example in examples], dtype=np.int64)
        for start in np.unique(starts).tolist() or [extraction.prefix_tokens]:
            rows = np.flatnonzero(starts == start)
            chosen = [examples[row] for row in rows.tolist()]
            margin[rows], first_miss[rows] = self._score_equal(chosen, start, extraction.suffix_tokens, advance)
        return verdict_scores(margin, first_miss, self.tolerance)

    def _score_equal(
        self, examples: Sequence[Example], start: int, suffix_tokens: int, advance: Callable[[int], None]
    ) -> tuple[Array, Array]:
        """Margins and first misses of examples whose suffixes begin at one place."""
        end = start + suffix_tokens
        self._check_length(end)
        ids = np.array([example.ids[:end] for example in examples], dtype=np.int32).reshape(-1, end)
        request = {"command": "score", "prefix_tokens": start, "sure_miss": self.sure_miss}
        _, (margin, first_miss) = self._request(request, ids, examples=examples, advance=advance)
        return margin, first_miss

    def losses(self, examples: Sequence[Example]) -> list[Floats]:
        raise EngineError(
            "The vllm engine computes only verdicts, and losses were asked for; --kdmem-engine transformers computes"
            " them."
        )

    def decode(self, prefixes: Sequence[TokenIds], new_tokens: int) -> list[TokenIds]:
        """Continue each prefix by vLLM's plain greedy generation of every token."""
        if not prefixes:
            return []
        lengths = np.array([len(prefix) for prefix in prefixes], dtype=np.int64)
        self._check_length(int(lengths.max()) + new_tokens)
        request = {"command": "decode", "new_tokens": new_tokens}
        _, (continuations,) = self._request(request, np.concatenate(prefixes).astype(np.int32), lengths)
        return list(continuations)

    def close(self) -> None:
        """End the server and all that it started, and return once they are gone and their memory is free."""
        self._server.close(gracefully=self._closes_gracefully)
        self._folder.cleanup()

    def _request(
        self,
        header: Header,
        *arrays: Array,
        examples: Sequence[Example] = (),
        advance: Callable[[int], None] = lambda rows: None,
    ) -> tuple[Header, list[Array]]:
        """Send a request and return its answer, or raise what the answer says."""
        try:
            answer, results = self._server.request(header, *arrays, advance=advance)
        except TimeoutError:
            self._server.kill()
            raise self._timed_out() from None
        except (EOFError, OSError):
            raise self._died() from None
        if "refusal" in answer:
            raise EngineError(answer["refusal"])
        if "broken_row" in answer:
            raise self._broken_logits(examples[answer["broken_row"]].position if examples else -1)
        if "failure" in answer:
            raise self._failed(answer["failure"])
        return answer, results

    def _broken_logits(self, position: int) -> EngineError:
        return OverflowedError(
            f"Finite logits were expected of model {self._name}, and it gives NaN or infinity"
            f" {f'at example {position}' if position >= 0 else 'whatever the text'}; its weights are broken, or its"
            " dtype overflows: try --kdmem-dtype float32."
        )

    def _failed(self, reason: str) -> EngineError:
        if REPORTED_ELSEWHERE.search(reason):
            reason = self._server.last_error_line() or reason
        if OUT_OF_MEMORY.search(reason):
            return EngineError(
                f"Model {self._name} was expected to fit on {self._device} and vLLM runs out of memory ({reason}); end"
                f" what else holds memory of the {self._device} device, or use a smaller --kdmem-dtype or"
                " --kdmem-batch-size, or a larger device."
            )
        return EngineError(
            f"Model {self._name} was expected to run in vLLM, and vLLM fails ({reason}); use --kdmem-engine"
            " transformers."
        )

    def _died(self) -> EngineError:
        reason = self._server.exit_reason()
        line = self._server.last_error_line()
        return EngineError(
            f"Model {self._name} was expected to run in vLLM, whose process {reason}"
            f"{f' ({line})' if line else ''}; free memory if that ran out, or use --kdmem-engine transformers."
        )

    def _timed_out(self) -> EngineError:
        line = self._server.last_error_line()
        return EngineError(
            f"Model {self._name} was expected to run in vLLM, whose process answered nothing for"
            f" {SILENCE_TIMEOUT / 60:.0f} minutes{f' ({line})' if line else ''} and was ended; use --kdmem-engine"
            " transformers."
        )

    def _check_length(self, tokens: int) -> None:
        if tokens > self._longest_tokens:
            raise EngineError(
                f"At most {self._longest_tokens} tokens were expected by this engine, and {tokens} are asked for."
            )
