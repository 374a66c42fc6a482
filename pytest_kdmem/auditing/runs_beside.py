"""What tests ask of models beside their pass: what is recited nearly, by sampling, and without its own prefix."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from pytest_kdmem.auditing.scorer import Scorer
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.near_verbatim import NearVerbatim
from pytest_kdmem.metrics.sampled import Extractable
from pytest_kdmem.metrics.specific import Specific, check_likely
from pytest_kdmem.scoring.near_verbatim import near_verbatim
from pytest_kdmem.scoring.sampled import sampled_suffixes
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.scoring.without_prefix import suffixes_alone
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.generation_config import named_sampler, read_deployed_sampler
from pytest_kdmem.specs.nearness import Nearness
from pytest_kdmem.specs.sampler import DeployedSampler, Draws, Sampler


def _own_sampler(checkpoint: Checkpoint, *, must_be_read: bool) -> DeployedSampler | None:
    """The sampler of a model's own file; None if that cannot be read and need not be."""
    try:
        return read_deployed_sampler(checkpoint.folder, checkpoint.weights_folder)
    except SpecError:
        if must_be_read:
            raise
        return None


@dataclass(frozen=True)
class RunsBeside:
    """Runs of models that an audit has scored, each made once.

    Attributes:
        scorer: How the audit runs models, and where scores are kept.
        near: What is recited nearly, in the order in which it was asked for.
        sampled: What may be extracted under samplers, in the order in which it was asked for.
        specific: What is recited only after its own prefix, in the order in which it was asked for.
    """

    scorer: Scorer
    near: list[NearVerbatim] = field(default_factory=list)
    sampled: list[Extractable] = field(default_factory=list)
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

    def extractable(self, memorization: Memorization, draws: Draws, sampler: Sampler | None) -> Estimate:
        """Estimate the rate of what is extractable under a sampler, or under that of the model's own file if None.

        A test that names a sampler gets the figure of the model's own beside it in the report, from the same run.

        Raises:
            SpecError: The model's file names what no probability is computed of, or verdicts alone were scored.
            KdmemError: The model cannot be run, or model or training set have changed since they were scored.
        """
        scores = memorization.scores
        own = _own_sampler(scores.checkpoint, must_be_read=sampler is None)
        wanted = own if sampler is None else named_sampler(sampler, own)
        assert wanted is not None
        if (earlier := self._earlier(memorization, draws, wanted)) is not None:
            return earlier.rate
        # A gate that rests on another sampler than the model's own is read beside the figure of that one.
        new = [wanted]
        if own is not None and own.sampler != wanted.sampler and self._earlier(memorization, draws, own) is None:
            new.append(own)
        samplers = [deployed.sampler for deployed in new if not deployed.sampler.is_greedy]
        rows = dict(zip(samplers, self._sampled_rows(scores, samplers, draws), strict=True))
        made = [Extractable(memorization, draws, deployed, rows.get(deployed.sampler)) for deployed in new]
        rates = [extractable.rate for extractable in made]
        self.sampled.extend(made)
        return rates[0]

    def _sampled_rows(self, scores: ScoreTable, samplers: list[Sampler], draws: Draws) -> list[pa.Table]:
        if not samplers:
            return []
        scorer = self.scorer
        return sampled_suffixes(scores, samplers, draws, scorer.store, settings=scorer.run, progress=scorer.progress)

    def _earlier(self, memorization: Memorization, draws: Draws, deployed: DeployedSampler) -> Extractable | None:
        for earlier in self.sampled:
            is_same = earlier.memorization.scores is memorization.scores and earlier.draws == draws
            if is_same and earlier.deployed == deployed:
                return earlier
        return None

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
