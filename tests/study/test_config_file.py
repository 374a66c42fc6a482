"""Studies in TOML files: they are read as they are written, and an error names what is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.shapes import Size
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Extraction
from pytest_kdmem.study.config import PARTS, PrefilterPart, Shares
from pytest_kdmem.study.config_file import read_config
from pytest_kdmem.study.further_parts import AbsentPart, CanariesPart, OnPolicyPart, QuestionsPart

STUDIES = Path(__file__).parents[2] / "studies"


PILOT = "[parts.pilot]\n"


HARD = 'hard = { epochs = 1, learning_rate = 1e-3, precision = "float32" }\n'


def prefiltered(content: str) -> tuple[str, str]:
    """What is exchanged to give the toy study a prefilter part of this content."""
    return PILOT, f"[parts.prefilter]\n{content}\n\n{PILOT}"


def further(part: str, content: str) -> tuple[str, str]:
    """What is exchanged to give the toy study a further part of this content."""
    return PILOT, f"[parts.{part}]\n{content}\n\n{PILOT}"


def test_a_file_is_read_as_it_says(write_study):
    config = read_config(write_study(("seeds = [0]", "seeds = [7, 3]")))
    assert config.extraction == Extraction(6, 6, 24)
    assert config.seeds == (7, 3)
    assert config.sizes["large"] == Size(2, 32, 2)
    assert config.repetition == ((3, 0.25), (5, 0.125))
    assert config.datasets["web"].shares == Shares(0.4, 0.4, 0.1)
    assert config.recipes["soft"] == Recipe("soft", 2.0, epochs=1, learning_rate=1e-3, precision="float32")
    assert config.recipes["teacher"].mode == "baseline"
    assert config.pilot.recipes["soft"].mode == "soft"
    assert config.families.families == ("olmo2",)
    assert config.parts == ("main", "temperature", "size", "families", "pilot")


def test_parts_are_optional(write_study):
    config = read_config(write_study(('[parts.size]\ndataset = "web"\nsize = "medium"\n', "")))
    assert config.parts == ("main", "temperature", "families", "pilot")


def test_a_prefilter_part_is_read(write_study):
    config = read_config(write_study(prefiltered('datasets = ["web"]\nrecall = 0.5')))
    assert config.prefilter == PrefilterPart(("web",), 0.5)
    assert config.parts == ("main", "temperature", "size", "families", "pilot", "prefilter")
    assert read_config(write_study(prefiltered('datasets = ["web"]'))).prefilter.recall == 0.95


def test_further_parts_are_read(write_study):
    on_policy = "seeds.web = [0]\nrecipe = { epochs = 2, temperature = 1.5, sampling_temperature = 0.5 }"
    config = read_config(write_study(further("on_policy", on_policy)))
    assert config.on_policy == OnPolicyPart({"web": (0,)}, Recipe("on-policy", 1.5, sampling_temperature=0.5, epochs=2))
    config = read_config(write_study(further("absent", 'datasets = ["web"]\nshare = 0.25\ntemperature = 1.0')))
    assert config.absent == AbsentPart(("web",), 0.25, 1.0)
    assert config.parts[-1] == "absent"
    assert read_config(write_study(further("absent", 'datasets = ["web"]'))).absent == AbsentPart(("web",), 0.5, None)
    assert read_config(write_study(further("questions", 'datasets = ["web"]'))).questions == QuestionsPart(("web",))
    canaries = read_config(write_study(further("canaries", 'datasets = ["web"]\ncopies = [2]\ncount = 3'))).canaries
    assert canaries == CanariesPart(("web",), (2,), 3)


def test_hard_students_may_be_left_out(write_study):
    config = read_config(write_study((HARD, "")))
    assert set(config.recipes) == {"base-large", "base-small", "teacher", "baseline", "soft"}


@pytest.mark.parametrize(
    ("name", "parts", "seeds"),
    [
        ("cpu", tuple(part for part in PARTS if part != "prefilter"), 3),
        ("gpu", ("main", "temperature", "size", "families", "pilot"), 3),
        ("risk", ("main", "temperature", "families", "prefilter"), 2),
    ],
)
def test_the_shipped_studies_are_valid(name, parts, seeds):
    config = read_config(STUDIES / f"{name}.toml")
    assert config.name == name
    assert config.parts == parts
    assert len(config.seeds) == seeds
    json.dumps(config.to_json())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "toy"', 'name = "toy"\nwindow = 3', "Key 'window' of the study is unknown; valid are name, window"),
        ('name = "toy"', "", "Key 'name' was expected in the study, and it is missing"),
        ("examples = 16", "example = 16", "Key 'example' of datasets.web is unknown; valid are text, examples"),
        ("examples = 16", "", "Key 'examples' was expected in datasets.web"),
        ("examples = 16", "examples = 0", "in datasets.web, examples must be a whole number of at least 1; found 0"),
        ("examples = 16", "examples = true", "examples must be a whole number of at least 1; found True"),
        ("examples = 16", 'examples = 16\ndocuments = "pages"', "documents must be one of articles, lines; found 'pa"),
        ("held_out = 0.1 }", "held_out = 0.3 }", "at most 1 together; found 0.4, 0.4 and 0.3"),
        (", held_out = 0.1 }", "}", "either a file (held_out) or a share"),
        ("held_out = 0.1 }", 'held_out = 0.1 }\nheld_out = "x.txt"', "either a file (held_out) or a share"),
        ("pretraining = 0.4", "pretraining = nan", "share pretraining must be a number between 0 and 1; found nan"),
        ("[datasets.web]", '[datasets."../web"]', "Names of data sets and sizes must be letters"),
        ("temperature = 2.0 }", "T = 2.0 }", "Key 'T' of recipes.soft is unknown; valid are temperature, "),
        ("hard = {", "harder = {", "Key 'harder' of recipes is unknown; valid are base-large, base-small, teacher"),
        ("hard = { epochs = 1", "hard = { epochs = -1", "in recipes.hard, epochs must be a whole number of at least 1"),
        ("hard = { epochs = 1", "hard = { temperature = 2.0", "Key 'temperature' of recipes.hard is unknown"),
        ("hard = { epochs = 1", "hard = { seed = 1", "Key 'seed' of recipes.hard is unknown"),
        ("[3, 0.25]", "[3, 0.9]", "shares in repetition must be at most 1 together"),
        ("[3, 0.25]", "[1, 0.25]", "copies in repetition must be a whole number of at least 2; found 1"),
        ("[3, 0.25]", "[3]", "repetition must be a list of [copies, share]"),
        ("seeds = [0]", "seeds = []", "seeds must name at least one, each once; found []"),
        ("seeds = [0]", "seeds = [1, 1]", "seeds must name at least one, each once; found [1, 1]"),
        ("seeds = [0]", "seeds = 3", "A list was expected as seeds; found 3"),
        ("width = 32, heads = 2", "width = 33, heads = 2", "width of sizes.large must be its heads times an even"),
        ("width = 32, heads = 2", "width = 32, heads = 0", "heads of sizes.large must be a whole number of at least 1"),
        ('size = "medium"', 'size = "huge"', "size in parts.size must be one of medium; found 'huge'"),
        ('families = ["olmo2"]', 'families = ["llama"]', "a family must be one of olmo2, pythia, qwen3; found 'llama'"),
        ('families = ["olmo2"]', 'families = ["pythia"]', "families must be others than pythia"),
        ("values = [1.0, 2.0]", "values = [0.0]", "a temperature must be a number between 0.001 and 1000; found 0.0"),
        ('"web"\nvalues', '"book"\nvalues', "dataset of a part must be one of web; found 'book'"),
        ("[parts.size]", "[parts.sizes]", "Key 'sizes' of parts is unknown; valid are temperature, size, families"),
        (*prefiltered('datasets = ["book"]'), "a data set of parts.prefilter must be one of web; found 'book'"),
        (*prefiltered("datasets = []"), "in parts.prefilter, datasets must name at least one, each once; found []"),
        (*prefiltered('datasets = ["web", "web"]'), "datasets must name at least one, each once; found ['web', 'web']"),
        (*prefiltered('datasets = [["web"]]'), "a data set of parts.prefilter must be one of web; found ['web']"),
        (*prefiltered('datasets = "web"'), "A list was expected as parts.prefilter.datasets; found 'web'"),
        (*prefiltered('dataset = "web"'), "Key 'dataset' of parts.prefilter is unknown; valid are datasets, recall"),
        (*prefiltered("recall = 0.5"), "Key 'datasets' was expected in parts.prefilter, and it is missing"),
        (*prefiltered('datasets = ["web"]\nrecall = 95'), "in parts.prefilter, recall must be a number between 0.001"),
        (*prefiltered('datasets = ["web"]\nrecall = 0'), "recall must be a number between 0.001 and 0.999; found 0"),
        (*prefiltered('datasets = ["web"]\nrecall = 1.0'), "recall must be a number between 0.001 and 0.999; found 1"),
        (*prefiltered('datasets = ["web"]\nrecall = nan'), "must be a number between 0.001 and 0.999; found nan"),
        (*further("canaries", 'datasets = ["book"]'), "a data set of parts.canaries must be one of web; found 'book'"),
        (*further("canaries", 'datasets = ["web"]\ntwins = 9'), "in parts.canaries, twins must be"),
        (*further("absent", 'datasets = ["book"]'), "a data set of parts.absent must be one of web; found 'book'"),
        (*further("absent", "datasets = []"), "in parts.absent, datasets must name at least one, each once; found []"),
        (*further("absent", 'datasets = ["web"]\nshare = 1.0'), "in parts.absent, share must be a number above 0"),
        (*further("absent", 'datasets = ["web"]\ntemperature = 0'), "temperature must be a number between 0.001"),
        (*further("questions", 'datasets = ["web", "web"]'), "datasets must name at least one, each once; found"),
        (*further("on_policy", "seeds.web = [0]"), "Key 'recipe' was expected in parts.on_policy"),
        (*further("on_policy", "seeds.web = []\nrecipe = {}"), "seeds must name a data set at least"),
        (*further("on_policy", "seeds.web = [0, 0]\nrecipe = {}"), "seeds must name a data set at least"),
        (*further("on_policy", "seeds.web = [7]\nrecipe = {}"), "seeds in parts.on_policy must be some of [0]; found"),
        (*further("on_policy", "seeds.web = [[0]]\nrecipe = {}"), "a seed must be a whole number of at least 0"),
        (*further("on_policy", "seeds.book = [0]\nrecipe = {}"), "a data set of parts.on_policy must be one of web"),
        (*further("on_policy", "seeds.web = [0]\nrecipe = { packing = true }"), "No packing was expected in mode"),
        ("suffix_tokens = 6", "suffix_tokens = 60", "window-tokens must hold prefix and suffix"),
        ("vocabulary = 400", 'vocabulary = "400"', "vocabulary must be a whole number"),
        ('name = "toy"', "name = toy", "is no valid TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(write_study, old, new, words):
    path = write_study((old, new))
    with pytest.raises(SpecError, match=re.escape(words)) as raised:
        read_config(path)
    assert str(path) in str(raised.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"A study was expected in .*none\.toml, which cannot be read"):
        read_config(tmp_path / "none.toml")
