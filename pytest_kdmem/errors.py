"""What can go wrong, by whose hand it is mended.

Every message is one sentence that says what was expected, what was found and where, and then the way out.
"""


class KdmemError(Exception):
    """Base of every error this package raises on purpose; shown to users without a traceback."""


class SpecError(KdmemError):
    """A setting, a model or a training set is described wrongly."""


class ComparisonError(SpecError, TypeError):
    """What knows how sure it is was taken for a truth or a number, and not compared."""


class DataError(KdmemError):
    """A training set cannot be read as described."""


class EngineError(KdmemError):
    """A model cannot be run, or what it computes is not usable."""


class StoreError(KdmemError):
    """The score store cannot be read or written."""


class TrainingInterrupted(KdmemError):
    """A training was asked to stop, and can go on from where it stood."""


class PartScored(KdmemError):
    """Only a part of a run was asked for, and it is done; nothing can be judged by it."""
