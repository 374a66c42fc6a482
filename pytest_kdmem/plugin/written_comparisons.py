"""Comparisons of estimates that are written in a test and were never made: gates that nobody held.

They stand in a generator that nothing consumed, a function that nothing called, a loop over nothing, behind a return,
behind an ``or``. Which expressions are estimates is read from the source, from what the test's arguments were.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from pytest_kdmem.metrics.recorder import PACKAGE, Place

# Arguments of a test that measure something when they are called, and properties of what they return.
MEASURING = (
    "memorization", "near_verbatim", "specific_memorization", "inheritance", "predicted_risk", "membership", "canaries",
)  # fmt: skip
ESTIMATES = (
    "rate", "loss", "extractable", "ratio", "reduction", "share", "easy_share", "common_share", "share_at_risk",
    "expected_memorized", "tpr", "auc", "exposure", "recited", "longest_run", "by_group", "by_copies", "looked_at",
)  # fmt: skip
CALLED = ("extractable", "tpr", "exposure", "recited")  # those of them that take arguments
# Properties and methods of what was measured that give the same of a part of it.
PARTS, CALLED_PARTS = ("by_group", "by_copies", "by_attack", "looked_at"), ("at_prefix", "of_class")
# Classes of arguments that are estimates, and of those that have them as properties.
COMPARED_KINDS = {"Estimate", "Subsets"}
MEASURED_KINDS = {
    "Memorization", "AtPrefix", "ClassMemorization", "Subset", "Subsets", "NearVerbatim", "Specific", "Inheritance",
    "Membership", "MeasuredCanaries", "PredictedRisk",
}  # fmt: skip
ORDERING = (ast.LtE, ast.Lt, ast.GtE, ast.Gt)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def comparisons_not_made(function: Function, arguments: Mapping[str, object], made: Collection[Place]) -> list[int]:
    """Return the lines of the comparisons in a test that passed and that it never made.

    Args:
        function: Source of the test.
        arguments: Values of its arguments.
        made: Where comparisons were made while it ran.
    """
    estimates = _Estimates(function, arguments)
    written = (node for statement in function.body for node in _comparisons(statement, estimates, made))
    return sorted({node.lineno for node in written if not _is_made(node, made)})


def find_function(file: Path, first_line: int) -> Function | None:
    """Return the source of the function that begins in a line, that of its first decorator; None if there is none."""
    try:
        return _functions(file, file.stat().st_mtime_ns).get(first_line)
    except (OSError, SyntaxError, ValueError):
        return None


@lru_cache(maxsize=8)
def _functions(file: Path, changed: int) -> dict[int, Function]:
    """Return the functions of a file by their first line. The time of its last change tells its versions apart."""
    functions = (node for node in ast.walk(ast.parse(file.read_bytes())) if isinstance(node, Function))
    return {_first_line(function): function for function in functions}


class _Estimates:
    """Which expressions of a test are estimates, or what has them as properties."""

    def __init__(self, function: Function, arguments: Mapping[str, object]) -> None:
        kinds = {name: _own_kinds(value) for name, value in arguments.items()}
        self._names = {name for name, classes in kinds.items() if classes & COMPARED_KINDS}
        self._measured = {name for name, classes in kinds.items() if classes & MEASURED_KINDS}
        self._measuring = set(MEASURING).intersection(arguments)
        bindings, named = list(_bindings(function)), -1
        while named != (named := len(self._names) + len(self._measured)):  # a name may be made of another
            for target, value, is_each in bindings:
                (self._note_items if is_each else self._note)(target, value)

    def has(self, node: ast.expr) -> bool:
        """Whether an expression is an estimate."""
        match node:
            case ast.Name(id=name):
                return name in self._names
            case ast.NamedExpr(value=value):
                return self.has(value)
            case ast.Call(func=ast.Attribute() as called):
                return called.attr in CALLED and self.has(called)
            case ast.Attribute(value=value, attr=name):
                return name in ESTIMATES and self._is_measured(value)
            case (
                ast.Subscript(ast.Subscript(ast.Attribute(value=value, attr="curve")), ast.Constant(value=1))
                | ast.Subscript(
                    value=ast.Call(func=ast.Name(id="dict"), args=[ast.Attribute(value=value, attr="curve")])
                )
            ):
                return self._is_measured(value)
        return False

    def _is_measured(self, node: ast.expr) -> bool:
        match node:
            case ast.Call(func=ast.Name(id=name)):
                return name in self._measuring
            case ast.Call(func=ast.Attribute(value=value, attr=name)):
                return name in CALLED_PARTS and self._is_measured(value)
            case ast.Attribute(value=value, attr=name):
                return name in PARTS and self._is_measured(value)
            case ast.Subscript(value=value) | ast.NamedExpr(value=value):
                return self._is_measured(value)
            case ast.Name(id=name):
                return name in self._measured
        return False

    def _note(self, target: ast.expr, value: ast.expr) -> None:
        """Note a name that is given to a value."""
        if isinstance(target, ast.Name):
            self._names |= {target.id} if self.has(value) else set()
            self._measured |= {target.id} if self._is_measured(value) else set()

    def _note_items(self, target: ast.expr, iterable: ast.expr) -> None:
        """Note a name that is given to each of several parts, or of the rates of a curve."""
        second = target.elts[1] if isinstance(target, ast.Tuple) and len(target.elts) == 2 else None
        match iterable:
            case ast.Call(func=ast.Attribute(value=parts, attr="values" | "items" as method)):
                item, names, source = target if method == "values" else second, self._measured, parts
            case ast.Attribute(value=measured, attr="curve"):
                item, names, source = second, self._names, measured
            case _:
                return
        if isinstance(item, ast.Name) and self._is_measured(source):
            names.add(item.id)


def _own_kinds(value: object) -> set[str]:
    """Names of the classes of this package that a value is of."""
    return {kind.__name__ for kind in type(value).__mro__ if kind.__module__.startswith(PACKAGE)}


def _bindings(function: Function) -> Iterator[tuple[ast.expr, ast.expr, bool]]:
    """Yield what a test gives names to: the target, the value, and whether the target is each item of the value."""
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                yield from ((target, value, False) for target, value in zip(targets, values, strict=False))
            case ast.Assign(targets=targets, value=value):
                yield from ((target, value, False) for target in targets)
            case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value):
                yield target, value, False
            case ast.For(target=target, iter=value) | ast.comprehension(target=target, iter=value):
                yield target, value, True


def _comparisons(node: ast.AST, estimates: _Estimates, made: Collection[Place]) -> Iterator[ast.Compare]:
    """Yield the comparisons of estimates in a statement, but for those that another one stands in for.

    Of the two branches of a condition one is enough. What handles an error, and the message of an assert, need not run.
    """
    if isinstance(node, ast.Compare) and _orders_an_estimate(node, estimates):
        yield node
    for branches in _alternatives(node):
        written = [[each for part in branch for each in _comparisons(part, estimates, made)] for branch in branches]
        one_is_enough = all(written) and any(_has_made(branch, made) for branch in written)
        yield from (each for branch in written if not one_is_enough or _has_made(branch, made) for each in branch)
    for child in _children(node):
        yield from _comparisons(child, estimates, made)


def _alternatives(node: ast.AST) -> Iterator[list[list[ast.AST]]]:
    """Yield the branches of a condition, of which Python runs one."""
    match node:
        case ast.If(body=body, orelse=orelse):
            yield [list(body), list(orelse)]
        case ast.IfExp(body=body, orelse=orelse):
            yield [[body], [orelse]]
        case ast.Match(cases=cases):
            yield [list(case.body) for case in cases]


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node that are no branches of a condition."""
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.Assert(test=test):
            yield test
        case ast.Match(subject=subject):
            yield subject
        case ast.Try(body=body, orelse=orelse, finalbody=finalbody):
            yield from (*body, *orelse, *finalbody)
        case _:
            yield from ast.iter_child_nodes(node)


def _orders_an_estimate(node: ast.Compare, estimates: _Estimates) -> bool:
    sides = (node.left, *node.comparators)
    return any(isinstance(operator, ORDERING) for operator in node.ops) and any(map(estimates.has, sides))


def _has_made(nodes: Iterable[ast.Compare], made: Collection[Place]) -> bool:
    return any(_is_made(node, made) for node in nodes)


def _is_made(node: ast.Compare, made: Collection[Place]) -> bool:
    return (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset) in made


def _first_line(function: Function) -> int:
    return min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])
