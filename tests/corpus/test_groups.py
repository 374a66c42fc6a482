"""Groups of rows are those of a column in every format that has columns, and whatever is no name is refused unseen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.corpus.group_names import group_name
from pytest_kdmem.corpus.groups import MOST_GROUPS, Groups, check_one_example_a_row, read_groups
from pytest_kdmem.errors import DataError, KdmemError, SpecError
from pytest_kdmem.specs.declared import TrainingSet

ROWS = [{"text": "a", "licence": "MIT"}, {"text": "b", "licence": None}, {"text": "c", "licence": "GPL 3"},
        {"text": "d", "licence": "MIT"}]  # fmt: skip


def write(folder: Path, ending: str) -> str:
    table, path = pa.Table.from_pylist(ROWS), folder / f"train{ending}"
    match ending:
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        case ".parquet":
            pq.write_table(table, path)
        case ".arrow":
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
                file.write_table(table)
        case _:
            (folder / "below").mkdir()
            pq.write_table(table, folder / "below" / "a.parquet")
            return f"file://{folder}/below"
    return str(path)


def names(source: str, **declared: Any) -> list[str]:
    groups = read_groups(TrainingSet(source, group_column="licence", **declared))
    return [groups.names[code] for code in groups.codes]


@pytest.mark.parametrize("ending", [".jsonl", ".parquet", ".arrow", "an address"])
def test_each_row_has_the_group_of_its_column(tmp_path: Path, ending: str) -> None:
    assert names(write(tmp_path, ending)) == ["MIT", "(none)", "GPL 3", "MIT"]


def test_conversations_have_groups_as_well(tmp_path: Path) -> None:
    (tmp_path / "chat.jsonl").write_text('{"messages": [], "licence": 7}\n{"messages": []}\n{"licence": true}\n')
    assert names(str(tmp_path / "chat.jsonl"), chat_columns="messages") == ["7", "(none)", "True"]


@pytest.mark.parametrize("column", ["prompt", "completion"])
def test_a_column_of_conversations_that_nobody_declared_names_no_groups(tmp_path: Path, column: str) -> None:
    (tmp_path / "chat.jsonl").write_text('{"prompt": "who?", "completion": "my secret"}\n')
    with pytest.raises(DataError, match="which holds the text of the examples") as raised:
        read_groups(TrainingSet(str(tmp_path / "chat.jsonl"), group_column=column))
    assert "secret" not in str(raised.value)
    (tmp_path / "text.jsonl").write_text('{"text": "a", "prompt": "7"}\n')
    assert read_groups(TrainingSet(str(tmp_path / "text.jsonl"), group_column="prompt")).names == ("7",)


@pytest.mark.parametrize("ending", [".jsonl", ".parquet", ".arrow"])
def test_a_column_that_is_not_there_is_refused(tmp_path: Path, ending: str) -> None:
    with pytest.raises(DataError, match=r"'owner'.*found text, licence: .*--kdmem-group-column"):
        read_groups(TrainingSet(write(tmp_path, ending), group_column="owner"))


def test_lines_may_lack_their_group_and_a_column_may_be_empty(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n\n{"text": "b", "licence": "MIT"}\n')
    assert names(str(tmp_path / "a.jsonl")) == ["(none)", "MIT"]
    (tmp_path / "a.jsonl").write_text('{"text": "a", "licence": null}\n')
    with pytest.raises(DataError, match="no row has a value there"):
        names(str(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(
    "value",
    ["x" * 81, "word " * 9 + "end", "two\nlines", 1.5, ["MIT"], {"a": 1}, 1 << 70],
    ids=["long", "words", "lines", "fraction", "list", "mapping", "number"],
)
def test_what_is_no_name_is_refused_and_not_shown(value: Any) -> None:
    with pytest.raises(DataError, match="name of at most 80 characters") as refused:
        group_name(value, "licence", "line 3 of train.jsonl")
    assert "xxx" not in str(refused.value)
    assert "word" not in str(refused.value)


@pytest.mark.parametrize(
    "declared",
    [("a.npy", {}), ("a.txt", {}), ("a.bin", {}), ("a.jsonl", {"form": "blocks"}), ("a", {"documents": "articles"})],
    ids=str,
)
def test_what_has_no_rows_of_examples_is_refused(declared: tuple[str, dict[str, Any]]) -> None:
    source, changed = declared
    with pytest.raises(SpecError, match="Rows with columns"):
        read_groups(TrainingSet(source, group_column="licence", **changed))


@pytest.mark.parametrize(
    "declared",
    [{}, {"text_column": "body"}, {"chat_columns": "user=q,assistant=a"}],
    ids=["text", "another text column", "conversations"],
)
def test_text_is_no_name_of_a_group(declared: dict[str, Any]) -> None:
    column = declared.get("text_column", "a" if declared else "text")
    with pytest.raises(SpecError, match="holds the text of the examples"):
        read_groups(TrainingSet("train.jsonl", group_column=column, **declared))


def test_too_many_groups_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"licence": {number}}}\n' for number in range(MOST_GROUPS + 1)))
    with pytest.raises(SpecError, match="At most 10 000 groups"):
        names(str(tmp_path / "a.jsonl"))


def test_rows_that_are_not_examples_are_refused() -> None:
    groups = Groups("licence", ("MIT",), pa.array([0, 0, 0], pa.int32()).to_numpy())
    check_one_example_a_row(groups, TrainingSet("a.jsonl"), 3)
    with pytest.raises(KdmemError, match="3 rows and 2 examples"):
        check_one_example_a_row(groups, TrainingSet("a.jsonl"), 2)
