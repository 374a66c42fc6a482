"""A secret counts if a part of it stands in the suffix, and a class that is not looked for says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

from pytest_kdmem.errors import SpecError
from pytest_kdmem.secrets import patterns
from pytest_kdmem.secrets.search import SecretSearch
from pytest_kdmem.specs.secret_settings import SecretSettings

TEXT = "before it ada@example.com stands behind"
FIRST, LAST = TEXT.index("ada"), TEXT.index("ada") + len("ada@example.com")
WORDS = ["[UNK]", "Ada", "Lovelace", "lives", "at", "Mill", "Lane", "."]
LABELS = ["O", "B-private_person", "S-LOC", "I-street_address"]


def classes_in(search: SecretSearch, text: str, start: int, end: int) -> set[str]:
    """Classes of which a secret has a character from ``start`` to before ``end``."""
    return {name for name, place in search.first_places(text, start).items() if place < end}


@pytest.fixture
def ner_model(tmp_path: Path) -> Path:
    """A token classification model that knows each word's label by heart."""
    folder = tmp_path / "ner"
    width = len(WORDS)
    config = BertConfig(
        vocab_size=width,
        hidden_size=width,
        num_hidden_layers=0,
        num_attention_heads=1,
        intermediate_size=4,
        max_position_embeddings=34,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    model = BertForTokenClassification(config)
    with torch.no_grad():
        for embedding in (model.bert.embeddings.position_embeddings, model.bert.embeddings.token_type_embeddings):
            embedding.weight.zero_()
        model.bert.embeddings.word_embeddings.weight.copy_(torch.eye(width))
        model.classifier.weight.zero_()
        for word, label in (("Ada", 1), ("Lovelace", 1), ("Mill", 3), ("Lane", 3), ("at", 2)):
            model.classifier.weight[label, WORDS.index(word)] = 9
        model.classifier.bias.copy_(torch.tensor([1.0, 0, 0, 0]))
    model.save_pretrained(folder)
    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]").save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("start", "end", "is_in"),
    [
        (0, FIRST, False),
        (0, FIRST + 1, True),
        (FIRST + 4, FIRST + 5, True),
        (LAST - 1, LAST + 3, True),
        (LAST, len(TEXT), False),
    ],
)
def test_a_secret_counts_if_a_part_of_it_is_in_the_suffix(start: int, end: int, is_in: bool) -> None:
    assert ("email" in classes_in(SecretSearch(SecretSettings()), TEXT, start, end)) is is_in


def test_a_long_text_is_searched_around_the_suffix() -> None:
    far = "x " * 9000
    text = f"{far}{TEXT} {far}"
    place = text.index("@")
    assert classes_in(SecretSearch(SecretSettings()), text, place, place + 2) == {"email"}
    assert classes_in(SecretSearch(SecretSettings()), text, 0, 100) == set()


@pytest.mark.parametrize("start", [0, FIRST, FIRST + 4, LAST - 1])
def test_the_first_character_of_a_secret_from_a_place_on_is_told(start: int) -> None:
    text = f"{TEXT}, and bob@example.com"
    search = SecretSearch(SecretSettings())
    assert search.first_places(text, start) == {"email": max(start, FIRST)}
    assert search.first_places(text, LAST) == {"email": text.index("bob")}
    assert search.first_places(text, len(text)) == {}


def test_names_and_addresses_are_found_by_a_model(ner_model: Path) -> None:
    search = SecretSearch(SecretSettings(ner_model=str(ner_model)))
    assert search.not_looked_for == {}
    text = "Ada Lovelace lives at Mill Lane ."
    assert classes_in(search, text, 0, len(text)) == {"name", "address"}
    assert classes_in(search, text, text.index("lives"), text.index("Mill")) == set()
    assert classes_in(search, text, text.index("Lane"), len(text)) == {"address"}


def test_a_text_longer_than_the_model_is_searched_in_pieces(ner_model: Path) -> None:
    text = "lives " * 90 + "Ada " + "lives " * 90
    place = text.index("Ada")
    search = SecretSearch(SecretSettings(ner_model=str(ner_model)))
    assert classes_in(search, text, place, place + 3) == {"name"}


def test_the_identity_is_of_settings_libraries_and_model(ner_model: Path) -> None:
    settings = [SecretSettings(), SecretSettings("GB"), SecretSettings(ner_model=str(ner_model))]
    identities = {SecretSearch(each).identity for each in settings}
    assert len(identities) == 3
    (ner_model / "more.json").write_text("{}")
    assert SecretSearch(settings[2]).identity not in identities


def test_what_is_not_looked_for_is_named(ner_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SecretSearch(SecretSettings()).not_looked_for.keys() == {"name", "address"}
    config = json.loads((ner_model / "config.json").read_text())
    config["id2label"] = {"0": "O", "1": "PER", "2": "ORG", "3": "LOC"}
    (ner_model / "config.json").write_text(json.dumps(config))
    search = SecretSearch(SecretSettings(ner_model=str(ner_model)))
    assert search.not_looked_for == {"address": f"ner-model {ner_model} has no label of it"}
    monkeypatch.setitem(patterns.LIBRARIES, "key", ("no_such_module", "detect-secrets"))
    search = SecretSearch(SecretSettings())
    assert "pip install 'pytest-kdmem[pii]'" in search.not_looked_for["key"]
    assert classes_in(search, TEXT, 0, len(TEXT)) == {"email"}


@pytest.mark.parametrize("labels", [{"0": "O", "1": "ORG"}, None])
def test_a_model_without_such_labels_is_refused(ner_model: Path, labels: dict[str, str] | None) -> None:
    config = json.loads((ner_model / "config.json").read_text())
    config["id2label"] = labels
    (ner_model / "config.json").write_text(json.dumps(config))
    with pytest.raises(SpecError, match="labels of names or addresses"):
        _ = SecretSearch(SecretSettings(ner_model=str(ner_model))).not_looked_for


def test_a_model_that_cannot_be_loaded_is_refused(ner_model: Path) -> None:
    (ner_model / "model.safetensors").unlink()
    with pytest.raises(SpecError, match="cannot be loaded"):
        classes_in(SecretSearch(SecretSettings(ner_model=str(ner_model))), TEXT, 0, 5)
