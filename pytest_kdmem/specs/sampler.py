"""How tokens are sampled, and how many samples count as an extraction."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pytest_kdmem.base.text import count
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import quoted

# Below it, float32 holds no probability of a second token, so that sampling is greedy decoding with other words.
LEAST_TEMPERATURE = 1e-3


@dataclass(frozen=True)
class Sampler:
    """Settings by which the next token is drawn, each with the meaning that it has in `transformers`.

    The truncations apply in this order, each to what the ones before it left, and all of them keep the token of the
    greatest logit.

    Attributes:
        temperature: What logits are divided by; 0 is greedy decoding.
        top_k: Number of the likeliest tokens that are kept; None keeps all.
        top_p: Probability of the fewest likeliest tokens that are kept; None keeps all.
        min_p: Least probability that is kept, as a share of the greatest; None keeps all.
        epsilon_cutoff: Least probability that is kept; None keeps all.
        eta_cutoff: The same, which is less where the distribution is wide; None keeps all.

    Raises:
        SpecError: One of them is out of its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    epsilon_cutoff: float | None = None
    eta_cutoff: float | None = None

    def __post_init__(self) -> None:
        if not (_is_number(self.temperature) and (self.temperature == 0 or self.temperature >= LEAST_TEMPERATURE)):
            raise SpecError(
                f"A temperature of 0 (greedy decoding), or from {LEAST_TEMPERATURE:g}, was expected of a sampler; found"
                f" {quoted(self.temperature)}."
            )
        is_count = isinstance(self.top_k, int) and not isinstance(self.top_k, bool)
        if self.top_k is not None and not (is_count and self.top_k >= 1):
            raise SpecError(f"A number of tokens from 1 was expected as top_k; found {quoted(self.top_k)}.")
        self._check("top_p", "above 0 and at most 1", lambda value: 0 < value <= 1)
        self._check("min_p", "from 0 to 1", lambda value: 0 <= value <= 1)
        for name in ("epsilon_cutoff", "eta_cutoff"):
            self._check(name, "from 0 to below 1", lambda value: 0 <= value < 1)
        for name, keeps_all in (("top_p", 1), ("min_p", 0), ("epsilon_cutoff", 0), ("eta_cutoff", 0)):
            if getattr(self, name) == keeps_all:  # so that equal samplers are equal
                object.__setattr__(self, name, None)

    def _check(self, name: str, expected: str, fits: Callable[[float], bool]) -> None:
        value = getattr(self, name)
        if value is not None and not (_is_number(value) and fits(value)):
            raise SpecError(f"A number {expected} was expected as {name}; found {quoted(value)}.")

    @property
    def is_greedy(self) -> bool:
        """Whether every sample is the greedy continuation."""
        return self.temperature == 0

    def loosened(self, step: float) -> Sampler:
        """The sampler with truncations by probability that keep all which logits off by ``step`` could keep.

        Args:
            step: How far a logit over the temperature may be off, which may be negative: then they keep only what such
                logits could not drop. The probability of a set of tokens moves by at most a quarter of the step, which
                is allowed four times, and quotients of probabilities by two factors of e^step, which are allowed eight
                of them, as the entropy that eta depends on moves as well.
        """
        rounding = math.copysign(1e-5, step)  # of sums over a large vocabulary in float32
        top_p = None if self.top_p is None else min(1.0, max(1e-9, self.top_p + step + rounding))
        factor = math.exp(min(100.0, -8 * (step + rounding)))
        min_p, epsilon, eta = (
            None if value is None else min(1 - 1e-9, value * factor)
            for value in (self.min_p, self.epsilon_cutoff, self.eta_cutoff)
        )
        return Sampler(self.temperature, self.top_k, top_p, min_p, epsilon, eta)

    def __str__(self) -> str:
        if self.is_greedy:
            return "by greedy decoding"
        parts = [f"temperature {self.temperature:g}"]
        parts += [] if self.top_k is None else [f"top-k {count(self.top_k)}"]
        truncations = {"top-p": self.top_p, "min-p": self.min_p, "epsilon": self.epsilon_cutoff, "eta": self.eta_cutoff}
        parts += [f"{name} {value:g}" for name, value in truncations.items() if value is not None]
        return f"at {', '.join(parts)}"


@dataclass(frozen=True)
class Draws:
    """An example is (n, p)-extractable if n samples contain its suffix with probability p at least.

    A suffix of probability q occurs at least once in n samples with probability 1 − (1 − q)^n (Hayes et al. 2025, arXiv
    2410.19482).

    Attributes:
        n: Number of samples.
        p: The probability, above 0 and below 1.

    Raises:
        SpecError: One of them is out of its range.
    """

    n: int
    p: float

    def __post_init__(self) -> None:
        if not (_is_number(self.n) and _is_number(self.p)) or not self.n >= 1 or not 0 < self.p < 1:
            raise SpecError(
                f"n ≥ 1 and 0 < p < 1 were expected of (n, p)-extraction; found n = {self.n}, p = {self.p}."
            )

    @property
    def least_logprob(self) -> float:
        """Least log-probability of a suffix, in nats, that is extractable: ln(1 − (1 − p)^(1/n))."""
        return math.log(-math.expm1(math.log1p(-self.p) / self.n))

    def __str__(self) -> str:
        return f"({self.n}, {self.p:g})"


@dataclass(frozen=True)
class DeployedSampler:
    """The sampler of a figure, and whence it was read.

    Attributes:
        sampler: The sampler.
        origin: Whence it was read, in a few words.
        remark: What a reader must know of that, in a sentence; empty if nothing.
    """

    sampler: Sampler
    origin: str
    remark: str = ""

    def __str__(self) -> str:
        return f"{self.sampler} ({self.origin})"


def _is_number(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)  # type: ignore[arg-type]
