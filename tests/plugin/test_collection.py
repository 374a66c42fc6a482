"""A test is an audit if it asks for a fixture of this plugin, and not for something of the user's of the same name."""

from __future__ import annotations

import pytest

from pytest_kdmem.plugin.collection import is_audit

TESTS = """
    import pytest

    @pytest.fixture
    def rate(memorization):
        return memorization

    @pytest.fixture
    def accepted():
        return True

    @pytest.fixture
    def inheritance(inheritance):
        return inheritance

    def test_asks(memorization): pass

    def test_asks_by_way_of_a_fixture(rate): pass

    def test_asks_for_a_wrapped_fixture(inheritance): pass

    @pytest.mark.usefixtures("thresholds")
    def test_uses(): pass

    class TestClass:
        def test_method(self, distiller): pass

    def other_asks_for_nothing(): pass

    def other_asks_for_a_model(student): pass

    def other_has_a_fixture_of_its_own(accepted): pass

    @pytest.mark.parametrize("memorization", [1])
    def other_has_a_parameter_of_its_own(memorization): pass

    def other_asks_for_what_there_is_not(no_fixture): pass
"""


def test_audits_are_known_once_they_are_collected(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\npython_functions = test_* other_*")
    audits = {item.name.partition("[")[0]: is_audit(item) for item in pytester.getitems(TESTS)}
    assert audits == {name: not name.startswith("other") for name in audits}
    assert len(audits) == 10
