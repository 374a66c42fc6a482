"""Ways to write a gate, as data: bodies of tests over a student that recites 25 %, 1.4 times less than its baseline.

Each wrong way is written about each of the comparisons that do not hold; `HELD` stands for one, `NOT` for its negation.
"""

from __future__ import annotations

# Comparisons that do not hold, and how each is negated.
UNHELD = {
    "rate <= 0.01": "rate > 0.01",
    "0.01 >= rate": "0.01 < rate",
    "rate < np.float64(0.2)": "rate >= np.float64(0.2)",
    "reduction >= 2": "reduction < 2",
    "ratio <= 0.02": "ratio > 0.02",
}

WRONG = {
    "forgotten": "HELD",
    "kept": "holds = HELD",
    "in a tuple": "(HELD, 'the student recites')",
    "assert of a tuple": "assert (HELD, 'the student recites')",
    "or true": "assert HELD or True",
    "or another that holds": "assert HELD or reduction >= 1.2",
    "beside an assert that holds": "HELD\nassert rate <= 0.3",
    "suppressed": "with contextlib.suppress(AssertionError):\n    assert HELD",
    "expected to fail": "with pytest.raises(AssertionError):\n    assert HELD",
    "caught": "try:\n    assert HELD\nexcept Exception:\n    pass",
    "returned from finally": "try:\n    assert HELD\nfinally:\n    return",
    "returned before": "if not HELD:\n    return\nassert HELD",
    "warned": "if not HELD:\n    warnings.warn('the student recites')",
    "logged": "if not HELD:\n    logging.getLogger().warning('the student recites')",
    "printed": "print(HELD)",
    "skipped": "if not HELD:\n    pytest.skip('the student recites')",
    "expected": "if not HELD:\n    pytest.xfail('the student recites')",
    "negated, returned": "if NOT:\n    return",
    "negated, warned": "if NOT:\n    warnings.warn('the student recites')",
    "negated, skipped": "if NOT:\n    pytest.skip('the student recites')",
    "negated, suppressed": "with contextlib.suppress(Exception):\n    assert not (NOT)",
    "negated, kept": "recites = NOT",
    "one of any": "assert any([HELD, True])",
    "none of all": "assert all(HELD for _ in [])",
    "unused generator": "checks = (HELD for _ in range(3))",
    "unused generator beside an assert": "checks = (HELD for _ in range(3))\nassert rate <= 0.3",
    "a list of none": "checks = [HELD for _ in range(0)]",
    "a lambda": "check = lambda: HELD",
    "a lambda is true": "assert (lambda: HELD)",
    "a function that is not called": "def check():\n    assert HELD",
    "a function that is not called, beside": "def check():\n    assert HELD\nassert rate <= 0.3\nassert check",
    "a coroutine that is not awaited": "async def check():\n    assert HELD\ncheck().close()",
    "a pool": "ThreadPoolExecutor(1).submit(lambda: HELD)",
    "a pool that is waited for": "with ThreadPoolExecutor(1) as pool:\n    pool.submit(check, lambda: HELD)",
    "a thread": "thread = threading.Thread(target=lambda: HELD)\nthread.start()\nthread.join()",
    "an empty loop": "for limit in []:\n    assert HELD",
    "an empty loop beside an assert": "for limit in []:\n    assert HELD\nassert rate <= 0.3",
    "a loop that never runs": "while False:\n    assert HELD",
    "a branch that is not taken": "if rate.value < 0.1:\n    assert HELD",
    "a branch that is not taken, beside": "assert rate <= 0.3\nif rate.value < 0.1:\n    assert HELD",
    "a conditional expression": "assert HELD if rate.value < 0.1 else True",
    "left before": "assert rate <= 0.3\nif rate.value > 0.1:\n    return\nassert HELD",
    "after another alternative": "assert rate <= 0.3 or HELD",
    "as a text": "assert str(HELD)",
    "as a list": "assert [HELD]",
    "as a dictionary": "assert {'holds': HELD}",
    "not none": "assert (HELD) is not None",
    "a bool": "assert isinstance(HELD, bool)",
    "one of two": "assert (HELD) in (True, False)",
    "appended": "results = []\nresults.append(HELD)",
    "on a stack": "with contextlib.ExitStack() as stack:\n    stack.callback(lambda: HELD)",
    "matched": "match HELD:\n    case _:\n        pass",
    "in a subtest": "with subtests.test():\n    HELD",
    "in another process": "child = os.fork()\nif not child:\n    compare(lambda: HELD)\n    os._exit(0)\n"
    "os.waitpid(child, 0)\nassert rate <= 0.3",
}

