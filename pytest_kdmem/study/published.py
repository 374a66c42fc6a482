"""What arXiv 2601.15394 published, as literals to stand beside what is measured; nothing is computed from them here.

Rates are shares of D, losses in nats a token. Keys are (family, dataset) as a study names them.
"""

from __future__ import annotations

from typing import Final

Setting = tuple[str, str]

PYTHIA_FINEWEB: Final[Setting] = ("pythia", "fineweb")
PYTHIA_WIKITEXT: Final[Setting] = ("pythia", "wikitext")
PYTHIA_NEMOTRON: Final[Setting] = ("pythia", "nemotron")
OLMO_FINEWEB: Final[Setting] = ("olmo2", "fineweb")
QWEN_FINEWEB: Final[Setting] = ("qwen3", "fineweb")

# Finding 1; the hard student's rate is finding 10's.
RATES: Final[dict[Setting, dict[str, float]]] = {
    PYTHIA_FINEWEB: {"teacher": 0.0033, "baseline": 0.0017, "soft": 0.0007, "hard": 0.0007},
    PYTHIA_WIKITEXT: {"teacher": 0.0175, "baseline": 0.0021, "soft": 0.0010},
    PYTHIA_NEMOTRON: {"teacher": 0.0005, "baseline": 0.000091, "soft": 0.000012},
    OLMO_FINEWEB: {"teacher": 0.0890, "baseline": 0.0040, "soft": 0.0009},
    QWEN_FINEWEB: {"teacher": 0.0345, "baseline": 0.0086, "soft": 0.0026},
}
REDUCTIONS: Final[dict[Setting, float]] = {
    PYTHIA_FINEWEB: 2.4,
    PYTHIA_WIKITEXT: 2.1,
    PYTHIA_NEMOTRON: 7.6,
    OLMO_FINEWEB: 4.4,
    QWEN_FINEWEB: 3.3,
}

# Finding 2.
LOSSES: Final[dict[Setting, dict[str, float]]] = {PYTHIA_FINEWEB: {"teacher": 2.75, "baseline": 2.87, "soft": 2.85}}
PERPLEXITIES: Final[dict[Setting, dict[str, float]]] = {
    PYTHIA_FINEWEB: {"teacher": 15.66, "baseline": 17.69, "soft": 17.31}
}

# Finding 3: examples of teacher ∩ student \ baseline, and of teacher \ baseline.
INHERITED: Final[dict[Setting, int]] = {PYTHIA_FINEWEB: 18}
TEACHER_ONLY: Final[dict[Setting, int]] = {PYTHIA_FINEWEB: 1955}
INHERITED_RATIOS: Final[dict[Setting, float]] = {PYTHIA_FINEWEB: 0.009}

# Finding 4.
EASY: Final[dict[Setting, int]] = {PYTHIA_FINEWEB: 676}
STUDENT_MEMORIZED: Final[dict[Setting, int]] = {PYTHIA_FINEWEB: 706}
EASY_SHARES: Final[dict[Setting, float]] = {
    PYTHIA_FINEWEB: 0.957,
    PYTHIA_WIKITEXT: 0.88,
    OLMO_FINEWEB: 0.85,
    QWEN_FINEWEB: 0.70,
}
LEFT_OUT: Final[dict[Setting, int]] = {PYTHIA_FINEWEB: 696}
ALWAYS_BASELINE_NEVER_STUDENT: Final[dict[Setting, int]] = {PYTHIA_FINEWEB: 494}
SMALLER_HELD_BY_LARGER: Final[dict[Setting, float]] = {PYTHIA_FINEWEB: 0.96}
BASELINE_HELD_BY_TEACHER: Final[dict[Setting, float]] = {PYTHIA_FINEWEB: 0.80}
RANDOM_EXAMPLES: Final = 25_000

# Finding 5: the sets of two families share nothing; the zlib bytes of their texts correlate (Pearson r).
SHARED_BETWEEN_FAMILIES: Final = 0
ZLIB_CORRELATIONS: Final[dict[frozenset[str], float]] = {
    frozenset({"pythia", "qwen3"}): 0.95,
    frozenset({"pythia", "olmo2"}): 0.96,
    frozenset({"qwen3", "olmo2"}): 0.99,
}

# Finding 6: means over 100 trials, and their standard deviations where there is one; features standardised.
PREDICTION: Final[dict[Setting, dict[str, float]]] = {
    PYTHIA_FINEWEB: {"roc_auc": 0.9997, "precision": 0.9917, "recall": 1.0},
    PYTHIA_WIKITEXT: {"roc_auc": 0.9964},
    OLMO_FINEWEB: {"roc_auc": 0.9999},
    QWEN_FINEWEB: {"roc_auc": 0.9999},
}
COEFFICIENTS: Final[dict[Setting, dict[str, float]]] = {
    PYTHIA_FINEWEB: {
        "teacher_perplexity": -0.3341,
        "baseline_perplexity": -0.4010,
        "kl": -1.0579,
        "zlib_bytes": -4.5001,
    }
}

# Finding 7: memorized after distilling on D, and on D without what was predicted at risk; the latter are all new.
MEMORIZED_BEFORE_CLEANING: Final[dict[Setting, int]] = {PYTHIA_FINEWEB: 1698}
MEMORIZED_AFTER_CLEANING: Final[dict[Setting, int]] = {PYTHIA_FINEWEB: 4}

# Finding 10.
HARD_SHARED: Final[dict[Setting, float]] = {PYTHIA_FINEWEB: 0.70}
HARD_EASY: Final[dict[Setting, float]] = {PYTHIA_FINEWEB: 0.90}
HARD_INHERITED: Final[dict[Setting, int]] = {PYTHIA_FINEWEB: 50}
HARD_OVER_SOFT_INHERITED: Final[dict[Setting, float]] = {PYTHIA_FINEWEB: 2.7}
