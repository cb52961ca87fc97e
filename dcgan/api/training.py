"""`dcgan.train` and `dcgan.resume`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcgan.api.arguments import as_toml, chosen_trackers, data_path, dictionary, words
from dcgan.api.run import Run
from dcgan.cpu.allocator import keep_memory
from dcgan.store_dir import dcgan_call, store_dir
from dcgan.training.torchrun import process_count
from tracking.errors import UserError

if TYPE_CHECKING:
    from dcgan.api.progress import Display
    from dcgan.config.loading import Override
    from dcgan.jobs.prepare import Job

_BUSY = threading.Lock()
"""Held while this process trains, since arithmetic, allocator and signals are process-wide."""


def train(
    recipe: str | Path = "digits",
    *,
    lr: float | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    weight_init: bool | None = None,
    start_from: str | Path | Run | Sequence[str | Path | Run] | None = None,
    evaluate_every: int | None = None,
    precision: str | None = None,
    compile: bool | None = None,
    data: str | Path | None = None,
    download: bool = False,
    settings: Mapping[str, Any] | None = None,
    trackers: str | Sequence[str] | None = None,
    name: str | None = None,
    group: str | None = None,
    tags: str | Sequence[str] | None = None,
    log_model: bool = False,
    stop_when: str | None = None,
    device: str = "auto",
    store: str | Path | None = None,
    progress: bool = True,
) -> Run:
    """Train a DCGAN and track the run, as `dcgan train` does.

    Ctrl-C, or a notebook's stop button, ends the training after the current step with a
    checkpoint; the run is then `interrupted`, and `resume` continues it.

    Args:
        recipe: A recipe's name, or the path of a .toml file.
        lr: Adam's learning rate, for both networks.
        epochs: Epochs to train.
        steps: Training steps, instead of epochs.
        batch_size: Images per step.
        seed: The seed of weights, data order and latents.
        weight_init: True for DCGAN's N(0, 0.02), False for PyTorch's own initialisation.
        start_from: A run whose weights to start from (a Run, `RUN` or `RUN:CHECKPOINT`), or one
            or two .pth or .safetensors files.
        evaluate_every: Epochs between evaluations.
        precision: `auto`, `fp32`, `tf32` or `bf16`.
        compile: Whether to use torch.compile if a trial shows that it is faster.
        data: Folder or file with the recipe's data set, or with other images.
        download: Whether torchvision may download missing data.
        settings: Any other keys of the recipe: `{"network.latent_size": 32}`. An argument wins
            over the same key here.
        trackers: `mlflow`, `neptune`, `tensorboard`, `wandb` or a tracker of another package,
            besides the local journal.
        name: Name of the run.
        group: Name of a group of runs that it belongs to.
        tags: Words by which runs can be selected.
        log_model: Whether to log the generator to MLflow as a model that can be served.
        stop_when: Rules of health that end the run early, such as `collapsed,diverged`.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`, ...
        store: The folder of all runs; DCGAN_STORE or `runs` if omitted.
        progress: Whether to show a progress bar.

    Returns:
        The run: finished, stopped (by `stop_when`) or interrupted.

    Raises:
        ConfigError: A setting is not valid, or does not work here.
        DataError: The images cannot be loaded.
        StoreError: The store cannot be written to, or a name is not plain text.
        UserError: This process is training already, there is no such rule, or `log_model` lacks
            the tracker `mlflow`.
        Exception: Whatever the training raises, after the run has been marked `failed`.
    """
    folder = store_dir(store)
    remotes = chosen_trackers(trackers)
    with exclusive("train"):
        keep_memory()
        from dcgan.api.progress import choose_display, showing_images_on
        from dcgan.jobs.health import parse_stop_when
        from dcgan.jobs.overrides import configure
        from dcgan.jobs.prepare import RunMetadata, prepare

        if log_model:
            from dcgan.jobs.log_model import require_mlflow

            require_mlflow(remotes, "log_model=True", 'trackers="mlflow"')
        display = choose_display(progress)
        overrides = overrides_of(
            settings,
            lr=lr,
            epochs=epochs,
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            weight_init=weight_init,
            start_from=None if start_from is None else references(start_from, folder),
            evaluate_every=evaluate_every,
            precision=precision,
            compile=compile,
        )
        images = data_path(data)
        with showing_images_on(display):
            job = prepare(
                configure(str(recipe), overrides, images, "data="),
                device,
                folder,
                remotes,
                RunMetadata(name, group, words("tags", tags, "first try")),
                download=download,
                stop_when=parse_stop_when(stop_when),
            )
        arguments = [override.origin for override in overrides if override.value is not None]
        arguments += [] if images is None else [f"data={images}"]
        run = _run(job, ["dcgan.train", str(recipe), *arguments], display)
        if log_model and run.status == "finished":
            _log_model(run, display)
        return run


def resume(
    run: str | Run = "last",
    *,
    epochs: int | None = None,
    steps: int | None = None,
    data: str | Path | None = None,
    stop_when: str | None = None,
    device: str = "auto",
    store: str | Path | None = None,
    progress: bool = True,
) -> Run:
    """Continue a run that was interrupted or stopped or that failed, or extend a finished one.

    Args:
        run: The run, its id or name, or `last`.
        epochs: A new number of epochs of the whole run, beyond those that it has trained.
        steps: A new number of training steps, instead of epochs.
        data: Where the run's images are now, if they were moved.
        stop_when: As for `train`; the original value does not carry over.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`, ...
        store: The folder of all runs; DCGAN_STORE or `runs` if omitted.
        progress: Whether to show a progress bar.

    Returns:
        The run: finished, stopped (by `stop_when`) or interrupted.

    Raises:
        StoreError: There is no such run, it has finished and no new length is given, or its
            images have changed.
        ConfigError: The run cannot have this length, or does not work here.
        CheckpointError: Its checkpoint is damaged, or a finished run has none.
        UserError: This process is training already.
    """
    folder = run.folder.parent if isinstance(run, Run) else store_dir(store)
    reference = run.id if isinstance(run, Run) else run
    with exclusive("resume"):
        keep_memory()
        from dcgan.api.progress import choose_display, showing_images_on
        from dcgan.jobs.health import parse_stop_when
        from dcgan.jobs.prepare import prepare_resume

        display = choose_display(progress)
        with showing_images_on(display):
            job = prepare_resume(
                folder,
                reference,
                device,
                data=data_path(data),
                length=overrides_of(None, epochs=epochs, steps=steps),
                stop_when=parse_stop_when(stop_when),
            )
        return _run(job, ["dcgan.resume", reference], display)


def _log_model(run: Run, display: Display) -> None:
    """Log the generator. A failure is only reported, because the training itself succeeded."""
    from dcgan.jobs.log_model import log_generator

    try:
        display.note(f"MLflow has the generator as {log_generator(run.folder).address}.")
    except UserError as error:
        display.message(str(error))


def _run(job: Job, arguments: Sequence[str], display: Display) -> Run:
    from dcgan.api.progress import TrainingDisplay
    from dcgan.jobs.progress import TrainingMeter, describe_end
    from dcgan.jobs.run import run_job

    meter = TrainingMeter(job)
    display.note(f"{job.config.name}: {meter.opening()}")
    shown = TrainingDisplay(display, meter, job.total_steps)
    with display.clearing():
        result = run_job(job, arguments, listen=shown.show, warn=display.message)
    run = Run(result.folder)
    rules = (f"stop_when={json.dumps(','.join(job.stop_when))}",) if job.stop_when else ()
    advice = f" Continue it with {dcgan_call('resume', run.id, *rules, store=job.store)}."
    display.end(
        f"{run.id} {describe_end(result, job)}" + (advice if result.status == "interrupted" else "")
    )
    return run


@contextmanager
def exclusive(function: str) -> Iterator[None]:
    """Let this process train one thing at a time.

    Raises UserError if it is training already, or is one of several that torchrun started.
    """
    if process_count() > 1:
        raise UserError(
            f"dcgan.{function} trains in one process.\n"
            "On several devices use the command: torchrun --nproc-per-node 4 -m dcgan train"
        )
    if not _BUSY.acquire(blocking=False):
        raise UserError(
            f"dcgan.{function}: this process is training already, in another thread.\n"
            "Wait until that has ended. To train several runs at once: dcgan.sweep(...), or a "
            "process for each."
        )
    try:
        yield
    finally:
        _BUSY.release()


def overrides_of(settings: Mapping[str, Any] | None, **options: Any) -> list[Override]:
    """Turn keyword arguments into overrides of the recipe.

    Args:
        settings: Key of the recipe -> value.
        **options: Names and values as in `dcgan.jobs.overrides.OPTION_KEYS`; None for arguments
            that were left out.

    Returns:
        The overrides by `settings`, then those by the options, which win.

    Raises:
        ConfigError: Two of them exclude each other.
        UserError: `settings` is no dictionary.
    """
    from dcgan.config.loading import Override
    from dcgan.jobs.overrides import combine_overrides, option_overrides

    return combine_overrides(
        [
            Override(key, as_toml(value), f"{key}={value}")
            for key, value in dictionary("settings", settings, '{"network.latent_size": 32}')
        ],
        option_overrides(
            {name: as_toml(value) for name, value in options.items()},
            lambda name, value: f"{name}={value}",
        ),
    )


def references(start_from: str | Path | Run | Sequence[str | Path | Run], store: Path) -> list[str]:
    """The value of `init.weights`: ids of runs of the store, and paths.

    Raises CheckpointError if a run of another store has no checkpoint.
    """
    from dcgan.run_folder import CHECKPOINT_DIR
    from dcgan.training.checkpoint import find_checkpoint

    def reference(source: str | Path | Run) -> str:
        if not isinstance(source, Run):
            return str(source)
        if source.folder.parent.resolve() == store.resolve():
            return source.id
        return str(find_checkpoint(source.folder / CHECKPOINT_DIR))

    sources = [start_from] if isinstance(start_from, str | Path | Run) else start_from
    return [reference(each) for each in sources]
