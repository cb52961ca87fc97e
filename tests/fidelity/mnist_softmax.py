"""S1, DCGAN on MNIST in TensorFlow: its script in plain PyTorch.

`same` is TensorFlow's: of the padding that a layer needs in all, the smaller half comes
before the image; a transposed convolution is the gradient of the convolution of that padding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class Generator(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(100, 7 * 7 * 128)
        self.norm1 = nn.BatchNorm1d(7 * 7 * 128, eps=0.001, momentum=0.01)
        self.deconv1 = nn.ConvTranspose2d(128, 64, 5, stride=2)
        self.norm2 = nn.BatchNorm2d(64, eps=0.001, momentum=0.01)
        self.deconv2 = nn.ConvTranspose2d(64, 1, 5, stride=2)

    def forward(self, z: Tensor) -> Tensor:
        x = functional.relu(self.norm1(self.dense(z.flatten(1))))
        x = x.view(-1, 128, 7, 7)
        x = self.deconv1(x)[:, :, 1:15, 1:15]  # 17x17, `same` keeps 14x14
        x = functional.relu(self.norm2(x))
        x = self.deconv2(x)[:, :, 1:29, 1:29]  # 31x31, `same` keeps 28x28
        return torch.tanh(x)


class Discriminator(nn.Module):
    """Images to logits (N, 2): fake, real."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 5, stride=2)
        self.norm1 = nn.BatchNorm2d(64, eps=0.001, momentum=0.01)
        self.conv2 = nn.Conv2d(64, 128, 10, stride=2)
        self.norm2 = nn.BatchNorm2d(128, eps=0.001, momentum=0.01)
        self.dense1 = nn.Linear(7 * 7 * 128, 1024)
        self.norm3 = nn.BatchNorm1d(1024, eps=0.001, momentum=0.01)
        self.dense2 = nn.Linear(1024, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(functional.pad(x, (1, 2, 1, 2)))
        x = functional.leaky_relu(self.norm1(x), 0.2)
        x = self.conv2(functional.pad(x, (4, 4, 4, 4)))
        x = functional.leaky_relu(self.norm2(x), 0.2)
        x = functional.leaky_relu(self.norm3(self.dense1(x.flatten(1))), 0.2)
        return self.dense2(x)


def optimizer(network: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(network.parameters(), lr=0.002, betas=(0.5, 0.999))


def step(
    generator: Generator,
    discriminator: Discriminator,
    generator_optimizer: torch.optim.Optimizer,
    discriminator_optimizer: torch.optim.Optimizer,
    real: Tensor,
    draw: Callable[[], Tensor],
) -> dict[str, float]:
    is_real = torch.ones(len(real), dtype=torch.int64)
    is_fake = torch.zeros(len(real), dtype=torch.int64)

    logits_real = discriminator(real)
    logits_fake = discriminator(generator(draw()).detach())
    loss_real = functional.cross_entropy(logits_real, is_real)
    loss_fake = functional.cross_entropy(logits_fake, is_fake)
    discriminator_optimizer.zero_grad()
    (loss_real + loss_fake).backward()
    discriminator_optimizer.step()

    logits = discriminator(generator(draw()))
    generator_loss = functional.cross_entropy(logits, is_real)
    generator_optimizer.zero_grad()
    generator_loss.backward()
    generator_optimizer.step()

    def probability(logits: Tensor) -> float:
        return functional.softmax(logits, dim=1)[:, 1].mean().item()

    return {
        "Gloss": generator_loss.item(),
        "Dloss": (loss_real + loss_fake).item(),
        "D_x": probability(logits_real),
        "D_G_z1": probability(logits_fake),
        "D_G_z2": probability(logits),
    }
