"""Entries of an audit's result on single examples, and on the distributions of scores over all examples."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from pytest_kdmem.auditing.schema import check

# Examples whose prefixes are continued: every model is loaded again for them, and decodes token by token.
MAX_CONTINUED = 100


@dataclass(frozen=True)
class ModelColumns:
    """Scores of one model for each row of `ExamplesEntry`; None for a metric that was not scored for the example.

    Attributes:
        memorized: 1 if the model recites the example, else 0.
        ambiguous: 1 if another kernel or batch size could flip the verdict, else 0.
        margin: Least margin over the suffix, in logits.
        perplexity: Perplexity of the window.
        logprob: Log-probability of the suffix, in nats.
        generated: Text that the model continues the prefix with by greedy decoding, as long as the suffix; None for an
            example that was not continued, and empty unless the audit shows text.
    """

    memorized: tuple[int, ...]
    ambiguous: tuple[int, ...]
    margin: tuple[float | None, ...]
    perplexity: tuple[float | None, ...]
    logprob: tuple[float | None, ...]
    generated: tuple[str | None, ...] = field(default=(), metadata={"json_default": "left out"})


@dataclass(frozen=True)
class ExamplesEntry:
    """A row for each distinct example that any model recites, may recite or recites nearly, and for those of high risk.

    Attributes:
        example_id: Position in the training set, ascending.
        digest: Digest of the token ids.
        copies: Number of copies in the training set; 1 over a sample, whose copies are not counted.
        zlib_bytes: Compressed size of the window's text; None if it is unknown.
        risk: Predicted risk; None if none was predicted.
        models: Scores of each model, by role.
        prefix, suffix: Text of each example; empty unless the audit shows text.
        groups: Names of the groups that copies of each example are of; empty if the set names no column of them.
    """

    example_id: tuple[int, ...]
    digest: tuple[str, ...]
    copies: tuple[int, ...]
    zlib_bytes: tuple[int | None, ...]
    risk: tuple[float | None, ...]
    models: dict[str, ModelColumns]
    prefix: tuple[str, ...] = ()
    suffix: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = field(default=(), metadata={"json_default": "left out"})

    def __post_init__(self) -> None:
        texts = (self.prefix or self.digest, self.suffix or self.digest)
        columns = (
            self.example_id,
            self.digest,
            self.copies,
            self.zlib_bytes,
            self.risk,
            self.groups or self.digest,
            *texts,
        )
        models = [
            getattr(model, column.name)
            for model in self.models.values()
            for column in fields(ModelColumns)
            if column.name != "generated" or model.generated
        ]
        check(len({*map(len, columns), *map(len, models)}) == 1, "columns of examples that are equally long")
        is_generated = any(model.generated for model in self.models.values())
        check(bool(self.prefix) or not is_generated, "no generated text but beside that of the examples")


@dataclass(frozen=True)
class RepetitionBin:
    """The distinct examples with a number of copies between two limits.

    Attributes:
        least, most: Least and greatest number of copies.
        memorized: Number of examples that are memorized.
        n: Number of examples.
    """

    least: int
    most: int
    memorized: int
    n: int

    def __post_init__(self) -> None:
        check(0 <= self.memorized <= self.n and self.n > 0, "a bin of repetition that holds what is memorized of it")


@dataclass(frozen=True)
class ModelDistributions:
    """Distributions of one model's scores over all distinct examples.

    Attributes:
        margins: Number of examples in each bin of margins, ``[b]``; `DistributionsEntry` has the edges.
        without_margin: Number of examples whose margin is unknown, because scoring stopped at an early miss.
        repetition: Bins of the number of copies, ascending; none over a sample.
        zlib_bytes, perplexity: Values of examples drawn from those that the model does not recite.
    """

    margins: tuple[int, ...]
    without_margin: int
    repetition: tuple[RepetitionBin, ...]
    zlib_bytes: tuple[int, ...]
    perplexity: tuple[float, ...]

    def __post_init__(self) -> None:
        check(len(self.zlib_bytes) == len(self.perplexity), "as many perplexities as sizes")


@dataclass(frozen=True)
class DistributionsEntry:
    """Distributions of the scores of all models.

    Attributes:
        edges: Edges of the bins of margins ``[b + 1]``, in logits; the outer bins hold all margins beyond them.
        models: Distributions of each model, by role.
    """

    edges: tuple[float, ...]
    models: dict[str, ModelDistributions]

    def __post_init__(self) -> None:
        bins = {len(model.margins) for model in self.models.values()}
        check(bins <= {len(self.edges) - 1}, "one edge more than counts of margins")
