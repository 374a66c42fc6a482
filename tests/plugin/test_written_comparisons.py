"""A comparison that is written in a test and was never made is known by its place in the source."""

from __future__ import annotations

import ast
from textwrap import dedent
from typing import Any

import pytest

from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.membership_estimate import MembershipEstimate
from pytest_kdmem.plugin.written_comparisons import comparisons_not_made, find_function
from tests.metrics.score_tables import memorization_from, row

RATE = estimate_proportion("memorization rate", "student", Counts(1, 20), exhaustive=True)


class Inheritance(int):
    """A user's own class of a name of ours."""

    rate = 0.1


AREA = MembershipEstimate("membership AUC", "student", 0.5, 0.4, 0.6, None, 120, unit="area")
ARGUMENTS: dict[str, Any] = {
    "rate": RATE, "area": AREA, "recited": memorization_from([row("a")]), "other": Inheritance(3), "student": "a model",
    "memorization": len, "inheritance": len, "membership": len,
}  # fmt: skip


def not_made(body: str, *made: str) -> list[str]:
    """The lines of a test's comparisons that were not made, where some others were."""
    lines = dedent(body).strip().splitlines()
    source = f"def test({', '.join(ARGUMENTS)}):\n" + "\n".join(f"    {line}" for line in lines)
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    nodes = [node for node in ast.walk(function) if isinstance(node, ast.Compare)]
    places = {
        (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset)
        for node in nodes
        if ast.get_source_segment(source, node) in made
    }
    return [lines[line - 2].strip() for line in comparisons_not_made(function, ARGUMENTS, places)]


@pytest.mark.parametrize(
    "body",
    [
        "checks = (rate <= 0.01 for _ in range(3))",
        "check = lambda: rate <= 0.01",
        "def check():\n    assert rate <= 0.01",
        "for limit in []:\n    assert rate <= 0.01",
        "assert rate <= 0.5 or rate <= 0.01",
        "if rate.value < 0.1:\n    assert rate <= 0.01",
        "assert rate <= 0.01 if rate.value < 0.1 else True",
        "with context():\n    return\n    assert rate <= 0.01",
        "assert memorization(student).rate <= 0.01",
        "result = inheritance()\nassert result.reduction >= 2",
        "share = inheritance().share\nassert share < 0.01",
        "first, second = inheritance().share, 1\nassert first < 0.01",
        "assert memorization(student).extractable(n=1, p=0.5) <= 0.01",
        "match student:\n    case 'a':\n        assert rate <= 0.01\n    case _:\n        pass",
        "try:\n    pass\nfinally:\n    rate <= 0.01",
        "if memorization(student).at_prefix(100).rate <= 0.01 or True:\n    pass",
        "email = memorization(student).of_class('email')\nassert email.rate <= 0",
        "assert (recited := memorization(student)).rate <= 0",
        "assert memorization(student).longest_run <= 60",
        "assert memorization(student).by_copies <= 0.01",
        "groups = memorization(student).by_group\nassert groups <= 0.01",
        "groups = memorization(student).by_group\nassert groups['acme'].rate <= 0.01",
        "assert inheritance().by_group['acme'].ratio <= 0.01",
        "for name, part in memorization(student).by_group.items():\n    if name == 'acme':\n        part.rate <= 0",
        "all(part.rate <= 0 for part in memorization(student).by_copies.values())",
        "for part in memorization(student).by_group.looked_at.values():\n    assert part.rate <= 0.01",
        "parts = memorization(student).by_copies.looked_at\ncheck = lambda: parts <= 0.01",
        "for length, share in memorization(student).curve:\n    assert share <= 0.01",
        "check = lambda: memorization(student).curve[-1][1] <= 0.01",
        "check = lambda: dict(memorization(student).curve)[100] <= 0.01",
        "assert membership(student).by_attack['loss'].tpr(0.01) <= 0.1",
        "assert area <= 0.6",
        "assert recited.rate <= 0.1",
    ],
)
def test_a_comparison_of_an_estimate_that_was_not_made_is_told(body: str) -> None:
    assert len(not_made(body, "rate <= 0.5")) == 1


@pytest.mark.parametrize(
    "body",
    [
        "assert rate <= 0.5",
        "if rate.exhaustive:\n    assert rate <= 0.5\nelse:\n    assert rate <= 0.01",
        "assert rate <= 0.5 if rate.exhaustive else rate <= 0.01",
        "if student == 'a':\n    assert rate <= 0.01\nelif student == 'b':\n    assert rate <= 0.5\nelse:\n"
        "    assert rate <= 0.2",
        "match student:\n    case 'a':\n        assert rate <= 0.01\n    case _:\n        assert rate <= 0.5",
        "try:\n    value = 1\nexcept OSError:\n    assert rate <= 0.01",
        "assert rate <= 0.5, rate <= 0.01",
        "check = lambda: rate.value <= 0.01",
        "check = lambda: len(student) <= 1",
        "value = rate.high\ncheck = lambda: value <= 0.01",
        "history = load()\ncheck = lambda: history.loss <= 0.01",
        "check = lambda: rate is None",
        "for length, share in memorization(student).curve:\n    check = lambda: length <= 100",
        "check = lambda: memorization(student).curve[-1][0] <= 200",
        "groups = memorization(student).by_group\ncheck = lambda: len(groups) <= 3",
        "for name, part in student.items():\n    check = lambda: part.rate <= 3",
        "check = lambda: other.rate <= 3",
    ],
)
def test_what_another_comparison_stands_in_for_or_is_of_no_estimate_is_left_alone(body: str) -> None:
    assert not_made(body, "rate <= 0.5") == []


def test_a_function_is_known_by_the_first_of_its_lines(tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "test_a.py"
    file.write_text("import pytest\n\n@pytest.mark.slow\ndef test_a():\n    pass\n\ndef test_b():\n    pass\n")
    names = [getattr(find_function(file, line), "name", None) for line in (3, 4, 7)]
    assert names == ["test_a", None, "test_b"]
    file.write_text("def (")
    assert find_function(file, 3) is None
