"""The schema of a configuration: every section and key, typed and validated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, Strict, field_validator, model_validator
from pydantic_core import PydanticCustomError

from dcgan.choices import BatchNormMode, Weights
from dcgan.config.conflicts import conflicts
from dcgan.config.dataset import Dataset
from dcgan.config.section import Section
from tracking.errors import UserError
from tracking.wording import plural

MAX_NAME = 100
"""The maximum length of a recipe's name, in characters."""


class ConfigError(UserError):
    """A configuration that cannot be run, explained for the user."""


class ProcessError(ConfigError):
    """A configuration that this one of several processes cannot run, though others may."""


class Source(Section):
    """The published experiment that a recipe reproduces."""

    experiment: str = Field("", description="where it was published, or this project's own")
    images: int | None = Field(None, ge=1, description="number of images in its data set")
    depends_on_epochs: str = Field(
        "", description="what it derives from its number of epochs, for a run that goes on longer"
    )


class Network(Section):
    """The architecture of both networks.

    dcgan: Radford et al. 2016, figure 1. compact: a small pair for 28x28, with ReLU before
    batch norm in G and no batch norm in D. dense: with fully connected layers as well. kim: 5x5
    filters as in DCGAN-tensorflow.
    """

    family: Literal["dcgan", "compact", "dense", "kim"] = "dcgan"
    latent_size: int = Field(100, ge=1, le=4096, description="dimension of the latents z")
    latent_law: Literal["normal", "uniform"] = Field(
        "normal", description="distribution of z: N(0, 1) or U[-1, 1]"
    )
    generator_features: int = Field(
        64, ge=1, le=1024, description="dcgan, kim: channels of G's last hidden layer"
    )
    discriminator_features: int = Field(
        64, ge=1, le=1024, description="dcgan, kim: channels after D's first layer"
    )
    discriminator_batch_norm: Literal["all_but_first", "all", "none"] = Field(
        "all_but_first", description="dcgan: which hidden layers of D have batch norm"
    )
    discriminator_head: Literal["1x1", "2x2"] = Field(
        "1x1", description="dcgan: positions of D's output per image; the loss averages over them"
    )
    batch_norm_epsilon: float = Field(1e-5, gt=0, le=1)
    batch_norm_momentum: float = Field(
        0.1, gt=0, le=1, description="weight of the new batch, PyTorch's convention"
    )


