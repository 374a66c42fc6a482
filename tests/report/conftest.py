"""Records what pictures are made of."""

from __future__ import annotations

import pytest


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int, object]]:
    """Left edge, height and colour of each bar that is drawn."""
    from matplotlib.axes import Axes

    drawn: list[tuple[float, int, object]] = []
    draw = Axes.bar

    def record(axes: Axes, x: float, height: int, width: float, **style: object) -> object:
        drawn.append((x, height, style["color"]))
        return draw(axes, x, height, width, **style)

    monkeypatch.setattr(Axes, "bar", record)
    return drawn
