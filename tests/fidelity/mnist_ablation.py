"""S3, DCGAN on MNIST with and without weight initialisation: its script in plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

EPOCHS = 20


class Generator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ct1 = nn.ConvTranspose2d(100, 128, kernel_size=4, stride=2, padding=0, bias=False)
        self.bn1 = nn.BatchNorm2d(128)
        self.ct2 = nn.ConvTranspose2d(128, 64, kernel_size=3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.ct3 = nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(32)
        self.ct4 = nn.ConvTranspose2d(32, 1, kernel_size=4, stride=2, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.bn1(functional.relu(self.ct1(z)))
        x = self.bn2(functional.relu(self.ct2(x)))
        x = self.bn3(functional.relu(self.ct3(x)))
        return torch.tanh(self.ct4(x))


class Discriminator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=4, stride=2, padding=1)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=4, stride=2, padding=1)
        self.fc1 = nn.Linear(3136, 512)
        self.fc2 = nn.Linear(512, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.leaky_relu(self.conv1(x), 0.2)
        x = functional.leaky_relu(self.conv2(x), 0.2)
        x = functional.leaky_relu(self.fc1(torch.flatten(x, 1)), 0.2)
        return torch.sigmoid(self.fc2(x)).view(-1)


def optimizer(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(
        network.parameters(), lr=0.0002, betas=(0.5, 0.999), weight_decay=0.0002 / EPOCHS
    )


def step(
    generator: Generator,
    discriminator: Discriminator,
    generator_optimizer: torch.optim.Optimizer,
    discriminator_optimizer: torch.optim.Optimizer,
    real: Tensor,
    draw: Callable[[], Tensor],
) -> dict[str, float]:
    criterion = nn.BCELoss()

    discriminator.zero_grad()
    output_real = discriminator(real)
    error_real = criterion(output_real, torch.full((len(real),), 1.0))
    error_real.backward()
    fake = generator(draw())
    output_fake = discriminator(fake.detach())
    error_fake = criterion(output_fake, torch.full((len(real),), 0.0))
    error_fake.backward()
    discriminator_optimizer.step()

    generator.zero_grad()
    output = discriminator(fake)
    error_generator = criterion(output, torch.full((len(real),), 1.0))
    error_generator.backward()
    generator_optimizer.step()
    return {
        "Gloss": error_generator.item(),
        "Dloss": error_real.item() + error_fake.item(),
        "D_x": output_real.mean().item(),
        "D_G_z1": output_fake.mean().item(),
        "D_G_z2": output.mean().item(),
    }
