"""Several mistakes that were found at once, so that whoever made them is told of all before the next try."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pytest_kdmem.errors import KdmemError, SpecError


class SeveralErrors(SpecError):
    """More than one mistake.

    Args:
        errors: The mistakes, each one sentence with its way out.
    """

    def __init__(self, errors: Sequence[KdmemError]) -> None:
        self.errors = tuple(errors)
        numbered = (f"({number}) {error}" for number, error in enumerate(errors, 1))
        super().__init__(f"{len(errors)} mistakes: {' '.join(numbered)}")


class Mistakes:
    """Gathers the mistakes that checks find, each of which does not depend on the others."""

    def __init__(self) -> None:
        self._errors: list[KdmemError] = []

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Keep the error of a check, and go on."""
        try:
            yield
        except SeveralErrors as several:
            self._errors += several.errors
        except KdmemError as error:
            self._errors.append(error)

    def raise_all(self) -> None:
        """Raise what was found: the error itself if it is the only one; what two checks say alike is said once.

        Raises:
            KdmemError: The only error.
            SeveralErrors: All errors, if there are several.
        """
        errors = list({str(error): error for error in self._errors}.values())
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise SeveralErrors(errors)
