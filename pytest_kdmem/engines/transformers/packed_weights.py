"""Holds the shapes of packed integers in a checkpoint against the number of bits that its configuration names."""

from __future__ import annotations

from transformers import PreTrainedModel

from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.quantization import KEY
from pytest_kdmem.specs.safetensors_header import read_entries
from pytest_kdmem.specs.weights import weight_files

# End of the names of weights that are packed into whole numbers of 32 bits.
PACKED = "_packed"


def check_packed(model: PreTrainedModel, checkpoint: Checkpoint) -> None:
    """Refuse integers of compressed-tensors that are packed otherwise than the configuration says.

    The library unpacks them by the number of bits in the configuration, and cuts off what does not fit.

    Raises:
        EngineError: They are packed otherwise.
    """
    bits = _declared_bits(checkpoint)
    if not bits:
        return
    weights = dict(model.named_parameters())
    for entry in (entry for file in weight_files(checkpoint.weights_folder) for entry in read_entries(file)):
        weight = weights.get(entry.name.removesuffix(PACKED))
        if not entry.name.endswith(PACKED) or entry.dtype != "I32" or weight is None:
            continue
        if not any(entry.shape[-1] == -(-weight.shape[-1] // (32 // number)) for number in bits):
            raise EngineError(
                f"Weights of {', '.join(map(str, sorted(bits)))} bits were expected in {checkpoint.weights_folder} by"
                f" its config.json, and {entry.name} is packed otherwise; copy the config.json that was saved with it."
            )


def _declared_bits(checkpoint: Checkpoint) -> set[int]:
    """Numbers of bits to which a configuration says that compressed-tensors packed weights."""
    settings = checkpoint.config.get(KEY)
    groups = settings.get("config_groups") if isinstance(settings, dict) else None
    values = groups.values() if isinstance(groups, dict) else ()
    parts = [group.get("weights") for group in values if isinstance(group, dict)]
    numbers = {part.get("num_bits") for part in parts if isinstance(part, dict)}
    return {number for number in numbers if type(number) is int and 0 < number <= 32}
