"""`kdmem canaries`: makes canaries, puts them into a training set, and measures what a model shows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_kdmem.base.text import last_part
from pytest_kdmem.cli.first_checks import check_inputs, check_order
from pytest_kdmem.cli.options import Base, EngineOptions, ExampleOptions, LoadingOptions, StoreOptions, check_outputs
from pytest_kdmem.cli.output import say, say_warning, shown_progress
from pytest_kdmem.cli.parameters import Spelling
from pytest_kdmem.cli.trained_window import with_trained_window
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import quoted

if TYPE_CHECKING:
    from pytest_kdmem.canaries.measured import MeasuredCanaries
    from pytest_kdmem.metrics.estimate import Estimate

ManifestPath = Annotated[Path, typer.Option(help="File of the canaries, as `kdmem canaries make` wrote it.")]


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """How many canaries are made, and of which lengths."""

    prefix_tokens: int
    suffix_tokens: int
    copies: Annotated[str, typer.Option(help="Numbers of copies, separated by commas.")] = "1,4,16"
    count: Annotated[int, typer.Option(help="Number of canaries for each number of copies.")] = 16
    twins: Annotated[int, typer.Option(help="Number of twins, which are left out of the training set.")] = 512
    seed: int

    @property
    def numbers_of_copies(self) -> tuple[int, ...]:
        try:
            return tuple(int(number) for number in self.copies.split(","))
        except ValueError:
            raise SpecError(f"--copies must be whole numbers with commas; found {quoted(self.copies)}.") from None


def make(
    model: Annotated[str, typer.Argument(help="Folder or hub id of a model with the tokenizer that training uses.")],
    out: Annotated[Path, typer.Option(help="File to write the canaries to (.json); only its owner can read it.")],
    plan: PlanOptions,
    loading: LoadingOptions,
) -> None:
    """Draw canaries, random strings of the tokenizer's own tokens, and their twins, and register them in a file."""
    if out.exists():
        raise SpecError(
            f"A new file was expected as --out, because canaries are registered only once; {out} exists already."
        )
    with shown_progress(f"opening the tokenizer of {last_part(model)}") as progress:
        from pytest_kdmem.canaries.make import make_canaries
        from pytest_kdmem.canaries.manifest import write_manifest
        from pytest_kdmem.canaries.plan import CanaryPlan
        from pytest_kdmem.corpus.tokenizer import load_decoder
        from pytest_kdmem.specs.checkpoint import open_checkpoint

        lengths = plan.prefix_tokens, plan.suffix_tokens
        canary_plan = CanaryPlan(*lengths, plan.numbers_of_copies, plan.count, plan.twins, plan.seed)
        checkpoint = open_checkpoint(loading.model(model), offline=loading.offline)
        tokenizer = load_decoder(checkpoint.text_folder, trust_remote_code=loading.trust_remote_code)
        if tokenizer is None:
            raise SpecError(f"A tokenizer was expected beside {model}, and there is none.")
        progress.status("drawing canaries")
        manifest = make_canaries(tokenizer, checkpoint.tokenizer_digest, canary_plan)
        write_manifest(manifest, out)
    say(
        f"{len(manifest.planted)} canaries and {len(manifest.twins)} twins, of {manifest.alphabet} tokens, in {out};"
        " keep it secret until the audit"
    )
    say(f"digest to publish before training: {manifest.digest}")


def inject(
    training_set: Annotated[str, Spelling(positional=True)],
    model: Annotated[str, typer.Option(help="Folder or hub id of a model with the tokenizer that training uses.")],
    manifest: ManifestPath,
    out: Annotated[Path, typer.Option(help="File to write, in the format of the training set.")],
    examples: ExampleOptions,
    loading: LoadingOptions,
) -> None:
    """Write a copy of a training set with its canaries, and check that training will read each of them whole."""
    check_outputs({"--out": out}, {"the training set": training_set, "the manifest": str(manifest)})
    with shown_progress(f"opening the tokenizer of {last_part(model)}") as progress:
        from pytest_kdmem.canaries.audit import check_tokenizer
        from pytest_kdmem.canaries.inject import inject as inject_canaries
        from pytest_kdmem.canaries.manifest import MANIFEST
        from pytest_kdmem.corpus.tokenizer import open_tokenizer
        from pytest_kdmem.specs.checkpoint import open_checkpoint

        canaries, injected_set = MANIFEST.read(manifest), examples.training_set(training_set)
        opened = loading.model(model)
        check_inputs([opened], [injected_set], offline=loading.offline)
        checkpoint = open_checkpoint(opened, offline=loading.offline)
        check_tokenizer(canaries, checkpoint, model)
        tokenizer = open_tokenizer(opened, checkpoint, injected_set)
        progress.status("copying the training set and reading the copy")
        rows = inject_canaries(canaries, injected_set, out, tokenizer, examples.extraction)
    say(f"{rows} rows put in; {out} holds each canary whole, as often as it was registered")


