"""`dcgan evaluate`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.text import Text

from dcgan.choices import MIN_SAMPLES
from dcgan.cli.format import (
    add_number_columns,
    borderless_table,
    escape_control_characters,
    print_json,
)
from dcgan.cli.indented_lines import print_indented
from dcgan.cli.options import (
    Device,
    FormerInceptionWeights,
    InceptionWeights,
    Json,
    MovedData,
    Store,
    parse_checkpoint,
    several_runs,
)
from dcgan.cli.selection import Selection, SweepOption, select_runs
from dcgan.cpu.allocator import keep_memory
from dcgan.store_dir import DEFAULT_STORE, dcgan_command
from tracking.wording import rounded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dcgan.evaluation.evaluate_run import EvaluationResult
    from dcgan.evaluation.evaluator import Score
    from dcgan.training.checkpoint import CheckpointRef

_ARROWS = {"lower": "\N{DOWNWARDS ARROW}", "higher": "\N{UPWARDS ARROW}"}


def evaluate(
    runs: Annotated[
        list[str] | None,
        several_runs("Ids, starts of ids or names; the newest run by default."),
    ] = None,
    sweep: SweepOption = None,
    checkpoint: Annotated[
        str,
        typer.Option(
            metavar="STEP",
            help="A step, [bold]last[/bold], [bold]best[/bold] by evaluation, or [bold]all[/bold] "
            "that were kept.",
        ),
    ] = "last",
    samples: Annotated[
        int | None,
        typer.Option(
            min=MIN_SAMPLES,
            metavar="N",
            help="Fakes per set, and as many real images; by default as in the recipe, or 10,000.",
            show_default=False,
        ),
    ] = None,
    resamples: Annotated[
        int, typer.Option(min=1, metavar="N", help="Sets of fakes, for the spread.")
    ] = 3,
    inception_weights: InceptionWeights = None,
    weights: FormerInceptionWeights = None,
    inception: Annotated[
        bool | None,
        typer.Option(
            "--inception/--no-inception",
            help="Whether to use Inception if its weights are available; by default as in the "
            "recipe, whose default is yes.",
            show_default=False,
        ),
    ] = None,
    data: MovedData = None,
    device: Device = "auto",
    as_json: Json = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Measure how good a run's generator is, next to the scores of held-out real images.

    No weights are downloaded. Features come from a LeNet that is trained once on
    the run's own labelled images, or, without labels, from a network with random
    weights; metrics are named after the network. With Inception's weights, plain
    FID and KID are measured as well. The scores are stored with the run:

    [dim]dcgan evaluate --sweep weight-init
    dcgan runs --sort lenet_fid
    dcgan compare --metric lenet_fid[/dim]
    """
    keep_memory()
    from dcgan.cli.progress import ImageProgress
    from dcgan.evaluation.evaluate_run import evaluate_run

    console = Console(highlight=False)
    results, printed_notes = [], set[str]()
    which: CheckpointRef | Literal["all"] = (
        "all" if checkpoint == "all" else parse_checkpoint(checkpoint)
    )
    for folder in _folders(store, runs or (), sweep, which):
        with ImageProgress() as progress:
            evaluations = evaluate_run(
                folder,
                which=which,
                samples=samples,
                resamples=resamples,
                use_inception=inception,
                weights=inception_weights or weights,
                data=data,
                device=device,
                count_images=progress.show,
            )
            for evaluation in evaluations:
                progress.clear()
                results.append(evaluation)
                if as_json:
                    evaluation.warn_if_not_kept()
                else:
                    _print(evaluation, store, console, printed_notes)
    if as_json:
        trees = [
            {"run": result.run, "step": result.step, "scores": list(map(_to_json, result.scores))}
            for result in results
        ]
        print_json(trees)


