"""A study's D with canaries: drawn and put in as `kdmem canaries` does, and measured in the models trained on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.files import atomic_folder
from pytest_kdmem.canaries.audit import audit_canaries
from pytest_kdmem.canaries.inject import inject
from pytest_kdmem.canaries.make import make_canaries
from pytest_kdmem.canaries.manifest import MANIFEST, Manifest, write_manifest
from pytest_kdmem.canaries.measured import MeasuredCanaries
from pytest_kdmem.canaries.plan import CanaryPlan
from pytest_kdmem.corpus.sources import fingerprint
from pytest_kdmem.corpus.tokenizer import load_decoder, open_tokenizer
from pytest_kdmem.errors import DataError
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet

CANARIES_FILE = "canaries.json"


@dataclass(frozen=True)
class PlantedSet:
    """D with canaries, and the canaries as they were registered."""

    training_set: TrainingSet
    manifest: Manifest

    def audit(self, model: Model, extraction: Extraction, store: ScoreStore) -> MeasuredCanaries:
        """Measure what a model that was trained on it shows of the canaries.

        Raises:
            KdmemError: The model cannot be scored.
        """
        return audit_canaries(self.manifest, model, self.training_set, extraction, store)


def plant(whole: TrainingSet, plan: CanaryPlan, model: Model, extraction: Extraction, out: Path) -> PlantedSet:
    """Write D with canaries below ``out``, unless they are there already.

    Args:
        whole: D, a file of this machine.
        plan: Number, copies and lengths of the canaries.
        model: A model with the tokenizer of all that train on it.
        extraction: Lengths; the window is that of training.
        out: Folder below which it is written.

    Raises:
        SpecError: The tokenizer has too few words for canaries, or the window is shorter than one.
        DataError: D cannot be read, or a training would not read each canary whole.
    """
    checkpoint = open_checkpoint(model)
    folder = (
        out / digest_of([fingerprint(whole), asdict(plan), checkpoint.tokenizer_digest, extraction.window_tokens])[:16]
    )
    name = Path(whole.source).name
    if not folder.is_dir():
        tokenizer = load_decoder(checkpoint.text_folder)
        if tokenizer is None:
            raise DataError(f"A tokenizer was expected beside {model.source} to make canaries of; there is none.")
        manifest = make_canaries(tokenizer, checkpoint.tokenizer_digest, plan)
        with atomic_folder(folder) as partial:
            write_manifest(manifest, partial / CANARIES_FILE)
            inject(manifest, whole, partial / name, open_tokenizer(model, checkpoint, whole), extraction)
    return PlantedSet(TrainingSet(str(folder / name)), MANIFEST.read(folder / CANARIES_FILE))
