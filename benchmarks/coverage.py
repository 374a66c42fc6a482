"""Coverage of the bounds, in every cell of sample size, rates, overlap and confidence: `python benchmarks/coverage.py`.

The bounds of a rate are enumerated, those of a reduction and of a mean loss simulated. Of each row the lowest coverage
of any cell is printed. The exit code is 1 if a cell covers less than its confidence by more than four standard errors.
With the defaults it takes half an hour on one core, with `--draws 200` some seven minutes. `--of strata` simulates the
bounds of stratified samples instead, and `--of membership` those of what attacks on membership tell, normal scores of
members and controls whose true rates and areas are known.
"""

from __future__ import annotations

import argparse
import math
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from scipy.stats import binom, norm

from pytest_kdmem.metrics.bounds import lower_bound, upper_bound
from pytest_kdmem.metrics.mean_bounds import greatest_possible, probability_above
from pytest_kdmem.metrics.paired_ratio import ratio_is_refuted, ratio_lower_bound
from pytest_kdmem.metrics.paired_roc import PairedAttack, shows_lower_auc, shows_lower_tpr
from pytest_kdmem.metrics.roc_bounds import AttackScores, auc_bounds, tpr_bounds

SIZES = (10, 20, 50, 100, 1_000, 10_000, 100_000)
CONFIDENCES = (0.9, 0.95, 0.99, 0.999)
RATES = (0.0, 0.001, 0.01, 0.1)
OVERLAPS = (0.0, 0.5, 0.95)  # shares of the hits of the model with fewer
SHOWN = "baseline 2 %, student 1 %, half of these shared"
STANDARD_ERRORS = 4.0
LARGEST_STRATUM = 8_192  # of the strata of a simulated set, each of which has half as many examples as the one before
STRATA_CONFIDENCES = (0.9, 0.95)
FPR = 0.01
ROC_SIZES = ((300, 100), (1_000, 500), (1_000, 2_000))  # numbers of members and of controls
SHIFTS = (0.0, 1.0, 3.0)  # of the scores of members, in standard deviations
# Numbers of strata, and of examples in the random sample and of each stratum at least.
STRATA_CELLS = ((2, 500, 100), (4, 500, 100), (8, 500, 100), (8, 2_000, 30), (12, 500, 300))
MOST_LOSSES = 10_000  # of more, the mean is normal
MEASURED_LOSSES = Path(__file__).parents[1] / "tests/records/store/scores"

