"""A model to which a training set is noise recites none of it whatever it learned, so its figures show nothing."""

from __future__ import annotations

from pytest_kdmem.errors import SpecError
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.other_readings import NOISE
from pytest_kdmem.specs.runtime import RunSettings


def check_is_no_noise(scores: ScoreTable, run: RunSettings) -> None:
    """Check that a model knows something of a set that it is judged over.

    Args:
        scores: Score table of the model over the set.
        run: The settings, which may accept noise.

    Raises:
        SpecError: It knows nothing of it.
    """
    if not scores.noise or NOISE in run.accepted_readings:
        return
    raise SpecError(
        f"Model {scores.model.source} was expected to know the text of {scores.training_set.label}, and {scores.noise};"
        " give the text, or the token ids that training had; if it was rightly never trained on such text, accept this"
        f" with --kdmem-accept-reading {NOISE}."
    )
