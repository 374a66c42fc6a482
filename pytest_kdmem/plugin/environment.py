"""Runs of pytest in which no gate can be held: asserts are taken away, or tests run where their gates are lost."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import pytest

from pytest_kdmem.plugin.collection import is_audit


def environment_error(config: pytest.Config, items: Iterable[pytest.Item]) -> str:
    """Return why no audit can be held in this run, or an empty string if one can."""
    if sys.flags.optimize:
        return (
            "An audit was expected to run with its asserts, and Python takes them away (-O, PYTHONOPTIMIZE); run it"
            " without."
        )
    if config.getoption("assertmode", "rewrite") == "plain":
        return (
            "An audit was expected to run with pytest's own asserts, and --assert=plain leaves them to Python, which"
            " may take them away; run it without."
        )
    if _forks(config, items):
        return (
            "An audit was expected to run in the process that reports it, and --forked or a mark of that name gives"
            " each test a process that ends with its gates; run the audits without."
        )
    return ""


def _forks(config: pytest.Config, items: Iterable[pytest.Item]) -> bool:
    """Whether pytest-forked is to run audits, all of them or those that are marked."""
    if config.getoption("forked", False):
        return True
    marked = config.pluginmanager.hasplugin("pytest_forked")
    return marked and any(is_audit(item) and item.get_closest_marker("forked") for item in items)
