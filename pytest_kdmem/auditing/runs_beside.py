"""What an audit's tests ask of models beside their pass: what they recite nearly, and what without its prefix."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytest_kdmem.auditing.scorer import Scorer
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.near_verbatim import NearVerbatim
from pytest_kdmem.metrics.specific import Specific, check_likely
from pytest_kdmem.scoring.near_verbatim import near_verbatim
from pytest_kdmem.scoring.without_prefix import suffixes_alone
from pytest_kdmem.specs.nearness import Nearness


@dataclass(frozen=True)
class RunsBeside:
    """Runs of models that an audit has scored, each made once.

    Attributes:
        scorer: How the audit runs models, and where scores are kept.
        near: What is recited nearly, in the order in which it was asked for.
        specific: What is recited only after its own prefix, in the order in which it was asked for.
    """

    scorer: Scorer
    near: list[NearVerbatim] = field(default_factory=list)
    specific: list[Specific] = field(default_factory=list)

    def near_verbatim(self, memorization: Memorization, nearness: Nearness) -> NearVerbatim:
        """Decode what the model may recite nearly, or return what was decoded before.

        Raises:
            KdmemError: The model cannot be run, or model or training set have changed since they were scored.
        """
        for earlier in self.near:
            if earlier.memorization.scores is memorization.scores and earlier.nearness == nearness:
                return earlier
        rows = near_verbatim(
            memorization.scores, nearness, self.scorer.store, settings=self.scorer.run, progress=self.scorer.progress
        )
        self.near.append(NearVerbatim(memorization, rows, nearness))
        return self.near[-1]

    def specific_memorization(self, memorization: Memorization, *, n: int, p: float) -> Specific:
        """Score what the model recites after unrelated prefixes, or return what was scored before.

        Raises:
            SpecError: n is less than 1, or p is not between 0 and 1.
            KdmemError: The model cannot be run, or model or training set have changed since they were scored.
        """
        for earlier in self.specific:
            if earlier.memorization.scores is memorization.scores and (earlier.n, earlier.p) == (n, p):
                return earlier
        check_likely(n, p)
        rows = suffixes_alone(
            memorization.scores, self.scorer.store, settings=self.scorer.run, progress=self.scorer.progress
        )
        self.specific.append(Specific(memorization, rows, n, p))
        return self.specific[-1]
