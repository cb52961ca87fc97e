"""The images of the official PyTorch example (`examples/dcgan/main.py`), as it transforms them.

Its loop is `dcgan.selftest.official_loop`.
"""

from __future__ import annotations

from torchvision import transforms


def example_transforms(image_size: int) -> transforms.Compose:
    """The example's transforms, from a PIL image to float32 (C, H, W) in [-1, 1]."""
    return transforms.Compose(
        [
            transforms.Resize(image_size),
            transforms.CenterCrop(image_size),
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * 3, (0.5,) * 3),
        ]
    )
