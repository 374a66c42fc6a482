"""The exit code that pytest has not: no gate failed, and not every gate was held. pytest itself exits with 0 to 5."""

from __future__ import annotations

NOT_DECIDED = 6
