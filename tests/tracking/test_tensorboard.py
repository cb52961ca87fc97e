"""The TensorBoard backend: what TensorBoard's own reader shows, and files with a torn end."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tracking.backends import local
from tracking.backends import tensorboard as backend
from tracking.events import FIXED_NOISE, GENERATOR_ARCH, REAL, Fields, Metrics
from tracking.png import from_png
from tracking.replay import Ledger
from tracking.testing.sample_run import (
    CREATED,
    RUN,
    STEPS,
    assert_same_as_journal,
    block,
    epoch_means,
    picture,
    whole_run,
    write,
)
from tracking.tracker import Run

if TYPE_CHECKING:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def folder(store: Path) -> Path:
    return store / backend.FOLDER / RUN.id


def tensorboards_view(store: Path) -> EventAccumulator:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    view = EventAccumulator(str(folder(store)), size_guidance={"tensors": 0, "images": 0})
    return view.Reload()


def test_tensorboard_shows_curves_pictures_texts_and_hparams(tmp_path: Path) -> None:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
    from tensorboard.util.tensor_util import make_ndarray

    write(backend.open_tracker(RUN, tmp_path), whole_run(tmp_path))

    view = tensorboards_view(tmp_path)
    assert set(view.PluginTagToContent("scalars")) == {
        "training/batch/Gloss",
        "training/batch/Dloss",
        "training/epoch/Gloss",
    }
    expected = block(1, STEPS)
    shown = view.Tensors("training/batch/Gloss")
    assert [point.step for point in shown] == expected.steps
    assert [round(point.wall_time * 1000) for point in shown] == expected.times
    numbers = [make_ndarray(point.tensor_proto).item() for point in shown]
    np.testing.assert_array_equal(
        numbers, np.float32(expected.values["training/batch/Gloss"]).astype(float)
    )
    # The type that the data server, by default TensorBoard's reader, shows alone.
    assert make_ndarray(shown[0].tensor_proto).dtype == np.float32

    for image in (picture(FIXED_NOISE, 500), picture(REAL, 1, channels=1)):
        [shown_image] = [each for each in view.Images(image.path) if each.step == image.step]
        assert (shown_image.height, shown_image.width) == image.pixels.shape[:2]
        assert round(shown_image.wall_time * 1000) == image.time
        np.testing.assert_array_equal(from_png(shown_image.encoded_image_string), image.pixels)

    assert set(view.PluginTagToContent("text")) == {backend.FIELDS_TAG, GENERATOR_ARCH}
    [text] = view.Tensors(GENERATOR_ARCH)
    assert "\n      (0): näme\n" in make_ndarray(text.tensor_proto).item().decode()

    [hparams] = view.PluginTagToContent("hparams").values()
    shown_config = HParamsPluginData.FromString(hparams).session_start_info.hparams
    assert shown_config["values/float"].number_value == 2e-4
    assert shown_config["values/true"].bool_value is True
    assert shown_config["dataset/name"].string_value == "digits"
    assert shown_config["values/list"].string_value == '[1, 2.5, "three", null, true]'


def test_both_losses_are_in_one_chart_as_the_plugin_itself_answers(tmp_path: Path) -> None:
    events = [
        Fields({"config/optimizer/lr": 2e-4, "config/dataset/class_sizes": [1, 2]}),
        Metrics([1], [1], {f"training/batch/{name}": [0.5] for name in ("Gloss", "Dloss", "D_x")}),
        Metrics([1], [1], {"evaluation/lenet_fid": [4.0], "evaluation/best_lenet_fid": [4.0]}),
    ]
    for name in ("one", "two"):
        write(backend.open_tracker(Run(name, name, CREATED), tmp_path), events)

    shown = tensorboards_custom_scalars(tmp_path)
    assert [category["title"] for category in shown["category"]] == ["Training", "Quality"]
    charts = {
        chart["title"]: chart["multiline"]["tag"][0]
        for category in shown["category"]
        for chart in category["chart"]
    }
    paths = [path for event in events if isinstance(event, Metrics) for path in event.values]

    def drawn(title: str) -> list[str]:
        return [path for path in paths if re.match(charts[title], path)]

    assert drawn("Losses of G and D") == ["training/batch/Gloss", "training/batch/Dloss"]
    assert drawn("D(x) and D(G(z))") == ["training/batch/D_x"]
    assert drawn("FID, lower is better") == ["evaluation/lenet_fid"]
    assert drawn("KID, lower is better") == []


def tensorboards_custom_scalars(store: Path) -> dict[str, Any]:
    """The layout that TensorBoard's page of custom scalars gets for all runs."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin

    logdir = str(store / backend.FOLDER)
    multiplexer = EventMultiplexer().AddRunsFromDirectory(logdir).Reload()
    provider = MultiplexerDataProvider(multiplexer, logdir)
    plugin = CustomScalarsPlugin(TBContext(data_provider=provider, logdir=logdir))
    layout: dict[str, Any] = json.loads(plugin.layout_impl(RequestContext(), ""))
    return layout


