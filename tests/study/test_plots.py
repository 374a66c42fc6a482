"""Plots show what the findings hold, and only findings that hold something."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from pytest_kdmem.study.plots import write_plots


def texts(path):
    return [element.text for element in ET.parse(path).iter() if element.tag.endswith("}text")]


def test_a_finding_without_examples_is_not_drawn(by_hand, tmp_path):
    hand = by_hand(range(6))
    assert [path.name for path in write_plots(hand.study(hand.model("teacher", range(3))), tmp_path)] == ["rates.svg"]
    assert write_plots(hand.study(), tmp_path) == ()


def test_each_setting_has_a_panel_with_its_roles_and_seeds(by_hand, tmp_path):
    hand = by_hand([*range(6), 0])
    models = [hand.model("teacher", range(3)), hand.model("baseline", [0]), hand.model("baseline", [1], seed=1)]
    study = hand.study(*models, hand.model("teacher", range(2), dataset="poems"))
    by_name = {path.name: texts(path) for path in write_plots(study, tmp_path)}
    assert set(by_name) == {"rates.svg", "repetition.svg"}
    assert {"pythia, fineweb", "pythia, poems"} <= set(by_name["rates.svg"])
    assert by_name["rates.svg"].count("(n = 1)") == 2  # the teacher of either set
    assert by_name["rates.svg"].count("(n = 2)") == 1
    assert {"teacher", "baseline"} <= set(by_name["repetition.svg"])


def test_no_axes_are_empty_and_a_mean_stands_above_its_bar(by_hand, tmp_path):
    hand = by_hand([*range(6), 0])
    models = [hand.model("teacher", range(3), dataset=name) for name in ("fineweb", "poems", "wikitext")]
    for path in write_plots(hand.study(*models), tmp_path):
        panels = [element for element in ET.parse(path).iter() if element.get("id", "").startswith("axes_")]
        drawn = [panel for panel in panels if panel.findall(".//{*}text")]
        assert len(drawn) == 3
        ticks = [text for text in texts(path) if text in ("0.0", "0.2", "0.4", "0.6", "0.8", "1.0")]
        assert not ticks  # those of axes in which nothing is drawn
    assert texts(tmp_path / "rates.svg").count("50.00%") == 3


def test_the_same_study_is_drawn_with_the_same_bytes(by_hand, tmp_path):
    hand = by_hand([0, 0, 1])
    study = hand.study(hand.model("teacher", [0]))
    first = [path.read_bytes() for path in write_plots(study, tmp_path)]
    assert [path.read_bytes() for path in write_plots(study, tmp_path)] == first
