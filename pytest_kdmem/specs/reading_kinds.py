"""The kinds of values that say how a training set is read, and checks of them.

PYTEST_DONT_REWRITE: every run of pytest loads this module, and it has no assert.
"""

from __future__ import annotations

from typing import Literal, get_args

from pytest_kdmem.specs.chat_columns import chat_columns
from pytest_kdmem.specs.checks import choice, local_file, nonempty_text, optional, truth, whole_number

Form = Literal["documents", "blocks"]
Documents = Literal["lines", "articles"]
Reading = Literal["file", "auto"]
EndOfDocument = Literal["once", "always", "never"]
TokenDType = Literal["uint16", "uint32"]
ChatRoles = Literal["assistant", "all"]
Stratify = Literal["group", "copies"]

# What run cards tell of how training read its set, beside the chat template.
READ_BY_TRAINING = (
    "text_column",
    "split",
    "config",
    "form",
    "eos",
    "documents",
    "minimum_tokens",
    "add_special_tokens",
    "tokenizer",
    "dtype",
    "eos_id",
    "chat_columns",
    "chat_turns",
    "chat_roles",
    "group_column",
)

# By the names of the fields of a training set.
READING_CHECKS = {
    "form": choice(*get_args(Form)),
    "documents": choice(*get_args(Documents)),
    "add_special_tokens": optional(truth),
    "tokenizer": optional(choice(*get_args(Reading))),
    "eos": optional(choice(*get_args(EndOfDocument))),
    "sample": optional(whole_number(1)),
    "seed": whole_number(0, bits=64),
    "minimum_tokens": whole_number(0),
    "dtype": optional(choice(*get_args(TokenDType))),
    "eos_id": optional(whole_number(0, bits=31)),
    "order": optional(local_file),
    "chat_columns": optional(chat_columns),
    "chat_roles": optional(choice(*get_args(ChatRoles))),
    **dict.fromkeys(("chat_turns", "answer_tokens"), optional(whole_number(1))),
    "chat_template": optional(local_file),
    "group_column": optional(nonempty_text),
    "stratify": optional(choice(*get_args(Stratify))),
    "stratum_sample": optional(whole_number(1)),
}
