"""A tokenizer in every reading that training can have used, held together on each text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.corpus.auto_reading import AutoReading
from pytest_kdmem.corpus.chat_template import ChatTemplate
from pytest_kdmem.corpus.file_readings import tokenizer_settings
from pytest_kdmem.corpus.readings import BEFORE, BEHIND, Reading, ReadingsDiffer, added_tokens

# Where the special token stands that a setting of a tokenizer promises.
PROMISES = {"add_bos_token": BEFORE, "add_eos_token": BEHIND}


class ReadTokenizer:
    """A tokenizer in one reading, or in several that must agree.

    Args:
        readings: The readings; the token ids of the first are given.
        folder: The folder of the tokenizer.
        trust_remote_code: Run tokenizer code that comes with the checkpoint.
    """

    had_special_tokens: bool | None = None

    def __init__(self, *readings: Reading, folder: Path, trust_remote_code: bool = False) -> None:
        self._readings, self._folder, self._trusts_code = readings, folder, trust_remote_code
        settings = tokenizer_settings(folder)
        # Of transformers, if it is there: it knows the special tokens that only settings name.
        self.eos_id, self.eos_token = readings[-1].eos_id, readings[-1].eos_token
        self.size = max(reading.size for reading in readings)
        self.special_ids: frozenset[int] = frozenset().union(*(reading.special_ids for reading in readings))
        # That of transformers first: a SentencePiece model alone can only say that it does not know.
        self.adds = next((added for reading in reversed(readings) if (added := added_tokens(reading))), "")
        unkept = [flag for flag, where in PROMISES.items() if settings.get(flag) is True and where not in self.adds]
        self.promises = ", ".join(unkept)
        pipelines = [getattr(reading, "pipeline", None) for reading in readings]
        is_known = pipelines[0] is not None and len(pipelines) > 1
        self.is_one_pipeline = is_known and pipelines.count(pipelines[0]) == len(pipelines)
        self.identity = None if None in pipelines else digest_of([pipelines, *self._known_of(readings)])
        self.name = f"{readings[0].name} of {folder.name}"
        self._agreed: set[bool] = set()
        self._held_to: list[ReadTokenizer] = []

    def _known_of(self, readings: Sequence[Reading]) -> list[object]:
        """What is known of the tokenizer beside the steps of its readings."""
        names = [reading.name for reading in readings]
        return [names, self.eos_id, self.eos_token, self.size, sorted(self.special_ids), self.adds, self.promises]

    def hold_to(self, other: ReadTokenizer) -> None:
        """Refuse a text of which another model's tokenizer makes other token ids, as rows of both models are one."""
        if self.identity is None or self.identity != other.identity:
            self._held_to.append(other)

    def encode(self, texts: list[str], *, add_special_tokens: bool, needed: int | None = None) -> list[list[int]]:
        ids = self._encode(texts, add_special_tokens=add_special_tokens, needed=needed)
        for other in self._held_to:
            other_ids = other.encode(texts, add_special_tokens=add_special_tokens, needed=needed)
            _hold_together(self.name, ids, other.name, other_ids, needed)
        return ids

    def _encode(self, texts: list[str], *, add_special_tokens: bool, needed: int | None) -> list[list[int]]:
        first, *others = self._readings
        if others and add_special_tokens and not first.knows_special_tokens:
            self._encode(texts, add_special_tokens=False, needed=needed)
            return others[0].encode(texts, add_special_tokens=True)
        ids = first.encode(texts, add_special_tokens=add_special_tokens)
        if texts and add_special_tokens not in self._agreed:
            for other in others:
                other_ids = other.encode(texts, add_special_tokens=add_special_tokens)
                _hold_together(first.name, ids, other.name, other_ids, needed)
            if self.is_one_pipeline:  # one batch shows that nothing happens around the pipeline
                self._agreed.add(add_special_tokens)
        return ids

    def decode(self, ids: TokenIds) -> str:
        return self._readings[0].decode(ids)

    def candidates(self, text: str) -> list[list[int]]:
        return [reading.encode([text], add_special_tokens=False)[0] for reading in self._readings]

    def chat_template(self, file: str | None) -> ChatTemplate:
        auto = next((reading for reading in self._readings if isinstance(reading, AutoReading)), None)
        if auto is None:  # only the file was declared, and transformers alone renders templates
            auto = AutoReading.load(self._folder, trust_remote_code=self._trusts_code)
        return ChatTemplate(auto.inner, self._folder, file=file)


def _hold_together(
    first: str, ids: list[list[int]], other: str, other_ids: list[list[int]], needed: int | None
) -> None:
    for index, (expected, actual) in enumerate(zip(ids, other_ids, strict=True)):
        if expected[:needed] != actual[:needed]:
            pairs = zip(expected, actual, strict=False)
            at = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(expected), len(actual)))
            raise ReadingsDiffer(
                index,
                f"{len(expected)} tokens by {first} and {len(actual)} by {other}, which differ from token {at + 1} on",
            )
