"""S0, DCGAN on CelebA: its script in plain PyTorch. S2's PyTorch version has the same."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Generator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(100, 512, 4, 1, 0, bias=False),
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
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.main(x).view(-1)


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
    criterion = nn.BCELoss()
    ones, zeros = torch.ones(len(real)), torch.zeros(len(real))

    discriminator.zero_grad()
    output_real = discriminator(real)
    error_real = criterion(output_real, ones)
    error_real.backward()
    fake = generator(draw())
    output_fake = discriminator(fake.detach())
    error_fake = criterion(output_fake, zeros)
    error_fake.backward()
    discriminator_optimizer.step()

    generator.zero_grad()
    output = discriminator(fake)
    error_generator = criterion(output, ones)
    error_generator.backward()
    generator_optimizer.step()
    return {
        "Gloss": error_generator.item(),
        "Dloss": error_real.item() + error_fake.item(),
        "D_x": output_real.mean().item(),
        "D_G_z1": output_fake.mean().item(),
        "D_G_z2": output.mean().item(),
    }
