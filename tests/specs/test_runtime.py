"""How models are run: what is refused, and how parts share out a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Extraction
from pytest_kdmem.specs.options import OPTIONS
from pytest_kdmem.specs.runtime import Part, RunSettings, extraction, parse_part, run_settings


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("engine", "tensorflow", "engine must be one of auto, transformers, vllm; found 'tensorflow'"),
        ("device", "tpu", "device must be one of auto, cpu, cuda; found 'tpu'"),
        ("dtype", "int8", "dtype must be one of auto, float32, bfloat16, float16; found 'int8'"),
        ("executor", "dask", "executor must be one of local, ray; found 'dask'"),
        ("batch_size", 0, "batch-size must be a whole number of at least 1; found 0"),
        ("tensor_parallel", 0, "tensor-parallel must be a whole number of at least 1; found 0"),
        ("workers", -1, "workers must be a whole number of at least 1; found -1"),
        ("cpus_per_worker", 0, "cpus-per-worker must be a whole number of at least 1; found 0"),
    ],
)
def test_a_setting_outside_its_choices_is_refused(setting, value, message):
    with pytest.raises(SpecError, match=message):
        RunSettings(**{setting: value})


@given(of=st.integers(1, 20), shards=st.integers(0, 200))
def test_each_shard_is_in_one_part_and_parts_are_of_even_size(of, shards):
    parts = [parse_part(f"{number}/{of}") for number in range(1, of + 1)]
    held = [[shard for shard in range(shards) if part.contains(shard)] for part in parts]
    assert sorted(shard for shards_of_part in held for shard in shards_of_part) == list(range(shards))
    assert max(map(len, held)) - min(map(len, held)) <= 1


def test_a_part_reads_as_it_is_written():
    assert parse_part("3/16") == Part(3, 16)
    assert str(parse_part("3/16")) == "3/16"


def test_what_is_no_part_is_refused():
    with pytest.raises(SpecError, match=r"^shard must be of the form 3/16, the third of 16 parts; found '4/3'\.$"):
        parse_part("4/3")


def test_models_are_scored_as_the_settings_say():
    defaults = {option.key: option.default for option in OPTIONS}
    run = run_settings(defaults | {"dtype": "float32", "batch_size": 3, "shard": "2/4"})
    assert (run.dtype, run.batch_size, str(run.part), run.offline) == ("float32", 3, "2/4", False)
    assert run_settings(defaults) == RunSettings()
    assert extraction(defaults | {"prefix_tokens": 7}) == Extraction(prefix_tokens=7)
