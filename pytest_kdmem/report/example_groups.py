"""Names of the groups that a listed example is of, where the training set has a column of them."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_kdmem.auditing.schema_examples import ExamplesEntry
from pytest_kdmem.base.text import count

MAX_GROUPS = 5  # named of an example


def groups_text(names: Sequence[str]) -> str:
    """Return the groups of an example, the first few of very many; empty without groups."""
    rest = len(names) - MAX_GROUPS
    return ", ".join(names[:MAX_GROUPS]) + (f" and {count(rest)} more" if rest > 0 else "")


def named_examples(examples: ExamplesEntry | None, example_ids: Sequence[int]) -> list[str]:
    """Return the numbers of examples, each with its groups in brackets if they are known."""
    names: dict[int, str] = {}
    if examples is not None and examples.groups:
        wanted = {*example_ids}
        rows = zip(examples.example_id, examples.groups, strict=True)
        names = {example_id: groups_text(groups) for example_id, groups in rows if example_id in wanted}
    return [f"{number} ({names[number]})" if names.get(number) else str(number) for number in example_ids]
