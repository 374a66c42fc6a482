"""Hub data sets that the study used, by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """Where a data set lies on the hub; its text is in the column ``text``.

    ``access`` tells how to get a gated one.
    """

    repository: str
    config: str | None
    access: str = ""


PRESETS = {
    "fineweb": Preset("HuggingFaceFW/fineweb", "sample-10BT"),
    "wikitext-103": Preset("Salesforce/wikitext", "wikitext-103-raw-v1"),
    "nemotron-cc-v2": Preset(
        "nvidia/Nemotron-CC-v2",
        "High-Quality",
        access="it is gated: ask for access on its hub page, then sign in with `hf auth login`",
    ),
}
