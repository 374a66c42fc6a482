"""Number of examples that an audit needs: `python benchmarks/sample_size.py` (exact; no model is run).

For a gate ``rate <= threshold`` over a sample: the smallest number of distinct examples with which a model of a given
true rate passes nine times in ten. A model of true rate 0 passes every time.
"""

from __future__ import annotations

import argparse
from itertools import count

from scipy.stats import binom

from pytest_kdmem.metrics.bounds import upper_bound

THRESHOLDS = (0.01, 0.005, 0.001, 0.0005, 0.0001)
# True rates, as shares of the threshold.
SHARES = (0.0, 0.25, 0.5, 0.75)
POWER = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--confidence", type=float, default=0.95)
    confidence = parser.parse_args().confidence
    print(f"examples needed at {confidence:.0%} confidence; a model of the true rate passes in {POWER:.0%} of audits")
    print("threshold  " + "  ".join(f"rate {share:4.0%} of it" for share in SHARES))
    for threshold in THRESHOLDS:
        needed = [examples_needed(threshold, share * threshold, confidence) for share in SHARES]
        print(f"{threshold:9.2%}  " + "  ".join(f"{examples:15,}".replace(",", " ") for examples in needed))


def examples_needed(threshold: float, rate: float, confidence: float) -> int:
    """The smallest number of examples with which a model of this true rate passes with probability POWER.

    A gate passes k hits from the number of examples on at which their upper bound meets the threshold. k grows until k
    or fewer hits are probable enough.
    """
    for hits in count():
        examples = smallest_passing(hits, threshold, confidence)
        if binom.cdf(hits, examples, rate) >= POWER:
            return examples
    raise AssertionError("unreachable")


def smallest_passing(hits: int, threshold: float, confidence: float) -> int:
    """The smallest number of examples with which so many hits pass, by bisection: the upper bound falls with n."""
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
