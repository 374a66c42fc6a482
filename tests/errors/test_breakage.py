"""An error that is not ours is told by its kind and places, and its message only if it tells of the machine."""

from __future__ import annotations

import errno

import pytest

from pytest_kdmem.base.text import count
from pytest_kdmem.errors.breakage import LONGEST_MESSAGE, breakage_sentence, is_out_of_memory


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize("error", [ValueError("the training text"), KeyError("the training text"), Exception("the")])
def test_a_message_that_may_be_training_text_is_not_shown(error: Exception) -> None:
    sentence = breakage_sentence(raised(error))
    assert sentence.startswith(f"{type(error).__name__} at {__file__}:")
    assert "asked for at an unknown place (its message: not shown)" in sentence
    assert "the training" not in sentence


@pytest.mark.parametrize("error", [OSError("disk is full"), RuntimeError("disk is full"), ImportError("disk is full")])
def test_a_message_of_the_machine_is_shown(error: Exception) -> None:
    assert "(its message: disk is full)" in breakage_sentence(raised(error))


def test_a_class_of_someone_elses_is_not_one_of_the_machine() -> None:
    class Other(RuntimeError):
        pass

    assert "its message: not shown" in breakage_sentence(raised(Other("the training text")))


def test_of_a_long_message_the_beginning_of_the_first_line_is_shown() -> None:
    sentence = breakage_sentence(raised(RuntimeError("x" * 1000 + "\nsecond")))
    assert "x" * LONGEST_MESSAGE in sentence
    assert "x" * (LONGEST_MESSAGE + 1) not in sentence
    assert "second" not in breakage_sentence(raised(RuntimeError("first\nsecond")))


def test_the_last_place_in_this_package_is_named() -> None:
    with pytest.raises(TypeError) as caught:
        count(object())  # type: ignore[arg-type]
    assert "/base/text.py:" in breakage_sentence(caught.value)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "no"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True),
        (ImportError("x.so: failed to map segment from shared object"), True),
        (OSError(errno.ENOENT, "no"), False),
        (RuntimeError("index out of range"), False),
        (ValueError("can't allocate memory"), False),
    ],
    ids=repr,
)
def test_the_end_of_memory_is_told_apart(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
