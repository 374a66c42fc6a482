"""Which tokens of which examples an audit looked at and which it did not, in the words of every report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import DataEntry
from pytest_kdmem.base.text import count
from pytest_kdmem.report.gate_text import EXTRACTABLE, PART_KINDS
from pytest_kdmem.report.sentences import unaudited_phrase
from pytest_kdmem.report.too_short import number, too_short_phrases
from pytest_kdmem.specs.options import OPTIONS

MAX_NAMES = 5  # of groups and tiers of which nothing was looked at
ACCEPTED_COPIES = "max_short_copies"
DEFAULT_COPIES = next(option.default for option in OPTIONS if option.name == ACCEPTED_COPIES.replace("_", "-"))


def tokens_looked_at(audit: AuditResult) -> str:
    """Return which tokens of each example were compared with what a model generates, and how that was decoded.

    Empty where the report does not hold the lengths.
    """
    if (lengths := _lengths(audit)) is None:
        return ""
    prefix, suffix = lengths
    data = audit.training_set
    if data is not None and data.is_of_answers:
        shown = f"the first {count(suffix)} tokens of each answer, decoded greedily after its conversation"
    else:
        shown = f"tokens {count(prefix + 1)}–{count(prefix + suffix)} of each, decoded greedily from the first {prefix}"
    samplers = dict.fromkeys(
        gate.estimate.metric.partition(EXTRACTABLE)[2]
        for gate in audit.gates
        if gate.estimate is not None and EXTRACTABLE in gate.estimate.metric
    )
    sampled = ", ".join(sampler for sampler in samplers if sampler and not sampler.startswith("by greedy"))
    return f"{shown}; where a gate names it, sampled {sampled}" if sampled else shown


def not_reached(audit: AuditResult, *, names_parts: bool = True) -> Iterator[str]:
    """Yield what of the training set was not looked at: tokens, examples that are too short, turns, groups, tiers.

    Args:
        audit: The audit.
        names_parts: Whether groups and tiers are named, and not only counted.
    """
    if (data := audit.training_set) is not None:
        yield from _tokens_not_looked_at(audit, data)
        if not data.exhaustive:
            yield "examples that were not drawn for the sample"
        yield from _too_short(audit, data)
        if phrase := unaudited_phrase(data.unaudited_turns):
            yield phrase
    for family, (kind, kinds) in PART_KINDS.items():
        unseen = dict.fromkeys(
            figure.label
            for figure in audit.figures
            if figure.family == family and figure.estimate.metric == "memorization rate" and not figure.estimate.n
        )
        if unseen:
            names = f": {_first_names(list(unseen))}" if names_parts else ""
            yield f"any example of {number(len(unseen), kind, kinds)}{names}"


def _tokens_not_looked_at(audit: AuditResult, data: DataEntry) -> Iterator[str]:
    lengths = _lengths(audit)
    if lengths is None or data.longer == 0:
        return
    prefix, suffix = lengths
    is_known = f" ({number(data.longer, 'row is', 'rows are')} longer)" if data.longer is not None else ""
    searched = any(figure.family == "class" and figure.estimate.n for figure in audit.figures)
    but = ", except for secrets in what a model recites on" if searched else ""
    if data.is_of_answers:
        yield f"what stands behind the first {count(suffix)} tokens of an answer{is_known}{but}"
    else:
        yield f"what stands behind token {count(prefix + suffix)}{is_known}{but}"


def _too_short(audit: AuditResult, data: DataEntry) -> Iterator[str]:
    """What is too short, with the number of copies that was accepted of it if that is more than usual."""
    phrases = list(too_short_phrases(data))
    accepted = audit.settings.get(ACCEPTED_COPIES)
    if phrases and isinstance(accepted, int) and accepted > int(str(DEFAULT_COPIES)):
        phrases[-1] += f"; up to {count(accepted)} copies of each were accepted, and not {DEFAULT_COPIES} as usual"
    yield from phrases


def _lengths(audit: AuditResult) -> tuple[int, int] | None:
    """Tokens of prefix and suffix; the suffix of answers may have a length of its own."""
    prefix, suffix = audit.settings.get("prefix_tokens"), audit.settings.get("suffix_tokens")
    if audit.training_set is not None:
        suffix = audit.training_set.reading.get("answer_tokens", suffix)
    return (prefix, suffix) if isinstance(prefix, int) and isinstance(suffix, int) else None


def _first_names(names: Sequence[str]) -> str:
    rest = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {count(rest)} more" if rest > 0 else "")
