"""The exit code for runs in which no gate failed and not every gate was held.

It is far from those of pytest (0 to 6, where 6 means too many warnings) and of pytest-rerunfailures (7).
"""

from __future__ import annotations

NOT_DECIDED = 10
