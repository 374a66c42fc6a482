"""The content of a tokenizer.json that decides which token ids a text becomes, whichever version wrote the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.layout import read_model_json

TOKENIZER_JSON = "tokenizer.json"
# Settings that do not change the token ids of a text: random merges are of training, and the trimmed offsets of no use.
INERT_SETTINGS = ("dropout", "trim_offsets")
# Values of settings that are left out, if they are neither false nor empty.
DEFAULTS: dict[tuple[str, str], Any] = {("ByteLevel", "use_regex"): True, ("Metaspace", "split"): True}
TOKEN_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")
Json = dict[str, Any]


def tokenizer_content(folder: Path) -> Json | None:
    """Vocabulary, merges, normalizer, pre-tokenizer and added tokens in one form; None without a tokenizer.json.

    Raises:
        SpecError: The file is damaged.
    """
    path = folder / TOKENIZER_JSON
    if not path.is_file():
        return None
    try:
        return canonical_content(read_model_json(path, "a tokenizer"))
    except (AttributeError, KeyError, TypeError) as error:
        raise SpecError(
            f"A tokenizer was expected in {path}, and its parts are of other kinds than those of one; save it anew."
        ) from error


def content_digest(folder: Path) -> str:
    """Digest of a tokenizer's content, which is that of every file of the same content; "" without a tokenizer.json.

    Raises:
        SpecError: The file is damaged.
    """
    content = tokenizer_content(folder)
    return digest_of(content) if content is not None else ""


def canonical_content(content: Json) -> Json:
    """The parts of a tokenizer.json, by name, each in the form in which equal ones are equal."""
    model = content.get("model") or {}
    added = content.get("added_tokens") or []
    vocabulary = model.get("vocab") or {}
    settings = {key: value for key, value in model.items() if key not in ("vocab", "merges")}
    return {
        "vocabulary": _vocabulary(vocabulary, added),
        "scores": vocabulary if isinstance(vocabulary, list) else [],
        "merges": [_pair(merge) for merge in model.get("merges") or []],
        "model": _step(settings),
        "normalizer": _step(content.get("normalizer")),
        "pre_tokenizer": _step(content.get("pre_tokenizer")),
        "added_tokens": {token["content"]: [bool(token.get(flag)) for flag in TOKEN_FLAGS] for token in added},
    }


def canonical_pipeline(text: str) -> Json:
    """All of a serialised tokenizer that decides which token ids a text becomes, special tokens around it included."""
    content = json.loads(text)
    return {**canonical_content(content), "post_processor": _around(content.get("post_processor"))}


def different_parts(first: Json, second: Json) -> list[str]:
    """The names of the parts in which two contents differ."""
    return [name.replace("_", " ") for name in first if first[name] != second[name]]


def _vocabulary(vocabulary: Any, added: list[Json]) -> dict[str, int]:
    """Token ids by token, whether a token stands in the model's vocabulary, among the added tokens, or in both."""
    if isinstance(vocabulary, list):  # of Unigram: pairs of piece and score
        vocabulary = {entry[0]: token_id for token_id, entry in enumerate(vocabulary)}
    return {**vocabulary, **{token["content"]: token["id"] for token in added}}


def _pair(merge: Any) -> tuple[str, ...]:
    """The two parts of a merge, which older files write as one string."""
    return tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge)


def _around(post_processor: Any) -> Any:
    """What is put around a single text; None if that is nothing."""
    kind = post_processor["type"] if post_processor else "ByteLevel"
    if kind == "Sequence":
        parts = [_around(part) for part in post_processor["processors"]]
        return [part for part in parts if part is not None] or None
    if kind != "TemplateProcessing":
        return None if kind == "ByteLevel" else post_processor  # that of the byte level moves offsets alone
    pieces = [next(iter(piece.items())) for piece in post_processor["single"]]
    if [name for name, _ in pieces] == ["Sequence"]:
        return None
    return [
        post_processor["special_tokens"][piece["id"]]["ids"] if name == "SpecialToken" else name
        for name, piece in pieces
    ]


def _step(step: Any) -> Any:
    """A normalizer or pre-tokenizer without what is left out in other files; None if it does nothing."""
    if not isinstance(step, dict):
        return step
    kind = str(step.get("type", ""))
    if kind == "Sequence":
        steps = [_step(inner) for key in ("normalizers", "pretokenizers") for inner in step.get(key) or []]
        steps = [inner for inner in steps if inner is not None]
        return (steps[0] if len(steps) == 1 else {"type": kind, "steps": steps}) if steps else None
    settings = dict(step)
    if kind == "Metaspace" and "prepend_scheme" not in settings:
        settings["prepend_scheme"] = "always" if settings.get("add_prefix_space", True) else "never"
    if kind == "Metaspace":
        settings = {key: value for key, value in settings.items() if key not in ("add_prefix_space", "str_rep")}
    return {key: _step(value) for key, value in settings.items() if not _says_nothing(kind, key, value)}


def _says_nothing(kind: str, key: str, value: Any) -> bool:
    """Whether a setting has the value that it has where it is left out, or changes no token id."""
    if (kind, key) in DEFAULTS:
        return bool(value == DEFAULTS[kind, key])
    return key in INERT_SETTINGS or value in (None, "", []) or value is False


def check_same_tokenizer(checkpoints: Mapping[str, Checkpoint]) -> None:
    """Raise SpecError unless all models have the same tokenizer, in whatever form; the keys name the models."""
    (first, expected), *remaining = checkpoints.items()
    for name, checkpoint in remaining:
        if differing := different_tokenizers(expected, checkpoint):
            raise SpecError(
                f"The same tokenizer was expected of {first} and {name}, and theirs differ ({differing}); sets of token"
                " ids compare within one tokenizer only."
            )


def different_tokenizers(first: Checkpoint, second: Checkpoint) -> str:
    """What differs in the tokenizers of two models, in words; "" if they make the same token ids of any text."""
    if first.tokenizer_digest == second.tokenizer_digest:
        return ""
    contents = [tokenizer_content(checkpoint.text_folder) for checkpoint in (first, second)]
    if contents[0] is None or contents[1] is None:
        return "files"
    return ", ".join(different_parts(contents[0], contents[1]))
