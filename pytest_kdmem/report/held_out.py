"""What the held-out losses of a report are, and the perplexities that other tools give in their place."""

from __future__ import annotations

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.report.too_short import number
from pytest_kdmem.report.venn import ordered_roles


def held_out_text(audit: AuditResult) -> str:
    """Return over how many examples held-out losses are, and the perplexity of each; empty if there are none."""
    entries = {role: audit.held_out[role] for role in ordered_roles(audit) if role in audit.held_out}
    if not entries:
        return ""
    sizes = dict.fromkeys(number(entry.loss.n, "example") for entry in entries.values())
    perplexities = ", ".join(f"{role} {entry.perplexity:.2f}" for role, entry in entries.items())
    return (
        f"Held-out loss is in nats a token, a mean over {', '.join(sizes)} of the control set; lower is better."
        f" Perplexity is its exponential: {perplexities}."
    )