def _folders(
    store: Path, runs: Sequence[str], sweep: str | None, which: CheckpointRef | Literal["all"]
) -> list[Path]:
    """The chosen runs, of which the first is not evaluated before all are known to be ready."""
    from dcgan.evaluation.evaluate_run import steps_to_evaluate
    from dcgan.run_folder.trained_run import read_config
    from tracking.lock import check_writable
    from tracking.store import find_run

    if sweep is None:
        folders = list(dict.fromkeys(find_run(store, each) for each in runs or ["last"]))
    else:
        folders = _of_sweep(Selection(store, runs, sweep))
    for folder in folders:
        check_writable(folder)
        read_config(folder)
        steps_to_evaluate(folder, which)
    return folders


def _of_sweep(selection: Selection) -> list[Path]:
    """The runs of a sweep that have ended and have checkpoints; others are named in a warning."""
    from dcgan.run_folder import CHECKPOINT_DIR
    from dcgan.training.checkpoint import list_checkpoints
    from tracking.errors import StoreError, warn
    from tracking.lock import is_trained

    folders = []
    for run in select_runs(selection).table.index:
        folder = selection.store / run
        if is_trained(folder):
            warn(f"The run {run} is left out: it is being trained.")
        elif list_checkpoints(folder / CHECKPOINT_DIR):
            folders.append(folder)
        else:
            warn(f"The run {run} is left out: it has no checkpoint.")
    if not folders:
        raise StoreError(f"No run of the sweep {selection.sweep} has ended with a checkpoint.")
    return folders


def _to_json(score: Score) -> dict[str, object]:
    """The keys that scripts rely on: `real_score` is called `floor` there."""
    return {
        "floor" if field == "real_score" else field: value for field, value in asdict(score).items()
    }


def _print(
    evaluation: EvaluationResult, store: Path, console: Console, printed_notes: set[str]
) -> None:
    """Print the scores, then the notes and commands that are not in `printed_notes` yet."""
    from dcgan.evaluation.evaluator import MIN_PRECISION, MODE_METRICS
    from dcgan.evaluation.features.inception import INSTALL
    from dcgan.evaluation.metrics.distances import sample_warnings

    first, reference = evaluation.scores[0], evaluation.reference
    console.print(
        f"[bold]{evaluation.run}[/bold] at step {evaluation.step:,}: {first.samples:,} fakes "
        f"per set against as many real images, by "
        f"{escape_control_characters(reference.description)}."
    )
    if reference.requested > first.samples:
        console.print(
            f"Fewer than the {reference.requested:,} asked for, because there are no more real "
            "images: half of the training images, or all that are held out."
        )
    table = borderless_table()
    table.add_column("metric", no_wrap=True)
    table.add_column("better", no_wrap=True)
    add_number_columns(table, "value", "spread", "real images")
    for score in evaluation.scores:
        better = _ARROWS.get(score.better, score.better)
        spread = "-" if score.spread is None else rounded(score.spread, 2)
        table.add_row(
            score.name, Text(better), rounded(score.value, 4), spread, rounded(score.real_score, 4)
        )
    console.print(table)
    notes = [
        f"Spread: the standard deviation over sets of fakes. Real images: {reference.source}.",
        *sample_warnings(first.samples, reference.spaces[0].train.shape[1]),
    ]
    measured = {score.name for score in evaluation.scores}
    if any(name in reference.real_scores and name not in measured for name in MODE_METRICS):
        notes.append(
            f"Modes are not counted: precision is below {MIN_PRECISION}, so the images are "
            "noise, in which a classifier finds modes, too."
        )
    commands = [f"For plain FID and KID: {INSTALL}"] if len(reference.spaces) == 1 else []
    probe = dcgan_command("probe", "neighbours", evaluation.run, store=store)
    commands.append(f"Fakes beside their nearest training images: {probe}")
    if evaluation.not_kept:
        notes.append(
            "Not written to the run, because its own scores were measured differently "
            f"({evaluation.not_kept}). To measure all checkpoints alike: --checkpoint all"
        )
    for note in notes:
        if note not in printed_notes:
            print_indented(console, note, "dim")
    for command in commands:
        if command not in printed_notes:
            console.print(Text(command, style="dim"), soft_wrap=True)
    printed_notes.update(notes, commands)
