"""What is said of several models in the same words stands once, and no other warning is changed."""

from __future__ import annotations

from pytest_kdmem.auditing.shared_notes import with_shared_notes
from pytest_kdmem.scoring.reading_check import MIXED, ReadingLosses, mixed_warning

# As the check of the reading writes it, of three documents of which one is as unlikely as a uniform guess.
NOTE = mixed_warning(ReadingLosses(10, (0.1, 9.0, 0.2), (1.0, 9.0, 1.0), (), ()))


def test_one_note_of_several_models_stands_once_where_the_first_stood() -> None:
    other, unlike = "student: another warning", f"base: 2 of 3 {MIXED}"
    notes = [f"student: {NOTE}", other, f"baseline over the control set: {NOTE}", unlike, f"x: 1 of 12 {MIXED}"]
    assert f"1 of 3 {MIXED}" == NOTE
    assert with_shared_notes(notes) == (
        f"student, baseline over the control set, base: up to 2 of 3 {MIXED}", other, f"x: 1 of 12 {MIXED}"
    )  # fmt: skip
    assert with_shared_notes(notes[:3]) == (f"student, baseline over the control set: {NOTE}", other)


def test_one_note_alone_and_other_warnings_stay_as_they_are() -> None:
    kept = (f"predicted risk: baseline: {NOTE}", "2 of 12 documents", f"student: {NOTE} and more", "")
    assert with_shared_notes(kept) == kept
    assert with_shared_notes(()) == ()
