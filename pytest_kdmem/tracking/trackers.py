"""Logs the figures of an audit as a run of a tracker, where and as the tracker's own environment says."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.specs.trackers import check_installed
from pytest_kdmem.tracking.audit_figures import audit_figures, audit_parameters

PROJECT = "kdmem"
Figures = Mapping[str, float]
Parameters = Mapping[str, str]


def log_audit(audit: AuditResult, tracker: str) -> None:
    """Log an audit as one run of a tracker.

    Raises:
        SpecError: The tracker's package is not installed.
        Exception: Whatever the tracker raises.
    """
    check_installed((tracker,))
    LOGGERS[tracker](f"audit {audit.name or '.'}", audit_figures(audit), audit_parameters(audit))


def _log_to_tensorboard(name: str, figures: Figures, parameters: Parameters) -> None:
    """Write an event file into a folder of its own in TENSORBOARD_LOGGING_DIR, or else in ``runs``."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.plugins.text import metadata
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    folder = Path(os.environ.get("TENSORBOARD_LOGGING_DIR", "runs")) / name.replace("/", "-")
    writer = EventFileWriter(str(folder))
    values = [Summary.Value(tag=tag, simple_value=figure) for tag, figure in figures.items()]
    for tag, parameter in parameters.items():
        text = TensorProto(dtype="DT_STRING", string_val=[parameter.encode()])
        values.append(Summary.Value(tag=tag, metadata=metadata.create_summary_metadata("", ""), tensor=text))
    writer.add_event(Event(wall_time=time.time(), step=0, summary=Summary(value=values)))
    writer.close()


def _log_to_mlflow(name: str, figures: Figures, parameters: Parameters) -> None:
    """Log a run of the experiment in MLFLOW_EXPERIMENT_NAME, at MLFLOW_TRACKING_URI."""
    import mlflow

    with mlflow.start_run(run_name=name, nested=mlflow.active_run() is not None):
        mlflow.log_params(dict(parameters))
        mlflow.log_metrics(dict(figures))


def _log_to_trackio(name: str, figures: Figures, parameters: Parameters) -> None:
    """Log a run of the project in TRACKIO_PROJECT, in the folder or space that trackio's variables name."""
    import trackio

    project = os.environ.get("TRACKIO_PROJECT", PROJECT)
    with redirect_stdout(StringIO()):  # where it would tell of dashboards amid the output of pytest
        trackio.init(project=project, name=name, config=dict(parameters), auto_log_gpu=False, auto_log_cpu=False)
        trackio.log(dict(figures))
        trackio.finish()


def _log_to_wandb(name: str, figures: Figures, parameters: Parameters) -> None:
    """Log a run of the project in WANDB_PROJECT, as WANDB_MODE says."""
    import wandb

    project = os.environ.get("WANDB_PROJECT", PROJECT)
    with wandb.init(project=project, name=name, config=dict(parameters)) as run:
        run.log(dict(figures))


LOGGERS: dict[str, Callable[[str, Figures, Parameters], None]] = {
    "tensorboard": _log_to_tensorboard,
    "mlflow": _log_to_mlflow,
    "trackio": _log_to_trackio,
    "wandb": _log_to_wandb,
}
