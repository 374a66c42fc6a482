"""The server process that runs vLLM, as this process starts it, sends it requests and ends it."""

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

# Seconds within which killed processes must be gone.
KILL_TIMEOUT = 30.0
# Seconds given to a process that was asked to end by itself.
CLOSE_TIMEOUT = 20.0
# Seconds without an answer or progress after which a process counts as stuck; a large model loads in less.
SILENCE_TIMEOUT = 1800.0
LONGEST_QUOTE = 300
# What precedes the message in a log line of vLLM: process, level, date, time and source.
LOG_HEAD = re.compile(r"^(\([^)]*\) )?(?:[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d (?:\[[^\]]*\] )?)?")
# How a process of vLLM refers to a failure that another process has logged.
REPORTED_ELSEWHERE = re.compile(r"See (root cause above|stack trace .* root cause)")
# vLLM's own variables that choose where it runs and not what it computes.
INHERITED_VARIABLES = frozenset(
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


class ServerProcess:
    """A process that leads a process group of its own and is connected by a socket.

    Args:
        command: The command to run; the number of the socket is appended to its arguments.
        environment: All environment variables of the process.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open for as long as the process runs
        self._connection, server_end = Pipe()
        with server_end:
            self._process = self._start(command, environment, server_end.fileno())

    def _start(
        self, command: Sequence[str], environment: Mapping[str, str], descriptor: int
    ) -> subprocess.Popen[bytes]:
        """Start the process with the socket of this number, in a group of its own, with its output in the log."""
        return subprocess.Popen(
            [*command, str(descriptor)],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=[descriptor],
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def request(self, header: Header, *arrays: Array, advance: Callable[[int], None]) -> tuple[Header, list[Array]]:
        """Send a request and wait for its answer.

        Args:
            header: The command and its arguments.
            arrays: Arrays that the command takes.
            advance: Receives the number of examples done, whenever the server reports progress.

        Raises:
            TimeoutError: Nothing was received for ``SILENCE_TIMEOUT`` seconds.
            EOFError, OSError: The process is gone.
        """
        if self._process.poll() is not None:
            raise EOFError
        send(self._connection, header, *arrays)
        while True:
            answer, results = receive(self._connection, self._wait_for_message)
            if "progress" not in answer:
                return answer, results
            advance(answer["progress"])

    def _wait_for_message(self) -> None:
        """Return once there is something to read.

        The process itself is watched too: if it is gone, its children may still hold the socket open.
        """
        deadline = time.monotonic() + SILENCE_TIMEOUT
        while not self._connection.poll(1):
            if self._process.poll() is not None and not self._connection.poll(0):
                raise EOFError
            if time.monotonic() > deadline:
                raise TimeoutError

    def exit_reason(self) -> str:
        """How the process ended, as the predicate of a sentence."""
        try:
            status = self._process.wait(KILL_TIMEOUT)
        except subprocess.TimeoutExpired:
            return "no longer responds"
        return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"

    def last_error_line(self) -> str:
        """The last line of the process's output that names an error, else its last line, without vLLM's log prefix."""
        if self._log.closed:
            return ""
        self._log.seek(0)
        lines = [LOG_HEAD.sub("", line).strip() for line in self._log.read().decode(errors="replace").splitlines()]
        lines = [line for line in lines if line and not REPORTED_ELSEWHERE.search(line)]
        errors = [line for line in lines if "Error" in line] or lines
        return errors[-1][:LONGEST_QUOTE] if errors else ""

    def kill(self) -> None:
        """Kill the process and all that it started, and return once they are gone and their memory is free."""
        _kill_group(self._process)

    def close(self, *, gracefully: bool) -> None:
        """End the process and all that it started.

        Args:
            gracefully: Whether to let the process clean up first, which it must if it holds shared memory.
        """
        if gracefully and not self._connection.closed and self._process.poll() is None:
            with suppress(OSError, subprocess.TimeoutExpired):
                send(self._connection, {"command": "close"})
                self._process.wait(CLOSE_TIMEOUT)
        self._connection.close()
        self.kill()
        self._log.close()


def server_environment(
    inherited: Mapping[str, str], *, device: str, tensor_parallel: int, beyond_positions: bool
) -> dict[str, str]:
    """Environment variables of the server: it opens no connection and starts no process that it does not need.

    vLLM's variables choose kernels, plugins and precisions, so only ``INHERITED_VARIABLES`` of them are passed on.

    Args:
        inherited: Environment variables of this process.
        device: ``cpu`` or ``cuda``.
        tensor_parallel: Number of GPUs that share the model.
        beyond_positions: Whether vLLM's length limit is one token more than the model has positions. That last token
            is generated and never fed to the model.
    """
    variables = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_PLUGINS": "",  # loads none; unset loads all
        # Matrix products in float32 must not be rounded to TF32, which is faster on GPUs.
        "VLLM_FLOAT32_MATMUL_PRECISION": "highest",
        "TRITON_F32_DEFAULT": "ieee",
    }
    package_parent = Path(__file__).resolve().parents[3]
    if str(package_parent) not in {str(Path(folder).resolve()) for folder in _site_packages()}:
        # The server must find this package. An installed one is not added: on PYTHONPATH the packages beside it would
        # hide modules of the standard library.
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(package_parent), inherited.get("PYTHONPATH")]))
    if tensor_parallel == 1:
        variables["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    if device == "cpu":
        variables["TORCHDYNAMO_DISABLE"] = "1"  # compiling vLLM's sampler would take half a minute
        # vLLM would use one thread.
        variables["OMP_NUM_THREADS"] = inherited.get("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    if beyond_positions:
        variables["VLLM_ALLOW_LONG_MAX_MODEL_LEN"] = "1"
    passed_on = {
        name: value for name, value in inherited.items() if not name.startswith("VLLM_") or name in INHERITED_VARIABLES
    }
    return {**passed_on, **variables}


def _site_packages() -> list[str]:
    return [*site.getsitepackages(), site.getusersitepackages()]


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a group, and wait until no process of the group is left."""
    deadline = time.monotonic() + KILL_TIMEOUT
    while _any_alive(process.pid):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.poll()
        if time.monotonic() > deadline:
            raise EngineError(
                f"vLLM's processes were expected to end when killed, and some of group {process.pid} still run."
            )
        time.sleep(0.02)
    process.wait()


def _any_alive(group: int) -> bool:
    """Whether a process group has a process that has not ended; one that only awaits its parent's wait has."""
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False
