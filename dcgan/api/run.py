"""A run as Python programs and notebooks use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from dcgan.api.arguments import data_path
from dcgan.choices import LARGEST_SEED, MIN_SAMPLES
from dcgan.store_dir import store_dir
from tracking.errors import StoreError, UserError
from tracking.events import BATCH, EPOCH, FIXED_NOISE, REAL, SYS, Value
from tracking.fields import escape_control_characters
from tracking.wording import plural

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import PIL.Image
    from matplotlib.figure import Figure
    from torch import nn

    from analysis.plots.run import RunPlot
    from analysis.runs import Runs
    from dcgan.choices import Weights
    from dcgan.config.schema import Config
    from dcgan.run_folder.trained_run import TrainedRun
    from dcgan.training.checkpoint import CheckpointRef

_MAX_STEPS = 8
"""How many steps an error lists."""


def open(run: str = "last", *, store: str | Path | None = None) -> Run:
    """Open a run of the local store.

    Args:
        run: Its id, the start of its id, its name, or `last` for the newest run.
        store: The folder of all runs; DCGAN_STORE or `runs` if omitted.

    Raises:
        StoreError: No run matches, or more than one.
    """
    from tracking.store import find_run

    return Run(find_run(store_dir(store), run))


def runs(*sources: str | Path, where: str | None = None) -> Runs:
    """Load the runs of stores, of any backends and in any mixture; the same as `analysis.load`.

    Args:
        sources: Folders and addresses; DCGAN_STORE or `runs` if omitted.
        where: Only runs for which this expression holds, such as `optimizer.lr < 1e-3`.

    Raises:
        StoreError: A store has no runs.
        QueryError: The expression is wrong.
    """
    from analysis import load

    return load(*(sources or (store_dir(None),)), where=where)


@dataclass(frozen=True)
class Run:
    """A run of the local store. Every access reads it again, since it may still be training.

    A notebook shows it as a summary with its losses and its last grid.

    Attributes:
        folder: The run's folder, as an absolute path; its name is the run's id.
    """

    folder: Path

    def __post_init__(self) -> None:
        # A notebook may change its working directory later.
        object.__setattr__(self, "folder", Path(self.folder).absolute())

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self.status}, {plural(self.steps, 'step')}>"

    def _repr_html_(self) -> str:
        from dcgan.api.html import run_html

        return run_html(self)

    @property
    def id(self) -> str:
        """The run's id."""
        return self.folder.name

    @property
    def name(self) -> str:
        """The run's name; its id if it has none."""
        return escape_control_characters(self.fields.get(f"{SYS}/name") or self.id)

    @property
    def status(self) -> str:
        """`running`, `finished`, `stopped`, `interrupted`, `failed` or `killed`."""
        return str(self.fields.get(f"{SYS}/status"))

    @property
    def fields(self) -> dict[str, Value]:
        """Everything the run has recorded except metrics and files, by path."""
        from tracking.backends.local import read_fields

        return read_fields(self.folder)

    @property
    def config(self) -> Config:
        """The configuration: `run.config.optimizer.lr`."""
        from dcgan.run_folder.trained_run import read_config

        return read_config(self.folder)

    @property
    def steps(self) -> int:
        """Training steps done."""
        from tracking.backends.local import last_step

        return last_step(self.folder)

    @property
    def metrics(self) -> pd.DataFrame:
        """One row per step: `run`, `step`, `time`, then one column per metric."""
        from tracking.backends.local import read_steps

        return read_steps(self.folder)

    @property
    def grid_steps(self) -> list[int]:
        """The steps of the grids that were made while the run trained."""
        return sorted(self._grids())

    def losses(self, per: Literal["step", "epoch"] = "step") -> pd.DataFrame:
        """The losses: the columns `generator` and `discriminator`, indexed by step.

        per: `step` for each step's losses, `epoch` for the means of each epoch at its last step.
            Anything else is a UserError.
        """
        if per not in ("step", "epoch"):
            raise UserError(f"per = {per!r}: it should be 'step' or 'epoch'.")
        import pandas as pd

        from tracking.backends.local import load_tails

        paths = {
            f"{BATCH if per == 'step' else EPOCH}/{loss}": network
            for loss, network in (("Gloss", "generator"), ("Dloss", "discriminator"))
        }
        # Only these tell a loss that is NaN, after which a run goes on, from one that is missing.
        series = load_tails(self.folder.parent, self.id, list(paths), fraction=1.0)
        columns = {loss: series.get(path, pd.Series()) for path, loss in paths.items()}
        return pd.DataFrame(columns, dtype="float64").rename_axis("step")

    def at(self, checkpoint: CheckpointRef = "last", *, device: str = "cpu") -> TrainedRun:
        """The run at one of its checkpoints.

        Args:
            checkpoint: The last one, the best by evaluation, or that of a step.
            device: The device of its networks: `auto`, `cpu`, `cuda`, ...

        Raises:
            CheckpointError: There is no such checkpoint, or its file is damaged.
            StoreError: The run was imported without its checkpoints.
        """
        from dcgan.run_folder.trained_run import TrainedRun
        from dcgan.training.device import choose_device

        return TrainedRun.open(self.folder, checkpoint, choose_device(device))

    def generator(
        self,
        checkpoint: CheckpointRef = "last",
        *,
        weights: Weights | None = None,
        device: str = "cpu",
    ) -> nn.Module:
        """G in eval mode: latents (N, latent_size, 1, 1) to images (N, C, H, W) in [-1, 1].

        Args:
            checkpoint: The last one, the best by evaluation, or that of a step.
            weights: `current` or `ema`; by default those that the run's own grids use.
            device: The device of the network: `auto`, `cpu`, `cuda`, ...

        Raises:
            CheckpointError: There is no such checkpoint, or its file is damaged.
            ConfigError: `weights` is `ema`, but the run has no moving average.
        """
        return self.at(checkpoint, device=device).generator(weights).eval()

    def discriminator(
        self, checkpoint: CheckpointRef = "last", *, device: str = "cpu"
    ) -> nn.Module:
        """D in eval mode: images (N, C, H, W) in [-1, 1] to logits; see `at` for the arguments."""
        return self.at(checkpoint, device=device).discriminator().eval()

    def sample(
        self,
        count: int = 64,
        *,
        seed: int = 0,
        checkpoint: CheckpointRef = "last",
        weights: Weights | None = None,
        device: str = "auto",
    ) -> npt.NDArray[np.uint8]:
        """New images from G, with batch norm by its learnt statistics.

        Args:
            count: Number of images.
            seed: The seed of the latents; the same seed gives the same images.
            checkpoint: The last one, the best by evaluation, or that of a step.
            weights: `current` or `ema`; by default those that the run's own grids use.
            device: The device that computes them: `auto`, `cpu`, `cuda`, ...

        Returns:
            uint8 (count, H, W, C), C = 1 or 3; inverted if the run's grids are.

        Raises:
            CheckpointError: There is no such checkpoint, or its file is damaged.
            GenerationError: Pixels are not finite.
            UserError: `count` is not positive, or PyTorch cannot take `seed`.
        """
        from dcgan.samples import latents
        from dcgan.samples.pixels import render_as_in_grids

        if count < 1:
            raise UserError(f"count = {count}: it should be 1 or more.")
        if not 0 <= seed <= LARGEST_SEED:
            raise UserError(f"seed = {seed}: it should be 0 or more, and below 2^63.")
        run = self.at(checkpoint, device=device)
        chosen = latents.of_seed(run.config.network, int(seed), count)
        return render_as_in_grids(run, chosen, weights=weights)

    def grid(self, step: int | None = None) -> PIL.Image.Image:
        """A grid from fixed noise that was made while the run trained.

        step: One of `grid_steps`; the last one if omitted. Raises StoreError if there is none.
        """
        grids = self._grids()
        if not grids:
            raise StoreError(f"The run {self.id} has no grid of images.")
        chosen = max(grids) if step is None else step
        if chosen not in grids:
            steps = sorted(grids)
            nearest = sorted(sorted(steps, key=lambda each: abs(each - chosen))[:_MAX_STEPS])
            raise StoreError(
                f"The run {self.id} has no grid of step {chosen}.\n"
                f"The nearest of its {plural(len(steps), 'grid')}: {', '.join(map(str, nearest))}."
            )
        return _picture(grids[chosen])

    def real_grid(self) -> PIL.Image.Image:
        """The grid of images of the data set; raises StoreError if the run has none."""
        from analysis.image_files import image_files

        grids = image_files(self.folder, REAL)
        if not grids:
            raise StoreError(f"The run {self.id} has no grid of real images.")
        return _picture(grids[max(grids)])

    def plot(self, name: RunPlot) -> Figure:
        """One of the figures of `dcgan plot`.

        name: `loss`, `scores`, `progression`, `real_and_fake` or `evaluation`. Raises StoreError
        if the run has no data for it, and UserError for another name.
        """
        from analysis.plots.run import RunPlot, draw_run_plot

        if name not in (names := get_args(RunPlot)):
            raise UserError(f"name = {name!r}: it should be one of {', '.join(names)}.")
        return draw_run_plot(self.folder, name)

    def plot_losses(self) -> Figure:
        """The losses of both networks, separately and together."""
        return self.plot("loss")

    def plot_scores(self) -> Figure:
        """D's output for real images and for fakes."""
        return self.plot("scores")

    def plot_progression(self) -> Figure:
        """Grids from the same noise during the training."""
        return self.plot("progression")

    def plot_real_and_fake(self) -> Figure:
        """Real images beside the last grid of fakes."""
        return self.plot("real_and_fake")

    def plot_evaluation(self) -> Figure:
        """The scores of evaluations during the training."""
        return self.plot("evaluation")

    def evaluate(
        self,
        checkpoint: CheckpointRef | Literal["all"] = "last",
        *,
        samples: int | None = None,
        resamples: int = 3,
        inception: bool | None = None,
        inception_weights: str | Path | None = None,
        data: str | Path | None = None,
        device: str = "auto",
        progress: bool = True,
    ) -> pd.DataFrame:
        """Measure how good G is, and write the scores to the run, as `dcgan evaluate` does.

        Args:
            checkpoint: The last one, the best, that of a step, or `all` that were kept.
            samples: Fakes per set, and at most as many real images; as in the recipe if omitted.
            resamples: Sets of fakes, for the spread.
            inception: Whether to use Inception if its weights are at hand; as in the recipe if
                omitted.
            inception_weights: A file with Inception's weights.
            data: Where the run's images are now, if they were moved.
            device: The device to compute on: `auto`, `cpu`, `cuda`, ...
            progress: Whether to show a progress bar.

        Returns:
            One row per checkpoint and metric: `step`, `metric`, `value`, `spread`, `real_images`
            (the score of held-out real images), `better` (`lower`, `higher`, ...), `samples`.

        Raises:
            CheckpointError: There is no such checkpoint, or its file is damaged.
            StoreError: The images have changed, or the run is being trained.
            EvaluationError: There are too few images, or the weights are not Inception's.
            UserError: `samples` is below 100, or `resamples` below 1.
        """
        for name, number, least in (("samples", samples, MIN_SAMPLES), ("resamples", resamples, 1)):
            if number is not None and number < least:
                raise UserError(f"{name} = {number}: it should be {least} or more.")
        import pandas as pd

        from dcgan.api.progress import ImagesDisplay, choose_display, showing_images_on
        from dcgan.evaluation.evaluate_run import evaluate_run

        weights = None if inception_weights is None else Path(inception_weights).expanduser()
        display = choose_display(progress)
        with showing_images_on(display), ImagesDisplay(display) as features:
            results = list(
                evaluate_run(
                    self.folder,
                    which=checkpoint,
                    samples=samples,
                    resamples=resamples,
                    use_inception=inception,
                    weights=weights,
                    data=data_path(data),
                    device=device,
                    count_images=features.show,
                )
            )
        for result in results:
            result.warn_if_not_kept()
        return pd.DataFrame(
            [
                {
                    "step": result.step,
                    "metric": score.name,
                    "value": score.value,
                    "spread": score.spread,
                    "real_images": score.real_score,
                    "better": score.better,
                    "samples": score.samples,
                }
                for result in results
                for score in result.scores
            ]
        )

    def report(self, output: str | Path) -> Path:
        """Write the report of `dcgan report` on this run: .html, .md or .pdf; returns its path."""
        from analysis import load
        from analysis.report import compose, format_of, save_report
        from dcgan.report_images import images_of_single_run

        path = Path(output).expanduser()
        kind = format_of(path)
        loaded = load(self.folder.parent)
        if self.id not in loaded.table.index:
            raise StoreError(f"The run {self.id} cannot be read: it was deleted, or is damaged.")
        alone = replace(loaded, table=loaded.table.loc[[self.id]])
        return save_report(compose(alone, generated=images_of_single_run(alone)), path, kind)[0]

    def _grids(self) -> Mapping[int, Path]:
        from analysis.image_files import image_files

        return image_files(self.folder, FIXED_NOISE)


def _picture(file: Path) -> PIL.Image.Image:
    import PIL.Image

    with PIL.Image.open(file) as picture:
        return picture.copy()
