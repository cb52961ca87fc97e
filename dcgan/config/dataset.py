"""The configuration section that defines the images: which ones, and their format."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

from pydantic import Field, Strict, field_validator, model_validator
from pydantic_core import PydanticCustomError

from dcgan.config.image_size import ImageSize, sides_of
from dcgan.config.section import Section

MAX_PIXELS = 178_956_970
"""The maximum number of pixels of a file: twice Pillow's limit, above which Pillow refuses."""

EMBEDDED = ("digits", "sky")
"""The data sets that need no files."""


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max


class Dataset(Section):
    """The images to train on, and the size and channels to which they are converted."""

    name: Literal[
        "digits", "sky", "mnist", "stacked-mnist", "fashion-mnist", "cifar10", "celeba", "folder"
    ]
    path: str | None = Field(None, description="folder or file that holds the images")
    split: str = Field(
        "train",
        pattern=r"^\w[\w.-]*$",
        description="train, test or all; of other files and folders any split by its name",
    )
    image_size: ImageSize = Field(
        64,
        description="in pixels, 28 or a multiple of 16 up to 512; [height, width] if they differ",
    )
    channels: Literal[1, 3] = Field(3, description="1 for grey, 3 for RGB")
    fit: Literal["crop", "stretch"] = Field(
        "crop",
        description="crop: resize the shorter side and crop the centre; stretch: resize both sides",
    )
    background: str = Field("white", description="colour of transparent parts, or #rrggbb")
    flip: bool = Field(False, description="mirror real images at random, left to right")
    value_range: Annotated[tuple[float, float], Strict(False)] | Literal["auto", "percentile"] = (
        Field(
            "auto",
            description="values that become black and white, in images with more than 8 bits: auto "
            "(of the type), percentile (1 and 99 of each image), or [low, high]",
        )
    )
    max_pixels: int = Field(MAX_PIXELS, ge=1, description="files with more pixels are not read")
    max_unreadable: int = Field(
        0, ge=0, description="number of files that may be skipped because they cannot be read"
    )

    @field_validator("value_range", mode="before")
    @classmethod
    def _range_is_known_or_two_numbers(cls, value: Any) -> Any:
        is_pair = isinstance(value, list | tuple) and len(value) == 2
        # Between infinite values all images would be black.
        if value in ("auto", "percentile") or (is_pair and all(map(_is_finite, value))):
            return value
        raise PydanticCustomError(
            "value_range", 'it should be "auto", "percentile" or [low, high], such as [0, 5000]'
        )

    @field_validator("value_range")
    @classmethod
    def _range_is_not_empty(
        cls, value: tuple[float, float] | Literal["auto", "percentile"]
    ) -> tuple[float, float] | Literal["auto", "percentile"]:
        if not isinstance(value, str) and not value[0] < value[1]:
            raise PydanticCustomError("empty_range", "the first value must be below the second")
        return value

    @field_validator("background")
    @classmethod
    def _background_is_a_colour(cls, value: str) -> str:
        from PIL.ImageColor import getrgb

        try:
            getrgb(value)
        except ValueError as error:
            raise PydanticCustomError(
                "colour", "it should be a colour such as white, black or #8090a0"
            ) from error
        return value

    @model_validator(mode="after")
    def _sets_of_torchvision_have_three_splits(self) -> Dataset:
        if self.name not in ("folder", *EMBEDDED) and self.split not in ("train", "test", "all"):
            raise PydanticCustomError(
                "split",
                'dataset.split should be "train", "test" or "all" for {name}',
                {"name": self.name},
            )
        return self

    @model_validator(mode="after")
    def _embedded_sets_have_no_path(self) -> Dataset:
        if self.name in EMBEDDED and self.path is not None:
            raise PydanticCustomError(
                "path_unused",
                'name = "{name}" is embedded and takes no path: for a folder of images '
                'set dataset.name = "folder"',
                {"name": self.name},
            )
        return self

    @property
    def colours(self) -> str:
        """`grey` or `RGB`."""
        return "grey" if self.channels == 1 else "RGB"

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the images, in pixels."""
        return sides_of(self.image_size)
