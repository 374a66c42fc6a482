"""Finding 6: what can be predicted before distilling."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pytest_kdmem.risk.features import STUDY_FEATURES
from pytest_kdmem.risk.reliability import Bin
from pytest_kdmem.risk.trials import TRIAL_METRICS, TrialStatistic
from pytest_kdmem.study.findings import risk
from pytest_kdmem.study.findings.figures import Share
from pytest_kdmem.study.report import plain
from tests.study.studies_by_hand import line

EXAMPLES, MEMORIZED = 300, 40


def as_json(result):
    return json.loads(json.dumps(plain(result), allow_nan=False))


def teacher_and_baseline(hand, easy, *, both=(), seed=0, teacher=None, **place):
    """Two models to whom the easy documents have low perplexity, few zlib bytes and little divergence; a pair."""
    documents, random = sorted(set(hand.rows)), np.random.default_rng([len(hand.rows), seed])

    def near(low, high):
        middle = np.where(np.isin(documents, sorted(easy)), low, high)
        return dict(zip(documents, random.normal(middle, 0.1).tolist(), strict=True))

    zlib = {document: round(1000 * value) for document, value in near(0.5, 1.5).items()}
    if teacher is None:
        teacher = hand.model("teacher", both, nll=near(0.5, 3.0), zlib_bytes=zlib, **place)
    baseline = hand.model("baseline", both, nll=near(0.7, 3.2), zlib_bytes=zlib, seed=seed, **place)
    return teacher, hand.paired(teacher, baseline, near(0.5, 1.0))


@pytest.fixture(scope="module")
def predicted(by_hand):
    """1500 examples, of which the student of seed 0 memorized the 150 easy ones, that of seed 1 any 150."""
    hand = by_hand(range(1500))
    easy, others = range(150), np.random.default_rng(5).choice(1500, 150, replace=False).tolist()
    teacher, first = teacher_and_baseline(hand, easy)
    second = teacher_and_baseline(hand, easy, seed=1, teacher=teacher)[1]
    students = hand.model("soft", easy), hand.model("soft", others, seed=1)
    return risk.risk(hand.study(teacher, first, second, *students))


@pytest.fixture(scope="module")
def transferred(by_hand):
    """Students that differ in one thing or another, all of easy documents; seed 7 is the study's first."""
    hand = by_hand(range(EXAMPLES))
    easy, nearly_all = range(MEMORIZED), range(EXAMPLES - 9)
    wiki, qwen = {"dataset": "wiki"}, {"part": "families", "family": "qwen3"}
    runs = []
    for place, both in ((qwen, nearly_all), ({}, range(9)), (wiki, range(MEMORIZED + 1))):
        runs += teacher_and_baseline(hand, easy, both=both, seed=7, **place)
        runs.append(hand.model("soft", easy, seed=7, **place))
        if "family" not in place:
            runs.append(teacher_and_baseline(hand, easy, seed=3, **place)[1])
            runs.append(hand.model("soft", easy, seed=3, **place))
    runs.append(hand.model("soft", range(MEMORIZED - 5), seed=7, part="temperature", temperature=1.0))
    runs.append(hand.model("soft", range(9), seed=7, part="temperature", temperature=4.0))
    ordered = sorted(runs, key=lambda run: run.part != "main")  # as a plan has it
    return risk.risk(hand.study(*ordered))


def test_features_that_separate_predict_the_memorized(predicted):
    prediction, _ = predicted.predictions
    assert (prediction.part, prediction.family, prediction.dataset, prediction.seed) == ("main", "pythia", "fineweb", 0)
    assert (prediction.memorized.k, prediction.memorized.n) == (150, 1500)
    assert set(prediction.figures) == set(TRIAL_METRICS)
    assert prediction.figures["roc_auc"].mean > 0.999
    assert prediction.figures["pr_auc"].mean > 0.99
    assert prediction.figures["recall"].mean > 0.99
    assert tuple(prediction.coefficients) == STUDY_FEATURES
    assert all(figure.mean < 0 for figure in prediction.coefficients.values())  # the less, the likelier memorized


def test_shuffled_labels_are_not_predicted(predicted):
    for prediction in predicted.predictions:
        assert prediction.shuffled.mean == pytest.approx(0.5, abs=0.05)


