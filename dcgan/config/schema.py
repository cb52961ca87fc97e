"""The configuration of a run: every section and key, typed and validated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, LiteralString

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from tracking.errors import UserError


class ConfigError(UserError):
    """A configuration that cannot be run, in words for the user."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Source(Section):
    """The published experiment that a recipe repeats."""

    experiment: str = ""
    images: int | None = Field(None, ge=1, description="the size of its data set")


EMBEDDED = ("digits", "sky")
"""The data sets that need no files."""


class Dataset(Section):
    """Which images, and the form in which the networks see them."""

    name: Literal[
        "digits", "sky", "mnist", "stacked-mnist", "fashion-mnist", "cifar10", "celeba", "folder"
    ]
    path: str | None = Field(None, description="where the files are")
    split: Literal["train", "test", "all"] = Field(
        "train", description="of mnist and its kin, cifar10 and celeba"
    )
    image_size: Literal[28, 32, 64, 128] = Field(64, description="height and width in pixels")
    channels: Literal[1, 3] = Field(3, description="1 for grey, 3 for RGB")
    fit: Literal["crop", "stretch"] = Field(
        "crop",
        description="resize the shorter side and crop the centre, or resize both sides",
    )
    max_unreadable: int = Field(
        0, ge=0, description="files of a folder that may be skipped because they cannot be read"
    )

    @model_validator(mode="after")
    def _embedded_sets_have_no_path(self) -> Dataset:
        if self.name in EMBEDDED and self.path is not None:
            raise PydanticCustomError(
                "path_unused",
                'name = "{name}" is embedded and has no path: for a folder of your own '
                'set dataset.name = "folder"',
                {"name": self.name},
            )
        return self


class Network(Section):
    """The architecture of both networks.

    dcgan: Radford et al. 2016, figure 1. compact: a small pair for 28x28, ReLU before batch
    norm, D without it. dense: fully connected layers beside the convolutions. kim: 5x5 filters
    as in DCGAN-tensorflow.
    """

    family: Literal["dcgan", "compact", "dense", "kim"] = "dcgan"
    latent_size: int = Field(100, ge=1, le=4096)
    latent_law: Literal["normal", "uniform"] = Field("normal", description="N(0, 1) or U[-1, 1]")
    generator_features: int = Field(
        64, ge=1, le=1024, description="dcgan, kim: maps of G's last hidden layer"
    )
    discriminator_features: int = Field(
        64, ge=1, le=1024, description="dcgan, kim: maps of D's first layer"
    )
    discriminator_batch_norm: Literal["all_but_first", "all", "none"] = Field(
        "all_but_first", description="dcgan: which hidden layers of D have batch norm"
    )
    discriminator_head: Literal["1x1", "2x2"] = Field(
        "1x1", description="dcgan: outputs of D an image; the loss averages over them"
    )
    batch_norm_epsilon: float = Field(1e-5, gt=0, le=1)
    batch_norm_momentum: float = Field(
        0.1, gt=0, le=1, description="the weight of the new batch, as PyTorch has it"
    )


class Init(Section):
    """How weights start.

    `dcgan` is N(0, 0.02), `glorot` TensorFlow's uniform law, `default` PyTorch's own.
    """

    scheme: Literal["dcgan", "glorot", "default"] = "dcgan"
    bn_mean: float = Field(
        1.0, allow_inf_nan=False, description="dcgan: the mean of batch norm's scale"
    )
    init_discriminator: bool = Field(True, description="dcgan, glorot: D too, or G alone")


@dataclass(frozen=True)
class LossTraits:
    """What an adversarial loss asks of D and of the recipe; `training/losses.py` has its formulas.

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
    """The adversarial loss; bce and softmax with G's non-saturating form."""

    name: Literal["bce", "softmax", "hinge", "least_squares", "wgan_gp"] = "bce"
    gradient_penalty: float = Field(10.0, ge=0, description="wgan_gp: the weight of the penalty")

    @property
    def traits(self) -> LossTraits:
        return LOSS_TRAITS[self.name]


Beta = Annotated[float, Field(ge=0, lt=1)]


class Optimizer(Section):
    """Adam (Kingma and Ba 2015), the same for both networks."""

    lr: float = Field(2e-4, gt=0, le=1, allow_inf_nan=False)
    betas: Annotated[tuple[Beta, Beta], Strict(False)] = (0.5, 0.999)
    weight_decay: float = Field(0.0, ge=0, le=1, description="as an L2 penalty")


class Training(Section):
    """How long, and what one step is."""

    epochs: int | None = Field(None, ge=1, le=1_000_000)
    steps: int | None = Field(None, ge=1, le=1_000_000_000, description="in place of epochs")
    batch_size: int = Field(128, ge=2, le=65_536)
    discriminator_batches: int = Field(
        1, ge=1, le=100, description="batches for D before one step of G"
    )
    discriminator_step: Literal["accumulated", "joint", "two"] = Field(
        "accumulated",
        description="two backward passes and one step, one and one, or two and two",
    )
    detach_fakes: bool = Field(True, description="D's loss sends no gradient into G")
    synchronised_batch_norm: bool = Field(
        False, description="on several devices: over all of them, not for each alone"
    )
    generator_fakes: Literal["reused", "regenerated", "fresh"] = Field(
        "reused",
        description="G's step takes D's fakes, makes them again, or makes new ones",
    )
    generator_steps: int = Field(1, ge=1, le=100, description="of G for one of D")
    precision: Literal["fp32", "tf32", "bf16"] = Field(
        "fp32", description="tf32: on NVIDIA GPUs; bf16: the networks in bfloat16, losses in fp32"
    )
    compile: bool = Field(False, description="by torch.compile, where a trial says that it pays")

    @model_validator(mode="after")
    def _one_length(self) -> Training:
        if (self.epochs is None) == (self.steps is None):
            raise PydanticCustomError("one_length", "give either epochs or steps")
        return self


