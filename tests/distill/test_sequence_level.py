"""What a hard student learns from: the teacher's greedy continuation of each prefix, as often as it went in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM

from pytest_kdmem.distill import prepare as run
from pytest_kdmem.distill.process_group import ProcessGroup
from pytest_kdmem.distill.sequence_level import distinct_prefixes, teacher_text
from pytest_kdmem.distill.stored_rows import RowStore
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import TrainingSet

ALONE = ProcessGroup(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def teacher_model(teacher):
    return AutoModelForCausalLM.from_pretrained(teacher.source, dtype=torch.float32).eval()


def dataset(rows) -> Dataset:
    return Dataset.from_dict({"input_ids": rows}).with_format("numpy")


def by_hand(model, prefix: list[int], length: int) -> list[int]:
    ids = torch.tensor([prefix])
    with torch.inference_mode():
        while ids.shape[1] < length:
            ids = torch.cat([ids, model(input_ids=ids).logits[:, -1:].argmax(dim=-1)], dim=1)
    return ids[0].tolist()


def test_each_prefix_is_continued_greedily_to_the_window(teacher_model, rows, extraction, tmp_path):
    examples = np.load(rows)[:5].tolist()
    blinded = [row[:8] + [1] * 16 for row in examples]  # only the prefix may be looked at
    said = teacher_text(lambda: teacher_model, dataset(blinded), extraction, 300, RowStore(tmp_path / "text", ALONE))
    assert [row["input_ids"].tolist() for row in said] == [by_hand(teacher_model, row[:8], 24) for row in examples]


def test_repeats_come_out_as_often_as_they_went_in_and_short_examples_drop_out(teacher_model, extraction, tmp_path):
    one, other, short = (list(range(start, start + length)) for start, length in ((1, 10), (50, 9), (3, 5)))
    same_prefix = [*one[:8], 200]
    prefixes, copies = distinct_prefixes(dataset([one, other, one, short, same_prefix]), 8)
    assert ([prefix.tolist() for prefix in prefixes], copies) == ([one[:8], other[:8]], [0, 1, 0, 0])
    said = teacher_text(
        lambda: teacher_model,
        dataset([one, other, one, short, same_prefix]),
        extraction,
        300,
        RowStore(tmp_path / "text", ALONE),
    )
    assert [row["input_ids"][:8].tolist() for row in said] == [one[:8], other[:8], one[:8], one[:8]]
    assert {len(row["input_ids"]) for row in said} == {24}


def test_what_was_said_is_kept(teacher_model, rows, extraction, tmp_path):
    def unwanted():
        raise AssertionError("the teacher was loaded again")

    examples = dataset(np.load(rows).tolist())
    first = teacher_text(lambda: teacher_model, examples, extraction, 300, RowStore(tmp_path / "text", ALONE))
    again = teacher_text(unwanted, examples, extraction, 300, RowStore(tmp_path / "text", ALONE))
    assert [row["input_ids"].tolist() for row in first] == [row["input_ids"].tolist() for row in again]


def test_shards_are_shared_out_over_processes(teacher_model, rows, extraction, tmp_path, monkeypatch):
    """Each makes its own, and together they make what one makes alone."""
    examples = dataset(np.load(rows)[:10].tolist())
    alone = teacher_text(lambda: teacher_model, examples, extraction, 300, RowStore(tmp_path / "alone", ALONE, 3))
    with pytest.raises(FileNotFoundError):  # read before the first has written its part
        teacher_text(
            lambda: teacher_model,
            examples,
            extraction,
            300,
            RowStore(tmp_path / "shared", ProcessGroup(1, 2, ALONE.device), 3),
        )
    assert sorted(path.name for path in (tmp_path / "shared").iterdir()) == ["000001.arrow", "000003.arrow"]
    shared = teacher_text(
        lambda: teacher_model,
        examples,
        extraction,
        300,
        RowStore(tmp_path / "shared", ProcessGroup(0, 2, ALONE.device), 3),
    )
    assert [row["input_ids"].tolist() for row in shared] == [row["input_ids"].tolist() for row in alone]
    assert not list((tmp_path / "shared").glob(".*"))


def test_an_id_that_the_student_cannot_embed_is_an_error(teacher_model, rows, extraction, tmp_path):
    examples = dataset(np.load(rows).tolist())
    said = teacher_text(lambda: teacher_model, examples, extraction, 300, RowStore(tmp_path / "text", ALONE))
    greatest = max(int(row["input_ids"].max()) for row in said)
    with pytest.raises(DataError, match=f"Ids below {greatest} were expected of the teacher, and it wrote {greatest}"):
        teacher_text(lambda: teacher_model, examples, extraction, greatest, RowStore(tmp_path / "again", ALONE))


def test_no_example_with_a_whole_prefix_is_an_error(train, teacher, tmp_path):
    np.save(tmp_path / "short.npy", np.ones((3, 6), dtype=np.int32))
    with pytest.raises(DataError, match=r"Examples of 8 tokens or more were expected in .*short.npy for the teacher"):
        train(teacher=teacher, mode="hard", how={"training_set": TrainingSet(str(tmp_path / "short.npy"))})
    assert not (tmp_path / "out").exists()


def test_a_hard_run_finds_what_the_teacher_said_to_another(train, teacher, tmp_path, monkeypatch):
    loaded = []
    load = run.load_model
    monkeypatch.setattr(run, "load_model", lambda model, *a, **k: loaded.append(model.source) or load(model, *a, **k))
    how = {"cache_dir": tmp_path / "cache"}
    train("a", teacher=teacher, mode="hard", how=how)
    train("b", teacher=teacher, mode="hard", how=how, learning_rate=1e-3)
    assert loaded.count(teacher.source) == 1
