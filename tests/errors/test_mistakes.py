"""All mistakes are told together, and a single one is raised as it is."""

from __future__ import annotations

import pytest

from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.errors.mistakes import Mistakes, SeveralErrors


def found(*errors: Exception) -> Mistakes:
    mistakes = Mistakes()
    for error in errors:
        with mistakes.collected():
            raise error
    return mistakes


def test_nothing_is_raised_where_nothing_was_found() -> None:
    mistakes = Mistakes()
    with mistakes.collected():
        pass
    mistakes.raise_all()


@pytest.mark.parametrize("errors", [[DataError("A.")], [DataError("A."), DataError("A.")]])
def test_the_only_mistake_is_raised_as_it_is(errors: list[DataError]) -> None:
    with pytest.raises(DataError, match=r"^A\.$"):
        found(*errors).raise_all()


def test_several_are_told_together_also_those_of_checks_that_found_several() -> None:
    inner = SeveralErrors([DataError("A."), SpecError("B.")])
    with pytest.raises(SeveralErrors) as caught:
        found(inner, SpecError("C.")).raise_all()
    assert [str(error) for error in caught.value.errors] == ["A.", "B.", "C."]
    assert str(caught.value) == "3 mistakes: (1) A. (2) B. (3) C."


def test_an_error_of_another_kind_ends_the_checks() -> None:
    with pytest.raises(ZeroDivisionError):
        found(ZeroDivisionError())
