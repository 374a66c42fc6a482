"""Parts of a run, scored into stores of their own and gathered, are the run in one piece, to the byte."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.cli import main
from pytest_kdmem.errors import PartScored, SpecError, StoreError
from pytest_kdmem.scoring.merge_stores import merge
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import Part, RunSettings, parse_part
from tests.scoring.stored_files import digests_by_file


@pytest.fixture(scope="module")
def data(recited_rows, tmp_path_factory) -> Path:
    """90 rows of 100 ids, so 12 shards of 8."""
    path = tmp_path_factory.mktemp("data") / "rows.npy"
    np.save(path, recited_rows)
    return path


def scored(tiny, data, root, part=None):
    settings = RunSettings(examples_per_shard=8, part=part)
    return score(Model(str(tiny)), TrainingSet(str(data)), Extraction(50, 50, 100), ScoreStore(root), settings=settings)


@pytest.fixture(scope="module")
def parts(tiny, data, tmp_path_factory) -> list[Path]:
    """Four stores, one for each part."""
    folders = [tmp_path_factory.mktemp("part") for _ in range(4)]
    for number, folder in enumerate(folders, start=1):
        with pytest.raises(PartScored, match=rf"Part {number}/4 of .* is scored"):
            scored(tiny, data, folder, Part(number, 4))
    return folders


def test_four_parts_and_a_merge_are_one_run(tiny, data, parts, tmp_path, no_model_loads):
    whole = scored(tiny, data, tmp_path / "whole")
    result = merge(parts, ScoreStore(tmp_path / "merged"))
    assert digests_by_file(tmp_path / "merged") == digests_by_file(tmp_path / "whole")
    assert (result.copied, result.present, result.complete) == (12, 0, True)
    no_model_loads()
    merged = scored(tiny, data, tmp_path / "merged")
    assert merged.scored_now == 0
    assert merged.rows.equals(whole.rows)


def test_parts_share_out_the_work(parts):
    assert [len(digests_by_file(folder)) for folder in parts] == [3 + 3] * 4


def test_parts_may_share_a_store(tiny, data, tmp_path):
    for number in range(1, 5):
        with pytest.raises(PartScored):
            scored(tiny, data, tmp_path / "shared", Part(number, 4))
    scored(tiny, data, tmp_path / "whole")
    assert digests_by_file(tmp_path / "shared") == digests_by_file(tmp_path / "whole")


def test_a_part_gives_no_figures_even_where_all_are_there(tiny, data, tmp_path):
    scored(tiny, data, tmp_path)
    with pytest.raises(PartScored):
        scored(tiny, data, tmp_path, Part(1, 4))


def test_what_is_missing_is_told(parts, tmp_path, capsys):
    result = merge(parts[:3], ScoreStore(tmp_path / "a"))
    assert not result.complete
    assert [(run.scored, run.shards, run.examples) for run in result.coverage] == [(9, 12, 90)]
    with pytest.raises(SystemExit) as ended:
        main(["merge", *map(str, parts[:3]), "--cache-dir", str(tmp_path / "b")])
    assert ended.value.code == 1
    assert "9 of 12 shards, MISSING some" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["merge", str(parts[3]), "--cache-dir", str(tmp_path / "b")])
    assert ended.value.code == 0
    assert "12 of 12 shards, complete" in capsys.readouterr().out


def test_merging_again_takes_nothing(parts, tmp_path):
    merge(parts, ScoreStore(tmp_path))
    before = digests_by_file(tmp_path)
    result = merge(parts, ScoreStore(tmp_path))
    assert (result.copied, result.present, result.complete) == (0, 12, True)
    assert digests_by_file(tmp_path) == before


def test_a_damaged_shard_is_left_out_unless_another_store_has_it(tiny, data, tmp_path):
    with pytest.raises(PartScored):
        scored(tiny, data, tmp_path / "part", Part(1, 4))
    victim = next((tmp_path / "part").rglob("*.parquet"))
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1])
    result = merge([tmp_path / "part"], ScoreStore(tmp_path / "a"))
    assert (result.copied, result.damaged, result.complete) == (2, (victim,), False)
    scored(tiny, data, tmp_path / "whole")
    result = merge([tmp_path / "part", tmp_path / "whole"], ScoreStore(tmp_path / "b"))
    assert (result.damaged, result.complete) == ((), True)


def test_a_folder_that_is_no_store_is_refused(tmp_path, parts):
    with pytest.raises(StoreError, match=f"A score store was expected at {tmp_path}"):
        merge([*parts, tmp_path], ScoreStore(tmp_path / "into"))
    assert not (tmp_path / "into").exists()


def test_a_shard_under_the_name_of_another_is_left_out(parts, tmp_path):
    shutil.copytree(parts[0], tmp_path / "part")
    first, second, *_ = sorted((tmp_path / "part").rglob("*.parquet"))
    renamed = second.with_name(f"{first.name.partition('.')[0]}.{second.name.partition('.')[2]}")
    second.rename(renamed)
    first.unlink()
    result = merge([tmp_path / "part"], ScoreStore(tmp_path / "into"))
    assert (result.copied, result.damaged, result.complete) == (1, (renamed,), False)


def test_a_shard_in_the_folder_of_another_model_is_left_out(parts, tmp_path):
    shutil.copytree(parts[0], tmp_path / "part")
    [folder] = (tmp_path / "part/scores").iterdir()
    shutil.copytree(folder, folder.with_name("0" * 16 + folder.name[16:]))
    result = merge([tmp_path / "part"], ScoreStore(tmp_path / "into"))
    assert (result.copied, len(result.damaged), result.complete) == (3, 3, False)
    assert {path.parent.name for path in result.damaged} == {"0" * 16 + folder.name[16:]}


def test_a_record_of_an_earlier_version_does_not_take_the_place_of_a_new_one(parts, tmp_path):
    old, into = ScoreStore(shutil.copytree(parts[0], tmp_path / "old")), ScoreStore(tmp_path / "into")
    [(key, record)] = old.records()
    old.write_record(key, replace(record, read_as=""))
    merge([tmp_path / "old"], into)
    assert [record.read_as for _, record in into.records()] == [""]
    merge([*parts, tmp_path / "old"], into)
    assert [record.read_as for _, record in into.records()] == [key]


def test_a_good_copy_takes_the_place_of_a_damaged_one(parts, tmp_path):
    into = tmp_path / "into"
    merge(parts, ScoreStore(into))
    before = digests_by_file(into)
    victim = next(into.rglob("*.parquet"))
    victim.write_bytes(victim.read_bytes()[:-1])
    result = merge(parts, ScoreStore(into))
    assert (result.copied, result.present, result.complete) == (1, 11, True)
    assert digests_by_file(into) == before
    victim.write_bytes(victim.read_bytes()[:-1])
    shard = victim.name.partition(".")[0]
    lacking = [part for part in parts if not list(part.rglob(f"{shard}.*"))]
    assert not merge(lacking, ScoreStore(into)).complete, "what the target counted for is damaged"


def test_of_a_training_set_that_is_not_remembered_it_cannot_be_told_whether_all_is_there(parts, tmp_path, capsys):
    folders = [tmp_path / f"{at}" for at in range(4)]
    for part, folder in zip(parts, folders, strict=True):
        shutil.copytree(part, folder)
        shutil.rmtree(folder / "corpora")
    with pytest.raises(SystemExit) as ended:
        main(["merge", *map(str, folders), "--cache-dir", str(tmp_path / "a")])
    assert ended.value.code == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "12 shards; whether that is all is unknown, because the store has no record of the training set" in out
    result = merge([*folders, parts[0]], ScoreStore(tmp_path / "a"))
    assert [(run.scored, run.shards) for run in result.coverage] == [(12, 12)]
    assert result.complete


def test_a_file_that_cannot_be_read_is_one_sentence(parts, tmp_path, monkeypatch):
    def refused(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(StoreError, match=r"expected at .*parquet \(Permission denied\); mend") as raised:
        merge(parts, ScoreStore(tmp_path / "into"))
    assert "\n" not in str(raised.value)


def test_a_folder_that_cannot_be_read_is_not_passed_by(parts, tmp_path, monkeypatch):
    listed = Path.iterdir

    def refused(path):
        if path.parent.name == "scores":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(StoreError, match="Permission denied"):
        merge(parts, ScoreStore(tmp_path / "into"))


@pytest.mark.parametrize("text", ["1/" + "9" * 5000, "9" * 5000 + "/1", "1/²", "1/ 2"])
def test_a_part_of_no_plain_numbers_is_one_sentence(text):
    with pytest.raises(SpecError, match="must be of the form 3/16") as raised:
        parse_part(text)
    assert len(str(raised.value)) < 200
