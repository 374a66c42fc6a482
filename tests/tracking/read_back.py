"""What trackers hold, read back by each tracker's own reader."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

Points = dict[str, list[tuple[int, float]]]


def from_tensorboard(folder: Path) -> Points:
    """Pairs of step and figure by tag, of all event files below a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    points: Points = {}
    for path in sorted({file.parent for file in folder.rglob("events.out.*")}):
        reader = EventAccumulator(str(path)).Reload()
        for tag in reader.Tags()["scalars"]:
            points.setdefault(tag, []).extend((event.step, event.value) for event in reader.Scalars(tag))
    return points


def from_mlflow(uri: str) -> list[tuple[Points, dict[str, str]]]:
    """Figures and parameters of each run at an address."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return [
        (
            {
                name: [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, name)]
                for name in run.data.metrics
            },
            run.data.params,
        )
        for run in client.search_runs(experiments)
    ]


def from_trackio(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """Step and figures of each line that was logged, in order; read from the database itself."""
    lines = []
    for path in sorted(folder.glob("*.db")):
        with sqlite3.connect(path) as database:
            lines += database.execute("SELECT step, metrics FROM metrics ORDER BY id").fetchall()
    return [(step, json.loads(metrics)) for step, metrics in lines]
