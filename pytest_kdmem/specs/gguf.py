"""Finds a GGUF file and reads what is said of a model in it, without its weights and without torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import listed, quoted
from pytest_kdmem.specs.layout import read_model_json

ENDING = ".gguf"
EMBEDDING = "token_embd.weight"
TOKENS = "tokenizer.ggml.tokens"


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says of its model.

    Attributes:
        architecture: Name of the architecture, as llama.cpp names it.
        parameters: Number of parameters.
        vocabulary: Number of rows of the embedding.
        positions: Longest sequence in tokens; None if it names none.
    """

    architecture: str
    parameters: int
    vocabulary: int
    positions: int | None


def find_gguf(path: Path) -> Path | None:
    """The GGUF file that a path names, or the only one in a folder without safetensors; None if there is none.

    Raises:
        SpecError: A folder holds several.
    """
    if path.is_file():
        return path if path.suffix == ENDING else None
    files = sorted(path.glob(f"*{ENDING}"))
    if not files or next(path.glob("*.safetensors*"), None) is not None:
        return None
    if len(files) > 1:
        raise SpecError(
            f"One GGUF file was expected in {path}, and there are {len(files)} ({listed([f.name for f in files])});"
            " name one of them as the model."
        )
    return files[0]


def read_gguf(file: Path) -> GgufHeader:
    """Read the header of a GGUF file, and hold its tokens against the tokenizer beside it.

    Raises:
        SpecError: The package gguf is not installed, the file is damaged or a part of several, or its tokens are others
            than those of the tokenizer.
    """
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise SpecError(
            f"The package gguf was expected to read {file}, and it cannot be imported ({type(error).__name__}): pip"
            " install gguf."
        ) from error
    try:
        reader = GGUFReader(file)
        architecture = str(_value(reader, "general.architecture"))
        shapes = {tensor.name: [int(size) for size in tensor.shape] for tensor in reader.tensors}
        positions = _value(reader, f"{architecture}.context_length")
        parts = _value(reader, "split.count")
        tokens: list[str] = _value(reader, TOKENS) or []
    except Exception as error:  # the library raises errors of many kinds
        raise SpecError(f"A model was expected in {file}, which is no GGUF file, or a damaged one.") from error
    if parts is not None and parts > 1:
        raise SpecError(
            f"A whole model was expected in {file}, which is one of {parts} parts; merge them (llama-gguf-split"
            " --merge) and audit the one file."
        )
    if EMBEDDING not in shapes:
        raise SpecError(f"A language model was expected in {file}, which has no {EMBEDDING}; audit one that has.")
    for token_id, expected, actual in _differing_tokens(tokens, file.parent / "tokenizer.json"):
        raise SpecError(
            f"The tokenizer of {file.name} was expected beside it in {file.parent}, and token {token_id} is"
            f" {quoted(expected)} there and {quoted(actual)} in the file; copy the tokenizer of the model that the file"
            " was made from."
        )
    parameters = sum(prod(shape) for shape in shapes.values())
    return GgufHeader(architecture, parameters, shapes[EMBEDDING][-1], None if positions is None else int(positions))


def _value(reader: Any, key: str) -> Any:
    """The value of a key in the header; None if it is not there."""
    field = reader.get_field(key)
    return None if field is None else field.contents()


def _differing_tokens(tokens: list[str], tokenizer: Path) -> Iterator[tuple[int, str, str]]:
    """Ids of tokens of a tokenizer.json that are others in a GGUF file, and both tokens.

    Added tokens may be written in another form.
    """
    content = read_model_json(tokenizer, "a tokenizer") if tokens and tokenizer.is_file() else {}
    model = content.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    pieces = vocabulary.items() if isinstance(vocabulary, dict) else ()
    added = {token.get("id") for token in content.get("added_tokens") or [] if isinstance(token, dict)}
    for piece, token_id in pieces:
        if token_id not in added and (token_id >= len(tokens) or tokens[token_id] != piece):
            yield token_id, piece, tokens[token_id] if token_id < len(tokens) else ""
