"""The training loop: epochs, image grids, checkpoints. `step` has the step itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from dcgan.config.schema import Config
from dcgan.data.batches import DataWait, iterate_batches, some_images, to_device_if_it_fits
from dcgan.data.scaling import to_unit_range
from dcgan.sampling import draw_latents, generate, image_grid
from dcgan.training.captured_step import CapturedStep, capture_cuda_graph
from dcgan.training.checkpoint import CheckpointState, SaveCheckpoint
from dcgan.training.distributed import SINGLE_PROCESS, StopChecks, World
from dcgan.training.metric_buffer import MetricBuffer
from dcgan.training.network_norms import NetworkNorms
from dcgan.training.precision import set_arithmetic
from dcgan.training.schedule import epoch_order, is_due, steps_per_epoch, total_steps
from dcgan.training.state import Seeds, TrainingState, derive_seeds, initial_state
from dcgan.training.step import AdversarialStep
from tracking.clock import now_ms
from tracking.events import FIXED_NOISE, REAL, SYS, USAGE, Event, Fields, Image, Metrics

CUDA_GRAPH = f"{SYS}/cuda_graph"
"""The field that says whether steps were replayed as one CUDA graph."""

EvaluateCallback: TypeAlias = Callable[[int, nn.Module], bool]
"""Scores G at a step; returns whether it is the best so far. Must not raise."""


def train(
    config: Config,
    pixels: Tensor,
    *,
    device: torch.device,
    emit: Callable[[Event], None],
    save: SaveCheckpoint,
    start_from: Mapping[str, Mapping[str, Tensor]] | None = None,
    resume_from: CheckpointState | None = None,
    stopping: Callable[[], bool] = lambda: False,
    world: World = SINGLE_PROCESS,
    evaluate: EvaluateCallback | None = None,
) -> bool:
    """Train both networks (Goodfellow et al. 2014, algorithm 1; Radford et al. 2016).

    On the CPU call `dcgan.cpu.allocator.keep_memory` before PyTorch is imported: large images
    then train much faster. A trace of torch.profiler has the ranges `data`, `discriminator`,
    `generator` and `tracking`.

    Args:
        config: The recipe.
        pixels: The images, uint8 (N, C, H, W), values 0 to 255.
        device: Where to train.
        emit: Takes every event of the run; must not raise.
        save: Stores a checkpoint after an epoch, at the end and when stopped; must not raise.
        start_from: `generator`, `discriminator` or both -> the weights that it starts from;
            those that are drawn by the seed if omitted.
        resume_from: The state in a checkpoint of the same configuration and data. On the CPU
            the run then continues bit for bit as if it had not been interrupted.
        stopping: Called after each step; True ends the training with a checkpoint.
        world: The processes that train together; each of them makes this call.
        evaluate: Called every `evaluation.every_epochs` and after the last step; after resuming
            also for the restored step, if it is one of these.

    Returns:
        Whether the end of the recipe was reached.
    """
    set_arithmetic(config, device)
    seeds = derive_seeds(config.seed)
    state = initial_state(config, seeds, device, world)
    if start_from is not None:
        state.start_from(start_from)
    if resume_from is not None:
        state.restore(resume_from, seeds)
    if world.rank > 0:  # each process perturbs different images
        state.perturbations.manual_seed((seeds.perturbations + world.rank + state.step) % 2**64)
    total, steps_in_epoch = total_steps(config, len(pixels)), steps_per_epoch(config, len(pixels))
    step = _training_step(state, config, device, world, total, emit)
    reduce = world.all_reduce_sum if world.size > 1 else None
    metrics = MetricBuffer(emit, state.epoch_sums, state.batch, reduce)
    norms = NetworkNorms(state.generator, state.discriminator)
    fixed_noise = _fixed_noise(config, seeds, device)
    stop_checks = StopChecks(world, device, state.step)
    if state.step == 0:
        emit(_grid(REAL, 0, to_unit_range(some_images(pixels, config.images.count)), config))
        emit(_fixed_noise_grid(state, fixed_noise, config))
    pixels, data_wait = to_device_if_it_fits(pixels, device), DataWait()

    def evaluate_and_mark(*, marked: bool) -> None:
        with world.wait_for_main_process():  # only the main process evaluates
            if evaluate is not None and evaluate(state.step, _sampling_generator(state, config)):
                save(state.step, state.to_checkpoint(), marked=marked, best=True)

    # The checkpoint was saved before the evaluation that was due at its step.
    if resume_from is not None and _evaluation_was_due(state, config, total):
        evaluate_and_mark(marked=is_due(config.checkpoints.keep_every, state.epoch - 1))

    while state.step < total:
        batches = _remaining_batches(config, pixels, seeds, state, device, world, data_wait)
        last = epoch_ended = stop = False
        while not (last or epoch_ended or stop):
            is_measured = norms.remember_weights(state.step + 1)
            values = step(list(islice(batches, config.training.discriminator_batches)))
            state.step += 1
            state.batch += 1
            last, epoch_ended = state.step == total, state.batch == steps_in_epoch
            with record_function("tracking"):
                if is_measured:
                    metrics.add_norms(state.step, norms.measure(step.gradients()))
                metrics.add(state.step, values)
                if last or _grid_is_due(state, config, epoch_ended):
                    metrics.flush()
                    emit(_fixed_noise_grid(state, fixed_noise, config))
            stop = stop_checks.any_requested(stopping(), state.step)

        emit(_data_wait_metrics(state.step, data_wait))
        epoch = state.epoch
        if epoch_ended:
            metrics.end_epoch(epoch, state.step)
        else:
            metrics.flush()
        marked = epoch_ended and is_due(config.checkpoints.keep_every, epoch)
        save_is_due = epoch_ended and is_due(config.checkpoints.every_epochs, epoch)
        if epoch_ended:
            state.epoch, state.batch = epoch + 1, 0
        state.epoch_sums = metrics.sums
        evaluation_is_due = _evaluation_was_due(state, config, total)
        # Saved first, so that nothing is lost if the evaluation never ends.
        if stop or last or marked or save_is_due or (evaluation_is_due and evaluate is not None):
            save(state.step, state.to_checkpoint(), marked=marked)
        if evaluation_is_due:
            evaluate_and_mark(marked=marked)
        if stop and not last:
            return False
    return True


def _training_step(
    state: TrainingState,
    config: Config,
    device: torch.device,
    world: World,
    total_steps: int,
    emit: Callable[[Event], None],
) -> AdversarialStep | CapturedStep:
    """The step; replayed as a graph on a single CUDA device, unless the recipe forbids it."""
    step = AdversarialStep(state, config, device, world, total_steps)
    if device.type != "cuda" or world.size > 1 or not config.training.cuda_graph:
        return step
    capture = partial(capture_cuda_graph, generators=(state.latents, state.perturbations))
    return CapturedStep(step, config.training, capture, partial(_emit_capture, emit))


def _emit_capture(emit: Callable[[Event], None], outcome: str) -> None:
    emit(Fields({CUDA_GRAPH: outcome}))


def _remaining_batches(
    config: Config,
    pixels: Tensor,
    seeds: Seeds,
    state: TrainingState,
    device: torch.device,
    world: World,
    data_wait: DataWait,
) -> Iterator[tuple[int, Tensor]]:
    """The rest of the epoch's batches: size over all processes, and this process's images."""
    order = epoch_order(len(pixels), seeds, state.epoch).to(pixels.device)
    done = state.batch * config.training.discriminator_batches
    batches = order.split(config.training.batch_size)[done:]
    images = iterate_batches(pixels, map(world.shard, batches), device, data_wait)
    return zip(map(len, batches), images, strict=True)


def _evaluation_was_due(state: TrainingState, config: Config, total_steps: int) -> bool:
    """Whether the step that was just done, or restored, is one to evaluate at."""
    if state.step == total_steps:
        return True
    epoch_ended = state.batch == 0 and state.step > 0
    return epoch_ended and is_due(config.evaluation.every_epochs, state.epoch - 1)


def _grid_is_due(state: TrainingState, config: Config, epoch_ended: bool) -> bool:
    if config.images.every_epochs is not None:
        return epoch_ended and is_due(config.images.every_epochs, state.epoch)
    return is_due(config.images.every_steps or 0, state.step)


def _data_wait_metrics(step: int, data_wait: DataWait) -> Metrics:
    return Metrics([step], [now_ms()], {f"{USAGE}/data_wait_percent": [data_wait.percent()]})


def _fixed_noise(config: Config, seeds: Seeds, device: torch.device) -> Tensor:
    rng = torch.Generator(device).manual_seed(seeds.fixed_noise)
    return draw_latents(config.images.count, config.network, rng)


def _sampling_generator(state: TrainingState, config: Config) -> nn.Module:
    """G, or its moving average: the one whose images are shown and evaluated."""
    if config.images.weights == "ema" and state.average is not None:
        return state.average.module
    return state.generator


def _fixed_noise_grid(state: TrainingState, fixed_noise: Tensor, config: Config) -> Image:
    images = generate(_sampling_generator(state, config), fixed_noise, config.images.mode)
    return _grid(FIXED_NOISE, state.step, images, config)


def _grid(path: str, step: int, images: Tensor, config: Config) -> Image:
    images = -images if config.images.inverted else images
    return Image(path, step, now_ms(), image_grid(images))
