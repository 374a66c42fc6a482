"""Defines the settings that say what is audited: models, training sets, and how these are cut into examples.

PYTEST_DONT_REWRITE: every run of pytest loads this module, and it has no assert.
"""

from __future__ import annotations

from typing import get_args

from pytest_kdmem.specs.chat_columns import chat_columns
from pytest_kdmem.specs.checks import choice, nonempty_text, whole_number
from pytest_kdmem.specs.option import Option
from pytest_kdmem.specs.reading_kinds import ChatRoles, EndOfDocument, Form, Reading, Stratify, TokenDType
from pytest_kdmem.specs.roles import MODEL_ROLES

INPUT_OPTIONS = (
    Option("teacher", "path", "Folder or hub id of the teacher, the model that the student is distilled from."),
    Option("student", "path", "Folder or hub id of the student, the distilled model that is to be released."),
    Option(
        "baseline",
        "path",
        "Folder or hub id of the baseline, a model of the student's size that is fine-tuned without a teacher.",
    ),
    Option(
        "students",
        "paths",
        "One of several students, each of which every gate is held for: folder or hub id, or NAME=SOURCE; may be"
        " repeated.",
        (),
    ),
    *(
        Option(
            f"{role}-base",
            "path",
            f"Folder or hub id of the base of a {role} that is an adapter, if it is another than the adapter names"
            f"{', or than each adapter among several students names' if role == 'student' else ''}.",
        )
        for role in MODEL_ROLES
    ),
    Option(
        "training-set",
        "path",
        "Text that the models are trained on: a file, a folder, an address (s3://…), a hub id or the name of a preset.",
    ),
    Option("control-set", "path", "Text that no model is trained on; it takes the same forms as the training set."),
    Option(
        "teacher-set",
        "path",
        "Text that the teacher was trained on and the student was not; it takes the same forms as the training set.",
    ),
    Option("text-column", "text", "Name of the training set's column that holds the text.", "text"),
    Option(
        "form",
        "text",
        "How training cuts text into examples: documents (the start of each document) or blocks (documents joined and"
        " then cut).",
        "documents",
        choice(*get_args(Form)),
    ),
    Option(
        "eos",
        "text",
        "Where blocks have an EOS behind each document: always, once (unless the document ends in it) or never. If not"
        " given, it is always, and documents that end in EOS are refused.",
        None,
        choice(*get_args(EndOfDocument)),
    ),
    Option(
        "add-special-tokens",
        "truth",
        "Whether training had the special tokens that the tokenizer adds by itself, such as BOS: yes or no. It must be"
        " given if the tokenizer adds any and no run card tells.",
    ),
    Option(
        "tokenizer",
        "text",
        "Whose token ids training had: those of the model folder's tokenizer.json by itself (file), or of the class"
        " that transformers makes of the folder (auto). It must be given if the two differ on the text.",
        None,
        choice(*get_args(Reading)),
    ),
    Option(
        "token-dtype",
        "text",
        "Type of the token ids in a flat .bin file, which says nothing of itself: uint16 or uint32.",
        None,
        choice(*get_args(TokenDType)),
    ),
    Option(
        "eos-id",
        "count",
        "Token id that ends each document of a flat .bin file; none is given with form blocks, which cuts the file into"
        " windows.",
        None,
        whole_number(0, bits=31),
    ),
    Option(
        "order",
        "path",
        "File with the order of a Megatron training's samples (…_shuffle_idx.npy or …-shuffle_index.npy), for a .bin"
        " file with its .idx file; the two files beside it are read, too.",
    ),
    Option(
        "chat-columns",
        "text",
        "Columns of conversations: messages=COLUMN, prompt=COLUMN,completion=COLUMN, or texts by role, such as"
        " user=instruction+input,assistant=output; none reads rows as text. If not given, the columns messages,"
        " conversations, or prompt and completion are found by themselves.",
        None,
        chat_columns,
    ),
    Option(
        "chat-turns",
        "count",
        "Number of assistant turns at the end of a conversation that training took the loss of, each of which is an"
        " example; all of them if not given.",
        None,
        whole_number(1),
    ),
    Option(
        "chat-roles",
        "text",
        "Whose turns of a conversation training took the loss of, each of which is an example: those of the assistant"
        " (if not given), or all, of users, systems and tools as well.",
        None,
        choice(*get_args(ChatRoles)),
    ),
    Option(
        "answer-tokens",
        "count",
        "Number of first tokens of an assistant's answer, or of another turn that is an example, that a model must"
        " reproduce; the suffix if not given.",
        None,
        whole_number(1),
    ),
    Option(
        "chat-template",
        "path",
        "File with the chat template that training used; that of the model's tokenizer if not given.",
    ),
    Option(
        "group-column",
        "text",
        "Name of the training set's column that names the group of each row, such as its licence or customer: rates are"
        " told by group, too.",
        None,
        nonempty_text,
    ),
    Option(
        "prefix-tokens",
        "count",
        "Number of tokens at the start of an example that a model is given.",
        50,
        whole_number(1),
    ),
    Option(
        "suffix-tokens",
        "count",
        "Number of tokens after the prefix that a model must reproduce for the example to count as memorized.",
        50,
        whole_number(1),
    ),
    Option("window-tokens", "count", "Number of tokens after which examples are cut off.", 256, whole_number(1)),
    Option(
        "sample",
        "count",
        "Number of distinct examples to draw at random; the whole training set is used if this is not given.",
        None,
        whole_number(1),
    ),
    Option("seed", "count", "Seed of the random sample.", 0, whole_number(0)),
    Option(
        "stratify",
        "text",
        "Strata of which a sample draws some examples at least, however rare they are: each group of the group column"
        " (group), or each tier of the number of copies (copies).",
        None,
        choice(*get_args(Stratify)),
    ),
    Option(
        "stratum-sample",
        "count",
        "Number of distinct examples to draw of each stratum at least, or all of a smaller one; 300 if not given.",
        None,
        whole_number(1),
    ),
)
