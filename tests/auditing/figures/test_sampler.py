"""Reports have what is extractable under the samplers that tests asked for, and say whence each was read."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.auditing.figures.sampler import sampler_figures
from pytest_kdmem.metrics.sampled import Extractable
from pytest_kdmem.specs.generation_config import named_sampler, sampler_of
from pytest_kdmem.specs.sampler import Draws, Sampler
from tests.auditing.test_build_result import EMPTY, SCORED, build
from tests.metrics.test_sampled import extractable_from, scored

OWN = sampler_of({}, "generation_config.json")
SAMPLED = extractable_from(
    scored({"a": 0.0, "b": 9.0}), {"a": (0.0,) * 3}, Draws(100, 0.5), named_sampler(Sampler(0.7, 40), OWN)
)
GREEDY = Extractable(SAMPLED.memorization, SAMPLED.draws, OWN, None)


def test_each_sampler_is_a_row_that_says_whence_it_was_read():
    figures = sampler_figures(replace(SCORED, sampled=(SAMPLED, GREEDY, GREEDY)))
    assert [(figure.family, figure.subject, figure.label, figure.estimate.k) for figure in figures] == [
        ("sampler", "student", "(100, 0.5) at temperature 0.7, top-k 40 (named by the test)", 1),
        ("sampler", "student", "(100, 0.5) by greedy decoding (generation_config.json)", 0),
    ]
    assert figures[0].note == (
        "The test names this sampler; by its own files, the model generates"
        " by greedy decoding (generation_config.json)."
    )
    assert "does not set do_sample" in figures[1].note


def test_they_are_in_the_record_and_only_where_they_were_asked_for():
    assert sampler_figures(SCORED) == sampler_figures(EMPTY) == ()
    assert "sampler" in {figure.family for figure in build(replace(SCORED, sampled=(SAMPLED,))).figures}
