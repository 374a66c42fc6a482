"""Keys under which the score store holds rows: what they were computed by, and which columns they have."""

from __future__ import annotations

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.scoring.job import Job
from pytest_kdmem.scoring.pair_job import PairJob
from pytest_kdmem.scoring.run import PROTOCOL

# Names rows of all metrics in keys. Earlier versions stored theirs under other names, with fewer columns.
ALL_METRICS = "shortfalls"
EARLIER = ("windows", "all")


def row_keys(job: Job) -> tuple[str, ...]:
    """Return the store's keys for rows that serve a job, its own last: rows of all metrics serve for verdicts too."""
    usable = (ALL_METRICS, *EARLIER, "verdict") if job.metrics == "verdict" else (ALL_METRICS,)
    return tuple(
        f"{job.checkpoint.digest[:16]}-{_protocol_digest(job, columns)}-{job.numerics.digest[:8]}" for columns in usable
    )


def pair_key(task: PairJob) -> str:
    """Return the store's key for the divergence of two models."""
    models = digest_of([job.checkpoint.digest for job in task.jobs])
    numerics = digest_of([job.numerics.digest for job in task.jobs])
    return f"{models[:16]}-{_protocol_digest(task.teacher, 'kl')}-{numerics[:8]}"


def _protocol_digest(job: Job, columns: str) -> str:
    return digest_of([PROTOCOL, job.extraction.prefix_tokens, job.extraction.suffix_tokens, columns])[:8]
