"""Which thresholds are held where Python names them: those that are named, and no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields

from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import listed, quoted
from pytest_kdmem.specs.checks import limit_of_share, number, plain, require
from pytest_kdmem.specs.declared import Thresholds

NAMES = tuple(field.name for field in fields(Thresholds))
# Thresholds that only an audit from Python names; under pytest these gates are written as comparisons.
FURTHER = {
    "max_near_verbatim_rate": limit_of_share,
    "max_membership_tpr": limit_of_share,
    "max_membership_auc": limit_of_share,
    "max_canary_exposure": number(least=0),
}


def named_thresholds(gates: Mapping[str, float] | Thresholds, *, with_further: bool = False) -> dict[str, float]:
    """Return the thresholds to hold by name, in the order of `Thresholds`, and then of `FURTHER`.

    Args:
        gates: Thresholds by the names of the fields of `Thresholds`, of which only those that are named are held; or a
            `Thresholds`, all of which are.
        with_further: Whether those of `FURTHER` may be named as well.

    Raises:
        SpecError: A name is none of these, or a threshold is no number or outside its range.
    """
    if isinstance(gates, Thresholds):
        return asdict(gates)
    if not isinstance(gates, Mapping):
        raise SpecError(f"Gates must be a mapping from names to thresholds, or a Thresholds; found {quoted(gates)}.")
    valid_names = (*NAMES, *FURTHER) if with_further else NAMES
    if unknown := [name for name in gates if name not in valid_names]:
        raise SpecError(f"Gates must be of {listed(valid_names)}; found {quoted(unknown[0])}.")
    thresholds = asdict(Thresholds(**{name: gates[name] for name in NAMES if name in gates}))
    for name in FURTHER.keys() & gates.keys():
        thresholds[name] = plain(gates[name])
        require(name.replace("_", "-"), thresholds[name], FURTHER[name])
    return {name: thresholds[name] for name in valid_names if name in gates}
