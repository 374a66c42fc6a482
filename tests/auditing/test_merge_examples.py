"""Rows of several processes are merged by example; what a process does not list, its models do not recite."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.auditing.merge_examples import merged_distributions, merged_examples
from pytest_kdmem.auditing.schema_examples import DistributionsEntry, ExamplesEntry, ModelColumns, ModelDistributions


def entry(role: str, *example_ids: int, risk: float | None = None, text: bool = False) -> ExamplesEntry:
    """Rows of one model that recites all of them."""
    rows = len(example_ids)
    columns = ModelColumns((1,) * rows, (0,) * rows, (0.5,) * rows, (2.0,) * rows, (-1.0,) * rows)
    return ExamplesEntry(
        example_ids,
        tuple(f"digest {example_id}" for example_id in example_ids),
        (2,) * rows,
        tuple(None if role == "student" else 90 for _ in example_ids),
        (risk,) * rows,
        {role: columns},
        tuple(f"prefix {example_id}" for example_id in example_ids) if text else (),
        tuple(f"suffix {example_id}" for example_id in example_ids) if text else (),
    )


def test_the_rows_of_two_parts_are_merged_in_the_order_of_their_ids() -> None:
    merged = merged_examples([entry("student", 3, 8), None, entry("teacher", 5, 8, risk=0.25)], [])
    assert merged is not None
    assert merged.example_id == (3, 5, 8)
    assert merged.digest == ("digest 3", "digest 5", "digest 8")
    assert merged.models["student"].memorized == (1, 0, 1)
    assert merged.models["teacher"].memorized == (0, 1, 1)
    assert merged.models["student"].margin == (0.5, None, 0.5)
    assert merged.risk == (None, 0.25, 0.25)
    assert merged.zlib_bytes == (None, 90, 90)


def test_text_is_kept_only_if_every_part_has_it() -> None:
    with_text = merged_examples([entry("student", 3, text=True), entry("teacher", 5, text=True)], [])
    assert with_text is not None
    assert (with_text.prefix, with_text.suffix) == (("prefix 3", "prefix 5"), ("suffix 3", "suffix 5"))
    without = merged_examples([entry("student", 3, text=True), entry("teacher", 5)], [])
    assert without is not None
    assert (without.prefix, without.suffix) == ((), ())


def test_what_models_generate_is_kept_where_every_part_has_text() -> None:
    student, teacher = entry("student", 3, text=True), entry("teacher", 3, 5, text=True)
    columns = replace(teacher.models["teacher"], generated=("said", None))
    teacher = replace(teacher, models={"teacher": columns})
    merged = merged_examples([student, teacher], [])
    assert merged is not None
    assert {role: each.generated for role, each in merged.models.items()} == {"student": (), "teacher": ("said", None)}
    wider = merged_examples([entry("student", 1, text=True), teacher], [])
    assert wider is not None
    assert wider.models["teacher"].generated == (None, "said", None)
    silent = merged_examples([entry("student", 3), teacher], [])
    assert silent is not None
    assert silent.models["teacher"].generated == ()


def test_groups_are_kept_if_every_part_with_an_example_has_them() -> None:
    of_customers = replace(entry("student", 3), groups=(("acme",),))
    merged = merged_examples([of_customers, replace(entry("teacher", 5), groups=(("b", "c"),)), entry("baseline")], [])
    assert merged is not None
    assert merged.groups == (("acme",), ("b", "c"))
    without = merged_examples([of_customers, entry("teacher", 5)], [])
    assert without is not None
    assert without.groups == ()


def test_of_a_model_in_two_parts_the_first_one_s_rows_are_kept() -> None:
    merged = merged_examples([entry("student", 3), entry("student", 5)], [])
    assert merged is not None
    assert merged.models["student"].memorized == (1, 0)


def test_a_single_part_is_kept_as_it_is() -> None:
    single = entry("student", 3)
    assert merged_examples([None, single], []) is single
    assert merged_examples([None, None], []) is None


def test_the_distributions_of_all_models_are_kept() -> None:
    spread = ModelDistributions((1, 2), 3, (), (), ())
    first = DistributionsEntry((-1.0, 0.0, 1.0), {"student": spread})
    second = DistributionsEntry((-1.0, 0.0, 1.0), {"teacher": spread, "student": replace(spread, without_margin=9)})
    merged = merged_distributions([None, first, second], [])
    assert merged is not None
    assert {role: model.without_margin for role, model in merged.models.items()} == {"student": 3, "teacher": 3}
    assert merged_distributions([None], []) is None