def audit(
    model: Annotated[str, typer.Argument(help="Folder or hub id of the model to audit.")],
    training_set: Annotated[str, Spelling(positional=True)],
    manifest: ManifestPath,
    examples: ExampleOptions,
    run: EngineOptions,
    store: StoreOptions,
    confidence: float,
    dry_run: bool,
    base: Base = None,
    fpr: Annotated[float, typer.Option(help="Share of twins that the test takes for canaries.")] = 0.01,
    json: Annotated[Path | None, typer.Option(help="File to write the figures to (.json).")] = None,
) -> None:
    """Measure how far a model prefers the canaries that it was trained on over their twins."""
    if not 0 < fpr < 1:
        raise SpecError(f"--fpr must lie between 0 and 1; found {fpr:g}.")
    check_outputs({"--json": json}, {"the training set": training_set, "the manifest": str(manifest)})
    declared, declared_set = run.model(model, base), examples.training_set(training_set)
    with shown_progress(f"opening {last_part(model)}") as progress, store.opened() as opened:
        check_order("kdmem canaries audit", model, training_set)
        check_inputs([declared], [declared_set], offline=run.offline)
        examples = with_trained_window(examples, [declared], offline=run.offline)
        from pytest_kdmem.auditing.cleaned_students import trained_otherwise
        from pytest_kdmem.canaries.audit import audit_canaries
        from pytest_kdmem.canaries.manifest import MANIFEST

        audited = audit_canaries(
            MANIFEST.read(manifest),
            declared,
            declared_set,
            examples.extraction,
            opened,
            settings=run.settings(dry_run=dry_run),
            confidence=confidence,
            progress=progress,
        )
    for warning in trained_otherwise(declared, declared_set, offline=run.offline):
        say_warning(warning)
    tiers = [Tier.of(audited, copies, fpr) for copies in audited.tiers]
    _show(audited, tiers)
    if json is not None:
        _write(audited, tiers, json)


@dataclass(frozen=True)
class Tier:
    """What a model shows of the canaries with one number of copies, as the JSON file holds it."""

    copies: int
    exposure: Estimate
    tpr: Estimate
    recited: Estimate
    greatest: float
    fpr: float

    @staticmethod
    def of(audited: MeasuredCanaries, copies: int, fpr: float) -> Tier:
        figures = audited.exposure(copies), audited.tpr(fpr, copies), audited.recited(copies)
        return Tier(copies, *figures, audited.greatest, fpr)


def _show(audited: MeasuredCanaries, tiers: Sequence[Tier]) -> None:
    say(f"canaries {audited.manifest}: in the training set as registered, and none of {audited.twins} twins")
    say("copies  exposure in bits          found at FPR                recited")
    for tier in tiers:
        bounds = f"{tier.exposure.value:.2f} [{tier.exposure.low:.2f}, {tier.exposure.high:.2f}]"
        found, recited = (f"{share.k} of {share.n}" for share in (tier.tpr, tier.recited))
        say(f"{tier.copies:>6}  {bounds:<24}  {found:<10} {tier.fpr:.1%} FPR {'':<6} {recited}")
    say(f"a string that the model never saw has 1.44 bits on average, and none has more than {audited.greatest:.2f}")


def _write(audited: MeasuredCanaries, tiers: Sequence[Tier], path: Path) -> None:
    from pytest_kdmem.base.files import write_json
    from pytest_kdmem.base.typed_json import to_json

    write_json({"canaries": audited.manifest, "twins": audited.twins, "tiers": [to_json(t) for t in tiers]}, path)
