"""How many examples an audit needs: `python benchmarks/sample_size.py` (exact; nothing is run).

For a gate ``rate <= threshold`` over a sample: the fewest distinct examples with which a model that recites nothing
passes, and those with which a model of a given true rate passes nine times in ten.
"""

from __future__ import annotations

import argparse
from itertools import count

from scipy.stats import binom

from pytest_kdmem.metrics.bounds import upper_bound

THRESHOLDS = (0.01, 0.005, 0.001, 0.0005, 0.0001)
# True rates, as parts of the threshold.
PARTS = (0.0, 0.25, 0.5, 0.75)
POWER = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--confidence", type=float, default=0.95)
    confidence = parser.parse_args().confidence
    print(f"examples needed at {confidence:.0%} confidence; a model of the true rate passes in {POWER:.0%} of audits")
    print("threshold  " + "  ".join(f"rate {part:4.0%} of it" for part in PARTS))
    for threshold in THRESHOLDS:
        needed = [examples_needed(threshold, part * threshold, confidence) for part in PARTS]
        print(f"{threshold:9.2%}  " + "  ".join(f"{examples:15,}".replace(",", " ") for examples in needed))


def examples_needed(threshold: float, rate: float, confidence: float) -> int:
    """The fewest examples with which a model of a true rate passes the threshold with probability POWER.

    With k hits, a gate passes from so many examples on as put the upper bound at the threshold; k grows until that many
    or fewer hits are likely enough.
    """
    for hits in count():
        examples = fewest_examples(hits, threshold, confidence)
        if binom.cdf(hits, examples, rate) >= POWER:
            return examples
    raise AssertionError("unreachable")


def fewest_examples(hits: int, threshold: float, confidence: float) -> int:
    """The fewest examples of which so many hits pass: by bisection, as the upper bound falls with n."""
    low, high = hits, hits + 1
    while upper_bound(hits, high, confidence) > threshold:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if upper_bound(hits, middle, confidence) > threshold:
            low = middle
        else:
            high = middle
    return high


if __name__ == "__main__":
    main()
