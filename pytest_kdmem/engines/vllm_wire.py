"""What both sides of the vLLM engine send each other: a JSON header and plain arrays, so that nothing is unpickled."""

from __future__ import annotations

import json
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


def receive(connection: Connection) -> tuple[Header, list[Array]]:
    """The next message; its arrays cannot be written to.

    Raises:
        EOFError, OSError: the other side is gone.
    """
    header = json.loads(connection.recv_bytes())
    arrays = [
        np.frombuffer(connection.recv_bytes(), dtype=dtype).reshape(shape) for dtype, *shape in header.pop("arrays")
    ]
    return header, arrays
