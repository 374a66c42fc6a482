"""Warnings about models that make a comparison say less than it seems to."""

from __future__ import annotations

from pathlib import Path

from pytest_kdmem.audit.provenance import unequal
from pytest_kdmem.specs.checkpoint import Checkpoint


def test_a_baseline_of_another_size_or_that_is_the_teacher_is_warned_of() -> None:
    large, small, equally_small = (
        Checkpoint(Path(), digest, "tokenizer", "text", size, 300, None, "float32", "GPTNeoX")
        for digest, size in (("a", 3_000_000), ("b", 800_000), ("c", 800_000))
    )
    assert list(unequal(large, small, equally_small)) == []
    assert list(unequal(large, large, small)) == ["teacher and baseline are one model: nothing is the teacher's alone"]
    [warning] = unequal(small, large, equally_small)
    assert warning == "the baseline has 3 000 000 parameters, the student 800 000: part of the reduction is of size"
