"""Asks one model what exact, greedy recitation does not show. Every figure is computed as an audit computes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_kdmem.auditing.memberships import MembershipRequest, measure_membership
from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.base.progress import NO_PROGRESS, Progress
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.membership import Membership
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.near_verbatim import NearVerbatim
from pytest_kdmem.metrics.sampled import Extractable
from pytest_kdmem.metrics.specific import Specific
from pytest_kdmem.scoring.near_verbatim import near_verbatim
from pytest_kdmem.scoring.sampled import sampled_suffixes
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.without_prefix import suffixes_alone
from pytest_kdmem.secrets.examples import SecretsOfExamples
from pytest_kdmem.secrets.search import SecretSearch
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.nearness import Nearness
from pytest_kdmem.specs.sampler import DeployedSampler, Draws, Sampler
from pytest_kdmem.specs.secret_settings import SECRET_CLASSES, SecretSettings
from pytest_kdmem.study.answers import Answers, AtPrefix

# A suffix that is too short for the run is not asked about it.
NEAR = {"within 0.1 edits a token": Nearness(0.1), "20 tokens in a row": Nearness(0.0, run=20)}
DRAWS = Draws(100, 0.5)
# The model's own distribution, and truncated as it is often deployed.
SAMPLERS = (Sampler(), Sampler(top_k=40, top_p=0.95))


@dataclass(frozen=True)
class Questioner:
    """What the models of one D are asked over.

    Args:
        training_set: D.
        controls: text that no model was trained on and that was drawn as D was.
        extraction: lengths of prefix, suffix and window.
        store: where scores are read and stored.
        progress: shows how many examples are scored.
    """

    training_set: TrainingSet
    controls: TrainingSet
    extraction: Extraction
    store: ScoreStore
    progress: Progress = NO_PROGRESS

    def ask(self, model: Model, reference: Model) -> Answers:
        """Ask a model.

        Args:
            model: The model.
            reference: The model that its training started from, which calibrates the loss of attacks on membership.

        Raises:
            KdmemError: A model cannot be run, or a text not be read.
        """
        memorization = self._memorization(model, self.training_set)
        scores = memorization.scores
        memorized = memorization.flags("memorized")
        hits = memorization.window_hits
        lengths = hits.lengths
        membership, refusal = self._membership(model, reference)
        asked_near = {name: near for name, near in NEAR.items() if (near.run or 0) <= self.extraction.suffix_tokens}
        return Answers(
            examples=scores.record.digest,
            memorized=memorized,
            copies=memorization.distinct_rows.copies,
            at_prefix={
                length: AtPrefix(flags["memorized"], hits.is_measured(length))
                for length, flags in zip(lengths, hits.recited(lengths), strict=True)
            },
            longest_runs=memorization.longest_runs,
            near={name: self._near(memorization, nearness) for name, nearness in asked_near.items()},
            extractable=self._extractable(memorization),
            specific=Specific(memorization, suffixes_alone(scores, self.store)).flags.memorized,
            secrets=self._secrets(memorization),
            membership=membership,
            refusal=refusal,
        )

    def _memorization(self, model: Model, data: TrainingSet) -> Memorization:
        table = score(model, data, self.extraction, self.store, metrics="all", progress=self.progress)
        return Memorization(model.name, table)

    def _near(self, memorization: Memorization, nearness: Nearness) -> Flags:
        rows = near_verbatim(memorization.scores, nearness, self.store)
        return NearVerbatim(memorization, rows, nearness).flags.memorized

    def _extractable(self, memorization: Memorization) -> dict[str, Flags]:
        tables = sampled_suffixes(memorization.scores, SAMPLERS, DRAWS, self.store)
        return {
            str(sampler): Extractable(memorization, DRAWS, DeployedSampler(sampler, "named"), rows).flags.memorized
            for sampler, rows in zip(SAMPLERS, tables, strict=True)
        }

    def _membership(self, model: Model, reference: Model) -> tuple[Membership | None, str]:
        request = MembershipRequest(model, self.training_set, self.controls, reference=reference)
        try:
            return measure_membership(request, self._memorization, self.store, offline=True).membership, ""
        except SpecError as error:  # sets that are too small, or that are told apart without a model
            return None, str(error)

    def _secrets(self, memorization: Memorization) -> dict[str, Flags]:
        """Which distinct examples have a secret of each class in their suffix."""
        search = SecretsOfExamples(SecretSearch(SecretSettings(), offline=True), self.store)
        scores, distinct = memorization.scores, memorization.distinct_rows
        rows = scores.rows.filter(distinct.row_mask(np.ones(len(distinct), dtype=bool)))
        found, suffix_tokens = search.places(scores, rows), scores.extraction.suffix_tokens
        places = [found[digest] for digest in rows["digest"].to_pylist()]
        looked_for = [name for name in SECRET_CLASSES if name not in search.not_looked_for(scores)]
        return {
            name: np.array([by_class.get(name, suffix_tokens) < suffix_tokens for by_class in places], dtype=bool)
            for name in looked_for
        }
