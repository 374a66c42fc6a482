"""Whether a model has the tokens that its examples are made of."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.errors import EngineError


def check_ids(examples: Sequence[Example], vocabulary: int, name: str) -> None:
    """Raise EngineError for ids that a model of so many tokens does not have."""
    for example in examples:
        least, most = int(example.ids.min()), int(example.ids.max())
        if least < 0 or most >= vocabulary:
            raise EngineError(
                f"Token ids from 0 to below {vocabulary} were expected by model {name}, and example {example.position}"
                f" holds {least if least < 0 else most}: the ids were made with another tokenizer."
            )
