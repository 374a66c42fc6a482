"""Every option has one spelling for each place it is set in, and a default that its own check lets pass."""

from __future__ import annotations

import pytest

from pytest_kdmem.specs.declared import Extraction, Thresholds
from pytest_kdmem.specs.options import OPTIONS, REPORT_ENDINGS, Option
from pytest_kdmem.specs.runtime import RunSettings

BY_NAME = {option.name: option for option in OPTIONS}


def test_an_option_is_spelled_for_the_command_line_the_environment_and_the_configuration() -> None:
    option = BY_NAME["max-memorization-rate"]
    assert option.flag == "--kdmem-max-memorization-rate"
    assert option.variable == "KDMEM_MAX_MEMORIZATION_RATE"
    assert option.key == "max_memorization_rate"


def test_names_are_given_once() -> None:
    assert len(BY_NAME) == len(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_a_default_passes_its_own_check(option: Option) -> None:
    if option.default is not None:
        assert option.check(option.default) == ""


@pytest.mark.parametrize("spec", [Extraction(), Thresholds(), RunSettings()], ids=lambda spec: type(spec).__name__)
def test_defaults_are_those_of_the_values_that_options_make(spec: object) -> None:
    shared = {option.key: option.default for option in OPTIONS if hasattr(spec, option.key) and option.kind != "flag"}
    assert len(shared) >= 3
    assert {key: getattr(spec, key) for key in shared} == shared


@pytest.mark.parametrize("ending", REPORT_ENDINGS)
def test_each_report_must_have_a_format(ending: str) -> None:
    check = BY_NAME["report"].check
    assert check([f"a{ending}", "b.json"]) == ""
    assert check([f"a{ending}", "b.docx"]) == f"a path ending in {', '.join(REPORT_ENDINGS)}"
    assert check(()) == ""
