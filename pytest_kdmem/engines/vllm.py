"""The vLLM engine: verdicts at vLLM's speed, from a process of its own that gives all memory back."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import psutil

from pytest_kdmem.checkpoint import Checkpoint
from pytest_kdmem.corpus.columns import Ids
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.engines.protocol import Metrics, Scores
from pytest_kdmem.engines.vllm_versions import check_vllm
from pytest_kdmem.engines.vllm_wire import Array, Header, receive, send
from pytest_kdmem.errors import EngineError
from pytest_kdmem.spec import Extraction, Model

LARGEST_BATCH = {"cpu": 256, "cuda": 512}
# Seconds in which a killed process must be gone.
PATIENCE = 30.0
LONGEST_QUOTE = 300
NO_MEMORY = re.compile(r"out ?of ?memory|available memory|cannot allocate|can't allocate|No available memory", re.I)
# What a log line of vLLM begins with: process, level, date, time and place.
LOG_HEAD = re.compile(r"^(\([^)]*\) )?(?:[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d (?:\[[^\]]*\] )?)?")


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
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        ours, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pytest_kdmem.engines.vllm_process", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                env=_environment(numerics.device, tensor_parallel, checkpoint, longest_tokens),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._connection = ours
        try:
            opened, _ = self._ask(
                {
                    "do": "open",
                    "folder": str(checkpoint.folder),
                    "trust_remote_code": model.trust_remote_code,
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
        self._check_ids(examples)
        rows = [example.ids[: extraction.scored_tokens] for example in examples]
        ids = np.array(rows, dtype=np.int32).reshape(-1, extraction.scored_tokens)
        request = {"do": "score", "prefix_tokens": extraction.prefix_tokens}
        _, (margin, first_miss) = self._ask(request, ids, examples=examples, advance=advance)
        unknown = np.full(len(examples), np.nan, dtype=np.float32)
        return Scores(margin.copy(), first_miss.copy(), unknown, unknown, unknown, self.tolerance)

    def decode(self, prefixes: Sequence[Ids], new_tokens: int) -> list[Ids]:
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
        self._connection.close()
        _end_group(self._process)
        self._log.close()

    def _ask(
        self,
        request: Header,
        *arrays: Array,
        examples: Sequence[Example] = (),
        advance: Callable[[int], None] = lambda rows: None,
    ) -> tuple[Header, list[Array]]:
        """The answer to a request."""
        try:
            send(self._connection, request, *arrays)
            while True:
                answer, results = receive(self._connection)
                if "done" not in answer:
                    break
                advance(answer["done"])
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
        if NO_MEMORY.search(reason):
            return EngineError(
                f"Model {self._name} was expected to fit on {self._device} and vLLM runs out of memory ({reason}); use"
                " a smaller --kdmem-dtype or --kdmem-batch-size, or a larger device."
            )
        return EngineError(
            f"Model {self._name} was expected to run in vLLM, and vLLM fails ({reason}); use --kdmem-engine"
            " transformers."
        )

    def _died(self) -> EngineError:
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            how = "is no longer heard of"
        else:
            how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        line = self._last_line()
        return EngineError(
            f"Model {self._name} was expected to run in vLLM, whose process {how}{f' ({line})' if line else ''}; free"
            " memory if that ran out, or use --kdmem-engine transformers."
        )

    def _last_line(self) -> str:
        """The last line of the process's output that tells something, without what vLLM puts before it."""
        self._log.seek(0)
        lines = [LOG_HEAD.sub("", line).strip() for line in self._log.read().decode(errors="replace").splitlines()]
        telling = [line for line in lines if "Error" in line] or [line for line in lines if line]
        return telling[-1][:LONGEST_QUOTE] if telling else ""

    def _check_length(self, tokens: int) -> None:
        if tokens > self._longest:
            raise EngineError(
                f"At most {self._longest} tokens were expected by this engine, and {tokens} are asked for."
            )

    def _check_ids(self, examples: Sequence[Example]) -> None:
        for example in examples:
            if example.ids.max() >= self._vocabulary:
                raise EngineError(
                    f"Token ids below {self._vocabulary} were expected by model {self._name}; example"
                    f" {example.position} holds {example.ids.max()}: the ids were made with another tokenizer."
                )


def _environment(device: str, tensor_parallel: int, checkpoint: Checkpoint, longest_tokens: int) -> dict[str, str]:
    """What the process is told beside its request: it calls no one, and starts no process that it does not need."""
    package = str(Path(__file__).parents[2])
    path = os.environ.get("PYTHONPATH")
    told = {
        "PYTHONPATH": os.pathsep.join([package, path] if path else [package]),
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "VLLM_LOGGING_LEVEL": "WARNING",
    }
    if tensor_parallel == 1:
        told["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    if device == "cpu":
        told["TORCHDYNAMO_DISABLE"] = "1"  # nothing is compiled, and vLLM's sampler would take half a minute to be
        told["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))  # else one
    if checkpoint.positions is not None and longest_tokens >= checkpoint.positions:
        # One more than the model has positions: that token is generated, and never fed.
        told["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] = "1"
    return {**os.environ, **told}


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a group, and wait until no process of the group is left."""
    deadline = time.monotonic() + PATIENCE
    while _any_alive(process.pid):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.poll()
        if time.monotonic() > deadline:
            raise EngineError(
                f"vLLM's processes were expected to end when killed, and some of group {process.pid} are there yet."
            )
        time.sleep(0.02)
    process.wait()


def _any_alive(group: int) -> bool:
    """Whether a group has a process that is not merely waiting for its parent to hear of its end."""
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False
