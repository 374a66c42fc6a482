"""What an audit learns risk from, made of its settings and of what its tests give."""

from __future__ import annotations

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.plugin.audit_setup import choose_label_source
from pytest_kdmem.plugin.settings import Settings
from pytest_kdmem.specs.declared import Model
from tests.plugin.any_settings import settings


def test_risk_is_learned_from_what_the_run_names_then_the_test_then_the_configuration(tmp_path):
    configured = settings("configuration", labels_from="someone/configured")
    by_run, by_test = settings(labels_from="someone/run"), "someone/test"
    assert choose_label_source(configured).labels_from == Model("someone/configured")
    assert choose_label_source(configured, by_test).labels_from == Model("someone/test")
    assert choose_label_source(by_run, by_test).labels_from == Model("someone/run")
    predictor = str(tmp_path / "predictor.json")
    values = {"labels_from": "someone/configured", "predictor": predictor}
    with pytest.raises(SpecError):
        choose_label_source(settings("configuration", **values))
    defaults = settings("configuration", **values)
    by_option = Settings(values=defaults.values, origins={**defaults.origins, "predictor": "option"}, places={})
    chosen = choose_label_source(by_option)
    assert (chosen.labels_from, str(chosen.predictor_path)) == (None, predictor)
