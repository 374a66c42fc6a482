"""Merges the results that several processes hold of one audit, field by field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from pytest_kdmem.auditing.merge_rules import Rule
from pytest_kdmem.auditing.result import AuditResult


def merge(parts: Sequence[AuditResult]) -> AuditResult:
    """Merge one or more parts of an audit's result; a single part is returned as it is.

    Raises:
        TypeError: A field of the result declares no rule, so that its values would be lost.
    """
    if len(parts) == 1:
        return parts[0]
    merged: dict[str, Any] = {}
    for field in fields(parts[0]):
        rule: Rule | None = field.metadata.get("merge")
        if rule is None:
            raise TypeError(f"A rule to merge {field.name} was expected beside the field; declare it by merged_by.")
        merged[field.name] = rule([getattr(part, field.name) for part in parts], parts)
    return type(parts[0])(**merged)
