"""What the run card of a model that was trained on conversations says otherwise than the audit that reads them."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_kdmem.auditing.card_warnings import shorten_digest
from pytest_kdmem.auditing.provenance import Mismatch
from pytest_kdmem.corpus.chat_source import may_hold_conversations, used_template
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.run_card import RunCard


def template_mismatches(card: RunCard, subject: str, scores: ScoreTable) -> Iterator[Mismatch]:
    """The chat template, if training used another than the audit does.

    Args:
        card: The run card.
        subject: Name of the model in sentences.
        scores: Its scores over the set that it is compared over.
    """
    chat, training_set = card.chat, scores.training_set
    if chat is None or not chat.template or not may_hold_conversations(training_set):
        return
    digest, source = used_template(training_set, scores.checkpoint)
    if digest != chat.template:
        read = f"template {shorten_digest(digest)} of {source}" if digest else f"none, as {source} has none"
        yield Mismatch(
            "template",
            f"{subject} was trained with chat template {shorten_digest(chat.template)} of {chat.template_source} by its"
            f" run card, and this audit reads {training_set.name} by {read} (--kdmem-chat-template names the file of"
            " another)",
        )


def chat_warnings(card: RunCard, subject: str, scores: ScoreTable) -> Iterator[str]:
    """Warn of what training learned of conversations and the audit does not look at."""
    if card.chat is None:
        return
    if card.chat.roles == "all" and scores.record.unaudited_turns:
        yield (
            f"according to its run card, {subject} was trained on all tokens of conversations, and only answers of the"
            " assistant are audited: what it recites of users, systems and tools is not found (--kdmem-chat-roles=all"
            " audits it)"
        )
    if card.chat.roles == "assistant" and scores.training_set.chat_roles == "all":
        yield (
            f"according to its run card, {subject} was trained on answers of the assistant alone, and this audit reads"
            " all turns: turns from which nothing was learned lower every rate (--kdmem-chat-roles=assistant leaves"
            " them out)"
        )
    if card.recipe.get("packing") and card.recipe.get("packing_strategy") == "wrapped":
        yield (
            f"according to its run card, {subject} was trained on conversations packed end to end (wrapped): answers"
            " near the start of a block followed only a part of their prompts, and others followed further"
            " conversations"
        )
