"""What stands often in a set and was not looked at: no comparison shows anything of what models recite of it.

What stands often is recited first. So a rate of what was looked at says nothing of a set in which something stands
often that is too short for prefix and suffix, or that a least length leaves out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_kdmem.base.text import count
from pytest_kdmem.corpus.copy_counts import CopyCount
from pytest_kdmem.metrics.verdict import Verdict
from pytest_kdmem.specs.declared import FEWEST_TELLING_TOKENS


@dataclass(frozen=True)
class UnseenCopies:
    """The documents of a set that no model was asked for, by the number of their copies.

    Attributes:
        set_name: Name of the set in sentences.
        short: Examples that are too short for prefix and suffix.
        shorter: Documents that the set's least length leaves out, unless training left them out as well.
        allowed: Greatest number of copies of one of them with which comparisons still hold.
        is_of_answers: Whether they are answers of conversations, which stand behind prompts of any length.
    """

    set_name: str
    short: tuple[CopyCount, ...]
    shorter: tuple[CopyCount, ...]
    allowed: int
    is_of_answers: bool = False

    def verdict(self, least: int = 1, most: float = math.inf) -> Verdict | None:
        """Return the verdict of comparisons that would hold; None if nothing stands more often than is allowed.

        Whatever is empty, such as a row without text, is recited by nobody and hides nothing.

        Args:
            least, most: Numbers of copies of the examples that are compared, as those of a tier.
        """
        short, shorter = (
            [
                each
                for each in counts
                if each.most_tokens and each.copies > self.allowed and least <= each.copies <= most
            ]
            for counts in (self.short, self.shorter)
        )
        if not short and not shorter:
            return None
        reasons = []
        if short:
            distinct = sum(each.distinct for each in short)
            reasons.append(
                f"{count(distinct)} {'example' if distinct == 1 else 'examples'} of {self.set_name} that"
                f" {'is' if distinct == 1 else 'are'} too short to be looked at {self._often(short)}"
            )
        if shorter:
            distinct = sum(each.distinct for each in shorter)
            reasons.append(
                f"{count(distinct)} {'document' if distinct == 1 else 'documents'} that minimum_tokens leaves out of"
                f" {self.set_name} {self._often(shorter)}, and no run card says that training left"
                f" {'it' if distinct == 1 else 'them'} out"
            )
        highest = max(each.copies for each in (*short, *shorter))
        accept = f"accept it by --kdmem-max-short-copies={highest}"
        declare = "Declare the set without minimum_tokens if training had them, or " if shorter else ""
        return Verdict(
            "inconclusive",
            basis=f"because {' and '.join(reasons)}",
            remedy=f"{declare}{accept if declare else accept.capitalize()}{self._look(short) if short else ''}.",
        )

    def verdict_of_group(self, copies: int) -> Verdict | None:
        """Return the same of a group, one of whose examples is too short and stands in the set ``copies`` times."""
        if copies <= self.allowed:
            return None
        return self.verdict(copies, copies)

    def _look(self, short: Sequence[CopyCount]) -> str:
        """What looks at examples in an audit of its own, as shorter lengths do not look at the rest of longer ones."""
        fewest, most = min(each.fewest_tokens for each in short), max(each.most_tokens for each in short)
        least = FEWEST_TELLING_TOKENS if self.is_of_answers else 2 * FEWEST_TELLING_TOKENS
        if most < least:
            return f", or train without them: of examples of fewer than {least} tokens no lengths show anything"
        reached = max(fewest, least)
        lengths, together = (
            ("--kdmem-answer-tokens", "")
            if self.is_of_answers
            else ("--kdmem-prefix-tokens and --kdmem-suffix-tokens", "together ")
        )
        fewer = f"; of fewer than {least} tokens no lengths show anything" if fewest < least else ""
        return (
            f", and look at them in a further audit beside this one, with {lengths} of {together}at most {reached}"
            f" ({'' if self.is_of_answers else 'each '}at least {FEWEST_TELLING_TOKENS}{fewer})"
        )

    def _often(self, counts: Sequence[CopyCount]) -> str:
        """How long they are, and how often they stand in the set."""
        distinct, highest = sum(each.distinct for each in counts), counts[-1].copies
        stands = f"({_tokens(counts)}) stand{'s' * (distinct == 1)} there"
        if distinct == 1:
            return f"{stands} {_times(highest)}"
        if len(counts) == 1:
            return f"{stands} {_times(highest)} each"
        return f"{stands} more than {_times(self.allowed)}, up to {count(highest)}"


def _tokens(counts: Iterable[CopyCount]) -> str:
    fewest, most = min(each.fewest_tokens for each in counts), max(each.most_tokens for each in counts)
    unit = "token" if most == 1 else "tokens"
    return f"{count(fewest)} {unit}" if fewest == most else f"{count(fewest)} to {count(most)} {unit}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{count(number)} times"
