"""A model that finds a set no likelier than noise is not judged over it, unless that is accepted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kdmem.auditing.noise import check_is_no_noise
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.runtime import RunSettings
from tests.metrics.score_tables import memorization_from, row

SCORES = memorization_from([row("a")]).scores
NOISE = replace(SCORES, noise="the model finds it as likely as noise")


def test_a_set_that_a_model_knows_and_one_that_is_accepted_are_judged() -> None:
    check_is_no_noise(SCORES, RunSettings())
    check_is_no_noise(NOISE, RunSettings(accept_reading="noise"))


@pytest.mark.parametrize("accepted", ["", "chat-plain"])
def test_noise_is_refused_with_the_way_out(accepted: str) -> None:
    settings = RunSettings(accept_reading=accepted) if accepted else RunSettings()
    with pytest.raises(SpecError, match=r"runs/student was expected to know the text of .*noise; .*reading noise\."):
        check_is_no_noise(NOISE, settings)
