"""Which documents of an audit's set no model was asked for, with how often they stand in it if training had them."""

from __future__ import annotations

from pytest_kdmem.base.text import count, last_part
from pytest_kdmem.corpus.chat_source import first_row
from pytest_kdmem.corpus.conversations import ChatRow
from pytest_kdmem.corpus.presets import resolve
from pytest_kdmem.corpus.special_tokens import possible_fingerprints
from pytest_kdmem.metrics.unseen import UnseenCopies
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.run_card import RunCard


def unseen_copies(scores: ScoreTable, card: RunCard | None, allowed: int) -> UnseenCopies:
    """Return what of a set a model was not asked for.

    Args:
        scores: Score table of the model over the set.
        card: Run card of the model; None if it has none that is trusted.
        allowed: Greatest number of copies of one of these documents with which gates still pass.
    """
    training_set = scores.training_set
    shorter = () if was_left_out_by_training(card, training_set) else scores.record.shorter
    short = scores.record.short
    is_of_answers = bool(short) and short[-1].copies > allowed and isinstance(first_row(training_set), ChatRow)
    return UnseenCopies(last_part(training_set.source), short, shorter, allowed, is_of_answers)


def left_out_warning(unseen: UnseenCopies) -> list[str]:
    """Warn of documents that a least length leaves out, that stand several times, and that training may have had."""
    if not unseen.shorter or (most := unseen.shorter[-1].copies) < 2:
        return []
    distinct = sum(each.distinct for each in unseen.shorter)
    number = "1 distinct document" if distinct == 1 else f"{count(distinct)} distinct documents"
    return [
        f"minimum_tokens leaves {number} out of {unseen.set_name} (one stands there {count(most)} times), and no run"
        " card says that training left them out: what stands often is recited first"
    ]


def was_left_out_by_training(card: RunCard | None, training_set: TrainingSet) -> bool:
    """Whether a card says that training left out all documents that a set leaves out as too short."""
    if card is None:
        return False
    fingerprint, reading = card.training_set.fingerprint, card.training_set.reading or {}
    if fingerprint is not None and fingerprint in possible_fingerprints(training_set):
        return True
    minimum = reading.get("minimum_tokens", 0)
    return isinstance(minimum, int) and minimum >= resolve(training_set)[1].minimum_tokens
