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
        "One of several students, for each of which every gate is checked: folder or hub id, or NAME=SOURCE; may be"
        " repeated.",
        (),
    ),
    *(
        Option(
            f"{role}-base",
            "path",
            f"Folder or hub id of the base of a {role} that is an adapter, if it is not the one that the adapter names"
            f"{' (or, with several students, the one that each adapter names)' if role == 'student' else ''}.",
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
        "Whether an end-of-text token (EOS) follows each document in blocks: always, once (only if the document"
        " does not end in one already) or never. If not given, it is always, and documents that already end in EOS"
        " are refused.",
        None,
        choice(*get_args(EndOfDocument)),
    ),
    Option(
        "add-special-tokens",
        "truth",
        "Whether training had the special tokens that the tokenizer adds by itself, such as BOS: yes or no. It must"
        " be given if the tokenizer adds any and no run card says whether training had them.",
    ),
    Option(
        "tokenizer",
        "text",
        "The tokenizer that training used: the tokenizer.json of the model's folder by itself (file), or"
        " the tokenizer class that transformers makes of the folder (auto). It must be given if the two differ on"
        " the text.",
        None,
        choice(*get_args(Reading)),
    ),
    Option(
        "token-dtype",
        "text",
        "Type of the token ids in a flat .bin file, which does not record it: uint16 or uint32.",
        None,
        choice(*get_args(TokenDType)),
    ),
    Option(
        "eos-id",
        "count",
        "Token id that ends each document of a flat .bin file. Leave it out with form blocks, which cuts the file"
        " into windows.",
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
        " conversations, or prompt and completion are found automatically.",
        None,
        chat_columns,
    ),
    Option(
        "chat-turns",
        "count",
        "Number of assistant turns at the end of a conversation on which training computed its loss; each of them is"
        " an example. If not given, all turns of the assistant are examples.",
        None,
        whole_number(1),
    ),
    Option(
        "chat-roles",
        "text",
        "Turns of a conversation on which training computed its loss; each of them is an example: assistant (if not"
        " given), or all, which includes turns of users, systems and tools.",
        None,
        choice(*get_args(ChatRoles)),
    ),
    Option(
        "answer-tokens",
        "count",
        "Number of tokens at the start of an answer, or of another turn that is an example, that a model must"
        " reproduce. If not given, it is the number of suffix tokens.",
        None,
        whole_number(1),
    ),
    Option(
        "chat-template",
        "path",
        "File with the chat template that training used; if not given, that of the model's tokenizer.",
    ),
    Option(
        "group-column",
        "text",
        "Name of the training set's column that names the group of each row, such as its licence or customer."
        " Reports then show rates by group, too.",
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
        "Strata of a sample: it draws a minimum number of examples from each, however rare they are. Strata are the"
        " groups of the group column (group), or the tiers of the number of copies (copies).",
        None,
        choice(*get_args(Stratify)),
    ),
    Option(
        "stratum-sample",
        "count",
        "Minimum number of distinct examples to draw from each stratum (300 if not given). All examples of a smaller"
        " stratum are drawn.",
        None,
        whole_number(1),
    ),
)
