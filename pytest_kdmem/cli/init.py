"""`kdmem init`: writes an audit to begin with, and the CI workflow that runs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_kdmem.base.addresses import is_address
from pytest_kdmem.base.paths import exists, is_file, is_folder, local_path
from pytest_kdmem.cli.output import say
from pytest_kdmem.specs.chat_columns import NONE
from pytest_kdmem.specs.checks import choice, require
from pytest_kdmem.specs.reading_kinds import EndOfDocument, Form

if TYPE_CHECKING:
    from pytest_kdmem.cli.starter import Starter
    from pytest_kdmem.cli.starter.own_columns import OwnColumns
    from pytest_kdmem.specs.declared import TrainingSet
    from pytest_kdmem.specs.run_card import RunCard, Setting

# Sets beside the training set, whose columns may have other names.
OTHER_SETS = ("control_set", "teacher_set")


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Models and texts of the audit; those not given get a placeholder."""

    teacher: str | None
    student: str | None
    baseline: str | None
    training_set: str | None
    control_set: str | None
    teacher_set: str | None


def init(
    sources: Sources,
    text_column: str | None,
    form: Form | None,
    eos: EndOfDocument | None,
    chat_columns: str | None,
    folder: Annotated[Path, typer.Argument(help="Folder to write the audit to.")] = Path("audits"),
    workflow: Annotated[str, typer.Option(help="CI service whose workflow is written: github, gitlab or none.")] = (
        "github"
    ),
    window_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of tokens after which training cut examples off; if not given, that of the student's"
            " run card.",
        ),
    ] = None,
) -> None:
    """Write an audit of a model and a CI workflow that runs it.

    Models and texts that you do not name become placeholders to fill in, and paths that do not exist yet are listed. If
    the training set exists, its first row shows whether it holds conversations. If the student has a run card, the
    window and the way training read its set (text column, form, EOS and the like) are taken from it, unless options set
    them. No file is overwritten: if one of the files exists, nothing is written.
    """
    from pytest_kdmem.auditing.card_readings import read_by, reading_of
    from pytest_kdmem.cli.starter import DATA_PLACEHOLDERS, WORKFLOWS, Starter, write_starter
    from pytest_kdmem.cli.starter.own_columns import own_columns
    from pytest_kdmem.specs.declared import TrainingSet

    require("--workflow", workflow, choice(*WORKFLOWS, "none"))
    given = {role: source for role, source in asdict(sources).items() if source is not None}
    card = _card_of(sources.student)
    given_settings = {"text_column": text_column, "form": form, "eos": eos, "chat_columns": chat_columns}
    by_card = reading_of(card) if card is not None else {}
    declared = read_by(
        TrainingSet(sources.training_set or DATA_PLACEHOLDERS["training_set"]),
        by_card | {name: value for name, value in given_settings.items() if value is not None},
    )
    is_chat = declared.chat_columns not in (None, NONE)
    if sources.training_set is not None:
        is_chat = _holds_conversations(declared, default=is_chat)
    lengths = _lengths_to_set(card, window_tokens)
    others = {role: own_columns(given[role], declared.reading) for role in OTHER_SETS if role in given}
    starter = Starter(
        folder,
        Path.cwd(),
        given,
        workflow,
        reading=declared.reading,
        columns={role: own.settings for role, own in others.items()},
        is_chat=is_chat,
        options=tuple(f"--kdmem-{name.replace('_', '-')}={tokens}" for name, tokens in lengths.items()),
    )
    for path in write_starter(starter):
        say(f"wrote {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    for line in (*_left_to_do(starter, others), *_taken_from_card(declared, by_card, lengths)):
        say(line)
    command = " ".join(["pytest", str(folder), *starter.options])
    say(f"next: {command}" if given else f"next: name your models in {folder / 'conftest.py'}")


def _left_to_do(starter: Starter, others: Mapping[str, OwnColumns]) -> Iterator[str]:
    """What the written audit still needs: sources that are not there yet, the column of a text, the job's inclusion."""
    from pytest_kdmem.cli.starter import WORKFLOWS

    for flag, source in _missing(starter.sources):
        yield f"! {flag} names {source}, where nothing is yet: the audit fails until it is there"
    for role, own in others.items():
        if own.columns:
            yield (
                f"! --{role.replace('_', '-')} {starter.sources[role]} has the columns {own.columns}: name the one that"
                f" holds its text in {starter.folder / 'conftest.py'} (text_column)"
            )
    if starter.workflow == "gitlab":
        yield f"include the job in .gitlab-ci.yml:  include: {{ local: {WORKFLOWS[starter.workflow]} }}"


def _taken_from_card(
    declared: TrainingSet, by_card: Mapping[str, Setting], lengths: Mapping[str, int]
) -> Iterator[str]:
    """What the written audit has of a run card, and the lengths that a configuration would give to every run."""
    from pytest_kdmem.auditing.card_readings import declared_settings

    if taken := {name: value for name, value in by_card.items() if declared.reading.get(name) == value}:
        yield f"read as the student's run card says: {', '.join(declared_settings(taken))}"
    for name, tokens in lengths.items():
        yield f"kdmem_{name} = {tokens} in the configuration of pytest makes every run audit what training saw"


def _missing(given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The flag and the source of each model and text of this machine that is not there."""
    from pytest_kdmem.corpus.presets import find_preset
    from pytest_kdmem.specs.locations import looks_like_hub_id

    for role, source in given.items():
        is_elsewhere = is_address(source) or looks_like_hub_id(source) or find_preset(source) is not None
        if not is_elsewhere and not exists(local_path(source)):
            yield f"--{role.replace('_', '-')}", source


def _card_of(student: str | None) -> RunCard | None:
    """The run card of a student on this machine; None if there is none that can be read."""
    if student is None or not is_folder(local_path(student)):
        return None
    from pytest_kdmem.errors import DataError
    from pytest_kdmem.specs.run_card import read_run_card

    try:
        return read_run_card(local_path(student))
    except DataError as error:
        say(f"warning: {error}")
        return None


def _lengths_to_set(card: RunCard | None, window_tokens: int | None) -> dict[str, int]:
    """The lengths, by name, in which training differs from the defaults, and that the configuration has not already.

    Args:
        card: The student's run card.
        window_tokens: The window if it is given, which counts before that of the card.
    """
    from pytest_kdmem.cli.pytest_configuration import configured
    from pytest_kdmem.specs.declared import Extraction

    trained = card.extraction if card is not None else {}
    lengths = {
        name: trained[name] for name, tokens in asdict(Extraction()).items() if trained.get(name, tokens) != tokens
    }
    lengths |= {"window_tokens": window_tokens} if window_tokens else {}
    return {name: tokens for name, tokens in lengths.items() if configured(f"kdmem_{name}", Path.cwd()) != str(tokens)}


def _holds_conversations(training_set: TrainingSet, *, default: bool) -> bool:
    """Whether a training set on this machine holds conversations, by its first row; ``default`` if it is not there yet.

    Raises:
        DataError: A file has no columns as declared, or several that training may have read.
    """
    from pytest_kdmem.corpus.chat_source import WITHOUT_CONVERSATIONS, first_row
    from pytest_kdmem.corpus.conversations import ChatRow
    from pytest_kdmem.corpus.sources import file_ending, read_documents

    path = local_path(training_set.source)
    if is_address(training_set.source) or not exists(path):
        return default
    if is_file(path) and file_ending(path) not in WITHOUT_CONVERSATIONS:
        return isinstance(next(read_documents(training_set, offline=True), None), ChatRow)
    # A folder may need a split, which this command does not take; the audit asks for it.
    return isinstance(first_row(training_set), ChatRow)
