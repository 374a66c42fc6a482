"""Messages between client and server: a JSON header and plain arrays, so that nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import numpy.typing as npt

Header = dict[str, Any]
Array = npt.NDArray[Any]


def send(connection: Connection, header: Header, *arrays: Array) -> None:
    """Send a message: the header, extended by dtype and shape of each array, and then the bytes of each array."""
    shapes = [[array.dtype.str, *array.shape] for array in arrays]
    connection.send_bytes(json.dumps({**header, "arrays": shapes}).encode())
    for array in arrays:
        connection.send_bytes(np.ascontiguousarray(array).tobytes())


def receive(connection: Connection, wait: Callable[[], None] = lambda: None) -> tuple[Header, list[Array]]:
    """Receive the next message; its arrays are read-only.

    Args:
        connection: Connection to the other side.
        wait: Called before each part; returns once there is something to read, and raises if nothing will come.

    Raises:
        EOFError, OSError: The other side is gone.
    """
    wait()
    header = json.loads(connection.recv_bytes())
    arrays = []
    for dtype, *shape in header.pop("arrays"):
        wait()
        arrays.append(np.frombuffer(connection.recv_bytes(), dtype=dtype).reshape(shape))
    return header, arrays
