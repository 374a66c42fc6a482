"""The settings that decide what a training gives."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal, get_args

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checks import Check, choice, nonempty_text, number, optional, require, truth, whole_number

Mode = Literal["baseline", "soft", "hard", "on-policy"]
Divergence = Literal["forward", "reverse", "jsd"]
Precision = Literal["bfloat16", "float32"]

# Settings that digests hold only where they matter, so that trainings from before them keep theirs.
LORA = ("lora_rank", "lora_target")
ON_POLICY = ("sampling_temperature",)
CHECKS: dict[str, Check] = {
    "mode": choice(*get_args(Mode)),
    "temperature": number(above=0),
    "divergence": choice(*get_args(Divergence)),
    "jsd_weight": number(above=0, below=1),
    "sampling_temperature": number(above=0),
    "cross_entropy_weight": number(least=0, most=1),
    "teacher_top_k": optional(whole_number(1)),
    "epochs": whole_number(1),
    "learning_rate": number(above=0),
    "batch_size": whole_number(1),
    "warmup": number(least=0, most=1),
    "weight_decay": number(least=0),
    "max_gradient_norm": number(least=0),
    "packing": truth,
    "precision": choice(*get_args(Precision)),
    "seed": whole_number(0, bits=32),
    "lora_rank": optional(whole_number(1)),
    "lora_target": optional(nonempty_text),
}


@dataclass(frozen=True)
class Recipe:
    """Settings of a training; the defaults are those of the study's Pythia student (arXiv 2601.15394).

    Args:
        mode: Objective of the training: ``baseline`` (cross-entropy on the training set; teachers are trained this way,
            too), ``soft`` (match the teacher's next-token distribution), ``hard`` (cross-entropy on text that the
            teacher generated) or ``on-policy`` (match the teacher's next-token distribution on text that the student
            samples while it learns).
        temperature: Temperature T of the soft and the on-policy loss, which is scaled by T².
        divergence: Divergence of these losses: ``forward`` (KL(teacher ‖ student)), ``reverse`` (KL(student ‖
            teacher)) or ``jsd`` (generalised Jensen–Shannon divergence).
        jsd_weight: Weight β of the teacher in the mixture distribution of ``jsd``.
        sampling_temperature: Temperature at which an on-policy student samples its text.
        cross_entropy_weight: Weight of cross-entropy on the training set in the soft loss.
        teacher_top_k: Number of the teacher's log-probabilities that are stored for each token. The student learns from
            these and from the probability that remains, and the teacher need not be loaded beside it. None: the student
            learns from the whole distribution of a loaded teacher.
        epochs: Passes over the training set, repeated examples included.
        learning_rate: Peak learning rate, followed by cosine decay.
        batch_size: Examples per optimizer step, over all processes and micro-batches.
        warmup: Share of the steps over which the learning rate rises linearly to its peak.
        weight_decay: Weight decay of the AdamW optimizer.
        max_gradient_norm: Norm to which larger gradients are scaled down; 0 turns scaling off.
        packing: Put short examples side by side in one row, where they do not attend to each other.
        precision: Precision of the forward pass, ``bfloat16`` or ``float32``. Weights, losses and gradients of weights
            are float32.
        seed: Seed of the order of the examples.
        lora_rank: Rank of an adapter (LoRA) that is trained instead of the model's own weights, and written instead
            of a model. None: all weights are trained.
        lora_target: Names of the layers that the adapter changes, separated by commas; all-linear stands for
            all linear layers except the head. None: all-linear.

    Raises:
        SpecError: A choice is unknown, a number is outside its range, or two settings do not go together.
    """

    mode: Mode = "soft"
    temperature: float = 2.0
    divergence: Divergence = "forward"
    jsd_weight: float = 0.5
    sampling_temperature: float = 1.0
    cross_entropy_weight: float = 0.0
    teacher_top_k: int | None = None
    epochs: int = 4
    learning_rate: float = 5e-5
    batch_size: int = 16
    warmup: float = 0.02
    weight_decay: float = 0.0
    max_gradient_norm: float = 1.0
    packing: bool = False
    precision: Precision = "bfloat16"
    seed: int = 0
    lora_rank: int | None = None
    lora_target: str | None = None

    def __post_init__(self) -> None:
        for name, check in CHECKS.items():
            require(name.replace("_", "-"), getattr(self, name), check)
        if self.teacher_top_k is not None and self.divergence != "forward":
            raise SpecError(
                f"Divergence forward was expected with teacher-top-k, which stores only what forward KL needs;"
                f" found {self.divergence}."
            )
        if self.is_on_policy:
            self._check_on_policy()
        if self.lora_target is not None and self.lora_rank is None:
            raise SpecError("lora-rank was expected with lora-target, and it is not given; name a rank, such as 16.")

    def _check_on_policy(self) -> None:
        refused = {
            "teacher-top-k": self.teacher_top_k is not None,
            "cross-entropy-weight": self.cross_entropy_weight > 0,
            "packing": self.packing,
        }
        if chosen := [name for name, is_set in refused.items() if is_set]:
            raise SpecError(
                f"No {chosen[0]} was expected in mode on-policy, whose rows are written while the student learns;"
                f" leave {chosen[0]} out, or choose mode soft."
            )

    @property
    def needs_teacher(self) -> bool:
        return self.mode != "baseline"

    @property
    def training(self) -> str:
        """The training in words; without a teacher, teachers and baselines are trained alike."""
        return f"{self.mode} distillation" if self.needs_teacher else "training without a teacher"

    @property
    def is_on_policy(self) -> bool:
        """Whether the student learns from text that it samples itself."""
        return self.mode == "on-policy"

    @property
    def matches_distribution(self) -> bool:
        """Whether the loss is a divergence from the teacher's next-token distribution."""
        return self.mode in ("soft", "on-policy")

    @property
    def loss(self) -> str:
        """The loss in words, as reports show it."""
        if not self.matches_distribution:
            return "cross-entropy" if self.mode == "baseline" else "cross-entropy on the teacher's text"
        name = {"forward": "forward KL", "reverse": "reverse KL", "jsd": f"JSD, β = {self.jsd_weight:g}"}
        description = f"{name[self.divergence]}, T = {self.temperature:g}"
        if self.teacher_top_k is not None:
            description += f", top {self.teacher_top_k}"
        if self.cross_entropy_weight:
            description += f", {self.cross_entropy_weight:g} cross-entropy"
        if self.is_on_policy:
            description += f", on text sampled at T = {self.sampling_temperature:g}"
        return description

    @property
    def role(self) -> str:
        """The role that the trained model has in the names of its figures."""
        return "baseline" if self.mode == "baseline" else "student"

    @property
    def digest(self) -> str:
        """Digest of all settings that matter for the mode, of an adapter only where one is trained."""
        unused = (LORA if self.lora_rank is None else ()) + (() if self.is_on_policy else ON_POLICY)
        return digest_of({name: value for name, value in asdict(self).items() if name not in unused})
