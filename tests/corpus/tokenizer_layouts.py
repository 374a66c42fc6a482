"""Tokenizer folders laid out as public ones are, each trained on a few texts in a blink."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Digits, leading and double spaces, line feeds, letters beside digits and accents: what pre-tokenizers disagree on.
TEXTS = [
    f" = {word.title()} {number} =\n\n On {number % 28 + 1} May {1900 + number}, {word}'s  {number * 137} crates of"
    f" {word[::-1]}{number} left Zürich;\tit's {number}.{number % 7} km — '{word} {word[1:]}' said café no. {number}"
    f" of {LETTERS[number % 20 :]} \n  and {' '.join(str(number * step) for step in range(3, 19))}."
    for number, word in enumerate(
        "amber birch cedar delta ember fjord grove heath inlet juniper knoll larch".split(), start=12
    )
]
QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
EOT = "<|endoftext|>"
Build = Callable[[Path], None]


def byte_level(*before: Any, specials: tuple[str, ...] = (EOT,), add_prefix_space: bool = False) -> Tokenizer:
    """A byte-level BPE tokenizer with other pre-tokenizers before the byte level."""
    inner = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space, use_regex=not before)
    inner.pre_tokenizer = pre_tokenizers.Sequence([*before, level]) if before else level
    inner.decoder = decoders.ByteLevel()
    return train(inner, specials, pre_tokenizers.ByteLevel.alphabet())


def llama_2() -> Tokenizer:
    """BPE with byte fallback, whose normalizer puts one ▁ before a text, as Llama 2's tokenizer.json has it."""
    inner = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    inner.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    bytes_of_fallback = tuple(f"<0x{byte:02X}>" for byte in range(256))
    content = json.loads(train(inner, ("<unk>", "<s>", "</s>", *bytes_of_fallback), []).to_str())
    content["added_tokens"] = content["added_tokens"][:3]  # bytes are ordinary tokens
    return Tokenizer.from_str(json.dumps(content))


def train(inner: Tokenizer, specials: tuple[str, ...], alphabet: list[str]) -> Tokenizer:
    kinds = {"BPE": trainers.BpeTrainer, "WordPiece": trainers.WordPieceTrainer, "WordLevel": trainers.WordLevelTrainer}
    kind, settings = type(inner.model).__name__, {"vocab_size": 620, "special_tokens": list(specials)}
    if kind == "Unigram":
        trainer = trainers.UnigramTrainer(**settings, unk_token="<unk>", show_progress=False)
    elif kind == "WordLevel":
        trainer = trainers.WordLevelTrainer(**settings, show_progress=False)
    else:
        trainer = kinds[kind](**settings, initial_alphabet=alphabet, show_progress=False)
    inner.train_from_iterator(TEXTS, trainer)
    return inner


def with_bos(inner: Tokenizer, bos: str, eos: str | None = None) -> Tokenizer:
    """The tokenizer with a post-processor that puts BOS before each text, and EOS behind it if there is one."""
    tokens = [token for token in (bos, eos) if token]
    template = f"{bos} $A" + (f" {eos}" if eos else "")
    inner.post_processor = processors.TemplateProcessing(
        single=template.strip(), special_tokens=[(token, inner.token_to_id(token)) for token in tokens]
    )
    return inner


def folder_of(inner: Tokenizer, model_type: str, **settings: Any) -> Build:
    """Writes a tokenizer.json with the settings beside it, in the folder of a model."""

    def build(folder: Path) -> None:
        inner.save(str(folder / "tokenizer.json"))
        write_settings(folder, model_type, **settings)

    return build


def write_settings(folder: Path, model_type: str, **settings: Any) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def sentence_pieces(model_type: str, name: str, kind: str, **settings: Any) -> Build:
    """Writes a SentencePiece model alone, as older checkpoints have it."""

    def build(folder: Path) -> None:
        import sentencepiece

        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(line for text in TEXTS for line in text.splitlines()),
            model_prefix=str(folder / "trained"),
            model_type=kind,
            vocab_size=420,
            byte_fallback=kind == "bpe",
            normalization_rule_name="identity" if kind == "bpe" else "nmt_nfkc",
            remove_extra_whitespaces=kind != "bpe",
            hard_vocab_limit=False,
            minloglevel=2,
        )
        (folder / "trained.model").rename(folder / name)
        (folder / "trained.vocab").unlink()
        write_settings(folder, model_type, **settings)

    return build


def vocabulary_and_merges(model_type: str, **settings: Any) -> Build:
    """Writes vocab.json and merges.txt alone, as GPT-2's first checkpoints have it."""

    def build(folder: Path) -> None:
        byte_level().model.save(str(folder))
        write_settings(folder, model_type, **settings)

    return build


def digits(*, individual: bool = True) -> Any:
    return pre_tokenizers.Digits(individual_digits=individual)


def split(pattern: str) -> Any:
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def unigram() -> Tokenizer:
    inner = Tokenizer(models.Unigram())
    inner.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    inner = train(inner, ("<pad>", "</s>", "<unk>"), [])
    inner.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return inner


def word_piece() -> Tokenizer:
    inner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    inner = train(inner, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), [])
    return with_bos(inner, "[CLS]", "[SEP]")


def word_level() -> Tokenizer:
    inner = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return train(inner, ("[UNK]", EOT), [])


def with_added_tokens(inner: Tokenizer) -> Tokenizer:
    inner.add_tokens([AddedToken("café", normalized=False), AddedToken(" km", normalized=False)])
    return inner


