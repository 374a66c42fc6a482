"""Takes the window of training from run cards where a command is given none, so that it scores what was learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from pytest_kdmem.cli.options import ExampleOptions
from pytest_kdmem.cli.output import say, say_warning
from pytest_kdmem.cli.parameters import is_given
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Model

if TYPE_CHECKING:
    from pytest_kdmem.specs.run_card import RunCard

Examples = TypeVar("Examples", bound=ExampleOptions)


def with_trained_window(examples: Examples, models: Sequence[Model], *, offline: bool) -> Examples:
    """The examples of a command, cut to the window of the models' run cards unless ``--window-tokens`` is given.

    A window that is given and another than that of a run card is warned of.

    Args:
        examples: How the command cuts a training set.
        models: The models that it scores; those without a run card of their weights count for nothing.
        offline: Open no network connection.

    Raises:
        SpecError: A model cannot be opened; run cards have several windows; or theirs is too short for prefix and
            suffix.
    """
    from pytest_kdmem.auditing.provenance import window_warnings

    cards = _cards(models, offline=offline)
    if is_given("window_tokens"):
        for name, card in cards.items():
            for warning in window_warnings(card, name, examples.extraction):
                say_warning(warning)
        return examples
    windows = {name: card.extraction.get("window_tokens") for name, card in cards.items()}
    by_card = {name: window for name, window in windows.items() if window is not None}
    if len(set(by_card.values())) > 1:
        by_name = ", ".join(f"{window} ({name})" for name, window in by_card.items())
        raise SpecError(
            f"One window was expected in the run cards of all models, and they were trained on {by_name} tokens; choose"
            " one by --window-tokens."
        )
    for name, window in by_card.items():
        lengths = examples.extraction
        if window < lengths.scored_tokens:
            raise SpecError(
                f"According to its run card, {name} was trained on windows of {window} tokens, and prefix and suffix"
                f" take {lengths.scored_tokens}; set shorter --prefix-tokens and --suffix-tokens, or --window-tokens."
            )
        if window != lengths.window_tokens:
            say(f"window of {window} tokens, as the run card of {name} says")
            return replace(examples, extraction=replace(lengths, window_tokens=window))
    return examples


def _cards(models: Sequence[Model], *, offline: bool) -> dict[str, RunCard]:
    """The run cards by the names of their models; of other weights than those beside them none is trusted."""
    from pytest_kdmem.auditing.provenance import read_trusted_card
    from pytest_kdmem.specs.checkpoint import open_checkpoint

    cards = {}
    for model in models:
        read_card = read_trusted_card(model.name, model, open_checkpoint(model, offline=offline), offline=offline)
        for warning in read_card.told:
            say_warning(warning)
        if read_card.card is not None:
            cards[model.name] = read_card.card
    return cards
