"""`kdmem confirm`: scores held against every engine that is installed, and real greedy decoding."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_kdmem.cli import options

if TYPE_CHECKING:
    from pytest_kdmem.scoring.confirmation import Confirmation
    from pytest_kdmem.scoring.table import ScoreTable

MOST_SHOWN = 20
NOT_CONFIRMED = 1


def confirm(
    model: options.ModelSource,
    training_set: options.DataSource,
    text_column: options.TextColumn = "text",
    form: options.Form = "documents",
    split: options.Split = "train",
    prefix_tokens: options.PrefixTokens = 50,
    suffix_tokens: options.SuffixTokens = 50,
    window_tokens: options.WindowTokens = 256,
    sample: options.Sample = None,
    seed: options.Seed = 0,
    engine: options.Engine = "auto",
    dtype: options.DType = "auto",
    device: options.Device = "auto",
    batch_size: options.BatchSize = None,
    tensor_parallel: options.TensorParallel = 1,
    executor: options.Executor = "local",
    workers: options.Workers = None,
    cpus_per_worker: options.CpusPerWorker = 1,
    json: Annotated[Path | None, typer.Option(help="Write what was found here as well (.json).")] = None,
    cache_dir: options.CacheDir = Path(".kdmem"),
    no_cache: options.NoCache = False,
    offline: options.Offline = False,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Score a training set, and let every installed engine check it, by its own scores and by greedy decoding.

    All ambiguous examples are checked, and a sample of the others; always in this process, whatever the executor.

    Exits with 0 if all agree outside the ambiguous band, 1 if one does not, 2 if it could not be told.
    """
    from pytest_kdmem.base.files import write_json
    from pytest_kdmem.scoring.confirm import confirm as confirm_scores
    from pytest_kdmem.scoring.score import score
    from pytest_kdmem.specs.declared import Extraction, Model

    run = options.run_settings(
        engine=engine,
        dtype=dtype,
        device=device,
        batch_size=batch_size,
        tensor_parallel=tensor_parallel,
        executor=executor,
        workers=workers,
        cpus_per_worker=cpus_per_worker,
        shard=None,
        offline=offline,
    )
    if json is not None:
        with suppress(OSError):  # told when it is written
            json.unlink()  # what stands there tells of another run
    with options.score_store(cache_dir, no_cache=no_cache) as store:
        scores = score(
            Model(model, trust_remote_code=trust_remote_code),
            options.training_set(
                training_set, text_column=text_column, form=form, split=split, sample=sample, seed=seed
            ),
            Extraction(prefix_tokens, suffix_tokens, window_tokens),
            store,
            settings=run,
            metrics="verdict",  # what gates rest on
            progress=options.progress(),
        )
        found = confirm_scores(scores, run, store, progress=options.progress())
    for line in told(scores.model.name, found):
        typer.echo(line)
    if json is not None:
        write_json(record(scores, found), json)
    if found.outside:
        raise typer.Exit(NOT_CONFIRMED)
    found.check(scores.model.name)


def told(subject: str, found: Confirmation) -> list[str]:
    """What a person reads: a row per witness, the tolerances, and the disagreements."""
    from pytest_kdmem.base.text import count, percent
    from pytest_kdmem.report.confirmation import format_tolerance

    share = percent(found.ambiguous / found.examples) if found.examples else "none"
    drawn = (
        "" if found.ambiguous == found.ambiguous_checked else f" ({count(found.ambiguous_checked)} of them ambiguous)"
    )
    width = max((len(str(witness)) for witness in found.witnesses), default=0)
    lines = [
        f"{subject}: {count(found.ambiguous)} of {count(found.examples)} distinct examples ambiguous ({share}),"
        f" {count(found.checked)} checked{drawn}",
        f"{'witness':<{width}}  checked    agree  disagree  outside the band",
    ]
    for witness in found.witnesses:
        differing = len(witness.disagreements)
        lines.append(
            f"{witness!s:<{width}}  {count(witness.checked):>7}  {count(witness.checked - differing):>7}"
            f"  {count(differing):>8}  {count(len(witness.outside)):>16}"
        )
    apart = found.greatest_difference
    seen = f" (margins differ by at most {apart:.2g})" if apart is not None else ""
    holds = "the claim holds" if found.within_claim else "the claim is too narrow"
    lines.append(
        f"tolerance in logits: claimed {format_tolerance(found.claimed_tolerance)}, implied"
        f" {format_tolerance(found.implied_tolerance)}{seen}: {holds}"
    )
    # Those that break the claim first.
    differing_from = [(witness, one) for witness in found.witnesses for one in witness.disagreements]
    differing_from.sort(key=lambda pair: pair[1].ambiguous)
    for witness, one in differing_from[:MOST_SHOWN]:
        margin = f"margin {one.margin:.2g}" if one.margin is not None else "margin unknown"
        verdict = "memorized" if one.found else "not memorized"
        band = "inside" if one.ambiguous else "outside"
        lines.append(f"example {one.example_id}, {margin}: {verdict} to {witness}, {band} the band")
    if (more := len(differing_from) - MOST_SHOWN) > 0:
        lines.append(f"and {count(more)} more disagreements")
    return lines


def record(scores: ScoreTable, found: Confirmation) -> dict[str, object]:
    """The same for machines: what was confirmed, by whom, and every disagreement."""
    from dataclasses import asdict

    content = found.to_json()
    return {
        "model": {"source": scores.model.source, "digest": scores.checkpoint.digest},
        "training_set": {"source": scores.training_set.source, "digest": scores.record.digest},
        "numerics": asdict(scores.numerics),
        "confirmed": not found.outside and bool(found.checked and found.witnesses),
        "implied_tolerance": found.implied_tolerance,
        **content,
        "witnesses": tuple(content["witnesses"]),  # a tuple is laid out on one line
    }