def test_what_is_memorized_at_random_is_not_predicted(predicted):
    _, prediction = predicted.predictions
    assert (prediction.seed, prediction.memorized.k) == (1, 150)
    assert prediction.figures["roc_auc"].mean == pytest.approx(0.5, abs=0.05)
    assert prediction.figures["pr_auc"].mean == pytest.approx(150 / 1500, abs=0.03)


def test_a_predictor_is_no_better_than_what_it_is_applied_to(predicted):
    to_random, to_easy = predicted.transfers
    assert to_random.applied_to == "pythia, fineweb, T = 2, seed 1"
    assert to_random.roc_auc == pytest.approx(0.5, abs=0.05)
    assert to_random.pr_auc == pytest.approx(150 / 1500, abs=0.03)
    assert (to_random.recalled.n, to_random.at_risk.n) == (150, 1500)
    assert not all(risk_bin.covers_observed for risk_bin in to_random.reliability)
    assert to_easy.applied_to == "pythia, fineweb, T = 2, seed 0"


@pytest.mark.slow
def test_transfers_name_exactly_what_differs(transferred):
    first, second = ("pythia, fineweb, T = 2, seed 7", "pythia, fineweb, T = 2, seed 3")
    wiki, wiki_again = "pythia, wiki, T = 2, seed 7", "pythia, wiki, T = 2, seed 3"
    qwen, cooler = "qwen3, fineweb, T = 2, seed 7", "pythia, fineweb, T = 1, seed 7"
    pairs = {"seed": [(first, second), (wiki, wiki_again)], "dataset": [(first, wiki)]}
    pairs |= {"temperature": [(first, cooler)], "family": [(first, qwen)]}
    either_way = {(by, *pair) for by, both in pairs.items() for forward in both for pair in (forward, forward[::-1])}
    # Of fineweb, teacher and baseline recite too few to learn from; of Qwen-3's, too few are not recited.
    none = ("none", f"teacher and baseline ({wiki})", wiki)
    transfers = [(transfer.by, transfer.learned_from, transfer.applied_to) for transfer in transferred.transfers]
    assert len(set(transfers)) == len(transfers)
    assert set(transfers) == either_way | {none}


@pytest.mark.slow
def test_a_predictor_holds_where_the_same_is_memorized(transferred):
    for transfer in transferred.transfers:
        assert transfer.roc_auc > 0.98
        assert transfer.recalled.n == (MEMORIZED - 5 if "T = 1," in transfer.applied_to else MEMORIZED)
        assert transfer.recalled.value > 0.8
        assert (transfer.at_risk.n, transfer.at_risk.k) >= (EXAMPLES, transfer.recalled.k)


@pytest.mark.slow
def test_calibration_is_given_over_seeds_alone(transferred):
    for transfer in transferred.transfers:
        assert bool(transfer.reliability) == (transfer.by == "seed")
        if transfer.reliability:
            assert sum(each.n for each in transfer.reliability) == EXAMPLES
            assert sum(each.observed * each.n for each in transfer.reliability) == pytest.approx(MEMORIZED)


@pytest.mark.slow
def test_a_student_that_memorized_too_few_to_learn_from_is_left_out(transferred):
    places = [
        (prediction.part, prediction.family, prediction.dataset, prediction.seed)
        for prediction in transferred.predictions
    ]
    assert places == [
        ("main", "pythia", "fineweb", 7),
        ("main", "pythia", "fineweb", 3),
        ("main", "pythia", "wiki", 7),
        ("main", "pythia", "wiki", 3),
        ("temperature", "pythia", "fineweb", 7),
        ("families", "qwen3", "fineweb", 7),
    ]
    assert not any("T = 4" in transfer.applied_to for transfer in transferred.transfers)


@pytest.mark.parametrize("memorized", [range(9), range(EXAMPLES - 9)], ids=["few", "nearly all"])
def test_of_one_class_there_is_nothing_to_tell_apart(by_hand, memorized):
    hand = by_hand(range(EXAMPLES))
    runs = [*teacher_and_baseline(hand, memorized, both=range(50)), hand.model("soft", memorized)]
    result = risk.risk(hand.study(*runs))
    assert not result
    assert (result.predictions, result.transfers, risk.rows(result)) == ((), (), ())