# Ways in which the comparison itself is the mistake.
WRONG_COMPARISONS = {
    "least of two": "assert min(rate, 0.01) <= 0.01",
    "least of a list": "assert min([rate, 0.01]) <= 0.01",
    "greatest of two": "assert max(rate, 0.01) <= 0.01",
    "first of the sorted": "assert sorted([rate, 0.01])[0] <= 0.01",
    "clipped": "assert np.clip(rate, 0, 0.01) <= 0.01",
    "least by numpy": "assert np.minimum(rate, 0.01) <= 0.01",
    "the wrong way round": "assert reduction <= 2",
    "the wrong way round, a rate": "assert rate >= 0.2",
    "the wrong way round, on the left": "assert 0.2 <= rate",
    "between": "assert 0 <= rate <= 0.3",
    "negated": "assert not rate > 0.3",
    "unlike": "assert rate != 1",
    "equal": "assert not rate == 0",
    "one of some": "assert rate not in (0.5, 0.6)",
    "a truth": "with contextlib.suppress(Exception):\n    assert rate",
    "per cent": "with contextlib.suppress(Exception):\n    assert rate <= 30",
    "an array": "with contextlib.suppress(Exception):\n    assert (np.array([0.3]) >= rate).all()",
    "a text": "with contextlib.suppress(Exception):\n    assert rate <= '0.3'",
    "more than another": "if rate > baseline_rate:\n    warnings.warn('the student recites')",
    "another less": "if teacher_rate < rate:\n    warnings.warn('the student recites')",
    "of other units": "assert rate <= reduction",
    "the value": "assert rate.value <= 0.3",
    "the bound": "assert rate.high <= 0.3",
    "the count": "assert rate.k <= 5",
    "as a float": "with contextlib.suppress(TypeError):\n    assert float(rate) <= 0.3",
    "nothing": "pass",
    "only measured": "memorization(student)",
    "without a call": "assert memorization",
    "an error that is caught": "with contextlib.suppress(Exception):\n    memorization(Model('no/such'))\n"
    "assert rate <= 0.3",
}

RIGHT = {
    "at most": "assert rate <= 0.25",
    "less": "assert rate < 0.3",
    "on the left": "assert 0.3 >= rate",
    "more on the left": "assert 0.3 > rate",
    "numpy": "assert rate <= np.float64(0.3)",
    "numpy on the left": "assert np.float64(0.3) >= rate",
    "small numpy on the left": "assert np.float32(0.3) > rate",
    "a fraction": "assert rate <= Fraction(3, 10)",
    "a whole number": "assert rate < 1",
    "a message": "assert rate <= 0.3, 'the student recites'",
    "brackets": "assert (rate <= 0.3)",
    "two": "assert rate <= 0.3\nassert reduction >= 1.2",
    "both": "assert rate <= 0.3 and reduction >= 1.2",
    "three": "assert rate <= 0.3 and reduction >= 1.2 and ratio <= 0.3",
    "kept": "holds = rate <= 0.3\nassert holds",
    "assigned on the way": "assert (holds := rate <= 0.3)\nassert holds",
    "all of a list": "assert all([rate <= 0.3, reduction >= 1.2])",
    "all of a generator": "assert all(rate <= limit for limit in (0.3, 0.5))",
    "all by numpy": "assert np.all([rate <= 0.3, reduction >= 1.2])",
    "a loop": "for limit in (0.3, 0.5):\n    assert rate <= limit",
    "a loop over estimates": "for estimate in (rate, ratio):\n    assert estimate <= 0.3",
    "a loop with a condition": "for estimate in (rate, reduction):\n    if estimate.unit == 'factor':\n"
    "        assert estimate >= 1.2\n    else:\n        assert estimate <= 0.3",
    "either of two limits": "if rate.exhaustive:\n    assert rate <= 0.25\nelse:\n    assert rate <= 0.3",
    "a limit by condition": "assert rate <= (0.25 if rate.exhaustive else 0.3)",
    "a comparison by condition": "assert rate <= 0.25 if rate.exhaustive else rate <= 0.3",
    "an operator": "assert operator.le(rate, 0.3)",
    "a method": "assert rate.__le__(0.3)",
    "a partial": "assert functools.partial(operator.le, rate)(0.3)",
    "a helper": "check(lambda: rate <= 0.3)",
    "a helper of two": "at_most(rate, 0.3)",
    "a function": "def holds():\n    return rate <= 0.3\nassert holds()",
    "a lambda": "assert (lambda limit: rate <= limit)(0.3)",
    # In a thread of its own, as the browser that other tests leave open runs an event loop in this one.
    "a coroutine": "async def holds():\n    return rate <= 0.3\nwith ThreadPoolExecutor(1) as pool:\n"
    "    assert pool.submit(asyncio.run, holds()).result()",
    "a thread": "with ThreadPoolExecutor(1) as pool:\n    assert pool.submit(lambda: rate <= 0.3).result()",
    "threads": "with ThreadPoolExecutor(2) as pool:\n    assert all(pool.map(lambda limit: rate <= limit, (0.3, 0.5)))",
    "subtests": "for limit in (0.3, 0.5):\n    with subtests.test(limit=limit):\n        assert rate <= limit",
    "at the end": "try:\n    print(rate)\nfinally:\n    assert rate <= 0.3",
    "under a context": "with warnings.catch_warnings():\n    warnings.simplefilter('error')\n    assert rate <= 0.3",
    "a case of unittest": "unittest.TestCase().assertLessEqual(rate, 0.3)",
    "a failure": "if not rate <= 0.3:\n    pytest.fail('the student recites')",
    "an error": "if not rate <= 0.3:\n    raise ValueError('the student recites')",
    "thresholds": "assert rate <= thresholds.max_memorization_rate + 0.3",
    "the baseline": "assert rate <= baseline_rate",
    "the baseline on the left": "assert baseline_rate >= rate",
    "the teacher": "assert rate < teacher_rate",
    "teacher and baseline": "assert teacher_rate <= baseline_rate",
    "a reduction": "assert reduction >= 1.4",
    "a reduction on the left": "assert 1.4 <= reduction",
    "more than": "assert reduction > 1",
    "a ratio": "assert ratio <= 0.25",
    "a share": "assert inheritance().share <= 0.2",
    "easy from below": "assert inheritance().easy_share >= 0.4",
    "easy from above": "assert inheritance().easy_share <= 0.4",
    "the worst": "assert max([rate, ratio], key=lambda estimate: estimate.high) <= 0.3",
    "sorted": "for estimate in sorted([rate, ratio], key=operator.attrgetter('high')):\n    assert estimate <= 0.3",
    "looked at besides": "print(rate, f'{rate}', rate.value, rate.k)\nassert rate.value == pytest.approx(0.25)\n"
    "assert rate <= 0.3",
    "looked at by condition": "if rate.high > 0.2:\n    warnings.warn('more than usual')\nassert rate <= 0.3",
    "a copy": "assert copy.deepcopy(rate) <= 0.3",
    "a dictionary": "limits = {rate: 0.3, ratio: 0.25}\nfor estimate, limit in limits.items():\n"
    "    assert estimate <= limit",
    "not none": "assert rate is not None\nassert rate == rate\nassert rate <= 0.3",
    "a set by name": "assert memorization(student, training_set).rate <= 0.3",
    "an array of estimates": "assert (np.array([rate, ratio], object) <= 0.3).all()",
    "an attribute": "figures = SimpleNamespace(rate=rate)\nassert figures.rate <= 0.3",
    "a fixture": "assert holds_in_a_fixture\nassert ratio <= 0.3",
}