class Init(Section):
    """How weights are initialised.

    `dcgan` is N(0, 0.02), `glorot` is TensorFlow's default, `default` is PyTorch's.
    """

    scheme: Literal["dcgan", "glorot", "default"] = "dcgan"
    bn_mean: float = Field(
        1.0, allow_inf_nan=False, description="dcgan: mean of batch norm's scale"
    )
    init_discriminator: bool = Field(
        True, description="dcgan, glorot: whether D is initialised too, or only G"
    )
    weights: Annotated[tuple[str, ...] | None, Strict(False)] = Field(
        None,
        min_length=1,
        max_length=2,
        description="a run (RUN or RUN:CHECKPOINT), or files with the state of G and of D, whose "
        "weights the networks start from",
    )

    @field_validator("weights", mode="before")
    @classmethod
    def _one_reference_is_a_list_of_one(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


@dataclass(frozen=True)
class LossTraits:
    """The requirements of an adversarial loss; `training/losses.py` has its formulas.

    Attributes:
        outputs: Outputs of D per image (and position).
        gradient_penalty: Whether D's loss has a penalty on its gradient.
        uses_labels: Whether its targets are labels, which can be smoothed.
    """

    outputs: int = 1
    gradient_penalty: bool = False
    uses_labels: bool = True


LOSS_TRAITS = {
    "bce": LossTraits(),
    "softmax": LossTraits(outputs=2),
    "hinge": LossTraits(uses_labels=False),
    "least_squares": LossTraits(),
    "wgan_gp": LossTraits(gradient_penalty=True, uses_labels=False),
}


class Loss(Section):
    """The adversarial loss; for bce and softmax, G's is the non-saturating one."""

    name: Literal["bce", "softmax", "hinge", "least_squares", "wgan_gp"] = "bce"
    gradient_penalty: float = Field(
        10.0, ge=0, allow_inf_nan=False, description="wgan_gp: weight of the penalty"
    )

    @property
    def traits(self) -> LossTraits:
        """The requirements of this loss."""
        return LOSS_TRAITS[self.name]


Beta = Annotated[float, Field(ge=0, lt=1)]


class Optimizer(Section):
    """Adam (Kingma and Ba 2015), alike for both networks unless one has values of its own.

    With two learning rates (Heusel et al. 2017, section 2) D can keep up with G although it is
    updated only once per step.
    """

    lr: float = Field(2e-4, gt=0, le=1, allow_inf_nan=False)
    generator_lr: float | None = Field(
        None, gt=0, le=1, allow_inf_nan=False, description="of G alone, instead of lr"
    )
    discriminator_lr: float | None = Field(
        None, gt=0, le=1, allow_inf_nan=False, description="of D alone, instead of lr"
    )
    betas: Annotated[tuple[Beta, Beta], Strict(False)] = (0.5, 0.999)
    generator_betas: Annotated[tuple[Beta, Beta] | None, Strict(False)] = Field(
        None, description="of G alone, instead of betas"
    )
    discriminator_betas: Annotated[tuple[Beta, Beta] | None, Strict(False)] = Field(
        None, description="of D alone, instead of betas"
    )
    weight_decay: float = Field(0.0, ge=0, le=1, description="as an L2 penalty")

    def of(self, network: Literal["generator", "discriminator"]) -> Optimizer:
        """The section as one network sees it: `lr` and `betas` are those of its Adam."""
        own = {
            shared: getattr(self, f"{network}_{shared}")
            for shared in ("lr", "betas")
            if getattr(self, f"{network}_{shared}") is not None
        }
        return self.model_copy(update=own)


class Training(Section):
    """How long to train, and what one step does."""

    epochs: int | None = Field(None, ge=1, le=1_000_000)
    steps: int | None = Field(None, ge=1, le=1_000_000_000, description="instead of epochs")
    batch_size: int = Field(128, ge=2, le=65_536, description="images over all devices")
    discriminator_batches: int = Field(
        1, ge=1, le=100, description="batches on which D is updated per training step"
    )
    discriminator_step: Literal["accumulated", "joint", "two"] = Field(
        "accumulated",
        description="accumulated: two backward passes and one update of D; joint: one and one; "
        "two: two and two",
    )
    detach_fakes: bool = Field(True, description="keep the gradient of D's loss out of G")
    synchronised_batch_norm: bool = Field(
        False, description="on several devices: statistics over all of them instead of each alone"
    )
    generator_fakes: Literal["reused", "regenerated", "fresh"] = Field(
        "reused",
        description="fakes for G's update. reused: those of D's update; regenerated: new ones from "
        "the same z; fresh: new ones from new z",
    )
    generator_steps: int = Field(1, ge=1, le=100, description="updates of G per training step")
    precision: Literal["auto", "fp32", "tf32", "bf16"] = Field(
        "auto",
        description="auto: float32, with TF32 in convolutions on NVIDIA GPUs that have it; fp32: "
        "float32 everywhere; tf32: in matrix products too; bf16: networks in bfloat16, losses in "
        "float32",
    )
    compile: bool = Field(False, description="use torch.compile if a timed trial shows a gain")
    cuda_graph: bool = Field(
        True, description="on one CUDA device: replay each step of full batches as one graph"
    )

    @property
    def length(self) -> str:
        """How long to train, in words: `40 epochs`."""
        if self.steps is not None:
            return plural(self.steps, "step")
        return plural(self.epochs or 0, "epoch")

    @model_validator(mode="after")
    def _one_length(self) -> Training:
        if (self.epochs is None) == (self.steps is None):
            raise PydanticCustomError("one_length", "give either epochs or steps")
        return self


class Stabilisers(Section):
    """Techniques that help on small data sets; all are off by default."""

    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="subtracted from the target 1 of real images (Salimans et al. 2016)",
    )
    label_flipping: float = Field(
        0.0, ge=0, lt=0.5, description="fraction of D's targets that are swapped (Chintala 2016)"
    )
    instance_noise: float = Field(
        0.0,
        ge=0,
        le=2,
        description="std of the noise on D's images, falling linearly to 0 at the end of training "
        "(Sonderby et al. 2017)",
    )
    spectral_norm: bool = Field(
        False, description="spectral normalisation of D's layers (Miyato et al. 2018)"
    )
    generator_ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of a moving average of G's weights; 0 keeps none (Yazici et al. 2019)",
    )
    diff_augment: Annotated[
        tuple[Literal["color", "translation", "cutout"], ...], Strict(False)
    ] = Field((), description="augmentations of all images that D sees (Zhao et al. 2020)")


