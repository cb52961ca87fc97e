"""S2's TensorFlow version, DCGAN on anime faces: its script in plain PyTorch.

Batch norm has the printed epsilon 0.8; Keras' momentum 0.1 weighs the old statistics, which
PyTorch calls a momentum of 0.9.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Generator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(100, 512, 4, 1, 0, bias=False),
            nn.BatchNorm2d(512, eps=0.8, momentum=0.9),
            nn.ReLU(),
            nn.ConvTranspose2d(512, 256, 4, 2, 1, bias=False),
            nn.BatchNorm2d(256, eps=0.8, momentum=0.9),
            nn.ReLU(),
            nn.ConvTranspose2d(256, 128, 4, 2, 1, bias=False),
            nn.BatchNorm2d(128, eps=0.8, momentum=0.9),
            nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False),
            nn.BatchNorm2d(64, eps=0.8, momentum=0.9),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.main(z)


class Discriminator(nn.Module):
    """Images to probabilities (N, 2, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3, 64, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 4, 2, 1, bias=False),
            nn.BatchNorm2d(128, eps=0.8, momentum=0.9),
            nn.LeakyReLU(0.2),
            nn.Conv2d(128, 256, 4, 2, 1, bias=False),
            nn.BatchNorm2d(256, eps=0.8, momentum=0.9),
            nn.LeakyReLU(0.2),
            nn.Conv2d(256, 512, 4, 2, 1, bias=False),
            nn.BatchNorm2d(512, eps=0.8, momentum=0.9),
            nn.LeakyReLU(0.2),
            nn.Conv2d(512, 1, 4, 2, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x).squeeze(1)


def optimizer(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=0.0002, betas=(0.5, 0.999))


def step(
    generator: Generator,
    discriminator: Discriminator,
    generator_optimizer: torch.optim.Optimizer,
    discriminator_optimizer: torch.optim.Optimizer,
    real: Tensor,
    draw: Callable[[], Tensor],
) -> dict[str, float]:
    noise = draw()

    # train_on_batch(real, ones)
    discriminator.zero_grad()
    output_real = discriminator(real)
    error_real = -torch.log(output_real).mean()
    error_real.backward()
    discriminator_optimizer.step()

    # train_on_batch(generator.predict(noise), zeros)
    discriminator.zero_grad()
    fake = generator(noise).detach()
    output_fake = discriminator(fake)
    error_fake = -torch.log(1 - output_fake).mean()
    error_fake.backward()
    discriminator_optimizer.step()

    # gan.train_on_batch(noise, ones)
    generator.zero_grad()
    output = discriminator(generator(noise))
    error_generator = -torch.log(output).mean()
    error_generator.backward()
    generator_optimizer.step()
    return {
        "Gloss": error_generator.item(),
        "Dloss": error_real.item() + error_fake.item(),
        "D_x": output_real.mean().item(),
        "D_G_z1": output_fake.mean().item(),
        "D_G_z2": output.mean().item(),
    }
