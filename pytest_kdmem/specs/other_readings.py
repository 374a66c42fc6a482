"""The other ways in which training may have read a set: their names, what they are, and what to declare for each.

PYTEST_DONT_REWRITE: every run of pytest loads this module, and it has no assert.
"""

from __future__ import annotations

from itertools import product

from pytest_kdmem.specs.checks import choice

_DOCUMENTS = {
    "with-special-tokens": ("with the special tokens that the tokenizer adds", "declare add_special_tokens=True"),
    "without-special-tokens": ("without the tokenizer's special tokens", "declare add_special_tokens=False"),
    "bos-first": (
        "with the beginning token in front",
        "declare add_special_tokens=True if the tokenizer adds it, or give token ids that begin with it",
    ),
    "eos-first": ("with the end token in front", "give token ids that begin with it"),
    "nothing-first": (
        "without the special token at its start",
        "declare add_special_tokens=False, or give it without that token",
    ),
    "other-space-first": ("with another space at its start", "give the text with the spaces that training had"),
    "tokenizer-json": (
        "with the token ids that tokenizer.json itself gives, and not those of its class in transformers",
        'declare tokenizer="file", or give the token ids of training',
    ),
    "tokenizer-model": (
        "with the token ids that tokenizer.model itself gives, and not those of its class in transformers",
        "give the token ids of training",
    ),
    "tokenizer-auto": (
        "with the token ids of its class in transformers, and not those that tokenizer.json itself gives",
        'declare tokenizer="auto", or give the token ids of training',
    ),
    "text-beside": (
        "with the token ids of the text beside them",
        "drop the column input_ids, so that the text is read",
    ),
    "without-padding": ("without the padding of its rows", "give rows without padding, or with their attention_mask"),
}
_BLOCKS = {
    "": "",
    "begin-with-bos-": ", each begun by the beginning token",
    "begin-with-eos-": ", each begun by the end token",
    "bos-first-": " with the beginning token in front of each document",
    "eos-first-": " with the end token in front of each document",
}
_ENDS = {"one-eos": "with one end token after each document", "no-eos": "with no end token after a document"}
_IDS_OF_BLOCKS = (
    "declare how training packed its blocks, or give the token ids of the blocks (.npy or a column input_ids)"
)

# Of documents that training may have packed.
IN_BLOCKS = {
    "in-blocks-one-eos": (
        "as they stand in blocks, with one end token after each document",
        'declare form="blocks", and the window of training',
    ),
    "in-blocks-no-eos": (
        "as they stand in blocks, with no end token after a document",
        'declare form="blocks", eos="never", and the window of training',
    ),
}

_IDS_OF_CHAT = (
    "declare chat_template, a file with the template that training used (--kdmem-chat-template), or give the token ids"
    " of training"
)
# Of answers behind other prompts than the template shows.
_CHAT = {
    "chat-bos-first": ("with the beginning token in front of each conversation", _IDS_OF_CHAT),
    "chat-eos-first": ("with the end token in front of each conversation", _IDS_OF_CHAT),
    "chat-nothing-first": ("without the special token in front of each conversation", _IDS_OF_CHAT),
    "chat-plain": ("without a chat template, behind the texts before each answer alone", _IDS_OF_CHAT),
}
_CHAT |= {
    "chat-template": (
        "as messages of a conversation, by the tokenizer's chat template",
        'declare chat_columns="user=COLUMN,assistant=COLUMN" (--kdmem-chat-columns)',
    ),
    **{
        f"chat-{name}": (f"with a chat template in the manner of {words}", _IDS_OF_CHAT)
        for name, words in (
            ("chatml", "ChatML"),
            ("llama-3", "Llama 3"),
            ("llama-2", "Llama 2"),
            ("human", "Human and Assistant"),
            ("user", "User and Assistant"),
            ("alpaca", "Alpaca"),
        )
    },
}
# Readings that must be likelier by more, as they may be likelier to any model.
UNSURE = (*IN_BLOCKS, *(name for name in _CHAT if not name.endswith("-first")))

# By name: how the set is read, and what to declare if that is how training read it.
READINGS = {
    **_DOCUMENTS,
    **_CHAT,
    **IN_BLOCKS,
    "documents": ("as documents of their own, and not in blocks", 'declare form="documents"'),
    **{
        f"blocks-{first}{end}": (f"in blocks{first_words} {end_words}", _IDS_OF_BLOCKS)
        for (first, first_words), (end, end_words) in product(_BLOCKS.items(), _ENDS.items())
    },
}

# Accepts that a model finds a training set as unlikely as noise.
NOISE = "noise"


def accepted_readings(value: object) -> str:
    """Names of readings, and of noise, separated by commas."""
    check = choice(*READINGS, NOISE)
    names = split_names(str(value)) or ("",)
    return next((expected for name in names if (expected := check(name))), "")


def split_names(text: str | None) -> tuple[str, ...]:
    """The names in a text that are separated by commas."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())
