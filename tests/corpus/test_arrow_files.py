"""A damaged arrow file is refused in one sentence, and ends no process."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pytest

from pytest_kdmem.corpus.arrow_files import read_arrow, read_saved_folder
from pytest_kdmem.corpus.row_reader import DeclaredColumns
from pytest_kdmem.errors import DataError

TEXTS = [f"text {number}" for number in range(9)]


def written(path: Path, text: pa.Array) -> Path:
    table = pa.table({"text": text})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=4)
    return path


def saved(folder: Path) -> Path:
    data = datasets.Dataset.from_dict({"text": TEXTS})
    datasets.DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(
        folder, num_shards={"train": 3, "test": 1}
    )
    return folder


def rewrite(path: Path, **changed: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


@pytest.mark.parametrize(
    "offsets",
    [(0, 1, 1 << 30), (0, -1, 2), (5, 2, 1), (0, 0x7FFFFFFF, 0x7FFFFFFF)],
    ids=["far beyond", "before the beginning", "backwards", "at the limit"],
)
def test_offsets_that_point_outside_are_refused_and_not_followed(tmp_path, offsets):
    """Each of them ended the process by a signal while the file was mapped and its values were taken unchecked."""
    path = written(tmp_path / "a.arrow", pa.array(["qqq", "wwww"]))
    layouts = ((0, 3, 7), offsets)
    intact, wrong = (b"".join(each.to_bytes(4, "little", signed=True) for each in layout) for layout in layouts)
    content = path.read_bytes()
    assert content.count(intact) == 1
    path.write_bytes(content.replace(intact, wrong))
    with pytest.raises(DataError) as raised:
        list(read_arrow(path, DeclaredColumns()))
    assert "a.arrow" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_cut_short_while_it_is_read_is_refused(tmp_path):
    """A mapped file that shrinks ends the process by SIGBUS."""
    path = written(tmp_path / "a.arrow", pa.array(["x" * 100_000] * 9))
    documents = read_arrow(path, DeclaredColumns())
    next(documents)
    with path.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(DataError, match=r"a\.arrow"):
        list(documents)


def test_a_saved_folder_is_read_in_the_order_of_its_files(tmp_path):
    folder = saved(tmp_path / "d")
    assert list(read_saved_folder(folder, "train", DeclaredColumns())) == TEXTS
    assert list(read_saved_folder(folder, "test", DeclaredColumns())) == TEXTS[:1]
    assert list(read_saved_folder(folder / "train", "train", DeclaredColumns())) == TEXTS


@pytest.mark.parametrize("name", ["../test/data-00000-of-00001.arrow", "/etc/passwd", "..", "", 3, None])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    folder = saved(tmp_path / "d")
    rewrite(folder / "train" / "state.json", _data_files=[{"filename": name}])
    with pytest.raises(DataError):
        list(read_saved_folder(folder, "train", DeclaredColumns()))


@pytest.mark.parametrize(
    "changed", [{"_data_files": []}, {"_data_files": {}}, {"_data_files": [3]}, {"_data_files": None}]
)
def test_a_state_that_names_no_files_is_refused(tmp_path, changed):
    folder = saved(tmp_path / "d")
    rewrite(folder / "train" / "state.json", **changed)
    with pytest.raises(DataError, match="Names of data files were expected"):
        list(read_saved_folder(folder, "train", DeclaredColumns()))


def test_rows_in_another_order_than_that_of_the_files_are_refused(tmp_path):
    folder = saved(tmp_path / "d")
    rewrite(folder / "train" / "state.json", _indices_data_files=[{"filename": "indices.arrow"}])
    with pytest.raises(DataError, match=r"in the order of their files .* save it anew"):
        list(read_saved_folder(folder, "train", DeclaredColumns()))


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 5000, '{"splits": "train"}', '{"splits": null}', "\ud800"])
def test_a_damaged_list_of_splits_is_one_sentence(tmp_path, content):
    folder = saved(tmp_path / "d")
    (folder / "dataset_dict.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(DataError) as raised:
        list(read_saved_folder(folder, "train", DeclaredColumns()))
    assert "\n" not in str(raised.value)
