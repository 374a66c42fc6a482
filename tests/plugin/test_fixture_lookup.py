"""Definitions of fixtures are those that pytest itself gives a test, whatever folder, module or class declares them."""

from __future__ import annotations

import pytest

from pytest_kdmem.plugin.fixture_lookup import definition_at, parameters_of, reached_definitions, visible_definitions

CONFTEST = """
    import pytest

    @pytest.fixture
    def limit(): return "of the folder"

    @pytest.fixture
    def rate(limit, request): return limit
"""
MODULE = """
    import pytest

    @pytest.fixture
    def limit(limit): return "of the module"

    @pytest.mark.parametrize("size", [3])
    def test_module(rate, size): pass

    class TestClass:
        @pytest.fixture
        def rate(self, rate): return "of the class"

        def test_class(self, rate): pass
"""


@pytest.fixture
def items(pytester: pytest.Pytester) -> dict[str, pytest.Item]:
    pytester.makeconftest(CONFTEST)
    return {item.name: item for item in pytester.getitems(MODULE)}


def test_the_nearest_definition_comes_last(items):
    in_module, in_class = items["test_module[3]"], items["test_class"]
    assert len(visible_definitions(in_module, "rate")) == 1
    assert len(visible_definitions(in_class, "rate")) == 2
    assert definition_at(in_class, ("rate", 2)) is definition_at(in_module, ("rate", 1))
    assert definition_at(in_module, ("rate", 2)) is None
    assert visible_definitions(in_module, "no_fixture") == ()


def test_an_overriding_definition_reaches_the_one_that_it_overrides(items):
    reached = reached_definitions(items["test_class"], ["rate"])
    assert {level for level in reached if level[0] != "request"} == {
        ("rate", 1),
        ("rate", 2),
        ("limit", 1),
        ("limit", 2),
    }
    assert reached["limit", 1].argnames == ("limit",)
    assert reached_definitions(items["test_class"], ["no_fixture"]) == {}


def test_parameters_are_those_of_the_test(items):
    assert parameters_of(items["test_module[3]"]) == {"size": 3}
    assert parameters_of(items["test_class"]) == {}
