"""Whether what several models memorized can be compared."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.specs.tokenizer_content import check_same_tokenizer


def check_comparable(models: Sequence[Memorization]) -> None:
    """Check that models are of one tokenizer and were scored over the same examples.

    Raises:
        SpecError: They are not.
    """
    check_same_tokenizer({f"{m.subject} ({m.scores.model.source})": m.scores.checkpoint for m in models})
    first = models[0]
    for compared in models[1:]:
        if compared.scores.record.digest != first.scores.record.digest:
            raise SpecError(
                f"The same examples were expected of {first.subject} and {compared.subject}; they were scored over"
                f" different ones ({first.scores.training_set.source}, {compared.scores.training_set.source})."
            )
