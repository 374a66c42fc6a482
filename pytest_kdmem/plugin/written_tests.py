"""Which tests of a file are audits, read from its source: what was never collected is known all the same."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from pytest_kdmem.plugin.collection import AUDIT_FIXTURES
from pytest_kdmem.specs.roles import ROLES

Function = ast.FunctionDef | ast.AsyncFunctionDef
# Stands for the tests of a file that cannot be told from its source: it cannot be parsed, or takes them from elsewhere.
UNKNOWN = ""


@dataclass(frozen=True)
class WrittenTest:
    """A test as it stands in a file.

    Attributes:
        name: Its name after the file's in a node id, without parameters; `UNKNOWN` for any number of tests.
        line: First line of the function, that of its first decorator if it has any.
    """

    name: str
    line: int


@dataclass(frozen=True)
class Patterns:
    """Names by which pytest takes functions and classes for tests: beginnings, or shell patterns."""

    functions: Sequence[str] = ("test",)
    classes: Sequence[str] = ("Test",)

    def is_function(self, name: str) -> bool:
        return _matches(name, self.functions)

    def is_class(self, name: str) -> bool:
        return _matches(name, self.classes)


def written_audits(file: Path, conftests: Iterable[Path], patterns: Patterns) -> list[WrittenTest]:
    """Return the tests of a file that ask for a fixture of this plugin, themselves or through fixtures.

    Args:
        file: The file of tests.
        conftests: Files above it that declare fixtures.
        patterns: Names of tests.
    """
    module = _parsed(file)
    if module is None:
        return [WrittenTest(UNKNOWN, 0)]
    trees = [module, *filter(None, map(_parsed, conftests))]
    names = _audit_names(function for tree in trees for function in _functions(tree))
    tests = [
        WrittenTest("::".join([*classes, function.name]), _first_line(function))
        for classes, function in _test_functions(module, patterns, ())
        if names.intersection(_arguments(function))
    ]
    return tests + ([WrittenTest(UNKNOWN, 0)] if _takes_tests_from_elsewhere(module, patterns) else [])


def declares_roles(conftest: Path) -> bool:
    """Whether a conftest declares a model or set, so that the tests below it are an audit of their own."""
    module = _parsed(conftest)
    return module is None or any(_fixture_name(function) in (*ROLES, "students") for function in _functions(module))


def _parsed(file: Path) -> ast.Module | None:
    try:
        return ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def _functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def _audit_names(functions: Iterable[Function]) -> set[str]:
    """Return the fixtures of this plugin that are not replaced by others, and all that are made of them."""
    arguments: dict[str, set[str]] = {}
    for function in functions:
        arguments.setdefault(_fixture_name(function), set()).update(_arguments(function))
    replaced = {name for name in AUDIT_FIXTURES if name in arguments and name not in arguments[name]}
    names = set(AUDIT_FIXTURES) - replaced
    while added := {name for name, asked in arguments.items() if asked & names} - names:
        names |= added
    return names


def _fixture_name(function: Function) -> str:
    """Return the name under which a function is a fixture, if it is one."""
    calls = (decorator for decorator in function.decorator_list if isinstance(decorator, ast.Call))
    values = (keyword.value for call in calls for keyword in call.keywords if keyword.arg == "name")
    constants = (value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str))
    return next(constants, function.name)


def _arguments(function: Function) -> set[str]:
    """Return the fixtures that a function asks for, by its arguments or by a mark."""
    arguments = function.args
    names = {argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and getattr(decorator.func, "attr", "") == "usefixtures":
            names |= {str(name.value) for name in decorator.args if isinstance(name, ast.Constant)}
    return names


def _test_functions(
    node: ast.AST, patterns: Patterns, classes: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Function]]:
    """Yield test functions of a module, of its classes and of what stands under a condition, with their classes."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            if patterns.is_function(child.name):
                yield classes, child
        elif isinstance(child, ast.ClassDef):
            if patterns.is_class(child.name):
                yield from _test_functions(child, patterns, (*classes, child.name))
        elif isinstance(child, ast.stmt | ast.ExceptHandler):
            yield from _test_functions(child, patterns, classes)


def _takes_tests_from_elsewhere(module: ast.Module, patterns: Patterns) -> bool:
    imported = [alias for node in ast.walk(module) if isinstance(node, ast.ImportFrom) for alias in node.names]
    names = [alias.asname or alias.name for alias in imported]
    if any(name == "*" or patterns.is_function(name) or patterns.is_class(name) for name in names):
        return True
    classes = [node for node in ast.walk(module) if isinstance(node, ast.ClassDef) and patterns.is_class(node.name)]
    return any(getattr(base, "id", "") in names for each in classes for base in each.bases)


def _first_line(function: Function) -> int:
    return min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(name.startswith(pattern) or fnmatch(name, pattern) for pattern in patterns)
