"""TensorBoard: one folder per run in the store's `tensorboard/`, for `tensorboard --logdir`.

    metrics         scalars under their own paths, at their own steps and times
    images          image series under their own paths
    texts           texts, shown as code
    fields          the text `fields`, JSON in one piece; keys that were chosen also as hparams
    a layout        both losses in one chart, on the page "Custom scalars"
    files           copied under their own paths beside the event files

Each time a run is opened it gets another event file, `events.out.tfevents.<count>`. If the process
is killed, its last record may be incomplete; TensorBoard's reader and this one both skip it.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracking.atomic_files import atomic_write
from tracking.chosen_keys import is_chosen
from tracking.errors import leaving_out
from tracking.events import (
    ARTIFACTS,
    BATCH,
    CONFIG,
    EVALUATION,
    Event,
    Fields,
    File,
    Image,
    Metrics,
    Text,
    Value,
)
from tracking.fields import to_iso8601, to_text
from tracking.png import read_image, to_png
from tracking.replay import digests_of, gather, last_of
from tracking.run_files import run_files, text_or_file
from tracking.tracker import Held, Run, Status

if TYPE_CHECKING:
    import pandas as pd

    from tracking.tables import Point

FOLDER = "tensorboard"
EVENT_FILE = "events.out.tfevents."
FIELDS_TAG = "fields"

_INDENT = "    "  # Markdown for code, so that the text is shown unchanged
_EXACT_IN_FLOAT64 = 2**53
_CHARTS = {
    "Training": {
        "Losses of G and D": rf"^{BATCH}/[GD]loss$",
        "D(x) and D(G(z))": rf"^{BATCH}/(D_x|D_G_z1)$",
    },
    "Quality": {
        "FID, lower is better": rf"^{EVALUATION}/(?!best_)\w*fid$",
        "KID, lower is better": rf"^{EVALUATION}/(?!best_)\w*kid$",
        "Precision and recall, higher is better": rf"^{EVALUATION}/(?!best_)\w*(precision|recall)$",
    },
}
"""The page "Custom scalars": category -> title -> metrics of each chart."""


class TensorBoardTracker:
    """Writes one run; when a call returns, the operating system has the event."""

    def __init__(self, run: Run, store: Path) -> None:
        from tensorboard.compat.proto.event_pb2 import Event as Record
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._run = run
        self._folder = store / FOLDER / run.id
        self._folder.mkdir(parents=True, exist_ok=True)
        contents = _read(self._folder)
        self._held = _held(self._folder, contents)
        self._fields = contents.fields
        count = len(_event_files(self._folder))
        self._file = (self._folder / f"{EVENT_FILE}{count:06d}").open("xb")
        self._records = RecordWriter(self._file)
        version = Record(file_version="brain.Event:2", wall_time=time.time())
        self._records.write(version.SerializeToString())
        if not count:
            self._record([_layout()])
        identity = {"sys/id": run.id, "sys/name": run.name, "sys/created": to_iso8601(run.created)}
        self.write(Fields(identity))

    def held(self) -> Held:
        """What the store held of the run when it was opened."""
        return self._held

    def write(self, event: Event) -> None:
        """Write one event."""
        match event:
            case Fields(values):
                self._write_fields(values)
            case Metrics(steps, times, values):
                rows = zip(*values.values(), strict=True)
                for step, moment, row in zip(steps, times, rows, strict=True):
                    self._record(list(map(_scalar, values, row)), step, moment / 1000)
            case Image(path, step, moment, pixels):
                self._record([_image(path, to_png(pixels), pixels.shape)], step, moment / 1000)
            case Text(path, content):
                self._record([_text(path, content)])
            case File(path, source):
                target = self._folder / f"{path}{source.suffix}"
                target.parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(target) as temporary:
                    shutil.copyfile(source, temporary)
        self._file.flush()

    def close(self, status: Status) -> None:
        """Write the status and close the event file."""
        with self._file:
            self.write(Fields({"sys/status": status}))

    def _write_fields(self, values: Mapping[str, Value]) -> None:
        # All fields each time, because TensorBoard shows only the last text of a tag and step.
        self._fields |= values
        summaries = [_text(FIELDS_TAG, json.dumps(self._fields, indent=2))]
        if any(path.startswith(f"{CONFIG}/") for path in values):
            summaries += _hparams(self._run, self._fields)
        self._record(summaries)

    def _record(self, summaries: list[Any], step: int = 0, seconds: float | None = None) -> None:
        """Write summaries. seconds: Since the Unix epoch; None for now."""
        from tensorboard.compat.proto.event_pb2 import Event as Record
        from tensorboard.compat.proto.summary_pb2 import Summary

        moment = time.time() if seconds is None else seconds
        record = Record(step=step, wall_time=moment, summary=Summary(value=summaries))
        self._records.write(record.SerializeToString())


def open_tracker(run: Run, store: Path) -> TensorBoardTracker:
    """Open a run for writing: a new one, or an existing one to continue it."""
    return TensorBoardTracker(run, store)


def load_runs(store: Path) -> pd.DataFrame:
    """One row per run, as `tracking.tables.run_table` describes it."""
    from tracking.tables import run_table

    folders = {file.parent for file in (store / FOLDER).glob(f"*/{EVENT_FILE}*")}
    runs = {}
    for folder in sorted(folders):
        with leaving_out(f"The run {folder.name}"):
            runs[folder.name] = _read(folder).fields
    return run_table(runs)


def load_steps(store: Path, run: str) -> pd.DataFrame:
    """One row per step of one run, as `tracking.tables.step_table` describes it."""
    from tracking.tables import step_table

    return step_table(run, _read(store / FOLDER / run).points)


def load_tails(
    store: Path, run: str, paths: Sequence[str], fraction: float
) -> dict[str, pd.Series]:
    """The last values of metrics by path; see `tracking.backends.Backend.load_tails`."""
    from tracking.tables import tails_of

    return tails_of(_read(store / FOLDER / run).points, paths, fraction)


def load_last_values(store: Path, run: str) -> dict[str, float]:
    """The last value of each metric by path."""
    from tracking.tables import last_values

    return last_values(_read(store / FOLDER / run).points)


def load_events(store: Path, run: str) -> Iterator[Event]:
    """The complete run as events; none if the store lacks it."""
    folder = store / FOLDER / run
    if not _event_files(folder):
        return
    contents = _read(folder)
    yield Fields(contents.fields)
    for path, content in contents.texts.items():
        yield Text(path, content)
    for path, file in _files(folder).items():
        yield text_or_file(path, file)
    yield from gather(contents.points)
    for (path, step), (moment, png) in contents.images.items():
        yield from read_image(path, step, moment, png)


@dataclass
class _Contents:
    """The contents of a run's event files.

    Attributes:
        fields: The fields by path.
        texts: The texts by path.
        points: The values of the metrics.
        images: The time in milliseconds since the Unix epoch and the PNG file of each picture,
            by path and step.
    """

    fields: dict[str, Value] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    images: dict[tuple[str, int], tuple[int, bytes]] = field(default_factory=dict)


def _read(folder: Path) -> _Contents:
    contents = _Contents()
    for record in _records(folder):
        moment = round(record.wall_time * 1000)
        for value in record.summary.value:
            match value.WhichOneof("value"), value.metadata.plugin_data.plugin_name:
                case "tensor", "scalars":
                    number = value.tensor.double_val[0]
                    contents.points.append((value.tag, record.step, moment, number))
                case "tensor", "text":
                    text = value.tensor.string_val[0].decode()
                    if value.tag == FIELDS_TAG:
                        contents.fields = json.loads(text)
                    else:
                        contents.texts[value.tag] = text.removeprefix(_INDENT).replace(
                            f"\n{_INDENT}", "\n"
                        )
                case "image", _:
                    png = value.image.encoded_image_string
                    contents.images[value.tag, record.step] = (moment, png)
    return contents


def _records(folder: Path) -> Iterator[Any]:
    """The records of all event files in the order of writing, without incomplete ones."""
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event as Record

    for file in _event_files(folder):
        for record in RawEventFileLoader(str(file)).Load():
            yield Record.FromString(record)


def _event_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{EVENT_FILE}*"))


def _files(folder: Path) -> dict[str, Path]:
    """The files of a run by their paths."""
    files = run_files(folder, ARTIFACTS)
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}


def _held(folder: Path, contents: _Contents) -> Held:
    last_step, last_time = last_of(contents.points)
    files = frozenset(contents.texts) | frozenset(_files(folder))
    digests = digests_of(_files(folder))
    return Held(last_step, frozenset(contents.images), files, last_time, digests)


def _scalar(path: str, number: float) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_FLOAT
    from tensorboard.plugins.scalar.metadata import create_summary_metadata

    # TensorBoard draws float32 and drops other scalar types, so the exact value is added.
    tensor = TensorProto(dtype=DT_FLOAT, float_val=[number], double_val=[number], tensor_shape={})
    return Summary.Value(tag=path, tensor=tensor, metadata=create_summary_metadata(None, None))


def _text(path: str, content: str) -> Any:
    from tensorboard.plugins.text.summary_v2 import text_pb

    [value] = text_pb(path, _INDENT + content.replace("\n", f"\n{_INDENT}")).value
    return value


def _image(path: str, png: bytes, shape: tuple[int, ...]) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    height, width, channels = shape
    image = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=png)
    return Summary.Value(tag=path, image=image)


def _hparams(run: Run, fields: Mapping[str, Value]) -> Any:
    """The chosen keys, for TensorBoard's table of runs; `fields` has the exact values."""
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    config = {
        path.removeprefix(f"{CONFIG}/"): _hparam(value)
        for path, value in fields.items()
        if is_chosen(path)
    }
    return hparams_pb(config, trial_id=run.id, start_time_secs=run.created / 1000).value


def _layout() -> Any:
    """The layout of "Custom scalars"; TensorBoard merges those of all runs by category."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata

    categories = [
        layout_pb2.Category(
            title=category,
            chart=[
                layout_pb2.Chart(
                    title=title, multiline=layout_pb2.MultilineChartContent(tag=[tags])
                )
                for title, tags in charts.items()
            ],
        )
        for category, charts in _CHARTS.items()
    ]
    layout = layout_pb2.Layout(category=categories).SerializeToString()
    plugin = SummaryMetadata.PluginData(plugin_name=metadata.PLUGIN_NAME)
    return Summary.Value(
        tag=metadata.CONFIG_SUMMARY_TAG,
        tensor=TensorProto(dtype=DT_STRING, string_val=[layout], tensor_shape={}),
        metadata=SummaryMetadata(plugin_data=plugin),
    )


def _hparam(value: Value) -> bool | float | str:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and abs(value) <= _EXACT_IN_FLOAT64:
        return value
    text = value if isinstance(value, str) else to_text(value)
    return text.encode(errors="backslashreplace").decode()  # a file name may not be valid text
