"""A training step that is captured once and then replayed as a whole, as one CUDA graph.

At 64x64 a step launches some 250 kernels, for which the host takes longer than a fast GPU takes to
run them. A graph of all of them is launched at once. It covers what torch.compile cannot: two
backward passes, gradients of gradients, and the optimizers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from dcgan.config.schema import Training
from dcgan.training.step import AdversarialStep, Batch

EAGER_STEPS = 3
"""Full steps before the capture: cuDNN chooses its kernels and Adam makes its state in them."""

Capture: TypeAlias = Callable[
    [Callable[[], dict[str, Tensor]]], tuple[Callable[[], None], dict[str, Tensor]]
]
"""Takes a function without arguments; returns a function that runs it again, and the tensors that
then hold its results."""


class CapturedStep:
    """An `AdversarialStep` that is replayed if all its batches are full, and else runs eagerly.

    The capture is around the step, not in it: the step reads its images from buffers that stay
    where they are, and each replay writes its metrics to the same tensors. Eager steps and
    replays change the same weights and draw from the same random generators, so a training has
    the same numbers either way.

    Args:
        step: The step.
        training: Gives the number and the size of its batches.
        capture: `capture_cuda_graph`, or an imitation of it in tests.
        report: Called once, with `replayed`, or with why the step cannot be captured and runs
            eagerly.
    """

    def __init__(
        self,
        step: AdversarialStep,
        training: Training,
        capture: Capture,
        report: Callable[[str], None],
    ) -> None:
        self._step = step
        self._training = training
        self._capture = capture
        self._report = report
        self._full_steps = 0
        self._batches: list[Batch] = []
        self._replay: Callable[[], None] | None = None
        self._results: dict[str, Tensor] = {}
        self._was_replayed = False

    def __call__(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """Train one step; its metrics are overwritten by the next one."""
        self._was_replayed = False
        if not self._is_full(batches):
            return self._step(batches)
        if self._full_steps == EAGER_STEPS:
            self._capture_step(batches)
        self._full_steps += 1
        if self._replay is None:
            return self._step(batches)
        self._step.set_instance_noise()
        for (_, buffer), (_, images) in zip(self._batches, batches, strict=True):
            buffer.copy_(images)
        self._replay()
        self._was_replayed = True
        return {name: value for name, value in self._results.items() if "/" not in name}

    def gradients(self) -> dict[str, list[Tensor]]:
        """The gradients of each network's last update, as of an `AdversarialStep`."""
        if not self._was_replayed:
            return self._step.gradients()
        gradients: dict[str, list[Tensor]] = {}
        for name, value in self._results.items():
            if "/" in name:
                gradients.setdefault(name.partition("/")[0], []).append(value)
        return gradients

    def _update(self) -> dict[str, Tensor]:
        """The step's metrics, and its gradients as `G/0`, which a replay overwrites too.

        An eager step in between leaves other gradients in the parameters.
        """
        metrics = self._step.update(self._batches)
        gradients = self._step.gradients()
        return metrics | {
            f"{network}/{index}": gradient
            for network, parts in gradients.items()
            for index, gradient in enumerate(parts)
        }

    def _is_full(self, batches: Sequence[Batch]) -> bool:
        sizes = [batch_size for batch_size, _ in batches]
        return sizes == [self._training.batch_size] * self._training.discriminator_batches

    def _capture_step(self, batches: Sequence[Batch]) -> None:
        self._batches = [(batch_size, images.clone()) for batch_size, images in batches]
        try:
            self._replay, self._results = self._capture(self._update)
        except RuntimeError as error:
            self._batches = []
            self._report(f"not captured: {str(error).splitlines()[0]}")
        else:
            self._report("replayed")


def capture_cuda_graph(
    function: Callable[[], dict[str, Tensor]], generators: Sequence[torch.Generator]
) -> tuple[Callable[[], None], dict[str, Tensor]]:
    """Capture a function as a CUDA graph, without running it.

    Args:
        function: Only launches kernels: it neither waits for the device nor reads from it.
        generators: All random generators that it draws from; each replay advances them.

    Returns:
        What replays the graph, and the function's results, which each replay overwrites.

    Raises:
        RuntimeError: The function cannot be captured, or there is too little memory. It can
            still be called.
    """
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.current_stream()
    states = [generator.clone_state() for generator in generators]
    for generator in generators:
        graph.register_generator_state(generator)
    try:
        # Other threads copy images to the device meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            results = function()
    except RuntimeError:
        # PyTorch leaves the capture's stream, and generators that draw in a capture alone.
        torch.cuda.set_stream(stream)
        for generator, state in zip(generators, states, strict=True):
            generator.graphsafe_set_state(state)
        raise
    return graph.replay, results