class Images(Section):
    """The grids of samples from fixed noise."""

    every_steps: int | None = Field(None, ge=1, description="steps between grids")
    every_epochs: int | None = Field(None, ge=1, description="instead of every_steps")
    count: int = Field(64, ge=1, le=1024, description="images per grid")
    mode: BatchNormMode = Field(
        "train",
        description="train: batch norm by the statistics of the grid's batch; eval: by its "
        "running statistics",
    )
    weights: Weights = Field("current", description="of G; ema needs stabilisers.generator_ema")
    inverted: bool = Field(False, description="show white-on-black images as black on white")

    @model_validator(mode="before")
    @classmethod
    def _one_interval(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values  # which pydantic refuses
        intervals = [key for key in ("every_steps", "every_epochs") if values.get(key) is not None]
        if len(intervals) == 2:
            raise PydanticCustomError("one_interval", "give either every_steps or every_epochs")
        return values if intervals else {**values, "every_epochs": 1}


class Checkpoints(Section):
    """When checkpoints are written, and which are kept.

    The last two, the best by evaluation, and those of `keep_every` are kept. One is always written
    at the end.
    """

    every_epochs: int = Field(1, ge=1, description="epochs between checkpoints")
    keep_every: int = Field(
        0, ge=0, description="epochs between checkpoints that stay; 0 keeps none of them"
    )


class Evaluation(Section):
    """Metrics of generated images; see `dcgan evaluate`."""

    every_epochs: int = Field(
        0,
        ge=0,
        description="epochs between evaluations during training, besides one at its end; 0 for "
        "none; the checkpoint of the best G is kept",
    )
    samples: int = Field(
        10_000, ge=100, description="number of fakes, and the most real images that are used"
    )
    held_out: str | None = Field(
        None, description="folder of real images that are not trained on, if the set has none"
    )
    inception: bool = Field(
        True, description="also by Inception's features, for plain FID, if its weights are at hand"
    )


class Config(Section):
    """The configuration of one run: a recipe with its overrides applied."""

    name: str = Field(min_length=1, max_length=MAX_NAME, description="name of the recipe")
    description: str = Field("", description="one line for lists of recipes")
    source: Source = Source()
    seed: int = Field(0, ge=0, lt=2**63, description="all randomness of a run comes from it")
    dataset: Dataset
    network: Network = Network()
    init: Init = Init()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    training: Training
    stabilisers: Stabilisers = Stabilisers()
    images: Images = Images()
    checkpoints: Checkpoints = Checkpoints()
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _sections_fit_together(self) -> Config:
        for is_conflict, message in conflicts(self):
            if is_conflict:
                raise PydanticCustomError("conflict", message)
        return self

    def replace(self, section: str, **values: object) -> Config:
        """The same configuration with other values in one section, which are not validated."""
        return self.model_copy(update={section: getattr(self, section).model_copy(update=values)})
