"""When another reading is clearly likelier to a model, and when a text is noise to it."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from pytest_kdmem.scoring.reading_check import (
    Comparison,
    ReadingLosses,
    likelier_error,
    likelier_warning,
    mixed_warning,
    noise_warning,
)
from pytest_kdmem.specs.other_readings import READINGS

VOCABULARY = 1000


def compared(gains, *, loss: float = 1.0, reading: str = "bos-first", greatest=(9.0, 9.0)) -> Comparison:
    gains = np.asarray(gains, dtype=float)
    first, second = (tuple(np.broadcast_to(values, len(gains)).tolist()) for values in greatest)
    return Comparison(reading, tuple(loss + gains), (loss,) * len(gains), first, second)


def losses(*comparisons: Comparison, as_read=(1.0,) * 8, shuffled=(9.0,) * 4, own_text=(1.0,) * 8) -> ReadingLosses:
    return ReadingLosses(VOCABULARY, tuple(as_read), tuple(shuffled), comparisons, tuple(own_text))


@pytest.mark.parametrize(
    ("gains", "sure"),
    [
        ([0.2] * 8, True),
        ([0.2, 0.1, 0.3, 0.2, 0.25, 0.15, 0.2, -0.05], True),
        ([0, 0, 0, 0, 3, 3, 3, 3], True),  # half of the blocks are the same in both readings
        ([0.04] * 8, False),  # small
        ([2, -2, 2, -2, 2, -2, 2, -1], False),  # chance
        ([3, 0, 0, 0, 0, 0, 0, 0], False),  # one document
        ([-0.2] * 8, False),
        ([0.3, 0.3], False),  # few
        ([0.6, 0.6], True),
        ([5.0], True),
        ([2, 2, -0.5], False),
        ([0.4] * 3, False),
        ([0.6] * 3, True),
        ([0.06] * 4, True),  # as many as can show it
        ([1, 1, 1, 1, -0.19], True),  # a twentieth of what the others gain is lost
        ([1, 1, 1, 1, -0.3], False),
        ([3, 3, 3, 0, 0, 0, 0, 0], False),  # three documents
        ([0.3] * 6 + [-0.1] * 2, False),  # three standard errors
    ],
)
def test_a_gain_is_sure_if_it_is_large_and_regular(gains, sure):
    assert (losses(compared(gains)).likelier() is not None) == sure


@pytest.mark.parametrize(
    ("as_read", "otherwise", "sure"),
    [
        ([3] * 4 + [0.1] * 2, [0.1] * 6, True),
        ([3] * 3 + [0.1] * 3, [0.1] * 6, False),  # three documents
        ([3] * 5 + [0.1], [0.1] * 5 + [3], False),  # one is recited as read alone
        ([0.7] * 6, [0.69] * 6, True),  # as likely as all other tokens together
        ([3] * 6, [0.7] * 6, False),
    ],
)
def test_a_gain_is_sure_if_documents_are_recited_in_the_other_reading_alone(as_read, otherwise, sure):
    """Blocks whose documents are known alone but for a few tokens gain little on average."""
    comparison = compared([0.3] * 6, loss=0, reading="in-blocks-no-eos", greatest=(as_read, otherwise))
    assert (losses(comparison).likelier() is not None) == sure
    assert losses(compared([0.04] * 6, loss=0, greatest=(as_read, otherwise))).likelier() is None


def test_chance_is_rarely_called_sure():
    """Of documents whose losses differ by chance, without any reading being likelier."""
    random = np.random.default_rng(0)
    drawn = [losses(compared(random.normal(0, 0.2, 8))).likelier() is not None for _ in range(2000)]
    assert sum(drawn) / len(drawn) <= 0.015


def test_a_reading_that_the_model_does_not_know_either_is_not_likelier():
    uniform = math.log(VOCABULARY)
    assert losses(compared([2] * 8, loss=0.81 * uniform)).likelier() is None
    assert losses(compared([2] * 8, loss=0.79 * uniform)).likelier() is not None


def test_even_of_a_single_token_a_guess_costs_something():
    assert ReadingLosses(1, (1.0,), (1.0,), (), (1.0,)).uniform == math.log(2)


def test_the_reading_that_is_likelier_by_the_most_is_named_unless_it_is_accepted():
    both = losses(compared([0.2] * 8), compared([0.5] * 8, reading="documents"))
    assert both.likelier().reading == "documents"
    assert both.likelier(["documents"]).reading == "bos-first"
    assert both.likelier(["documents", "bos-first"]) is None


@pytest.mark.parametrize(
    ("as_read", "shuffled", "is_noise"),
    [
        ([1] * 8, [9] * 4, False),
        ([6.9] * 8, [6.9] * 4, True),  # as a uniform guess
        ([12] * 8, [14] * 4, True),  # sure and wrong, however much its order matters
        ([6.0] * 8, [6.05] * 4, True),  # order does not matter
        ([6.0] * 8, [6.9] * 4, False),
        ([9] * 7 + [1], [9] * 4, False),  # one document is known
        ([0.5] * 8, [0.5] * 4, False),  # one token, repeated
        ([6.6] * 8, [7.2] * 4, True),
        ([6.5] * 8, [7.2] * 4, False),
        ([6.9] * 7 + [5.6], [7.2] * 4, True),
        ([6.9] * 7 + [5.4], [7.2] * 4, False),
        ([6.0] * 8, [6.15] * 4, False),
        ([6.0] * 4 + [6.4] * 4, [6.15] * 4, False),  # order matters in the documents that were shuffled
    ],
)
def test_a_text_is_noise_if_no_document_is_known_and_order_or_tokens_mean_nothing(as_read, shuffled, is_noise):
    assert losses(as_read=as_read, shuffled=shuffled).is_noise == is_noise


@pytest.mark.parametrize(
    ("as_read", "own_text", "foreign"),
    [
        ([1] * 6 + [9] * 2, [1] * 6 + [0.3] * 2, 2),
        ([1] * 6 + [9] * 2, [1] * 6 + [0.3, 0.9], 1),
        ([1] * 6 + [9] * 2, [1] * 8, 0),  # of this tokenizer, and not known
        ([1] * 6 + [4] * 2, [1] * 6 + [0.3] * 2, 0),  # known, whatever they are
        ([1] * 6 + [6] * 2, [1] * 6 + [0.3] * 2, 2),
        ([1] * 6 + [9] * 2, [0.9] * 6 + [0.3] * 2, 0),  # the tokenizer does not give back what it made
        ([1] * 6 + [9] * 2, [1, 1, 1, 1, 1, 0.6, 0.8, 0.8], 2),
        ([9] * 8, [1] * 6 + [0.3] * 2, 0),  # nothing is known to compare with
        ([1] * 6 + [9] * 2, [], 0),  # texts
    ],
)
def test_documents_are_of_another_tokenizer_if_neither_model_nor_tokenizer_knows_them(as_read, own_text, foreign):
    assert losses(as_read=as_read, own_text=own_text).foreign == foreign


def test_a_comparison_is_turned_by_what_was_read_and_what_was_not():
    as_declared = Comparison("bos-first", (1.0, 2.0), (3.0, 4.0), (5.0, 6.0), (7.0, 8.0))
    turned = as_declared.turned("no-bos")
    assert turned == Comparison("no-bos", (3.0, 4.0), (1.0, 2.0), (7.0, 8.0), (5.0, 6.0))
    assert turned.gain == -as_declared.gain


def test_losses_survive_json():
    written = losses(compared([0.2] * 8))
    assert ReadingLosses.from_json(json.loads(json.dumps(written.to_json()))) == written


@pytest.mark.parametrize("content", [None, {}, {"vocabulary": "many"}, []])
def test_other_content_is_refused(content):
    with pytest.raises((TypeError, ValueError)):
        ReadingLosses.from_json(content)


@pytest.mark.parametrize("reading", READINGS)
def test_every_reading_is_said_in_one_sentence_that_names_the_way_out(reading):
    sentence = likelier_error(compared([0.5] * 8, reading=reading), "runs/student", "train.jsonl")
    assert f"--kdmem-accept-reading {reading}." in sentence
    assert "by 0.50 nats a token (a loss of 1.00 instead of 1.50 over 8 pieces)" in sentence
    assert "\n" not in sentence


def test_one_document_is_one_piece():
    sentence = likelier_error(compared([2.0]), "runs/student", "train.jsonl")
    assert "(a loss of 1.00 instead of 3.00 over 1 piece)" in sentence
    assert sentence.startswith("Training set train.jsonl was expected to be read as training read it, and model ")
    assert " model runs/student finds it more likely " in sentence


def test_a_reading_that_was_accepted_is_said_with_its_gain():
    warning = likelier_warning(compared([0.5, 0.7] * 4))
    assert warning == f"the text is more likely {READINGS['bos-first'][0]}, by 0.60 nats a token, which was accepted"


@pytest.mark.parametrize(
    ("as_read", "is_unlikely", "unlikely"),
    [
        ([6.9] * 8, True, 8),
        ([6.6] * 8, True, 8),
        ([6.5] * 8, False, 0),
        ([9] * 6 + [1, 6.55], True, 6),
        ([1, 9], False, 1),
    ],
)
def test_documents_as_unlikely_as_a_guess_are_counted(as_read, is_unlikely, unlikely):
    of_documents = losses(as_read=as_read)
    assert (of_documents.is_unlikely, of_documents.unlikely) == (is_unlikely, unlikely)
    assert mixed_warning(of_documents).startswith(f"{unlikely} of {len(as_read)} documents are as unlikely as noise")


def test_noise_is_said_in_one_sentence():
    assert "loss 12.00 nats a token, where a uniform guess has 6.91" in noise_warning(losses(as_read=[12] * 8))
