"""Reads how a model is sampled from the generation_config.json beside its weights, as `transformers` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.specs.layout import CONFIG, read_model_json
from pytest_kdmem.specs.sampler import DeployedSampler, Sampler

FILE_NAME = "generation_config.json"
# What transformers samples with where the file names none.
DEFAULT_TOP_K = 50
# Settings that the probability of a suffix does not depend on: how long a text becomes and where it ends (tokens that
# end it are ordinary ones here), what is returned, how fast, and drafts that change no distribution.
WITHOUT_EFFECT = {
    "max_length", "max_new_tokens", "early_stopping", "max_time", "stop_strings", "use_cache", "cache_implementation",
    "cache_config", "max_cache_len", "return_legacy_cache", "length_penalty", "renormalize_logits",
    "num_return_sequences", "output_attentions", "output_hidden_states", "output_scores", "output_logits",
    "return_dict_in_generate", "pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id",
    "is_assistant", "num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold",
    "prompt_lookup_num_tokens", "max_matching_ngram_size", "assistant_early_exit", "assistant_lookbehind",
    "target_lookbehind", "compile_config", "disable_compile", "low_memory", "prefill_chunk_size",
    "transformers_version", "_from_model_config", "_commit_hash",
}  # fmt: skip
# Values by which other settings do nothing.
OFF: dict[str, Any] = {
    "num_beams": 1, "num_beam_groups": 1, "diversity_penalty": 0.0, "typical_p": 1.0, "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0, "min_length": 0,
    "min_new_tokens": 0, "remove_invalid_values": False, "guidance_scale": 1.0, "penalty_alpha": 0.0,
    "token_healing": False,
}  # fmt: skip
# The other settings by which transformers changes what is drawn.
REFUSED = (
    "top_h", "bad_words_ids", "force_words_ids", "constraints", "forced_bos_token_id", "forced_eos_token_id",
    "forced_decoder_ids", "suppress_tokens", "begin_suppress_tokens", "sequence_bias", "watermarking_config",
    "exponential_decay_length_penalty", "dola_layers", "assistant_ensemble_weight",
)  # fmt: skip
# Where a config.json may hold the settings of the model that writes the text.
NESTED = ("decoder", "generator", "text_config")
OF_SAMPLING = ("do_sample", "temperature", "top_k", "top_p", "min_p", "epsilon_cutoff", "eta_cutoff")


def read_deployed_sampler(folder: Path, weights_folder: Path) -> DeployedSampler:
    """Read the sampler that a model is deployed with.

    Args:
        folder: Folder of the model, or of the adapter, whose own file counts.
        weights_folder: Folder of the base of an adapter, whose file counts if the adapter has none.

    Raises:
        SpecError: The file is no JSON object, names what no probability is computed of here, or names another sampler
            for an adapter than that of its base; or a model in GGUF has none.
    """
    paths = [file for place in dict.fromkeys((folder, weights_folder)) if (file := place / FILE_NAME).is_file()]
    if not paths:
        return _without_file(weights_folder / CONFIG)
    own, *of_base = (sampler_of(read_model_json(path, "generation settings"), str(path)) for path in paths)
    if any(base.sampler != own.sampler for base in of_base):
        raise SpecError(
            f"One sampler was expected of the adapter in {folder} and of its base, whose {FILE_NAME} transformers"
            f" reads; found {own.sampler} and {of_base[0].sampler}: make the two files alike, or name the sampler to be"
            " judged by temperature=, top_k= and top_p=."
        )
    return own


def _without_file(config_path: Path) -> DeployedSampler:
    """The sampler of a model without a file of its own: transformers takes what its configuration says of one."""
    if not config_path.is_file() and any(config_path.parent.glob("*.gguf")):
        raise SpecError(
            f"The sampler of a model in GGUF was expected in a {FILE_NAME} in {config_path.parent}, and there is none:"
            " what serves such models has samplers of its own; name the one to be judged by temperature=, top_k= and"
            " top_p=."
        )
    config = read_model_json(config_path, "a model's configuration") if config_path.is_file() else {}
    nested = next((inner for name in NESTED if isinstance(inner := config.get(name), dict) and inner), {})
    names = (*OF_SAMPLING, *OFF, *REFUSED)
    settings = {
        name: value
        for name in names
        if (value := config[name] if config.get(name) is not None else nested.get(name)) is not None
    }
    deployed = sampler_of(settings, str(config_path))
    if not deployed.sampler.is_greedy:
        remark = f"The model has no {FILE_NAME}, so transformers samples it as its {CONFIG} says."
        return DeployedSampler(deployed.sampler, CONFIG, remark)
    return DeployedSampler(
        deployed.sampler,
        f"no {FILE_NAME}",
        f"The model has no {FILE_NAME}, so transformers decodes it greedily and all samples are the same; name the"
        " sampler if your service uses another.",
    )


def named_sampler(sampler: Sampler, own: DeployedSampler | None) -> DeployedSampler:
    """The sampler that a test names, with what is to be known of the model's own where that is another.

    Args:
        sampler: The sampler of the test.
        own: The model's own; None if its file cannot be read as one.
    """
    if own is not None and own.sampler == sampler:
        remark = ""
    elif own is None:
        remark = "The test names this sampler; the model's own is unknown, or one whose probabilities are not computed."
    else:
        remark = f"The test names this sampler; by its own files, the model generates {own}."
    return DeployedSampler(sampler, "named by the test", remark)


def sampler_of(settings: Mapping[str, Any], place: str) -> DeployedSampler:
    """Return the sampler that the settings of a file name.

    Args:
        settings: Content of the file.
        place: The file, in messages.

    Raises:
        SpecError: A setting changes which tokens are drawn and is not supported, or is out of its range.
    """
    for name, value in settings.items():
        is_off = value is None or (name in OFF and not isinstance(value, str) and value == OFF[name])
        if name not in OF_SAMPLING and name not in WITHOUT_EFFECT and not is_off:
            raise SpecError(
                f"Settings of plain sampling ({', '.join(OF_SAMPLING)}) were expected in {place}, and {name} ="
                f" {quoted(value)} changes the draws in a way whose probabilities are not computed; name the sampler"
                " to be judged by temperature=, top_k= and top_p=, or remove that setting."
            )
    do_sample = settings.get("do_sample")
    if do_sample not in (None, True, False):
        raise SpecError(f"true or false was expected as do_sample in {place}; found {quoted(do_sample)}.")
    if not do_sample:
        named = "sets do_sample to false" if do_sample is False else "does not set do_sample"
        return DeployedSampler(
            Sampler(temperature=0),
            FILE_NAME,
            f"{FILE_NAME} {named}, so transformers decodes greedily and all samples are the same; name the sampler if"
            " your service uses another.",
        )
    try:
        return DeployedSampler(_sampling(settings), FILE_NAME)
    except SpecError as error:
        raise SpecError(f"{str(error).rstrip('.')} in {place}; correct it, or name the sampler to be judged.") from None


def _sampling(settings: Mapping[str, Any]) -> Sampler:
    """The sampler of settings that sample, with what transformers takes for those that are missing or off."""
    given = {name: settings.get(name) for name in OF_SAMPLING}
    top_k = DEFAULT_TOP_K if given["top_k"] is None else given["top_k"]
    is_off = top_k == 0 and not isinstance(top_k, bool)
    cutoffs = {name: _cutoff(given[name]) for name in ("epsilon_cutoff", "eta_cutoff")}
    temperature = 1.0 if given["temperature"] is None else given["temperature"]
    return Sampler(temperature, None if is_off else top_k, given["top_p"], given["min_p"], **cutoffs)


def _cutoff(value: Any) -> Any:
    """A cutoff, of which transformers heeds only those above 0 and below 1."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return None if is_number and not 0 < value < 1 else value
