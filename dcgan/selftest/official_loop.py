"""The training loop of the official PyTorch example (`examples/dcgan/main.py`), written plainly.

Its algorithm and its calls: BCELoss on probabilities, two backward passes for D, D's weights
collecting gradients in G's step too, PyTorch's default Adam, five numbers copied from the device
in every step. Flags: `--batchSize 128 --nz 100 --ngf 64 --ndf 64 --lr 0.0002 --beta1 0.5`, and
`--imageSize 64` if the recipe has that size, for which the networks are the example's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from dcgan.config.schema import Config
from dcgan.models import build_networks


def train_officially(
    config: Config, batches: Iterator[Tensor], device: torch.device, stopping: Callable[[], bool]
) -> None:
    """Train until `stopping` returns True.

    Args:
        config: The recipe, of which only the networks are used.
        batches: Endless, float32 (N, C, H, W) in [-1, 1], on the CPU as from a DataLoader.
        device: Where to train; on CUDA in PyTorch's default arithmetic.
        stopping: Called after each step.
    """
    torch.backends.cudnn.benchmark = True
    generator, discriminator = build_networks(config, seed=0)
    generator = generator.to(device)
    discriminator = nn.Sequential(*discriminator, nn.Sigmoid()).to(device)
    criterion = nn.BCELoss()
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=0.0002, betas=(0.5, 0.999))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=0.0002, betas=(0.5, 0.999))
    real_label, fake_label = 1.0, 0.0
    for batch in batches:
        discriminator.zero_grad()
        real = batch.to(device)
        label = torch.full((len(real),), real_label, device=device)
        output = discriminator(real).view(-1)
        loss_real = criterion(output, label)
        loss_real.backward()
        d_x = output.mean().item()

        fake = generator(torch.randn(len(real), config.network.latent_size, 1, 1, device=device))
        label.fill_(fake_label)
        output = discriminator(fake.detach()).view(-1)
        loss_fake = criterion(output, label)
        loss_fake.backward()
        d_g_z1 = output.mean().item()
        optimizer_d.step()

        generator.zero_grad()
        label.fill_(real_label)
        output = discriminator(fake).view(-1)
        loss_generator = criterion(output, label)
        loss_generator.backward()
        d_g_z2 = output.mean().item()
        optimizer_g.step()

        _ = ((loss_real + loss_fake).item(), loss_generator.item(), d_x, d_g_z1, d_g_z2)
        if stopping():
            return
