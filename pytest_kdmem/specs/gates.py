"""Which thresholds are held where Python names them: those that are named, and no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields

from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import listed, quoted
from pytest_kdmem.specs.declared import Thresholds

NAMES = tuple(field.name for field in fields(Thresholds))


def named_thresholds(gates: Mapping[str, float] | Thresholds) -> dict[str, float]:
    """Return the thresholds to hold by name, in the order of `Thresholds`.

    Args:
        gates: Thresholds by the names of the fields of `Thresholds`, of which only those that are named are held; or a
            `Thresholds`, all of which are.

    Raises:
        SpecError: A name is none of these, or a threshold is no number or outside its range.
    """
    if isinstance(gates, Thresholds):
        return asdict(gates)
    if not isinstance(gates, Mapping):
        raise SpecError(f"Gates must be a mapping from names to thresholds, or a Thresholds; found {quoted(gates)}.")
    if unknown := [name for name in gates if name not in NAMES]:
        raise SpecError(f"Gates must be of {listed(NAMES)}; found {quoted(unknown[0])}.")
    thresholds = asdict(Thresholds(**gates))
    return {name: thresholds[name] for name in NAMES if name in gates}
