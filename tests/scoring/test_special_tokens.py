"""What models say where nothing is declared about the special tokens that the tokenizer adds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from tests.reciting import byte_level, save_tokenizer, secrets, train_to_recite

TEXTS = secrets()
ADDS_BOS = byte_level(TEXTS, adds_bos=True)


@pytest.mark.parametrize(
    ("trained_with", "answer"),
    [(True, "model {} finds the text more likely with them, by"), (False, "losses of model {} do not tell")],
)
def test_an_undeclared_beginning_token_is_refused_with_what_the_model_says(trained_with, answer, tmp_path):
    folder = tmp_path / "student"
    folder.mkdir()
    save_tokenizer(ADDS_BOS, folder)
    encodings = ADDS_BOS.encode_batch(TEXTS, add_special_tokens=trained_with)
    train_to_recite(folder, [encoding.ids[:40] for encoding in encodings])
    path = Path(tmp_path / "train.jsonl")
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    with pytest.raises(SpecError) as caught:
        score(Model(str(folder)), TrainingSet(str(path)), Extraction(10, 20, 40), ScoreStore(tmp_path / "store"))
    sentence = str(caught.value)
    assert "was expected to be declared; declare add_special_tokens=True" in " ".join(sentence.split())
    assert answer.format(folder) in sentence
    assert sentence.endswith(".")
