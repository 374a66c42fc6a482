"""Accepted figures, and what became of them: the figures of two audits compared example by example."""
