"""Requests run to their end or to where they are ended, few at once, and leave the engine empty."""

from __future__ import annotations

import pytest

from pytest_kdmem.engines.vllm.runner import RequestRunner, decode
from tests.engines.vllm.scripted_engine import VOCABULARY, ScriptedEngine, sampling


def counting_engine(late: bool = False) -> ScriptedEngine:
    """An engine that continues every prompt by the next token, and the next."""
    return ScriptedEngine(lambda ids: [float(token == (ids[-1] + 1) % VOCABULARY) for token in range(VOCABULARY)], late)


def test_plain_decoding_gives_every_token_of_every_prefix_in_order():
    engine = counting_engine()
    prefixes = [[at % VOCABULARY] for at in range(7)]
    generated = decode(RequestRunner(engine, list, 2), sampling, prefixes, 3)
    assert generated == [[(at + step) % VOCABULARY for step in (1, 2, 3)] for at in range(7)]


@pytest.mark.parametrize("late", [False, True])
def test_a_request_that_is_ended_gives_no_more_outputs_and_makes_room_for_the_next(late):
    engine, outputs, steps = counting_engine(late), [], []

    def end_at_second(key, output):
        outputs.append(key)
        return outputs.count(key) < 2

    requests = ((key, [0], sampling(9)) for key in range(5))
    RequestRunner(engine, list, 2).run(requests, end_at_second, lambda: steps.append(len(engine.live)))
    assert sorted(outputs) == sorted([*range(5)] * 2)
    assert engine.most == 2
    assert not engine.live
    assert len(steps) >= 5


def test_an_error_amid_the_requests_leaves_the_engine_empty():
    engine = counting_engine()

    def fail(key, output):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        RequestRunner(engine, list, 3).run(((key, [0], sampling(9)) for key in range(5)), fail)
    assert not engine.live