def test_without_a_pair_of_its_seed_or_on_part_of_the_data_nothing_is_predicted(by_hand):
    hand = by_hand(range(EXAMPLES))
    teacher, baseline = teacher_and_baseline(hand, range(MEMORIZED))
    soft = [hand.model("soft", range(MEMORIZED), seed=seed) for seed in (0, 1)]
    unpaired = [teacher, hand.model("baseline"), hand.model("hard", range(MEMORIZED)), soft[0]]
    assert not risk.risk(hand.study(*unpaired))
    assert not risk.risk(hand.study(teacher, baseline, soft[1], hand.cleaned(soft[0], [])))


@pytest.mark.parametrize("kind", ["predicted", pytest.param("transferred", marks=pytest.mark.slow)])
def test_figures_and_rows_are_json(kind, request):
    result = request.getfixturevalue(kind)
    assert as_json(result)["predictions"][0]["figures"]["roc_auc"]["mean"] > 0.99
    assert len(as_json(risk.rows(result))) == len(risk.rows(result))


def test_rows_have_a_figure_of_each_seed_beside_the_published(predicted):
    lines = risk.rows(predicted)
    memorized = line(lines, "memorized by the student")
    assert (memorized.setting, memorized.measured.values) == ("pythia, fineweb", (150 / 1500, 150 / 1500))
    area = line(lines, "ROC-AUC")
    assert (area.published, area.unit, area.measured.n) == (0.9997, "area", 2)
    assert area.measured.values == tuple(prediction.figures["roc_auc"].mean for prediction in predicted.predictions)
    assert line(lines, "PR-AUC at the true prevalence").published is None
    assert line(lines, "ROC-AUC, labels shuffled").measured.n == 2
    over = line(lines, "ROC-AUC, to another seed", "pythia, fineweb, T = 2, seed 0 → pythia, fineweb, T = 2, seed 1")
    assert over.measured.values == (predicted.transfers[0].roc_auc,)


def prediction(part, temperature, memorized):
    figures = {name: TrialStatistic(memorized / 100, 0.0) for name in TRIAL_METRICS}
    share, chance = Share(memorized, 100), TrialStatistic(0.5, 0.0)
    return risk.StudentPrediction(part, "pythia", "fineweb", 0, temperature, share, figures, {}, chance)


def test_students_of_different_temperatures_are_no_seeds_of_each_other():
    predictions = prediction("main", 2.0, 20), prediction("temperature", 1.0, 30), prediction("temperature", 4.0, 10)
    lines = [each for each in risk.rows(risk.Risk(predictions, ())) if each.figure == "ROC-AUC"]
    assert [(each.measured.values, each.published) for each in lines] == [
        ((0.2,), 0.9997),
        ((0.3,), None),
        ((0.1,), None),
    ]
    assert [each.setting for each in lines] == ["pythia, fineweb", "pythia, fineweb, T = 1", "pythia, fineweb, T = 4"]


def test_rows_of_a_transfer_say_what_was_to_come_and_what_came():
    bins = Bin(0.01, 0.1, 50, 0.05, 0.0, 0.1, 0.04), Bin(0.9, 1.0, 20, 0.95, 0.8, 1.0, 0.85)
    transfer = risk.Transfer("seed", "one", "other", 0.99, 0.8, Share(19, 20), Share(30, 100), bins)
    from_both = risk.Transfer("none", "teacher and baseline (one)", "one", 0.98, 0.7, Share(18, 20), Share(25, 100))
    lines = risk.rows(risk.Risk((prediction("main", 2.0, 20),), (transfer, from_both)))
    assert line(lines, "ROC-AUC, to another seed").setting == "one → other"
    assert line(lines, "ROC-AUC, to its student").setting == "teacher and baseline (one)"
    assert line(lines, "found where 95.00% are to be, to another seed").counts == (Share(19, 20),)
    (bins_shown,) = (each for each in lines if each.figure.startswith("memorized of risk"))
    assert bins_shown.figure == "memorized of risk 0.9–1 (80.00% to 100.00% expected)"
    assert bins_shown.counts == (Share(17, 20),)
