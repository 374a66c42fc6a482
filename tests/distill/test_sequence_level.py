"""The teacher's greedy continuation of each prefix, as often as the prefix occurs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM

from pytest_kdmem.distill.process_group import ProcessGroup
from pytest_kdmem.distill.sequence_level import distinct_prefixes, teacher_text
from pytest_kdmem.distill.stored_rows import RowStore
from pytest_kdmem.errors import DataError

ALONE = ProcessGroup(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def teacher_model(teacher):
    return AutoModelForCausalLM.from_pretrained(teacher.source, dtype=torch.float32).eval()


@pytest.fixture
def store(tmp_path) -> RowStore:
    return RowStore(tmp_path / "text", ALONE, rows_per_shard=3)


def dataset(rows) -> Dataset:
    return Dataset.from_dict({"input_ids": rows}).with_format("numpy")


def greedy_continuation(model, prefix: list[int], length: int) -> list[int]:
    ids = torch.tensor([prefix])
    with torch.inference_mode():
        while ids.shape[1] < length:
            ids = torch.cat([ids, model(input_ids=ids).logits[:, -1:].argmax(dim=-1)], dim=1)
    return ids[0].tolist()


def test_each_prefix_is_continued_greedily_to_the_window(teacher_model, rows, extraction, store):
    examples = np.load(rows)[:5].tolist()
    prefixes = [row[:8] for row in examples]
    text = teacher_text(
        lambda: teacher_model, dataset([prefix + [1] * 16 for prefix in prefixes]), extraction, 300, store
    )
    assert [row["input_ids"].tolist() for row in text] == [
        greedy_continuation(teacher_model, prefix, 24) for prefix in prefixes
    ]


def test_repeated_prefixes_are_continued_once_and_short_examples_left_out(teacher_model, extraction, store):
    first, second, short = (list(range(start, start + length)) for start, length in ((1, 10), (50, 9), (3, 5)))
    examples = dataset([first, second, first, short, [*first[:8], 200]])
    prefixes, indices = distinct_prefixes(examples, 8)
    assert ([prefix.tolist() for prefix in prefixes], indices) == ([first[:8], second[:8]], [0, 1, 0, 0])
    text = teacher_text(lambda: teacher_model, examples, extraction, 300, store)
    assert [row["input_ids"][:8].tolist() for row in text] == [first[:8], second[:8], first[:8], first[:8]]
    assert {len(row["input_ids"]) for row in text} == {24}
    assert len(store.rows()) == 2


def test_stored_text_is_reused_without_the_teacher(teacher_model, rows, extraction, store):
    examples = dataset(np.load(rows)[:5].tolist())
    first = teacher_text(lambda: teacher_model, examples, extraction, 300, store)
    again = teacher_text(lambda: pytest.fail("the teacher was loaded again"), examples, extraction, 300, store)
    assert [row["input_ids"].tolist() for row in first] == [row["input_ids"].tolist() for row in again]


def test_an_id_for_which_the_student_has_no_embedding_is_an_error(teacher_model, rows, extraction, store, tmp_path):
    examples = dataset(np.load(rows)[:5].tolist())
    text = teacher_text(lambda: teacher_model, examples, extraction, 300, store)
    largest = max(int(row["input_ids"].max()) for row in text)
    with pytest.raises(DataError, match=f"Ids below {largest} were expected of the teacher, and it wrote {largest}"):
        teacher_text(lambda: teacher_model, examples, extraction, largest, RowStore(tmp_path / "again", ALONE))


def test_prompts_of_any_length_are_answered_up_to_the_end_of_an_answer(teacher_model, rows, extraction, store):
    prompts = [row[:length] for row, length in zip(np.load(rows).tolist(), (3, 9, 3, 5), strict=False)]
    answers = [greedy_continuation(teacher_model, prompt, 24) for prompt in prompts]
    end = answers[1][12]
    examples = Dataset.from_dict(
        {"input_ids": [[*prompt, 1, 2] for prompt in prompts], "prompt_tokens": [len(prompt) for prompt in prompts]}
    )
    text = list(teacher_text(lambda: teacher_model, examples.with_format("numpy"), extraction, 300, store, end=end))
    assert [row["prompt_tokens"].item() for row in text] == [3, 9, 3, 5]
    for row, prompt, answer in zip(text, prompts, answers, strict=True):
        said = answer[len(prompt) :]
        length = said.index(end) + 1 if end in said else len(said)
        assert row["input_ids"].tolist() == answer[: len(prompt) + length]
    assert len(text[1]["input_ids"]) <= 13
