"""Does TF32 decide whether mnist-softmax trains? Its first steps on the CPU, with and without.

    python benchmarks/imitated_tf32.py --data DATA --arithmetic tf32 --output FILE SEED [SEED ...]

On NVIDIA's GPUs PyTorch's convolutions round their operands to TF32's 11 significant bits, forward
and backward. Here the same rounding is done on the CPU, in a plain loop with the recipe's networks.
FILE gets the losses of D by seed: after 300 steps it is clear whether D has won.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.overrides import TorchFunctionMode

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from dcgan.config.loading import load_config, parse_override  # noqa: E402
from dcgan.data.loading import load_images  # noqa: E402
from dcgan.models import build_networks  # noqa: E402
from dcgan.training.precision import ieee_float32  # noqa: E402

STEPS = 320


class ImitatedTF32(TorchFunctionMode):
    """Context in which 2-D convolutions, plain and transposed, round as TF32 does."""

    def __torch_function__(
        self, function: Any, types: object, arguments: Any = (), options: Any = None
    ) -> Any:
        if function not in (torch.conv2d, torch.conv_transpose2d):
            return function(*arguments, **(options or {}))
        images, filters, bias, stride, padding, *_ = arguments
        transposed = function is torch.conv_transpose2d
        maps = RoundedConvolution.apply(images, filters, stride, padding, transposed)
        return maps if bias is None else maps + bias[:, None, None]


class RoundedConvolution(torch.autograd.Function):
    """A convolution of rounded operands, whose gradients are such convolutions too."""

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        filters: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
        transposed: bool,
    ) -> Tensor:
        """Convolve (N, C, H, W) without a bias."""
        operands = to_tf32(images), to_tf32(filters)
        ctx.save_for_backward(*operands)
        ctx.form = list(stride), list(padding), [1, 1], transposed, [0, 0], 1
        return torch.ops.aten.convolution(*operands, None, *ctx.form)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """The gradients of images and filters."""
        needed = [*ctx.needs_input_grad[:2], False]
        of_images, of_filters, _ = torch.ops.aten.convolution_backward(
            to_tf32(gradients[0]), *ctx.saved_tensors, None, *ctx.form, needed
        )
        return of_images, of_filters, None, None, None


def to_tf32(values: Tensor) -> Tensor:
    """float32 with the last 13 of its 24 significant bits rounded away, ties away from 0."""
    bits = values.contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


def losses_of_d(images: Tensor, settings: list[str], seed: int, steps: int) -> list[float]:
    """The loss of D in each step of a training by the recipe."""
    config = load_config("mnist-softmax", [parse_override(each) for each in settings])
    generator, discriminator = build_networks(config, seed=seed)
    g_optimizer, d_optimizer = (
        torch.optim.Adam(each.parameters(), config.optimizer.lr, config.optimizer.betas)
        for each in (generator.train(), discriminator.train())
    )
    source = torch.Generator().manual_seed(1_000 + seed)
    order = torch.randperm(len(images), generator=source)
    size = config.training.batch_size
    is_real, is_fake = (torch.full((size,), kind, dtype=torch.int64) for kind in (1, 0))

    def fakes() -> Tensor:
        drawn: Tensor = generator(torch.rand((size, 100, 1, 1), generator=source) * 2 - 1)
        return drawn

    losses = []
    for step in range(steps):
        real = images[order[step * size : (step + 1) * size]].float() / 127.5 - 1
        real_logits, fake_logits = discriminator(real), discriminator(fakes().detach())
        d_loss = cross_entropy(real_logits, is_real) + cross_entropy(fake_logits, is_fake)
        d_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()
        g_loss = cross_entropy(discriminator(fakes()), is_real)
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()
        losses.append(d_loss.item())
    return losses


@ieee_float32()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("seeds", type=int, nargs="+", metavar="SEED")
    parser.add_argument("--data", type=Path, required=True, help="folder of MNIST")
    parser.add_argument("--arithmetic", choices=["tf32", "float32"], required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS, help=f"default {STEPS}")
    options = parser.parse_args()
    settings = [f"dataset.path={options.data.resolve()}"]
    config = load_config("mnist-softmax", [parse_override(each) for each in settings])
    images = load_images(config.dataset).pixels
    losses: dict[str, list[float]] = {}
    for seed in options.seeds:
        with ImitatedTF32() if options.arithmetic == "tf32" else nullcontext():
            losses[str(seed)] = losses_of_d(images, settings, seed, options.steps)
        print(f"seed {seed}: D's loss is {sum(losses[str(seed)][-20:]) / 20:.2f} at the end")
        options.output.write_text(json.dumps(losses) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
