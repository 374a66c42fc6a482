"""Finding 7: a student of the cleaned set memorizes almost nothing, and what it memorizes is new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_kdmem.study import published as paper
from pytest_kdmem.study.findings.direction import Vote, fewer
from pytest_kdmem.study.findings.examples import Examples, examples_of, same_examples
from pytest_kdmem.study.findings.figures import Claim, Row, Share, row, share_row
from pytest_kdmem.study.record import ModelRun, Study


@dataclass(frozen=True)
class Loop:
    """Students of one seed, distilled on D and on D without what is at risk; all counts are of distinct examples.

    Attributes:
        left_out: share of the examples of D that were left out, of those long enough; ``left_out_rows`` counts rows.
        before, after: share of D that the student of D memorized, and the student of the cleaned set.
        kept: number of examples that both memorized.
        new: number of examples that only the second memorized (the onion effect).
        loss_before, loss_after: held-out loss in nats per token.
    """

    family: str
    dataset: str
    seed: int
    left_out: Share
    left_out_rows: Share
    before: Share
    after: Share
    kept: int
    new: int
    loss_before: float
    loss_after: float
    fewer: Vote

    @property
    def fall(self) -> float | None:
        """1 − after / before."""
        return 1 - self.after.k / self.before.k if self.before.k else None

    @property
    def price(self) -> float:
        """Relative change of the held-out loss."""
        return self.loss_after / self.loss_before - 1


def prefilter(study: Study) -> tuple[Loop, ...]:
    """Each student of the prefilter part beside the main part's of the same seed, where there is one."""
    runs = study.select(part="prefilter", role="soft")
    return tuple(_loop(study, run) for run in runs if study.select(**_before(run)))


def _before(run: ModelRun) -> dict[str, object]:
    return {"part": "main", "role": "soft", "family": run.family, "dataset": run.dataset, "seed": run.seed}


def _loop(study: Study, run: ModelRun) -> Loop:
    before = examples_of(study, study.one(**_before(run)))
    after = examples_of(study, run)
    same_examples(before, after)
    old, now = before.memorized, after.memorized
    rows = run.left_out["example_id"].to_numpy() if run.left_out is not None else np.empty(0, np.int64)
    left_out = np.intersect1d(np.asarray(study.documents[run.dataset])[rows], before.documents)
    return Loop(
        run.family,
        run.dataset,
        run.seed,
        left_out=Share(len(left_out), len(before)),
        left_out_rows=Share(len(rows), len(run.scores)),
        before=_memorized(before),
        after=_memorized(after),
        kept=int((old & now).sum()),
        new=int((now & ~old).sum()),
        loss_before=before.run.held_out_loss,
        loss_after=run.held_out_loss,
        fewer=fewer(now, old),
    )


def _memorized(examples: Examples) -> Share:
    return Share(int(examples.memorized.sum()), len(examples))


def rows(result: Sequence[Loop]) -> tuple[Row, ...]:
    lines: list[Row] = []
    for family, dataset in dict.fromkeys((loop.family, loop.dataset) for loop in result):
        loops = [loop for loop in result if (loop.family, loop.dataset) == (family, dataset)]
        key, name = (family, dataset), f"{family}, {dataset}"
        before, after = paper.MEMORIZED_BEFORE_CLEANING.get(key), paper.MEMORIZED_AFTER_CLEANING.get(key)
        fall = 1 - after / before if before and after is not None else None
        claim = Claim("fewer than before", [loop.fewer for loop in loops])
        lines += [
            share_row(name, "left out, of distinct examples", [loop.left_out for loop in loops]),
            share_row(name, "left out, of rows", [loop.left_out_rows for loop in loops]),
            row(name, "memorized after distilling on D", "examples", [loop.before.k for loop in loops], before),
            row(
                name, "memorized after distilling on what is left", "examples", [loop.after.k for loop in loops], after
            ),
            row(name, "fall", "percent", [loop.fall for loop in loops], fall, claim),
            row(name, "memorized before and after", "examples", [loop.kept for loop in loops]),
            row(name, "newly memorized", "examples", [loop.new for loop in loops], after),
            row(name, "held-out loss, on D", "nats", [loop.loss_before for loop in loops]),
            row(name, "held-out loss, on what is left", "nats", [loop.loss_after for loop in loops]),
            row(name, "held-out loss, change", "percent", [loop.price for loop in loops]),
        ]
    return tuple(lines)
