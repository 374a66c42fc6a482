"""What attacks on each model tell of membership: by the strongest attack, and by each alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pytest_kdmem.auditing.memberships import Against, MeasuredMembership
from pytest_kdmem.auditing.schema_figures import FigureEntry, with_sets_named
from pytest_kdmem.auditing.scored_audit import ScoredAudit
from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.text import count
from pytest_kdmem.errors.harmless import without_commands
from pytest_kdmem.metrics.attacks import ATTACK_NAMES
from pytest_kdmem.metrics.membership import Membership

# The false positive rates of the reports, of which those are shown that the number of controls allows.
FALSE_POSITIVE_RATES = (0.01, 0.001)


def membership_figures(scored: ScoredAudit) -> tuple[FigureEntry, ...]:
    """Return area and rates of each membership that tests asked for; what two of them share stands once.

    Where tests asked for several control sets, or several models that calibrate the loss, each row names its own.
    """
    figures = [
        replace(figure, over=_over(measured.against))
        for measured in scored.memberships
        for figure in _figures(measured)
    ]
    by_key = {figure.key: figure for figure in reversed(with_sets_named(figures))}
    return tuple(reversed(by_key.values()))


def _over(against: Against) -> dict[str, str]:
    """The control set and the reference by name, as far as there are any."""
    names = {"controls": against.controls, "reference": against.reference}
    return {kind: without_commands(name) for kind, name in names.items() if name}


def _taken_over(membership: Membership) -> str:
    """Digest of members, controls, reference and attacks: figures of two runs are comparable where these agree."""
    return digest_of([membership.examples, *sorted(membership.attacks)])


def _figures(measured: MeasuredMembership) -> Iterator[FigureEntry]:
    membership, blind_test = measured.membership, measured.blind_test
    note = (
        f"{count(membership.members)} members against {count(membership.controls)} controls, which a classifier that"
        f" sees no model tells apart with an AUC of {blind_test.auc:.3f} (p = {blind_test.p_value:.3f})"
    )
    if len(membership.attacks) > 1:
        yield from _rows(membership, "strongest attack", note)
    for name, alone in membership.by_attack.items():
        yield from _rows(alone, ATTACK_NAMES[name], note if len(membership.attacks) == 1 else "")


def _rows(membership: Membership, attack: str, note: str) -> Iterator[FigureEntry]:
    digest = _taken_over(membership)
    yield FigureEntry("membership", membership.subject, f"AUC, {attack}", membership.auc, note, digest=digest)
    for rate in FALSE_POSITIVE_RATES:
        if membership.controls * rate >= 1 - 1e-9:
            label = f"TPR at {100 * rate:g}% FPR, {attack}"
            yield FigureEntry("membership", membership.subject, label, membership.tpr(rate), digest=digest)
