"""The errors of this package, by what has to be corrected.

Each message is one sentence: what was expected, what was found and where, and then the way out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class KdmemError(Exception):
    """Base of all errors that this package raises on purpose; users see them without a traceback.

    Args:
        message: The sentence. What it quotes of files and addresses is made harmless here, so that no error can tell a
            secret, steer a terminal or give a command to a CI runner, whoever shows it.
    """

    def __init__(self, message: object = "") -> None:
        from pytest_kdmem.errors.harmless import harmless

        super().__init__(harmless(str(message)))


class SpecError(KdmemError):
    """A setting, a model or a training set is declared wrongly."""


class ComparisonError(SpecError, TypeError):
    """An estimate was used as a truth value or a number instead of being compared."""


class GateError(KdmemError):
    """A gate of an audit or of a training does not hold, or there is none that could."""


class DataError(KdmemError):
    """A training set or another file cannot be read as declared, or cannot be written."""


class EngineError(KdmemError):
    """A model cannot be run, or its results are not usable."""


class OverflowedError(EngineError):
    """A model gives NaN or infinity, which another dtype may not."""


class StoreError(KdmemError):
    """The score store cannot be read or written."""


class Interrupted(KdmemError):
    """A signal stopped a command, which goes on from there when it is given again.

    Args:
        message: The sentence.
        signal_number: The signal.
    """

    def __init__(self, message: object, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number

    @property
    def exit_code(self) -> int:
        """What a process exits with that this signal ended."""
        return 128 + self.signal_number


class TrainingInterrupted(Interrupted):
    """A training stopped at the end of a step, which is saved."""


class PartScored(KdmemError):
    """Only a part of a run was requested, and it is scored; gates need the whole run."""


class DryRun(PartScored):
    """Only a forecast of a run was requested: nothing is written, and no gate is held.

    Args:
        forecasts: What each run would take; each has ``lines`` for people.
    """

    def __init__(self, forecasts: Iterable[Any] = ()) -> None:
        super().__init__("In a dry run nothing is written and no gate is evaluated.")
        self.forecasts = tuple(forecasts)
