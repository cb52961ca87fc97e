"""S4, DCGAN on 200 astronomical images: its script in plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Generator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(128, 512, 4, 1, 0, bias=False),
            nn.BatchNorm2d(512),
            nn.ReLU(),
            nn.ConvTranspose2d(512, 256, 4, 2, 1, bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            nn.ConvTranspose2d(256, 128, 4, 2, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.main(z)


class Discriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3, 64, 4, 2, 1, bias=False),
            nn.BatchNorm2d(64),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 128, 4, 2, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.LeakyReLU(0.2),
            nn.Conv2d(128, 256, 4, 2, 1, bias=False),
            nn.BatchNorm2d(256),
            nn.LeakyReLU(0.2),
            nn.Conv2d(256, 512, 4, 2, 1, bias=False),
            nn.BatchNorm2d(512),
            nn.LeakyReLU(0.2),
            nn.Conv2d(512, 1, 4, 1, 0, bias=False),
            nn.Flatten(),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x)


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
    targets_real, targets_fake = torch.ones(len(real), 1), torch.zeros(len(real), 1)

    discriminator_optimizer.zero_grad()
    real_predictions = discriminator(real)
    real_loss = nn.functional.binary_cross_entropy(real_predictions, targets_real)
    fake_images = generator(draw())
    fake_predictions = discriminator(fake_images)
    fake_loss = nn.functional.binary_cross_entropy(fake_predictions, targets_fake)
    loss = real_loss + fake_loss
    loss.backward()
    discriminator_optimizer.step()

    generator_optimizer.zero_grad()
    predictions = discriminator(generator(draw()))
    generator_loss = nn.functional.binary_cross_entropy(predictions, targets_real)
    generator_loss.backward()
    generator_optimizer.step()
    return {
        "Gloss": generator_loss.item(),
        "Dloss": loss.item(),
        "D_x": real_predictions.mean().item(),
        "D_G_z1": fake_predictions.mean().item(),
        "D_G_z2": predictions.mean().item(),
    }