def truncating(inner: Tokenizer) -> Tokenizer:
    inner.enable_truncation(8)
    inner.enable_padding(length=64)
    return inner


def layouts() -> Iterator[tuple[str, Build]]:
    """Name and builder of each layout."""
    ends = {"bos_token": EOT, "eos_token": EOT}
    llama = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    deep = ("<|begin|>", "<|end|>")
    deep_ends = {"bos_token": deep[0], "eos_token": deep[1]}
    yield "gpt-neox", folder_of(byte_level(), "gpt_neox", tokenizer_class="GPTNeoXTokenizerFast", **ends)
    yield "gpt2", folder_of(byte_level(), "gpt2", tokenizer_class="GPT2TokenizerFast", **ends)
    yield "generic", folder_of(byte_level(), "llama", tokenizer_class="PreTrainedTokenizerFast", **ends)
    yield "no class named", folder_of(byte_level(), "gpt_neox", **ends)
    yield "qwen2", folder_of(byte_level(split(QWEN_PATTERN)), "qwen2", tokenizer_class="Qwen2TokenizerFast", **ends)
    yield (
        "deepseek-llm",
        folder_of(
            with_bos(byte_level(split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), digits(), specials=deep), deep[0]),
            "llama",
            tokenizer_class="LlamaTokenizerFast",
            add_bos_token=True,
            **deep_ends,
        ),
    )
    yield (
        "deepseek-coder",
        folder_of(
            byte_level(split(r"[\r\n]"), digits(), specials=deep),
            "llama",
            tokenizer_class="LlamaTokenizer",
            **deep_ends,
        ),
    )
    yield (
        "r1-qwen3",
        folder_of(
            byte_level(split(QWEN_PATTERN), specials=deep), "qwen3", tokenizer_class="LlamaTokenizerFast", **deep_ends
        ),
    )
    yield "smollm2", folder_of(byte_level(digits()), "llama", tokenizer_class="GPT2Tokenizer", **ends)
    yield (
        "starcoder2",
        folder_of(byte_level(split(r"\d{1,3}")), "starcoder2", tokenizer_class="GPT2TokenizerFast", **ends),
    )
    yield "codegen", folder_of(byte_level(digits()), "codegen", tokenizer_class="CodeGenTokenizerFast", **ends)
    yield (
        "odd gpt-neox",
        folder_of(
            byte_level(split(r" +"), add_prefix_space=True), "gpt_neox", tokenizer_class="GPTNeoXTokenizerFast", **ends
        ),
    )
    yield (
        "llama-2",
        folder_of(with_bos(llama_2(), "<s>"), "llama", tokenizer_class="LlamaTokenizerFast", legacy=True, **llama),
    )
    yield (
        "llama-3",
        folder_of(
            with_bos(byte_level(split(QWEN_PATTERN), specials=deep), deep[0]),
            "llama",
            tokenizer_class="PreTrainedTokenizerFast",
            **deep_ends,
        ),
    )
    yield (
        "add_eos_token",
        folder_of(
            llama_2(), "llama", tokenizer_class="LlamaTokenizerFast", add_bos_token=False, add_eos_token=True, **llama
        ),
    )
    yield (
        "eos in the file",
        folder_of(
            with_bos(byte_level(specials=deep), "", deep[1]),
            "llama",
            tokenizer_class="PreTrainedTokenizerFast",
            **deep_ends,
        ),
    )
    yield (
        "added tokens",
        folder_of(with_added_tokens(byte_level()), "gpt2", tokenizer_class="GPT2TokenizerFast", **ends),
    )
    yield (
        "token of the settings",
        folder_of(
            byte_level(),
            "gpt_neox",
            tokenizer_class="GPTNeoXTokenizerFast",
            added_tokens_decoder={"620": {"content": "café", "special": False, "normalized": False}},
            **ends,
        ),
    )
    yield (
        "truncation in the file",
        folder_of(truncating(byte_level()), "gpt_neox", tokenizer_class="GPTNeoXTokenizerFast", **ends),
    )
    yield (
        "bert",
        folder_of(word_piece(), "bert", tokenizer_class="BertTokenizerFast", pad_token="[PAD]", unk_token="[UNK]"),
    )
    yield (
        "word level",
        folder_of(word_level(), "gpt2", tokenizer_class="PreTrainedTokenizerFast", unk_token="[UNK]", **ends),
    )
    yield "t5", folder_of(unigram(), "t5", tokenizer_class="T5TokenizerFast", eos_token="</s>", pad_token="<pad>")
    yield (
        "mistral, tokenizer.model alone",
        sentence_pieces(
            "mistral",
            "tokenizer.model",
            "bpe",
            tokenizer_class="LlamaTokenizer",
            add_bos_token=True,
            add_eos_token=False,
            **llama,
        ),
    )
    yield "no class, tokenizer.model alone", sentence_pieces("llama", "tokenizer.model", "bpe")
    yield (
        "t5, spiece.model alone",
        sentence_pieces(
            "t5",
            "spiece.model",
            "unigram",
            tokenizer_class="T5Tokenizer",
            eos_token="</s>",
            unk_token="<unk>",
            pad_token="<pad>",
        ),
    )
    yield "gpt2, vocab.json alone", vocabulary_and_merges("gpt2", tokenizer_class="GPT2Tokenizer", **ends)
    yield "no class, vocab.json alone", vocabulary_and_merges("gpt_neox", **ends)


LAYOUTS = dict(layouts())