Array = npt.NDArray[np.float64]
Cell = tuple[float, float]  # coverage and its standard error
Draw = Callable[[np.random.Generator, int], Array]
CellsOf = Callable[[int, float, int, np.random.Generator], Iterator[Cell]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1_000, help="Expected number of misses in a cell.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="Numbers of examples in a sample.")
    parser.add_argument("--of", choices=("rates", "strata", "membership"), default="rates", help="Figures to simulate.")
    arguments = parser.parse_args()
    if arguments.of != "rates":
        sys.exit((print_strata if arguments.of == "strata" else print_membership)(arguments.draws))
    random, short = np.random.default_rng(0), []
    figures: dict[str, CellsOf] = {
        "memorization rate, both bounds": rate_cells,
        "reduction, lower bound; its upper bound is that of the models in each other's place": reduction_cells,
        "mean loss, lower bound": partial(mean_cells, upper=False),
        "mean loss, upper bound": partial(mean_cells, upper=True),
    }
    for title, cells in figures.items():
        print(f"\n{title}\n\n| n | " + " | ".join(f"{confidence:.1%}" for confidence in CONFIDENCES) + " |")
        print("|---|" + "---|" * len(CONFIDENCES))
        for n in arguments.sizes:
            by_confidence = [list(cells(n, confidence, arguments.draws, random)) for confidence in CONFIDENCES]
            print(f"| {n} | " + " | ".join(lowest_coverage(row) for row in by_confidence) + " |", flush=True)
            for confidence, row in zip(CONFIDENCES, by_confidence, strict=True):
                short += [(title, n, confidence, cell) for cell in row if falls_short(cell, confidence)]
    print_widths(arguments.sizes)
    print(f"\ncells below their confidence by more than {STANDARD_ERRORS:g} standard errors: {short or 'none'}")
    sys.exit(bool(short))


def print_strata(draws: int) -> bool:
    """Print how often the upper bounds of all strata of a sample hold at once; return whether that is too rare."""
    random, short = np.random.default_rng(0), []
    print("\nrates of all strata, upper bounds at once\n")
    print("| strata | sample | at least of each | " + " | ".join(f"{at:.1%}" for at in STRATA_CONFIDENCES) + " |")
    print("|---|---|---|" + "---|" * len(STRATA_CONFIDENCES))
    for strata, sample, least in STRATA_CELLS:
        cells = [strata_cell(strata, sample, least, confidence, draws, random) for confidence in STRATA_CONFIDENCES]
        print(f"| {strata} | {sample} | {least} | " + " | ".join(lowest_coverage([cell]) for cell in cells) + " |")
        short += [
            cell for cell, confidence in zip(cells, STRATA_CONFIDENCES, strict=True) if falls_short(cell, confidence)
        ]
    print(f"\ncells below their confidence by more than {STANDARD_ERRORS:g} standard errors: {short or 'none'}")
    return bool(short)


def strata_cell(
    strata: int, sample: int, least: int, confidence: float, draws: int, random: np.random.Generator
) -> Cell:
    """Coverage of all upper bounds at once in a set whose strata halve in size and are recited at various rates.

    Each draw ranks all texts at random, as their hashes do, and looks at those of a stratum that are among the first of
    all or the first of the stratum.
    """
    sizes = [max(LARGEST_STRATUM >> index, 4) for index in range(strata)]
    stratum_of = np.repeat(np.arange(strata), sizes)
    recited = np.concatenate([np.arange(size) < round(size * RATES[1 + at % 3]) for at, size in enumerate(sizes)])
    truths = [float(recited[stratum_of == index].mean()) for index in range(strata)]
    each, held = 1 - (1 - confidence) / strata, 0
    bounds: dict[tuple[int, int], float] = {}
    for _ in range(draws):
        ranked = random.permutation(len(stratum_of))
        holds = True
        for index, truth in enumerate(truths):
            places = np.flatnonzero(stratum_of[ranked] == index)
            looked_at = places[: max(least, int(np.searchsorted(places, sample)))]
            k, n = int(recited[ranked[looked_at]].sum()), len(looked_at)
            if (k, n) not in bounds:
                bounds[k, n] = k / n if n == sizes[index] else upper_bound(k, n, each)
            holds &= truth <= bounds[k, n]
        held += holds
    return held / draws, math.sqrt(confidence * (1 - confidence) / draws)


def print_membership(draws: int) -> bool:
    """Print how often the bounds of attacks hold, and a paired verdict is withheld; return whether that is too rare."""
    random, short = np.random.default_rng(0), []
    columns = ("TPR low", "TPR high", "AUC low", "AUC high", "paired TPR", "paired AUC")
    print(f"\nmembership at {CONFIDENCES[1]:.0%}, FPR {FPR:.0%}\n")
    print("| members | controls | shift of members | of the members | " + " | ".join(columns) + " |")
    print("|---|---|---|---|" + "---|" * len(columns))
    for (members, controls), shift, exhaustive in product(ROC_SIZES, SHIFTS, (False, True)):
        cells = membership_cells(members, controls, shift, draws, random, exhaustive=exhaustive)
        whole = "all" if exhaustive else "a sample"
        print(
            f"| {members} | {controls} | {shift:g} | {whole} | "
            + " | ".join(lowest_coverage([c]) for c in cells)
            + " |"
        )
        short += [cell for cell in cells if falls_short(cell, CONFIDENCES[1])]
    print(f"\ncells below their confidence by more than {STANDARD_ERRORS:g} standard errors: {short or 'none'}")
    return bool(short)


def membership_cells(
    members: int, controls: int, shift: float, draws: int, random: np.random.Generator, *, exhaustive: bool
) -> list[Cell]:
    """Coverage of each bound, and how often two models that tell the same of members are not said to differ.

    Of two models whose scores share half of their variance neither tells more, where the first would be shown to tell
    less by mistake. Members that are the whole training set stay the same in all draws, and so does what each tells of
    them: there the second model scores them as the first does.
    """
    confidence, threshold = CONFIDENCES[1], float(norm.isf(FPR))
    fixed = random.normal(shift, size=members)
    true_rate, true_area = float(norm.sf(threshold - shift)), float(norm.cdf(shift / math.sqrt(2)))
    if exhaustive:
        true_rate, true_area = float((fixed > threshold).mean()), float(norm.cdf(fixed).mean())
    held = np.zeros(6)
    for _ in range(draws):
        first_members, second_members = correlated(random, members) + shift
        if exhaustive:
            first_members = second_members = fixed
        first_controls, second_controls = correlated(random, controls)
        first = AttackScores(first_members, first_controls, exhaustive)
        (low, high), (low_area, high_area) = tpr_bounds(first, FPR, confidence), auc_bounds(first, confidence)
        pair = PairedAttack(first, AttackScores(second_members, second_controls, exhaustive))
        held += [
            low <= true_rate, high >= true_rate, low_area <= true_area, high_area >= true_area,
            not shows_lower_tpr(pair, FPR, confidence, strictly=True), not shows_lower_auc(pair, confidence),
        ]  # fmt: skip
    error = math.sqrt(confidence * (1 - confidence) / draws)
    return [(float(share), error) for share in held / draws]


def correlated(random: np.random.Generator, n: int) -> Array:
    """Standard normal scores by two models ``[2, n]`` that share half of their variance."""
    shared: Array = random.normal(size=n) * math.sqrt(0.5)
    return shared + random.normal(size=(2, n)) * math.sqrt(0.5)


def lowest_coverage(cells: Sequence[Cell]) -> str:
    """The lowest coverage of any cell, with its standard error; "" of no cells."""
    if not cells:
        return ""
    coverage, standard_error = min(cells)
    return f"{coverage:.2%}" + (f" ± {standard_error:.2%}" if standard_error else "")


def falls_short(cell: Cell, confidence: float) -> bool:
    coverage, standard_error = cell
    return coverage < confidence - STANDARD_ERRORS * standard_error - 1e-9


def rate_cells(n: int, confidence: float, draws: int, random: np.random.Generator) -> Iterator[Cell]:
    """Coverage of both bounds at each rate, from the probabilities of all counts."""
    for rate in RATES:
        counts = range(n + 1)
        covered_above = bisect_left(counts, rate, key=lambda k: upper_bound(k, n, confidence))
        missed_below = bisect_right(counts, rate, key=lambda k: lower_bound(k, n, confidence))
        yield 1 - float(binom.cdf(covered_above - 1, n, rate)), 0.0
        yield 1 - float(binom.sf(missed_below - 1, n, rate)), 0.0


def reduction_cells(n: int, confidence: float, draws: int, random: np.random.Generator) -> Iterator[Cell]:
    """Coverage of the lower bound at each pair of rates and each overlap."""
    for first, second, overlap in product(RATES[1:], RATES, OVERLAPS):
        if second == 0 and overlap:
            continue
        both = overlap * min(first, second)
        size = min(int(draws / (1 - confidence)), 100 * draws)
        shares = [both, first - both, second - both, 1 - first - second + both]
        drawn = random.multinomial(n, shares, size=size)[:, :3]
        tables, counts = np.unique(drawn, axis=0, return_counts=True)
        ratio = first / second if second else math.inf
        missed = sum(
            int(count)
            for table, count in zip(tables.tolist(), counts, strict=True)
            if bound_exceeds(ratio, table, confidence)
        )
        error = 1 - confidence
        yield 1 - missed / size, math.sqrt(error * confidence / size)


def bound_exceeds(ratio: float, table: Sequence[int], confidence: float) -> bool:
    """Whether the lower bound of a table is above the true ratio."""
    both, only_first, only_second = table
    if math.isinf(ratio) or both + only_first == 0:
        return False
    if sum(table) > 100 and score_statistic(ratio, both, only_first, only_second) < 0.8 * norm.ppf(confidence):
        return False  # far from it, and not worth the time
    return ratio_is_refuted(ratio, both, only_first, only_second, confidence)


def score_statistic(ratio: float, both: int, only_first: int, only_second: int) -> float:
    """The score statistic of Nam and Blackwelder, of which large values refute the ratio."""
    n, first, second = both + only_first + only_second, both + only_first, both + only_second
    a, b, c = n * (1 + ratio), second * ratio**2 - (first + 2 * only_second), only_second * (1 - ratio)
    share = (-b + math.sqrt(max(b * b - 4 * a * c, 0.0))) / (2 * a)  # of the second alone, by constrained likelihood
    shared = (1 - (1 + ratio) * share) / ratio
    variance = n * ratio * ((shared + share) * (1 + ratio) - 2 * shared)
    return (first - ratio * second) / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, first - second)


