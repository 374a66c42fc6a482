"""Models of an audit are trained in a whole run, and with settings that exist."""

from __future__ import annotations

import pytest

GATE = """
def test_trained(distiller, memorization, student):
    assert memorization(distiller(init=student{settings})).rate <= 1
"""


@pytest.mark.parametrize(
    ("settings", "argument", "message"),
    [
        (
            "",
            "--kdmem-shard=1/2",
            "*Models that were trained before were expected in a part of a run*",
        ),
        (", temprature=2.0", "-q", "*named 'temprature'; did you mean temperature?*"),
    ],
    ids=["a part", "an unknown setting"],
)
def test_what_cannot_be_trained_is_an_error_in_one_sentence(audit_project, settings, argument, message):
    audit_project.gates(GATE.format(settings=settings))
    result = audit_project.run(argument)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert not list(audit_project.path.rglob("kdmem_run.json"))
