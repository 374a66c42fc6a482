"""The audit fixture `distiller` passes every setting of a recipe on, and takes teacher and data of the audit."""

from __future__ import annotations

import datasets  # noqa: F401  pytester forgets modules loaded inside it, and this one registers itself only once

from tests.distill.test_recipe import OTHER_VALUES


def test_every_setting_is_an_argument_of_the_fixture(pytester, init, teacher, rows):
    pytester.makeconftest(
        f"""
        import pytest
        from pytest_kdmem import Model, TrainingSet

        @pytest.fixture(scope="session")
        def teacher():
            return Model({teacher.source!r})

        @pytest.fixture(scope="session")
        def training_set():
            return TrainingSet({str(rows)!r})
        """
    )
    pytester.makepyfile(
        f"""
        from dataclasses import asdict
        from pathlib import Path

        import pytest
        from pytest_kdmem import Model
        from pytest_kdmem.distill.recipe import Recipe
        from pytest_kdmem.errors import SpecError
        from pytest_kdmem.specs.run_card import read_run_card

        INIT = Model({init.source!r})
        OTHER_VALUES = {OTHER_VALUES!r}
        # The two settings that exclude teacher_top_k are changed in a training of their own.
        ONLY_WITHOUT_TOP_K = ("mode", "divergence")

        @pytest.mark.parametrize("is_first", [True, False])
        def test_settings(distiller, teacher, training_set, is_first):
            settings = {{
                name: value for name, value in OTHER_VALUES.items() if (name not in ONLY_WITHOUT_TOP_K) == is_first
            }}
            if not is_first:
                settings |= {{"epochs": 1, "precision": "float32"}}
            card = read_run_card(Path(distiller(init=INIT, **settings).source))
            assert card.recipe == asdict(Recipe(**settings))
            assert card.init.source == INIT.name
            assert (card.teacher.source, card.training_set.source) == (teacher.name, "rows")

        def test_baseline(distiller):
            model = distiller(init=INIT, mode="baseline", epochs=1, precision="float32", out="named")
            assert Path(model.source).name == "named"
            assert read_run_card(Path(model.source)).teacher is None

        def test_unknown_setting(distiller):
            with pytest.raises(SpecError, match="named 'temprature'"):
                distiller(init=INIT, temprature=2.0)

        def test_setting_of_the_execution(distiller):
            with pytest.raises(SpecError, match="in passes of 3 was expected; found 8"):
                distiller(init=INIT, batch_size=8, micro_batch_size=3)
        """
    )
    lengths = ["--kdmem-prefix-tokens=8", "--kdmem-suffix-tokens=8", "--kdmem-window-tokens=24"]
    pytester.runpytest_inprocess("-p", "no:xdist", *lengths).assert_outcomes(passed=5)
