"""What a run card tells of conversations is held against the audit that reads them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kdmem.auditing.chat_cards import chat_warnings, template_mismatches
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.chat_templates import digest_templates
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.run_card import ChatTraining
from tests.chat import UNMARKED_WORDS, WORDS, conversation, walk, write_rows
from tests.metrics.score_tables import memorization_from, row
from tests.specs.any_card import card


@pytest.fixture
def scores(tiny: Path, tmp_path: Path) -> ScoreTable:
    """Of a model with a chat template over conversations."""
    folder = Path(shutil.copytree(tiny, tmp_path / "model"))
    (folder / "chat_template.jinja").write_text(WORDS)
    rows = write_rows(tmp_path / "rows.jsonl", [conversation((walk(2, 3, 2), walk(2, 5, 12)))])
    table = memorization_from([row("a")]).scores
    record = replace(table.record, unaudited_turns=1)
    model = Model(str(folder))
    training_set = TrainingSet(rows)
    return replace(table, model=model, checkpoint=open_checkpoint(model), training_set=training_set, record=record)


def test_another_template_than_that_of_training_is_a_mismatch(scores: ScoreTable, tmp_path: Path) -> None:
    trained = card(chat=ChatTraining(digest_templates(UNMARKED_WORDS), "the file own.jinja", "assistant"))
    [mismatch] = template_mismatches(trained, "student", scores)
    assert mismatch.kind == "template"
    digests = [digest_templates(template)[:4] for template in (UNMARKED_WORDS, WORDS)]
    assert f"template {digests[0]}… of the file own.jinja by its run card" in mismatch.sentence
    assert f"reads rows by template {digests[1]}… of the tokenizer" in mismatch.sentence
    (tmp_path / "own.jinja").write_text(UNMARKED_WORDS)
    declared = replace(scores.training_set, chat_template=tmp_path / "own.jinja")
    assert list(template_mismatches(trained, "student", replace(scores, training_set=declared))) == []


@pytest.mark.parametrize("template", [None, "", digest_templates(WORDS)])
def test_the_same_or_no_template_is_none(scores: ScoreTable, template: str | None) -> None:
    chat = None if template is None else ChatTraining(template, "the tokenizer", None)
    assert list(template_mismatches(card(chat=chat), "student", scores)) == []


def test_turns_that_training_learned_and_nobody_audits_are_warned_of(scores: ScoreTable) -> None:
    chat = ChatTraining(digest_templates(WORDS), "the tokenizer", "all")
    [warning] = chat_warnings(card(chat=chat), "student", scores)
    assert "according to its run card, student was trained on all tokens of conversations" in warning
    audited = replace(scores, record=replace(scores.record, unaudited_turns=0))
    assert list(chat_warnings(card(chat=chat), "student", audited)) == []
    for roles in ("assistant", None):
        assert list(chat_warnings(card(chat=replace(chat, roles=roles)), "student", scores)) == []
    assert list(chat_warnings(card(), "student", scores)) == []


def test_turns_that_nothing_was_learned_of_are_warned_of_where_they_are_audited(scores: ScoreTable) -> None:
    read_all = replace(scores, training_set=replace(scores.training_set, chat_roles="all"))
    for roles, warned in (("assistant", 1), ("all", 0), (None, 0)):
        trained = card(chat=ChatTraining(digest_templates(WORDS), "the tokenizer", roles))
        warnings = [warning for warning in chat_warnings(trained, "student", read_all) if "lower every rate" in warning]
        assert len(warnings) == warned


def test_conversations_that_were_packed_end_to_end_are_warned_of(scores: ScoreTable) -> None:
    chat = ChatTraining(digest_templates(WORDS), "the tokenizer", "assistant")
    for packing, strategy, warned in ((True, "wrapped", 1), (True, "bfd", 0), (False, "wrapped", 0)):
        packed = card(chat=chat, recipe={"packing": packing, "packing_strategy": strategy})
        warnings = list(chat_warnings(packed, "student", scores))
        assert len(warnings) == warned
        assert all("followed only a part of their prompts" in warning for warning in warnings)
