"""Small real models and texts, made once per session: random weights decode as deterministically as trained ones."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

pytest_plugins = ["pytester", "tests.audit_project", "tests.engines.vllm.forked_server", "tests.s3_server"]

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "fixtures"
VOCABULARY = 300
END_OF_TEXT = "<|endoftext|>"
FAMILIES = ("pythia", "olmo2", "qwen3")
# torch.compile makes C++ of a model that runs on a CPU.
with_compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
RAY = "tests/scoring/executors/test_ray"
# Files that one worker runs: Ray's as a process of tests has one cluster, those of reports as they share random ones.
TOGETHER = (RAY, "tests/report/test_")
# Files of long tests that share nothing, so that any worker may run any of them.
APART = ("tests/test_how_to.py", "tests/engines/transformers/test_architectures.py")
# Files that take longest, the longest first, as `pytest --durations=0` tells.
LONGEST = (
    "tests/test_how_to.py",
    "tests/engines/vllm/test_engine.py",
    "tests/test_shipped.py",
    "tests/test_planted_models.py",
    "tests/report/",
    RAY,
    "tests/study/",
    "tests/test_benchmarks.py",
    "tests/engines/transformers/test_sampling.py",
    "tests/distill/test_process_group.py",
    "tests/engines/transformers/test_architectures.py",
    "tests/distill/test_chunked_loss.py",
    "tests/distill/test_run.py",
    "tests/plugin/test_xdist.py",
    "tests/metrics/test_coverage.py",
    "tests/fuzz/",
    "tests/distill/test_train.py",
    "tests/scoring/",
    "tests/plugin/",
)

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# A shell without a terminal has its background jobs ignore Ctrl-C, which tests send themselves.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
if WORKER != "alone":
    # Side by side, processes that each take all cores wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Scoring locks the device in the folder for temporary files; each worker of each checkout has one, so that none waits
# for another. Its name is short, as Ray's sockets lie below it, and workers are told that of the process above them.
temporary = Path(tempfile.gettempdir())
temporary = temporary.parent if temporary.name.startswith("kdmem-") else temporary
os.environ["TMPDIR"] = tempfile.tempdir = f"{temporary}/kdmem-{zlib.crc32(bytes(ROOT)) % 65536:04x}-{WORKER}"
Path(tempfile.tempdir).mkdir(exist_ok=True)

# A change is judged on the same examples wherever its tests run.
settings.register_profile("seeded", derandomize=True, deadline=None)
settings.load_profile("seeded")


@pytest.fixture(scope="module", autouse=True)
def _old_objects_are_not_searched() -> None:
    """Keep what stands in memory before a file's tests out of garbage collection.

    An engine that closes collects, and searches the million objects of torch and transformers each time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _operators_are_registered_once(request: pytest.FixtureRequest) -> None:
    """Import bitsandbytes, which transformers does where it finds it, before pytester runs a project in this process.

    pytester forgets what a project imported, and torch refuses the operators of a second import.
    """
    if "pytester" in request.fixturenames:
        with suppress(ImportError):
            import bitsandbytes  # noqa: F401


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker whole files, so that what a file trains, scores or renders once is not made by every worker."""
    from xdist.scheduler import LoadFileScheduling

    class WholeFiles(LoadFileScheduling):
        """Files that go together, and each of the others by itself; tests of some files are apart."""

        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(APART):
                return nodeid
            together = (start for start in TOGETHER if nodeid.startswith(start))
            return next(together, super()._split_scope(nodeid))

    config.option.loadscopereorder = False  # `pytest_collection_modifyitems` has the order
    return WholeFiles(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On several workers the longest files come first, so that at the end no worker waits for the other."""

    def place(item: pytest.Item) -> int:
        return next((at for at, name in enumerate(LONGEST) if item.nodeid.startswith(name)), len(LONGEST))

    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=place)


@pytest.fixture(scope="session")
def shipped() -> Path:
    """The folder of shipped models and texts."""
    return FIXTURES


@pytest.fixture(scope="session")
def stored_by_audits() -> Path | None:
    """Where the audits of the shipped models stored what they scored by this code, if STORED_BY_AUDITS says it."""
    folder = os.environ.get("STORED_BY_AUDITS")
    return Path(folder) if folder else None


@pytest.fixture(scope="session")
def real_text() -> Path:
    """Real text, where there is some: beside the project, or where KDMEM_DATA points."""
    folder = Path(os.environ.get("KDMEM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real text at {folder}; set KDMEM_DATA")
    return folder


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    """120 different texts of some 60 tokens each."""
    words = "amber birch cedar delta ember fjord grove heath inlet juniper knoll larch maple nettle osier pine".split()
    return [" ".join(words[(i * 7 + j * (i % 5 + 1)) % len(words)] for j in range(24)) for i in range(120)]


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory, sentences: list[str]) -> Callable[..., Path]:
    """Writes a tiny random model of a family, with a byte-level tokenizer trained on `sentences`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        GPTNeoXConfig,
        GPTNeoXForCausalLM,
        Olmo2Config,
        Olmo2ForCausalLM,
        PreTrainedTokenizerFast,
        Qwen3Config,
        Qwen3ForCausalLM,
    )

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(
        sentences,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=[END_OF_TEXT],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    shape = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 256,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": None,
        # Random logits of a trained model's size, so that margins are not all within rounding.
        "initializer_range": 0.3,
    }
    kinds = {
        "pythia": (GPTNeoXConfig, GPTNeoXForCausalLM, {}),
        "olmo2": (Olmo2Config, Olmo2ForCausalLM, {"num_key_value_heads": 2}),
        "qwen3": (
            Qwen3Config,
            Qwen3ForCausalLM,
            {"num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": True},
        ),
    }

    def make(family: str = "pythia", *, seed: int = 0, vocabulary: int = VOCABULARY, **changed: object) -> Path:
        folder = tmp_path_factory.mktemp(f"{family}-{seed}-")
        config_class, model_class, extra = kinds[family]
        torch.manual_seed(seed)
        model = model_class(config_class(vocab_size=vocabulary, **{**shape, **extra, **changed}))
        model.save_pretrained(folder)
        PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=END_OF_TEXT, bos_token=END_OF_TEXT).save_pretrained(
            folder
        )
        return folder

    return make


@pytest.fixture(scope="session")
def tiny(make_model: Callable[..., Path]) -> Path:
    """A tiny Pythia-architecture model."""
    return make_model("pythia")


@pytest.fixture
def write_jsonl(tmp_path: Path) -> Callable[..., Path]:
    """Writes texts as JSON lines and gives the path."""

    def write(texts: list[str], name: str = "train.jsonl", column: str = "text") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps({column: text}) + "\n" for text in texts), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def recited_ids() -> Callable[..., np.ndarray]:
    """Token ids ``[examples, prefix + suffix]`` of which every other row is what a model itself says after its prefix.

    Decoded here step by step without a cache: independent of the package and of `generate`.
    """
    import torch
    from transformers import AutoModelForCausalLM

    def make(folder: Path, *, examples: int = 12, prefix: int = 50, suffix: int = 50, seed: int = 0) -> np.ndarray:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        ids = np.random.default_rng(seed).integers(1, VOCABULARY - 1, (examples, prefix + suffix), dtype=np.int32)
        spoken = torch.from_numpy(ids[::2, :prefix].astype(np.int64))
        with torch.inference_mode():
            for _ in range(suffix):
                following = model(input_ids=spoken).logits[:, -1].argmax(dim=-1, keepdim=True)
                spoken = torch.cat([spoken, following], dim=1)
        ids[::2] = spoken.numpy()
        return ids

    return make
