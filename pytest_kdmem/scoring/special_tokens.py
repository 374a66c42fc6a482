"""Says what the losses of the models tell about special tokens of which nothing is declared."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from pytest_kdmem.corpus.special_tokens import UndeclaredSpecialTokens
from pytest_kdmem.errors import KdmemError
from pytest_kdmem.scoring.documents_guard import DocumentsGuard
from pytest_kdmem.scoring.job import Job
from pytest_kdmem.scoring.reading_check import ReadingLosses
from pytest_kdmem.specs.other_readings import READINGS

WITH_SPECIAL_TOKENS = "with-special-tokens"


def answered(error: UndeclaredSpecialTokens, guard: DocumentsGuard) -> UndeclaredSpecialTokens:
    """The error about undeclared special tokens, with what each model of the task says to it."""
    answers: list[str] = []
    with suppress(KdmemError):  # what keeps the models from answering is found again once it is declared
        asked = replace(
            guard,
            task=guard.task.mapped(_accepting_all),
            training_set=replace(guard.training_set, add_special_tokens=False),
            record_key=None,
        )
        asked.check()
        answers = [_answer(job, losses) for job, losses in zip(guard.task.jobs, asked.losses, strict=True)]
    return UndeclaredSpecialTokens("; ".join([str(error).rstrip("."), *filter(None, answers)]) + ".")


def _accepting_all(job: Job) -> Job:
    return replace(job, settings=replace(job.settings, accept_reading=",".join(READINGS)))


def _answer(job: Job, losses: ReadingLosses | None) -> str:
    comparisons = losses.comparisons if losses is not None else ()
    comparison = next((each for each in comparisons if each.reading == WITH_SPECIAL_TOKENS), None)
    if comparison is None:
        return ""
    if comparison.is_sure:
        return f"model {job.model.source} finds the text more likely with them, by {comparison.gain:.2f} nats a token"
    turned = comparison.turned("without-special-tokens")
    if turned.is_sure:
        return f"model {job.model.source} finds the text more likely without them, by {turned.gain:.2f} nats a token"
    return f"the losses of model {job.model.source} do not tell ({comparison.gain:+.3f} nats a token with them)"
