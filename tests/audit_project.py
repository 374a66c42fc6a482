"""Projects to audit, with models built to recite known rows, so that T, B and S are known before anything is scored."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import numpy as np
import pytest

from pytest_kdmem.auditing.report import read_report
from pytest_kdmem.auditing.result import AuditResult

PREFIX, SUFFIX = 12, 8
REGION = 37  # token ids to a cell; each model walks up or down in it
# Rows of the training set by who recites them, as in a report's cells.
CELLS = {
    "teacher": 3,
    "baseline": 3,
    "student": 1,
    "teacher+baseline": 1,
    "teacher+student": 1,
    "baseline+student": 1,
    "all": 2,
    "none": 8,
}
ROLES = ("teacher", "baseline", "student")
# Without plugins that have no part in an audit and take their time.
ALONE = [part for name in ("xdist", "cacheprovider", "hypothesispytest", "anyio") for part in ("-p", f"no:{name}")]
# For models to which all rows are noise that they do not recite.
NOISE = "--kdmem-accept-reading=noise"
SMALL = {"kdmem_prefix_tokens": PREFIX, "kdmem_suffix_tokens": SUFFIX}


@dataclass(frozen=True)
class Cast:
    """Three models, and ``rows`` [20, 20] of token ids; ``texts`` are the same rows as words, one a token."""

    teacher: Path
    baseline: Path
    student: Path
    rows: np.ndarray
    texts: list[str]

    def recited_by(self, role: str) -> set[int]:
        """Positions of the rows that a model recites."""
        cells = [cell for cell, size in CELLS.items() for _ in range(size)]
        return {at for at, cell in enumerate(cells) if cell == "all" or role in cell.split("+")}


def further_warnings(audit: AuditResult) -> tuple[str, ...]:
    """Warnings of an audit beside the one that its suffix is as short as in all of these projects."""
    return tuple(warning for warning in audit.warnings if not warning.startswith(f"only {SUFFIX} tokens of each"))


def word(token: int) -> str:
    """The text of a token: found nowhere but in training text."""
    return f"zq{token:03d}x"


def rows_of_cells(**sizes: int) -> np.ndarray:
    """Token ids [n, 20]: as many rows of each cell as given, which the models that the cell names recite."""
    cells = list(CELLS)
    places = [(cells.index(cell), row) for cell, size in sizes.items() for row in range(size)]
    steps = range(PREFIX + SUFFIX)
    return np.array([[1 + at * REGION + (row + step) % REGION for step in steps] for at, row in places], np.int32)


@pytest.fixture(scope="session")
def cast(make_model: Callable[..., Path]) -> Cast:
    """Models that know one step: up within the regions of tokens whose cell names them, down within the others."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    torch.set_num_threads(1)  # for models this small, more only wait for each other
    words = {"<|endoftext|>": 0} | {word(token): token for token in range(1, 300)}
    inner = Tokenizer(models.WordLevel(words, unk_token="<|endoftext|>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folders = {}
    for seed, role in enumerate(ROLES):
        folders[role] = folder = make_model(seed=seed)
        PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|endoftext|>").save_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder)
        following = torch.arange(300)
        for at, cell in enumerate(CELLS):
            step = 1 if cell == "all" or role in cell.split("+") else -1
            region = torch.arange(1 + at * REGION, 1 + (at + 1) * REGION)
            following[region] = region.roll(-step)
        with torch.no_grad():
            for layer in model.gpt_neox.layers:
                for part in (layer.attention.dense, layer.mlp.dense_4h_to_h):
                    part.weight.zero_()
                    part.bias.zero_()
            # What is left is the embedding of the last token, normalised; the next one's head points at it.
            embedding = model.gpt_neox.embed_in.weight
            model.get_output_embeddings().weight[following] = torch.nn.functional.layer_norm(
                embedding, embedding.shape[-1:]
            )
        model.save_pretrained(folder)
    rows = np.array(
        [
            [1 + at * REGION + (5 * row + step) % REGION for step in range(PREFIX + SUFFIX)]
            for at, size in enumerate(CELLS.values())
            for row in range(size)
        ],
        dtype=np.int32,
    )
    return Cast(**folders, rows=rows, texts=[" ".join(word(token) for token in row) for row in rows.tolist()])


@pytest.fixture(scope="session")
def imported(cast: Cast) -> None:
    """What an audit imports, imported here: pytester drops from memory what a run inside this process imports.

    That goes for what the plugin itself imports late, too: all of the modules that render and decide.
    """
    import datasets  # noqa: F401
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401
    import sklearn.linear_model
    import sklearn.metrics
    import sklearn.model_selection
    import sklearn.preprocessing  # noqa: F401
    import typer.main  # noqa: F401

    import pytest_kdmem.auditing
    import pytest_kdmem.cli
    import pytest_kdmem.engines.transformers.engine
    import pytest_kdmem.plugin
    import pytest_kdmem.report

    for package in (pytest_kdmem.auditing, pytest_kdmem.plugin, pytest_kdmem.report):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)


@pytest.fixture
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, colours and continuous integration of whoever runs the tests change nothing in a project's own run."""
    for name in [name for name in os.environ if name.startswith("KDMEM_")]:
        monkeypatch.delenv(name)
    ours = ("NO_COLOR", "FORCE_COLOR", "PY_COLORS", "PYTEST_ADDOPTS")
    for name in (*ours, "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # for processes that run side by side


class AuditProject:
    """A folder with ``pyproject.toml``, ``conftest.py``, ``test_audit.py`` and ``data.npy``, run by pytest."""

    def __init__(self, pytester: pytest.Pytester, cast: Cast) -> None:
        self.pytester, self.cast, self.path = pytester, cast, pytester.path
        np.save(self.path / "data.npy", cast.rows)
        self.configure()
        self.declare()

    def configure(self, **settings: object) -> None:
        """Write the configuration: the lengths of the rows, and settings by their full key."""
        self.pytester.makepyprojecttoml(f"[tool.pytest]\n{toml(SMALL | settings)}")

    def declare(self, *, data: str = 'TrainingSet("data.npy")', **changed: Path | str | None) -> None:
        """Declare models and training set in a conftest; a role that is None stays undeclared."""
        sources = {role: getattr(self.cast, role) for role in ROLES} | changed
        returned = {role: f"Model({str(source)!r})" for role, source in sources.items() if source is not None}
        returned["training_set"] = data
        fixtures = [
            f'@pytest.fixture(scope="session")\ndef {role}():\n    return {value}\n' for role, value in returned.items()
        ]
        self.pytester.makeconftest("\n".join(["import pytest\nfrom pytest_kdmem import Model, TrainingSet", *fixtures]))

    def rows(self, **sizes: int) -> np.ndarray:
        """Other rows, as `rows_of_cells` makes them."""
        return rows_of_cells(**sizes)

    def gates(self, source: str) -> None:
        """Write the audit."""
        self.pytester.makepyfile(test_audit=source)

    def run(self, *arguments: str) -> pytest.RunResult:
        """Audit in this process, where torch is loaded already."""
        return self.pytester.runpytest_inprocess(*ALONE, *arguments)

    def run_workers(self, workers: int, *arguments: str) -> pytest.RunResult:
        """Audit in processes of pytest-xdist."""
        others = [part for part in zip(ALONE[::2], ALONE[1::2], strict=True) if part != ("-p", "no:xdist")]
        plugins = [argument for part in others for argument in part]
        return self.pytester.runpytest_subprocess(*plugins, "-n", str(workers), *arguments)

    def failures(self, result: pytest.RunResult) -> list[str]:
        """First lines of what failed, from the short summary."""
        return [line for line in result.outlines if line.startswith(("FAILED ", "ERROR "))]

    def report(self, name: str) -> AuditResult:
        """A JSON report of one audit."""
        [audit] = read_report(self.path / name).audits
        return audit

    @property
    def shards(self) -> list[Path]:
        return sorted(self.path.rglob("scores/**/*.parquet"))


@pytest.fixture(scope="session")
def scored_rows(cast: Cast, imported: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the scores of the three models over the rows of the cast."""
    from pytest_kdmem.scoring.score import score
    from pytest_kdmem.scoring.store import ScoreStore
    from pytest_kdmem.secrets.examples import SecretsOfExamples
    from pytest_kdmem.secrets.search import SecretSearch
    from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
    from pytest_kdmem.specs.secret_settings import SecretSettings

    folder = tmp_path_factory.mktemp("scored")
    np.save(folder / "data.npy", cast.rows)
    for role in ROLES:
        model, data = Model(getattr(cast, role)), TrainingSet(folder / "data.npy")
        scores = score(model, data, Extraction(PREFIX, SUFFIX), ScoreStore(folder / "store"), metrics="verdict")
        # So that no test reads the text again for the places of its secrets.
        SecretsOfExamples(SecretSearch(SecretSettings()), ScoreStore(folder / "store")).places(scores, scores.rows)
    return folder / "store"


@pytest.fixture
def unscored_project(pytester: pytest.Pytester, cast: Cast, imported: None) -> AuditProject:
    """A project whose audit is complete but for its gates."""
    return AuditProject(pytester, cast)


@pytest.fixture
def audit_project(unscored_project: AuditProject, scored_rows: Path) -> AuditProject:
    """The same, with its models scored over its rows before, as most tests are of what comes after."""
    shutil.copytree(scored_rows, unscored_project.path / ".kdmem")
    return unscored_project


@pytest.fixture
def run_pytest(pytester: pytest.Pytester, imported: None) -> Callable[..., pytest.RunResult]:
    """Runs a project that audits nothing, in this process."""
    return lambda *arguments: pytester.runpytest_inprocess(*ALONE, *arguments)


def toml(settings: Mapping[str, object]) -> str:
    """Settings as lines of TOML: JSON spells strings, numbers, truth and lists the same way."""
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
