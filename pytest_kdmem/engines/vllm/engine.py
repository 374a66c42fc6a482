"""The vLLM engine: verdicts at vLLM's speed, from a process of its own that gives all memory back."""

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
from pytest_kdmem.engines.protocol import Metrics, Scores, check_ids
from pytest_kdmem.engines.vllm.client import ELSEWHERE, LONGEST_SILENCE, Child, environment
from pytest_kdmem.engines.vllm.folder import link_checkpoint
from pytest_kdmem.engines.vllm.versions import check_vllm
from pytest_kdmem.engines.vllm.wire import Array, Header
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model

LARGEST_BATCH = {"cpu": 256, "cuda": 512}
NO_MEMORY = re.compile(
    r"out ?of ?memory|available memory|cannot allocate|can't allocate|free memory on device|available KV cache memory",
    re.I,
)


class VllmEngine:
    """A causal language model in vLLM on one device, or on several GPUs with ``tensor_parallel``.

    Args:
        longest_tokens: the most tokens of an example that are ever scored, or prefix and new tokens decoded.
        batch_size: sequences that run at once.

    Raises:
        EngineError: vLLM is not installed, is no tested version or of another device; or the model does not load.
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
    ) -> None:
        check_vllm()
        self._name, self._device = model.source, numerics.device
        self._longest = longest_tokens
        self._politely = tensor_parallel > 1  # processes of one GPU each share memory that outlives them
        self._folder = tempfile.TemporaryDirectory(prefix="kdmem-vllm-")  # lives as long as the process
        # Of the same name at each start, by which vLLM finds again what it compiled.
        links = Path(self._folder.name) / checkpoint.digest
        self._child = Child(
            [sys.executable, "-P", "-m", "pytest_kdmem.engines.vllm.server"],
            environment(
                os.environ,
                device=numerics.device,
                tensor_parallel=tensor_parallel,
                beyond_positions=checkpoint.positions is not None and longest_tokens >= checkpoint.positions,
            ),
        )
        try:
            link_checkpoint(checkpoint.folder, links)
            opened, _ = self._ask(
                {
                    "do": "open",
                    "name": model.source,
                    "folder": str(links),
                    "device": numerics.device,
                    "dtype": numerics.dtype,
                    "longest_tokens": longest_tokens,
                    "batch_size": batch_size or LARGEST_BATCH[numerics.device],
                    "tensor_parallel": tensor_parallel,
                }
            )
        except BaseException:
            self.close()
            raise
        self.tolerance = float(opened["tolerance"])
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
                "Verdicts were expected to be asked of the vllm engine, and all metrics were; perplexity and entropy"
                " are given by --kdmem-engine transformers."
            )
        self._check_length(extraction.scored_tokens)
        check_ids(examples, self._vocabulary, self._name)
        rows = [example.ids[: extraction.scored_tokens] for example in examples]
        ids = np.array(rows, dtype=np.int32).reshape(-1, extraction.scored_tokens)
        request = {"do": "score", "prefix_tokens": extraction.prefix_tokens}
        _, (margin, first_miss) = self._ask(request, ids, examples=examples, advance=advance)
        unknown = np.full(len(examples), np.nan, dtype=np.float32)
        return Scores(margin.copy(), first_miss.copy(), unknown, unknown, unknown, self.tolerance)

    def decode(self, prefixes: Sequence[TokenIds], new_tokens: int) -> list[TokenIds]:
        """vLLM's plain greedy generation of every token."""
        if not prefixes:
            return []
        lengths = np.array([len(prefix) for prefix in prefixes], dtype=np.int64)
        self._check_length(int(lengths.max()) + new_tokens)
        request = {"do": "decode", "new_tokens": new_tokens}
        _, (spoken,) = self._ask(request, np.concatenate(prefixes).astype(np.int32), lengths)
        return list(spoken)

    def close(self) -> None:
        """End the process and all it started, and return once they are gone, and their memory with them."""
        self._child.close(politely=self._politely)
        self._folder.cleanup()

    def _ask(
        self,
        request: Header,
        *arrays: Array,
        examples: Sequence[Example] = (),
        advance: Callable[[int], None] = lambda rows: None,
    ) -> tuple[Header, list[Array]]:
        """The answer to a request."""
        try:
            answer, results = self._child.ask(request, *arrays, advance=advance)
        except TimeoutError:
            self._child.kill()
            raise self._stuck() from None
        except (EOFError, OSError):
            raise self._died() from None
        if "refusal" in answer:
            raise EngineError(answer["refusal"])
        if "broken" in answer:
            raise self._broken(examples[answer["broken"]].position if examples else -1)
        if "failure" in answer:
            raise self._failed(answer["failure"])
        return answer, results

    def _broken(self, position: int) -> EngineError:
        return EngineError(
            f"Finite logits were expected of model {self._name}, and it gives NaN or infinity"
            f" {f'at example {position}' if position >= 0 else 'whatever the text'}; its weights are broken, or its"
            " dtype overflows: try --kdmem-dtype float32."
        )

    def _failed(self, reason: str) -> EngineError:
        if ELSEWHERE.search(reason):
            reason = self._child.last_line() or reason
        if NO_MEMORY.search(reason):
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
        how = self._child.ending()
        line = self._child.last_line()
        return EngineError(
            f"Model {self._name} was expected to run in vLLM, whose process {how}"
            f"{f' ({line})' if line else ''}; free memory if that ran out, or use --kdmem-engine transformers."
        )

    def _stuck(self) -> EngineError:
        line = self._child.last_line()
        return EngineError(
            f"Model {self._name} was expected to run in vLLM, whose process told nothing for"
            f" {LONGEST_SILENCE / 60:.0f} minutes{f' ({line})' if line else ''} and was ended; use --kdmem-engine"
            " transformers."
        )

    def _check_length(self, tokens: int) -> None:
        if tokens > self._longest:
            raise EngineError(
                f"At most {self._longest} tokens were expected by this engine, and {tokens} are asked for."
            )
