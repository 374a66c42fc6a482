"""The definitions of settings: their texts, their defaults, and which values they accept."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from pytest_kdmem.specs.declared import Extraction, Thresholds, TrainingSet
from pytest_kdmem.specs.options import OPTIONS, REPORT_ENDINGS
from pytest_kdmem.specs.roles import ROLES
from pytest_kdmem.specs.runtime import RunSettings

SETTINGS = {option.key: option for option in OPTIONS}
every_option = pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)


def test_no_name_is_defined_twice():
    assert len(SETTINGS) == len(OPTIONS)


@every_option
def test_names_are_words_joined_by_hyphens(option):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", option.name)
    assert (option.flag, option.variable) == (f"--kdmem-{option.name}", f"KDMEM_{option.key.upper()}")


@every_option
def test_help_is_a_sentence_that_argparse_can_print(option):
    assert option.help[0].isupper()
    assert option.help.endswith(".")
    assert "%" not in option.help
    assert not option.help.startswith(("Of ", "So ", "What ", "How many "))


@every_option
def test_the_default_passes_its_own_check(option):
    assert option.default is None or not option.check(option.default)


def test_every_role_is_a_setting():
    assert set(ROLES) <= SETTINGS.keys()


@pytest.mark.parametrize("values", [Extraction(), Thresholds(), RunSettings(), TrainingSet("x")], ids=repr)
def test_values_made_in_python_have_the_same_defaults(values):
    shared = {field.name for field in fields(values)} & SETTINGS.keys()
    if isinstance(values, TrainingSet):
        shared.remove("dtype")  # the setting is of models, and `token_dtype` of token files
    assert len(shared) >= 3
    for name in shared:
        assert getattr(values, name) == (SETTINGS[name].default or False if SETTINGS[name].kind == "flag"
                                         else SETTINGS[name].default), name  # fmt: skip


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("form", ("documents", "blocks"), ("lines", "")),
        ("engine", ("auto", "transformers", "vllm"), ("tensorflow",)),
        ("seed", (0, 7), (-1,)),
        ("sample", (1, 10**9), (0, -1)),
        ("max_memorization_rate", (0, 0.5, 0.999), (-0.1, 1, 1.1, float("nan"))),
        ("min_reduction", (0.1, 2.0), (-1, 0, float("inf"), float("nan"))),
        ("confidence", (0.5, 0.95), (0.4, 1, float("nan"))),
        ("risk_threshold", (0.01, 0.99), (0, 1, float("nan"))),
        ("shard", ("1/1", "3/16"), ("0/2", "3/2", "1", "a/b", "1/²", " 1/2", "1/2\n")),
        ("report", (["a.json"], ["a.html", "b.md", "c.sarif"]), (["a.docx"], ["a.json", "b"])),
        ("baseline_file", ("a.json",), ("a.toml",)),
    ],
)
def test_checks_separate_right_from_wrong(name, right, wrong):
    check = SETTINGS[name].check
    assert [value for value in right if check(value)] == []
    assert [value for value in wrong if not check(value)] == []


def test_the_check_of_reports_names_every_format():
    check = SETTINGS["report"].check
    assert check(["a.json", "b.docx"]) == f"a path ending in {', '.join(REPORT_ENDINGS)}"
    assert check(()) == ""
