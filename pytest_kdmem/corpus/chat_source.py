"""What rows of conversations depend on beside their source and the tokenizer: the chat template, and how it is cut."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pytest_kdmem.base.addresses import is_address
from pytest_kdmem.base.paths import exists, is_file, local_path
from pytest_kdmem.corpus.conversations import ChatRow
from pytest_kdmem.corpus.sources import file_ending, read_documents
from pytest_kdmem.corpus.token_files import ENDING
from pytest_kdmem.errors import KdmemError
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from pytest_kdmem.specs.tokenizer_files import template_digest

WITHOUT_CONVERSATIONS = (".npy", ".txt", ENDING)


def may_hold_conversations(training_set: TrainingSet) -> bool:
    """Whether a source holds conversations, by its first row; True if only a connection could tell."""
    path = local_path(training_set.source)
    if is_address(training_set.source) or not exists(path):
        return True
    if is_file(path) and file_ending(path) in WITHOUT_CONVERSATIONS:
        return False
    with suppress(KdmemError):  # reading the source reports it in full
        return isinstance(next(read_documents(training_set, offline=True), None), ChatRow)
    return False


def chat_digests(training_set: TrainingSet, text_folder: Path, extraction: Extraction | None = None) -> list[object]:
    """The entries of a digest that tell apart what conversations become; empty for text and token ids.

    Args:
        training_set: The training set; a template that it declares is of its fingerprint.
        text_folder: Folder of the model's tokenizer.
        extraction: Lengths by which answers are cut; None if they make no difference.
    """
    if not may_hold_conversations(training_set):
        return []
    template = template_digest(text_folder) if training_set.chat_template is None else ""
    roles = ["all"] if training_set.chat_roles == "all" else []
    lengths = ["turns counted", extraction.suffix_tokens] if extraction is not None else []
    return ["chat", template, *roles, *lengths]
