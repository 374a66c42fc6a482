"""Connects to the Ray cluster of a run: the one at RAY_ADDRESS, the one this process uses already, or a new one."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pytest_kdmem.corpus.file_lines import first_line
from pytest_kdmem.errors import EngineError

SECONDS_TO_ANSWER = 5.0
# Ray sends no usage statistics, and leaves the variables of accelerators as they are, else it prints a warning.
RAY_VARIABLES = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@contextmanager
def cluster() -> Iterator[Any]:
    """Yield the module ``ray``, connected to a cluster; a connection that was opened here is closed afterwards.

    Raises:
        EngineError: Ray is not installed, or the cluster cannot be used.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    address = os.environ.get("RAY_ADDRESS", "")
    local = address in ("", "local")
    with _environment(RAY_VARIABLES), _logging_errors_only():
        if not local:
            _check_answers(address)
        try:
            with _sigterm_handler_kept():
                ray.init(
                    "local" if local else address,
                    include_dashboard=False if local else None,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except Exception as error:  # Ray raises many types
            where = "to start on this machine" if local else f"at RAY_ADDRESS={address}"
            raise EngineError(
                f"A Ray cluster was expected {where}, and it cannot be used ({first_line(error)})."
            ) from error
        try:
            yield ray
        finally:
            ray.shutdown()


def import_ray() -> Any:
    """Import and return the module ``ray``, with ``ray.data``.

    Raises:
        EngineError: Ray is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise EngineError(
            f"Ray was expected for --kdmem-executor ray, and is not installed ({first_line(error)}); install it with"
            " `pip install 'pytest-kdmem[ray]'`."
        ) from error
    return ray


def _check_answers(address: str) -> None:
    """Raise EngineError if nothing listens at an address; Ray itself would try for minutes and end the process."""
    match = re.fullmatch(r"(?:ray://)?\[?(.+?)\]?:(\d+)", address)
    if match is None:
        return
    try:
        socket.create_connection((match[1], int(match[2])), timeout=SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise EngineError(
            f"A Ray cluster was expected at RAY_ADDRESS={address}, and nothing answers there ({first_line(error)});"
            " check the address, or unset it to start Ray on this machine."
        ) from None


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for Ray and its processes, unless the user has set them, and remove them afterwards."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _logging_errors_only() -> Iterator[None]:
    before = {name: logging.getLogger(name).level for name in ("ray", "ray.data")}
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # its errors are raised as well
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _sigterm_handler_kept() -> Iterator[None]:
    """Restore this process's handler of SIGTERM, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