def test_only_chosen_keys_are_hparams(tmp_path: Path) -> None:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    config = {"optimizer/lr": 2e-4, "dataset/class_sizes": [1, 2], "dataset/name": "digits"}
    fields = {f"config/{key}": value for key, value in config.items()}
    write(backend.open_tracker(RUN, tmp_path), [Fields(fields)])
    [hparams] = tensorboards_view(tmp_path).PluginTagToContent("hparams").values()
    shown = HParamsPluginData.FromString(hparams).session_start_info.hparams
    assert sorted(shown) == ["dataset/name", "optimizer/lr"]
    assert backend.load_runs(tmp_path).loc[RUN.id, "config/dataset/class_sizes"] == [1, 2]


def test_an_interrupted_run_gets_a_second_file_and_nothing_twice(tmp_path: Path) -> None:
    events = whole_run(tmp_path)
    first, journal = backend.open_tracker(RUN, tmp_path), local.open_tracker(RUN, tmp_path)
    write(journal, events)
    for event in (*events[:3], block(1, 1_300), epoch_means(1_250), events[6]):
        first.write(event)
    again = backend.open_tracker(RUN, tmp_path)
    write(again, Ledger(again.held()).missing(local.read_events(journal.folder)))

    assert len(list(folder(tmp_path).glob("events.out.tfevents.*"))) == 2
    view = tensorboards_view(tmp_path)
    assert [point.step for point in view.Tensors("training/batch/Gloss")] == list(
        range(1, STEPS + 1)
    )
    assert [image.step for image in view.Images(FIXED_NOISE)] == [500, 1_000]
    assert len(view.Tensors(GENERATOR_ARCH)) == 1


@pytest.mark.parametrize("missing", [1, 3, 4, 5, 60, 150])
def test_a_torn_end_is_left_out_and_written_again(tmp_path: Path, missing: int) -> None:
    events = [
        Fields({"sys/status": "running"}),
        Metrics([1, 2, 3], [1, 2, 3], {"training/batch/Gloss": [0.1, math.nan, 0.3]}),
    ]
    journal = local.open_tracker(RUN, tmp_path)
    write(journal, events)
    tracker = backend.open_tracker(RUN, tmp_path)
    for event in events:
        tracker.write(event)
    [file] = folder(tmp_path).iterdir()
    file.write_bytes(file.read_bytes()[:-missing])
    left = list(backend.load_steps(tmp_path, RUN.id)["step"])
    assert left in ([1, 2], [1])

    again = backend.open_tracker(RUN, tmp_path)
    assert again.held().last_step == {"training/batch/Gloss": left[-1]}
    write(again, Ledger(again.held()).missing(local.read_events(journal.folder)))
    assert_same_as_journal(backend, tmp_path)


def test_a_configuration_of_odd_values_is_still_shown(tmp_path: Path) -> None:
    values = {
        "config/huge": 10**400,
        "config/nan": math.nan,
        "config/path": "/data/\udcff",  # a file's name that is no text
        "config/none": None,
    }
    write(backend.open_tracker(RUN, tmp_path), [Fields(values)])

    fields = backend.load_runs(tmp_path).loc[RUN.id]
    assert fields["config/huge"] == 10**400
    assert math.isnan(fields["config/nan"])
    assert fields["config/path"] == "/data/\udcff"
    assert tensorboards_view(tmp_path).PluginTagToContent("hparams")
