"""The process that vLLM runs in, seen from this side: what it is told, how it is asked, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import site
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path

import psutil

from pytest_kdmem.engines.vllm.wire import Array, Header, receive, send
from pytest_kdmem.errors import EngineError

# Seconds in which a killed process must be gone, and that one which is asked to end is given.
PATIENCE, POLITENESS = 30.0, 20.0
# Seconds without an answer or progress after which a process is taken to be stuck; a large model loads in less.
LONGEST_SILENCE = 1800.0
LONGEST_QUOTE = 300
# What a log line of vLLM begins with: process, level, date, time and place.
LOG_HEAD = re.compile(r"^(\([^)]*\) )?(?:[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d (?:\[[^\]]*\] )?)?")
# What vLLM says in one process of a failure that another has told.
ELSEWHERE = re.compile(r"See (root cause above|stack trace .* root cause)")
# Of vLLM's own variables, those that say where it runs and not what it computes.
KEPT = frozenset(
    {
        "VLLM_CACHE_ROOT",
        "VLLM_CPU_KVCACHE_SPACE",
        "VLLM_CPU_NUM_OF_RESERVED_CPU",
        "VLLM_CPU_OMP_THREADS_BIND",
        "VLLM_HOST_IP",
        "VLLM_LOOPBACK_IP",
        "VLLM_WORKER_MULTIPROC_METHOD",
    }
)


class Child:
    """A process that leads a group of its own, with a socket to it.

    Args:
        command: what to run; the number of the socket is appended.
        environment: all of it.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, request: Header, *arrays: Array, advance: Callable[[int], None]) -> tuple[Header, list[Array]]:
        """The answer to a request.

        Args:
            advance: told of the progress that the process tells of meanwhile.

        Raises:
            TimeoutError: nothing was heard for ``LONGEST_SILENCE`` seconds.
            EOFError, OSError: the process is gone.
        """
        if self._process.poll() is not None:
            raise EOFError
        send(self._connection, request, *arrays)
        while True:
            answer, results = receive(self._connection, self._await_news)
            if "done" not in answer:
                return answer, results
            advance(answer["done"])

    def _await_news(self) -> None:
        """Return once there is something to read: a process that is gone may have left others that hold its socket."""
        deadline = time.monotonic() + LONGEST_SILENCE
        while not self._connection.poll(1):
            if self._process.poll() is not None and not self._connection.poll(0):
                raise EOFError
            if time.monotonic() > deadline:
                raise TimeoutError

    def ending(self) -> str:
        """How the process ended, in words that follow its name."""
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return "is no longer heard of"
        return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"

    def last_line(self) -> str:
        """The last line of the process's output that tells something, without what vLLM puts before it."""
        if self._log.closed:
            return ""
        self._log.seek(0)
        lines = [LOG_HEAD.sub("", line).strip() for line in self._log.read().decode(errors="replace").splitlines()]
        lines = [line for line in lines if line and not ELSEWHERE.search(line)]
        telling = [line for line in lines if "Error" in line] or lines
        return telling[-1][:LONGEST_QUOTE] if telling else ""

    def kill(self) -> None:
        """End the process and all it started, and return once they are gone, and their memory with them."""
        _end_group(self._process)

    def close(self, *, politely: bool) -> None:
        """End the process and all it started; ``politely`` gives it seconds to clean up what outlives a process."""
        if politely and not self._connection.closed and self._process.poll() is None:
            with suppress(OSError, subprocess.TimeoutExpired):
                send(self._connection, {"do": "close"})
                self._process.wait(POLITENESS)
        self._connection.close()
        self.kill()
        self._log.close()


def environment(
    inherited: Mapping[str, str], *, device: str, tensor_parallel: int, beyond_positions: bool
) -> dict[str, str]:
    """What the process is told beside its request: it calls no one, and starts no process that it does not need.

    vLLM's variables choose kernels, plugins and precisions, so that of those inherited only ``KEPT`` are told on.

    Args:
        beyond_positions: the model's length is one more than it has positions: that token is generated, and never fed.
    """
    told = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_PLUGINS": "",  # none, where unset is all
        # float32 is not to be rounded to TF32, by which matrix products of GPUs are faster.
        "VLLM_FLOAT32_MATMUL_PRECISION": "highest",
        "TRITON_F32_DEFAULT": "ieee",
    }
    package = Path(__file__).resolve().parents[3]
    if str(package) not in {str(Path(folder).resolve()) for folder in _installed_packages()}:
        # Found by this process alone; and installed packages there would hide Python's own modules of the same name.
        told["PYTHONPATH"] = os.pathsep.join(filter(None, [str(package), inherited.get("PYTHONPATH")]))
    if tensor_parallel == 1:
        told["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    if device == "cpu":
        told["TORCHDYNAMO_DISABLE"] = "1"  # nothing is compiled, and vLLM's sampler would take half a minute to be
        told["OMP_NUM_THREADS"] = inherited.get("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))  # else one
    if beyond_positions:
        told["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] = "1"
    passed_on = {name: value for name, value in inherited.items() if not name.startswith("VLLM_") or name in KEPT}
    return {**passed_on, **told}


def _installed_packages() -> list[str]:
    return [*site.getsitepackages(), site.getusersitepackages()]


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
