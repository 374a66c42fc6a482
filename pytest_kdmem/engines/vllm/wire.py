"""What both sides of the vLLM engine send each other: a JSON header and plain arrays, so that nothing is unpickled."""

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
    """Send a message: the header, which says what each array is, and then the bytes of each."""
    shapes = [[array.dtype.str, *array.shape] for array in arrays]
    connection.send_bytes(json.dumps({**header, "arrays": shapes}).encode())
    for array in arrays:
        connection.send_bytes(np.ascontiguousarray(array).tobytes())


def receive(connection: Connection, ready: Callable[[], None] = lambda: None) -> tuple[Header, list[Array]]:
    """The next message; its arrays cannot be written to.

    Args:
        ready: returns once there is something to read, and raises if there will be nothing; called before each part.

    Raises:
        EOFError, OSError: the other side is gone.
    """
    ready()
    header = json.loads(connection.recv_bytes())
    arrays = []
    for dtype, *shape in header.pop("arrays"):
        ready()
        arrays.append(np.frombuffer(connection.recv_bytes(), dtype=dtype).reshape(shape))
    return header, arrays
