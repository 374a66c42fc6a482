"""What rows of conversations depend on beside their source and the tokenizer: the chat template, and how it is cut."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pytest_kdmem.base.addresses import is_address
from pytest_kdmem.base.paths import exists, is_file, local_path
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.conversations import ChatRow, Completion
from pytest_kdmem.corpus.sources import file_ending, read_documents
from pytest_kdmem.corpus.token_files import ENDING
from pytest_kdmem.errors import KdmemError, SpecError
from pytest_kdmem.specs.chat_templates import digest_templates, read_template, read_templates
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from pytest_kdmem.specs.run_card import ChatTraining

WITHOUT_CONVERSATIONS = (".npy", ".txt", ENDING)


def may_hold_conversations(training_set: TrainingSet) -> bool:
    """Whether a source holds conversations, by its first row; True if only a connection could tell."""
    path = local_path(training_set.source)
    if is_address(training_set.source) or not exists(path):
        return True
    return isinstance(first_row(training_set), ChatRow)


def first_row(training_set: TrainingSet, *, offline: bool = True) -> Document | None:
    """The first document of a source that may hold conversations; None if it cannot be read, which reading reports."""
    path = local_path(training_set.source)
    if is_file(path) and file_ending(path) in WITHOUT_CONVERSATIONS:
        return None
    with suppress(KdmemError):
        return next(read_documents(training_set, offline=offline), None)
    return None


def chat_training(training_set: TrainingSet, checkpoint: Checkpoint, *, offline: bool = True) -> ChatTraining | None:
    """How a training that reads a set as declared reads its conversations; None if its first row is none.

    Args:
        training_set: The training set.
        checkpoint: The model whose tokenizer reads it.
        offline: Never open a network connection.
    """
    row = first_row(training_set, offline=offline)
    if not isinstance(row, ChatRow):
        return None
    roles = training_set.chat_roles or "assistant"
    if isinstance(row, Completion):
        return ChatTraining("", "no template", roles)
    return ChatTraining(*used_template(training_set, checkpoint), roles)


def used_template(training_set: TrainingSet, checkpoint: Checkpoint) -> tuple[str, str]:
    """Digest of the chat template that a set is read by, and where it comes from, in words.

    Raises:
        SpecError: An adapter has another template than the tokenizer of its base.
    """
    if training_set.chat_template is not None:
        return declared_template(training_set.chat_template)
    templates = digest_templates(read_templates(checkpoint.text_folder))
    own = digest_templates(read_templates(checkpoint.folder))
    if checkpoint.base is not None and own not in ("", templates):
        raise SpecError(
            f"One chat template was expected of the adapter in {checkpoint.folder}, and it has another than"
            f" {checkpoint.text_folder}, its base, whose tokenizer it uses; name the file of the one that training used"
            " by --kdmem-chat-template, or save the tokenizer beside the adapter."
        )
    return templates, "the tokenizer"


def declared_template(file: str) -> tuple[str, str]:
    """Digest of the chat template in a file, and the file in words."""
    return digest_templates(read_template(Path(file))), f"the file {Path(file).name}"


def chat_digests(
    training_set: TrainingSet, checkpoint: Checkpoint, extraction: Extraction | None = None
) -> list[object]:
    """The entries of a digest that tell apart what conversations become; empty for text and token ids.

    Args:
        training_set: The training set.
        checkpoint: The model whose tokenizer reads it.
        extraction: Lengths by which turns are cut; None if they make no difference.

    Raises:
        SpecError: Which chat template training used is not known.
    """
    if not may_hold_conversations(training_set):
        return []
    template, _ = used_template(training_set, checkpoint)
    roles = ["all"] if training_set.chat_roles == "all" else []
    lengths = ["turns counted", extraction.suffix_tokens] if extraction is not None else []
    return ["chat", template, *roles, *lengths]