class Stabilisers(Section):
    """What helps small data sets; each is off by default."""

    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="real images are labelled 1 less this (Salimans et al. 2016)"
    )
    label_flipping: float = Field(
        0.0, ge=0, lt=0.5, description="the share of D's labels that are wrong (Chintala 2016)"
    )
    instance_noise: float = Field(
        0.0,
        ge=0,
        le=2,
        description="std of noise on D's images, falling to 0 at the end (Sonderby et al. 2017)",
    )
    spectral_norm: bool = Field(False, description="on D's layers (Miyato et al. 2018)")
    generator_ema: float = Field(
        0.0, ge=0, lt=1, description="decay of an average of G's weights (Yazici et al. 2019)"
    )
    diff_augment: Annotated[
        tuple[Literal["color", "translation", "cutout"], ...], Strict(False)
    ] = Field((), description="on all that D sees (Zhao et al. 2020)")


class Images(Section):
    """The grid of samples from fixed noise."""

    every_steps: int | None = Field(None, ge=1)
    every_epochs: int | None = Field(None, ge=1, description="in place of every_steps")
    count: int = Field(64, ge=1, le=1024)
    mode: Literal["train", "eval"] = Field(
        "train", description="batch norm in the grid by the statistics of its own batch, or learnt"
    )
    weights: Literal["current", "ema"] = Field(
        "current", description="of G; ema needs stabilisers.generator_ema"
    )
    inverted: bool = Field(False, description="black on white for images that are white on black")

    @model_validator(mode="before")
    @classmethod
    def _one_interval(cls, values: dict[str, Any]) -> dict[str, Any]:
        given = [key for key in ("every_steps", "every_epochs") if values.get(key) is not None]
        if len(given) == 2:
            raise PydanticCustomError("one_interval", "give either every_steps or every_epochs")
        return values if given else {**values, "every_epochs": 1}


class Checkpoints(Section):
    """The last two stay, the best by evaluation, and those kept here.

    One is always written at the end.
    """

    every_epochs: int = Field(1, ge=1)
    keep_every: int = Field(0, ge=0, description="every so many epochs; 0 keeps none")


class Evaluation(Section):
    """Metrics of G's images; see `dcgan evaluate`."""

    every_epochs: int = Field(
        0, ge=0, description="while training, and at its end; 0 is never; the best G is kept"
    )
    samples: int = Field(10_000, ge=100, description="fakes, and at most as many real images")
    held_out: str | None = Field(
        None, description="a folder of real images that are not trained on, where the set has none"
    )


class Config(Section):
    name: str = Field(min_length=1, max_length=100, description="of the recipe")
    description: str = ""
    source: Source = Source()
    seed: int = Field(0, ge=0, lt=2**63)
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
    def _parts_that_fit(self) -> Config:
        for wrong, message in _conflicts(self):
            if wrong:
                raise PydanticCustomError("conflict", message)
        return self


def _conflicts(config: Config) -> Iterator[tuple[bool, LiteralString]]:
    """Settings that are valid alone and wrong together."""
    network, loss, stabilisers = config.network, config.loss, config.stabilisers
    small = config.dataset.image_size == 28
    yield (
        network.family == "compact" and not small,
        'network.family = "compact" draws 28x28 alone: set dataset.image_size = 28',
    )
    yield (
        network.discriminator_head == "2x2" and (network.family != "dcgan" or small),
        'network.discriminator_head = "2x2" needs network.family = "dcgan" at 32 pixels or more',
    )
    yield (
        loss.traits.gradient_penalty and network.family == "dense",
        'loss.name = "wgan_gp" needs a D without batch norm (Gulrajani et al. 2017, section 4), '
        'which the family "dense" has not: take "dcgan" or "compact"',
    )
    yield (
        loss.traits.gradient_penalty
        and network.family == "dcgan"
        and network.discriminator_batch_norm != "none",
        'loss.name = "wgan_gp" needs a D without batch norm (Gulrajani et al. 2017, section 4): '
        'set network.discriminator_batch_norm = "none"',
    )
    yield (
        loss.traits.gradient_penalty and config.training.discriminator_step == "two",
        'loss.name = "wgan_gp" takes real images and fakes together: '
        'set training.discriminator_step = "joint" or "accumulated"',
    )
    yield (
        config.training.generator_steps > 1 and config.training.generator_fakes == "reused",
        "training.generator_steps above 1 needs fakes of the new G: "
        'set training.generator_fakes = "regenerated" or "fresh"',
    )
    yield (
        stabilisers.label_smoothing > 0 and not loss.traits.uses_labels,
        "stabilisers.label_smoothing needs a loss with labels: bce, softmax or least_squares",
    )
    yield (
        config.images.weights == "ema" and stabilisers.generator_ema == 0,
        'images.weights = "ema" needs stabilisers.generator_ema, such as 0.999',
    )
