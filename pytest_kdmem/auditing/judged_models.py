"""The models that an audit has judged: each must stay as it is until the last gate is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_kdmem.auditing.schema import Gate, ModelEntry
from pytest_kdmem.errors import KdmemError, SpecError
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Model


@dataclass
class JudgedModels:
    """The models that an audit has scored, each with the digests of its files in the order in which they were scored.

    Attributes:
        offline: Whether models must be opened without a connection.
    """

    offline: bool
    _digests: dict[Model, list[str]] = field(default_factory=dict)
    _references: set[Model] = field(default_factory=set)

    def add_reference(self, model: Model) -> None:
        """Remember that figures of other models rest on this one, which must stay as it is therefore."""
        self._references.add(model)

    def add(self, model: Model, checkpoint: Checkpoint, *, must_stay: bool) -> None:
        """Remember a model that is about to be scored.

        Args:
            model: The model.
            checkpoint: Its files as they are now.
            must_stay: Whether the model plays a role in the audit, and must not change.

        Raises:
            SpecError: It must not change, and its files are no longer those that were scored before.
        """
        digests = self._digests.setdefault(model, [])
        if checkpoint.digest in digests[-1:]:
            return
        digests.append(checkpoint.digest)
        if (must_stay or model in self._references) and len(digests) > 1:
            raise SpecError(_changed(model.source))

    def changes(self, is_judged: Callable[[Model], bool]) -> list[str]:
        """Return a sentence for each judged model whose files were changed since they were scored first."""
        return [
            _changed(model.source)
            for model, digests in self._digests.items()
            if (is_judged(model) or model in self._references) and (len(digests) > 1 or self._now(model) != digests[0])
        ]

    def _now(self, model: Model) -> str:
        try:
            return open_checkpoint(model, offline=self.offline).digest
        except KdmemError:
            return ""


def is_compared(subject: str, gates: Sequence[Gate]) -> bool:
    """Whether a gate compares an estimate of a subject, over whichever set."""
    sides = [side for gate in gates for side in (gate.estimate, gate.threshold) if isinstance(side, Estimate)]
    return any(side.subject == subject or side.subject.startswith(f"{subject} on ") for side in sides)


def refused(gate: Gate, reason: str) -> Gate:
    """Return a gate that does not pass, for a reason that holds for all of them."""
    return replace(gate, outcome="error", reason=reason, next_step="") if gate.outcome == "pass" else gate


def differing_models(parts: Sequence[Mapping[str, ModelEntry]]) -> Iterator[str]:
    """Yield a sentence for each model of which the processes of one session judged different files."""
    digests: dict[tuple[str, str | None], str] = {}
    for entry in (entry for models in parts for entry in models.values()):
        if digests.setdefault((entry.source, entry.revision), entry.digest) != entry.digest:
            yield _changed(entry.source)


def _changed(source: str) -> str:
    return (
        f"Model {source} was expected to stay as it is until its last gate is judged, and its files were changed since"
        " one was; audit it again once it is saved."
    )
