"""Messages between client and server arrive as they were sent."""

from __future__ import annotations

from multiprocessing import Pipe

import numpy as np
import pytest

from pytest_kdmem.engines.vllm.wire import receive, send


def test_messages_arrive_as_they_were_sent():
    client, server = Pipe()
    arrays = [np.arange(6, dtype=np.int32).reshape(2, 3), np.array([np.nan, 1.5], dtype=np.float32), np.zeros((0, 4))]
    send(client, {"command": "score", "prefix_tokens": 50}, *arrays)
    waits = []
    header, received = receive(server, lambda: waits.append(1))
    assert header == {"command": "score", "prefix_tokens": 50}
    assert len(waits) == 1 + len(arrays)
    for sent, array in zip(arrays, received, strict=True):
        np.testing.assert_array_equal(sent, array)
        assert array.dtype == sent.dtype
    client.close()
    with pytest.raises(EOFError):
        receive(server)


def test_a_wait_that_raises_ends_the_receiving_amid_a_message():
    client, server = Pipe()
    send(client, {}, np.zeros(3))
    waits = iter([None, TimeoutError])

    def wait() -> None:
        if (error := next(waits)) is not None:
            raise error

    with pytest.raises(TimeoutError):
        receive(server, wait)
