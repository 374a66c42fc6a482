"""Of a set of conversations the template counts, wherever it comes from; of text and token ids it does not."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.corpus.chat_source import (
    chat_digests,
    chat_training,
    first_row,
    may_hold_conversations,
    used_template,
)
from pytest_kdmem.corpus.conversations import Completion, Conversation
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from tests.chat import write_rows

MESSAGES = {"messages": [{"role": "user", "content": "why"}, {"role": "assistant", "content": "so"}]}


@pytest.fixture
def checkpoint(tiny: Path, tmp_path: Path) -> Checkpoint:
    folder = Path(shutil.copytree(tiny, tmp_path / "model"))
    (folder / "chat_template.jinja").write_text("own")
    return open_checkpoint(Model(folder))


@pytest.fixture
def chat(tmp_path: Path) -> TrainingSet:
    return TrainingSet(write_rows(tmp_path / "chat.jsonl", [MESSAGES]))


def test_a_set_is_known_by_its_first_row(chat: TrainingSet, tmp_path: Path) -> None:
    completions = TrainingSet(write_rows(tmp_path / "completions.jsonl", [{"prompt": "why", "completion": "so"}]))
    assert isinstance(first_row(chat), Conversation)
    assert isinstance(first_row(completions), Completion)
    assert may_hold_conversations(chat)
    assert may_hold_conversations(completions)


def test_files_of_text_and_token_ids_hold_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a text\n")
    np.save(tmp_path / "a.npy", np.zeros((2, 4), np.int32))
    text = write_rows(tmp_path / "text.jsonl", [{"text": "a"}])
    for path in (tmp_path / "a.txt", tmp_path / "a.npy", text):
        assert not may_hold_conversations(TrainingSet(path))
    assert first_row(TrainingSet(tmp_path / "a.txt")) is None


@pytest.mark.parametrize("source", ["s3://bucket/chat.jsonl", "owner/name", "gone.jsonl"])
def test_what_only_a_connection_can_tell_may_hold_some(source: str) -> None:
    assert may_hold_conversations(TrainingSet(source))


def test_a_row_that_cannot_be_read_is_left_to_reading(tmp_path: Path) -> None:
    (tmp_path / "broken.jsonl").write_text("{")
    assert first_row(TrainingSet(tmp_path / "broken.jsonl")) is None


def test_the_digest_changes_with_template_roles_and_lengths(
    chat: TrainingSet, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    (tmp_path / "other.jinja").write_text("other")
    (tmp_path / "own.jinja").write_text("own")
    other = chat_digests(replace(chat, chat_template=str(tmp_path / "other.jinja")), checkpoint)
    own = chat_digests(chat, checkpoint)
    roles = chat_digests(replace(chat, chat_roles="all"), checkpoint)
    lengths = [chat_digests(chat, checkpoint, Extraction(8, suffix, 40)) for suffix in (8, 9)]
    assert len({str(entries) for entries in (other, own, roles, *lengths)}) == 5
    # The same template in a file is the same template.
    assert chat_digests(replace(chat, chat_template=str(tmp_path / "own.jinja")), checkpoint) == own
    assert chat_digests(TrainingSet(write_rows(tmp_path / "text.jsonl", [{"text": "a"}])), checkpoint) == []


def test_a_training_says_which_template_it_reads_by(chat: TrainingSet, checkpoint: Checkpoint, tmp_path: Path) -> None:
    read = chat_training(chat, checkpoint)
    assert read is not None
    assert (read.template_source, read.roles) == ("the tokenizer", "assistant")
    assert read.template == used_template(chat, checkpoint)[0] != ""
    completions = TrainingSet(write_rows(tmp_path / "completions.jsonl", [{"prompt": "why", "completion": "so"}]))
    plain = chat_training(replace(completions, chat_roles="all"), checkpoint)
    assert plain is not None
    assert (plain.template, plain.template_source, plain.roles) == ("", "no template", "all")
    assert chat_training(TrainingSet(write_rows(tmp_path / "text.jsonl", [{"text": "a"}])), checkpoint) is None


def test_an_adapter_with_another_template_than_its_base_is_refused(
    chat: TrainingSet, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    adapter = replace(checkpoint, folder=folder, base=checkpoint)
    used_template(chat, adapter)  # which has none of its own
    (folder / "chat_template.jinja").write_text("own")
    assert used_template(chat, adapter) == used_template(chat, checkpoint)
    (folder / "chat_template.jinja").write_text("other")
    with pytest.raises(SpecError, match=r"One chat template was expected of the adapter in .*--kdmem-chat-template"):
        used_template(chat, adapter)
    (tmp_path / "own.jinja").write_text("own")
    declared = replace(chat, chat_template=str(tmp_path / "own.jinja"))
    assert used_template(declared, adapter)[0] == used_template(chat, checkpoint)[0]
