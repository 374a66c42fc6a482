"""Dataclasses become strict JSON and come back equal, and content of another shape is refused by the field's name."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.base.typed_json import from_json, from_json_number, to_json, to_json_number


@dataclass(frozen=True)
class Point:
    x: float
    label: str = ""


@dataclass(frozen=True)
class Shape:
    points: tuple[Point, ...]
    pair: tuple[int, float]
    kind: Literal["line", "area"]
    sizes: dict[str, int]
    centre: Point | None
    limit: Point | float | None = None
    setting: dict[str, str | int | float | bool | None] = field(default_factory=dict)
    renamed: int = field(default=0, metadata={"json": "found"})
    rare: int = field(default=0, metadata={"json_default": "left out"})
    anything: Any = None
    of_this_process: str = field(default="", metadata={"json": None})


@dataclass(frozen=True, eq=False)
class Grid:
    values: npt.NDArray[np.float64]


NUMBERS = st.floats(allow_nan=False)
INT64 = st.integers(-(2**63) + 1, 2**63 - 1)
POINTS = st.builds(Point, NUMBERS, st.text())
SHAPES = st.builds(
    Shape,
    points=st.lists(POINTS).map(tuple),
    pair=st.tuples(INT64, NUMBERS),
    kind=st.sampled_from(["line", "area"]),
    sizes=st.dictionaries(st.text(), INT64),
    centre=st.none() | POINTS,
    limit=st.none() | POINTS | NUMBERS,
    setting=st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text() | st.floats(0, 1)),
    renamed=INT64,
    rare=INT64,
    anything=st.lists(st.integers()),
)
SHAPE = Shape((Point(1.5, "a"), Point(2.0)), (3, 4.5), "area", {"all": 7}, None, renamed=2)


def through_json(value: object) -> Any:
    return json.loads(json.dumps(to_json(value), allow_nan=False))


@given(SHAPES)
def test_a_value_comes_back_as_it_was(shape: Shape) -> None:
    assert from_json(Shape, through_json(shape)) == shape


def test_the_json_has_a_key_for_each_field_in_order() -> None:
    assert list(to_json(SHAPE)) == [
        "points", "pair", "kind", "sizes", "centre", "limit", "setting", "found", "anything",
    ]  # fmt: skip
    assert to_json(SHAPE)["points"] == [{"x": 1.5, "label": "a"}, {"x": 2.0, "label": ""}]
    assert to_json(SHAPE)["found"] == 2


def test_what_is_left_out_at_its_default_stands_in_the_json_otherwise() -> None:
    assert "rare" not in to_json(SHAPE)
    assert to_json(replace(SHAPE, rare=3))["rare"] == 3
    assert from_json(Shape, through_json(SHAPE), complete=True).rare == 0


def test_whole_numbers_stay_whole_only_where_the_annotation_allows_both() -> None:
    content = {**through_json(SHAPE), "setting": {"epochs": 4, "rate": 0.5, "packing": True}, "pair": [3, 4]}
    shape = from_json(Shape, content)
    assert [type(value) for value in shape.setting.values()] == [int, float, bool]
    assert type(shape.pair[1]) is float


@pytest.mark.parametrize(("value", "content"), [(math.nan, None), (math.inf, "inf"), (-math.inf, "-inf"), (0.1, 0.1)])
def test_numbers_that_json_lacks_have_a_form_of_their_own(value: float, content: object) -> None:
    assert to_json_number(value) == content
    assert repr(from_json_number(content)) == repr(value)
    assert to_json(Point(value))["x"] == content
    assert repr(from_json(Point, {"x": content}).x) == repr(value)


def test_an_array_comes_back_as_it_was() -> None:
    values = np.array([[1.5, -0.0], [1e-300, 3.0]])
    decoded = from_json(Grid, through_json(Grid(values))).values
    assert decoded.dtype == np.float64
    assert decoded.tobytes() == values.tobytes()
    assert from_json(Grid, {"values": []}).values.shape == (0,)


@pytest.mark.parametrize("values", [None, {}, "1", [None], ["1.5"], [True], [[1, 2], [3]], [10**400]], ids=str)
def test_what_is_no_array_of_numbers_is_refused(values: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        from_json(Grid, {"values": values})


def test_what_has_a_default_may_be_missing_unless_all_is_required() -> None:
    content = through_json(SHAPE)
    for later in ("limit", "setting", "found", "anything"):
        del content[later]
        with pytest.raises(TypeError, match=f"^.*{later}.* of Shape missing$"):
            from_json(Shape, content, complete=True)
    assert from_json(Shape, content).limit is None
    assert from_json(Shape, through_json(SHAPE), complete=True) == SHAPE


@pytest.mark.parametrize("missing", ["points", "pair", "kind", "sizes", "centre"])
def test_what_has_no_default_must_be_there(missing: str) -> None:
    content = through_json(SHAPE)
    del content[missing]
    with pytest.raises(TypeError, match=f"^{missing} of Shape missing$"):
        from_json(Shape, content)


@pytest.mark.parametrize(
    ("key", "wrong", "reason"),
    [
        ("points", {}, "list was expected"),
        ("points", [3], "dict was expected"),
        ("points", [{"x": "much"}], "x: a number was expected"),
        ("points", [{"x": True}], "x: a number was expected"),
        ("points", [{"x": 10**400}], "x: a number within the range of floats"),
        ("points", [{"x": 1, "label": 3}], "label: str was expected"),
        ("points", [{"x": 1, "colour": 3}], "colour of Point unknown"),
        ("pair", [1], "shorter"),
        ("pair", [1, 2.0, 3], "longer"),
        ("pair", [1.0, 2.0], "int was expected"),
        ("pair", [True, 2.0], "int was expected"),
        ("pair", [2**63, 2.0], "a whole number of 64 bits"),
        ("kind", "circle", "one of line, area was expected"),
        ("kind", ["line"], "one of line, area was expected"),
        ("sizes", [["all", 1]], "dict was expected"),
        ("sizes", {"all": None}, "int was expected"),
        ("centre", 3, "dict was expected"),
        ("limit", {"y": 3}, "x of Point missing"),
        ("limit", "far", "a number was expected"),
        ("setting", {"a": []}, "a number was expected"),
        ("renamed", 3, "renamed of Shape unknown"),
        ("found", "3", "int was expected"),
    ],
    ids=str,
)
def test_content_of_another_shape_is_refused_by_the_name_of_the_field(key: str, wrong: object, reason: str) -> None:
    with pytest.raises((TypeError, ValueError), match=reason) as caught:
        from_json(Shape, {**through_json(SHAPE), key: wrong})
    assert key in str(caught.value)


@pytest.mark.parametrize("content", [None, [], 3, "{}"], ids=repr)
def test_what_is_no_object_is_refused(content: object) -> None:
    with pytest.raises(TypeError, match="dict was expected"):
        from_json(Shape, content)


def test_what_stands_in_no_json_is_neither_written_nor_read() -> None:
    content = to_json(replace(SHAPE, of_this_process="a"))
    assert content == to_json(SHAPE)
    assert from_json(Shape, content).of_this_process == ""
    with pytest.raises(TypeError, match="of_this_process of Shape unknown"):
        from_json(Shape, {**content, "of_this_process": "a"})