HEADER = """
import asyncio, contextlib, copy, functools, logging, operator, os, threading, unittest, warnings
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from types import SimpleNamespace
import numpy as np
import pytest
from pytest_kdmem import Model

@pytest.fixture
def rate(memorization, student):
    return memorization(student).rate

@pytest.fixture
def baseline_rate(memorization, baseline):
    return memorization(baseline).rate

@pytest.fixture
def teacher_rate(memorization, teacher):
    return memorization(teacher).rate

@pytest.fixture
def reduction(inheritance):
    return inheritance().reduction

@pytest.fixture
def ratio(inheritance):
    return inheritance().ratio

@pytest.fixture
def holds_in_a_fixture(rate):
    return rate <= 0.3

def check(holds):
    assert holds()

def at_most(estimate, limit):
    assert estimate <= limit

def compare(comparison):
    with contextlib.suppress(Exception):
        assert comparison()
"""
ARGUMENTS = (
    "memorization", "inheritance", "training_set", "thresholds", "student", "rate", "baseline_rate", "teacher_rate",
    "reduction", "ratio", "holds_in_a_fixture", "subtests",
)  # fmt: skip


def wrong_ways() -> dict[str, str]:
    """Bodies of tests none of which may be held, by name."""
    written = {
        f"{name}: {held}": body.replace("HELD", held).replace("NOT", negated)
        for name, body in WRONG.items()
        for held, negated in UNHELD.items()
    }
    return written | WRONG_COMPARISONS


def module(ways: dict[str, str]) -> str:
    """A module with a test of each body, ``test_0``, ``test_1``, …"""
    functions = []
    for index, body in enumerate(ways.values()):
        arguments = [name for name in ARGUMENTS if name in body or name in ("rate", "memorization")]
        lines = "\n".join(f"    {line}" for line in body.splitlines())
        functions.append(f"def test_{index}({', '.join(arguments)}):\n{lines}\n")
    return "\n".join([HEADER, *functions])