def mean_cells(n: int, confidence: float, draws: int, random: np.random.Generator, *, upper: bool) -> Iterator[Cell]:
    """Coverage of a bound of the mean at each distribution of losses."""
    if n > MOST_LOSSES:
        return
    size = max(100, min(int(draws / (1 - confidence)), 20 * draws, 40_000 * draws // n))
    for draw, mean in distributions():
        missed = 0
        for _ in range(size):
            losses = draw(random, n)
            points = np.append(losses, greatest_possible(losses)) if upper else -np.append(losses, 0.0)
            truth = mean if upper else -mean
            # A bound lies well above the plain mean of its points.
            if truth > points.mean() + 0.8 * losses.std() / math.sqrt(n):
                missed += probability_above(points, truth) < 1 - confidence
        yield 1 - missed / size, math.sqrt(confidence * (1 - confidence) / size)


def distributions() -> Iterator[tuple[Draw, float]]:
    """Distributions of losses, each as a function that draws so many from it, and its mean."""
    yield lambda random, n: random.normal(3.0, 0.5, n), 3.0
    yield lambda random, n: random.gamma(4.0, 0.75, n), 3.0
    yield lambda random, n: random.exponential(2.0, n), 2.0
    yield lambda random, n: random.lognormal(0.5, 0.75, n), math.exp(0.5 + 0.75**2 / 2)
    for recited in (0.05, 0.5, 0.95):
        yield partial(partly_recited, recited), 0.01 * recited + 3 * (1 - recited)
    for path in sorted(MEASURED_LOSSES.glob("*/*.parquet")):
        table = pq.read_table(path)
        if "nll" in table.column_names and not table["nll"].null_count:
            measured = table["nll"].to_numpy().astype(np.float64)
            yield partial(drawn_again, measured), float(measured.mean())


def partly_recited(recited: float, random: np.random.Generator, n: int) -> Array:
    """Losses of which this share is close to 0."""
    return np.where(random.random(n) < recited, 0.01, random.gamma(36.0, 1 / 12, n))


def drawn_again(measured: Array, random: np.random.Generator, n: int) -> Array:
    drawn: Array = random.choice(measured, n)
    return drawn


def print_widths(sizes: Sequence[int]) -> None:
    """Print the lower bounds of a reduction of 2 at the expected counts, with those of the score interval."""
    print(f"\nlower bound of a reduction of 2 ({SHOWN}), and that of the score interval\n")
    print("| n | " + " | ".join(f"{confidence:.1%}" for confidence in CONFIDENCES) + " |")
    print("|---|" + "---|" * len(CONFIDENCES))
    for n in sizes:
        both, only_first, only_second = round(0.005 * n), round(0.015 * n), round(0.005 * n)
        if only_second:
            bounds = [
                f"{ratio_lower_bound(both, only_first, only_second, confidence):.3f}"
                f" ({score_bound(both, only_first, only_second, confidence):.3f})"
                for confidence in CONFIDENCES
            ]
            print(f"| {n} | " + " | ".join(bounds) + " |")


def score_bound(both: int, only_first: int, only_second: int, confidence: float) -> float:
    """The lower bound of the score interval."""
    low, high = 1e-6, (both + only_first) / (both + only_second)
    while high - low > 1e-6:
        middle = (low + high) / 2
        refuted = score_statistic(middle, both, only_first, only_second) > norm.ppf(confidence)
        low, high = (middle, high) if refuted else (low, middle)
    return low


if __name__ == "__main__":
    main()
