"""Every setting is an option of pytest and a key of its configuration."""

from __future__ import annotations

from pytest_kdmem.plugin.options import INI_TYPES, unknown_keys
from pytest_kdmem.specs.options import OPTIONS
from tests.audit_project import ALONE


def test_every_option_and_key_is_registered_with_its_help(pytester):
    config = pytester.parseconfig(*ALONE)
    assert {config.getoption(f"kdmem_{option.key}") for option in OPTIONS} == {None}
    for option in OPTIONS:
        assert option.help
        assert option.flag == f"--kdmem-{option.name}"
        assert not config.getini(f"kdmem_{option.key}")
    assert {option.kind for option in OPTIONS} == set(INI_TYPES)


def test_keys_that_name_no_setting_are_listed(pytester):
    pytester.makepyprojecttoml("[tool.pytest]\nkdmem_sample = 5\nkdmem_sampel = 5\nother_key = 1")
    assert unknown_keys(pytester.parseconfig(*ALONE)) == ["kdmem_sampel"]
