"""Single values of every sort: fields, paths, numbers, texts and files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tracking.backends import Backend
from tracking.events import ARTIFACTS, REAL, Event, Fields, File, Image, Metrics, Text, Value
from tracking.metric_keys import metric_key
from tracking.testing.sample_run import CREATED, FIELDS, NON_FINITE, RUN, content, picture, write
from tracking.testing.suite import Suite
from tracking.tracker import Held


class SingleValues(Suite):
    """Single values of every sort: each reads back as it was written."""

    @pytest.mark.parametrize("value", ["short", "", None, [], 0])
    def test_a_shorter_value_takes_the_place_of_a_long_one(
        self, backend: Backend, store: Path, value: str | int | list[str] | None
    ) -> None:
        events = [Fields({"sys/note": "long" * 10_000}), Fields({"sys/note": value})]
        write(backend.open_tracker(RUN, store), events)

        [fields, *rest] = backend.load_events(store, RUN.id)
        assert isinstance(fields, Fields)
        assert fields.values["sys/note"] == value
        assert rest == []  # the long text's file is not an artifact

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (None, 1),
            (1, 2.5),
            (2.5, 1),
            (True, 1),
            (1, False),
            ("a", ["a", 1]),
            (7, "seven"),
            (1, None),
        ],
    )
    def test_a_field_may_change_its_type(
        self, backend: Backend, store: Path, first: Value, second: Value
    ) -> None:
        events = [Fields({"sys/note": first}), Fields({"sys/note": second})]
        write(backend.open_tracker(RUN, store), events)

        value = backend.load_runs(store).loc[RUN.id, "sys/note"]
        assert value == second
        assert type(value) is type(second)

    def test_paths_may_hold_what_names_hold(self, backend: Backend, store: Path) -> None:
        odd = "zope.interface - 2_x y"
        values: dict[str, Value] = {f"config/{odd}": 1, f"sys/packages/{odd}": "1.0"}
        metric, image, text = f"training/batch/{odd}", f"images/{odd}", f"{ARTIFACTS}/{odd}/v1.2"
        events: list[Event] = [
            Fields(values),
            Text(text, "layers"),
            Metrics([1], [CREATED], {metric: [0.5]}),
            Image(image, 1, CREATED, picture(REAL, 1).pixels),
        ]
        write(backend.open_tracker(RUN, store), events)

        held = backend.open_tracker(RUN, store).held()
        images, texts = frozenset({(image, 1)}), frozenset({text})
        assert held == Held({metric: 1}, images, texts, {metric: CREATED})
        loaded = content(backend.load_events(store, RUN.id))
        for kind, expected in content(events).items():
            if kind != "fields":
                assert loaded[kind] == expected
        row = backend.load_runs(store).loc[RUN.id]
        assert {path: row[path] for path in values} == values

    @pytest.mark.parametrize(
        "metric", ["step", "time", "run", "loss/step", "acc@1", "val [%] ±_x40_"]
    )
    def test_a_metric_may_have_any_name(self, backend: Backend, store: Path, metric: str) -> None:
        events: list[Event] = [Fields({f"config/{metric}": 1, f"sys/{metric}": "b"})]
        events.append(Metrics([3, 4], [CREATED, CREATED + 1], {metric: [0.5, 100.0]}))
        write(backend.open_tracker(RUN, store), events)

        table = backend.load_steps(store, RUN.id)
        assert list(table["step"]) == [3, 4]
        assert list(table[metric_key(metric)]) == [0.5, 100.0]
        assert backend.load_last_values(store, RUN.id) == {metric: 100.0}
        assert list(backend.load_tails(store, RUN.id, [metric], 0)) == [metric]
        row = backend.load_runs(store).loc[RUN.id]
        assert (row[f"config/{metric}"], row[f"sys/{metric}"]) == (1, "b")
        assert backend.open_tracker(RUN, store).held().last_step == {metric: 4}

    def test_every_value_keeps_its_precision(self, backend: Backend, store: Path) -> None:
        values = [0.1, 5e-324, 1e300, 1 / 3, 16_777_217.0, *NON_FINITE.values(), 1.5]
        steps = list(range(1, len(values) + 1))
        write(backend.open_tracker(RUN, store), [FIELDS, Metrics(steps, steps, {"a/b": values})])

        np.testing.assert_array_equal(backend.load_steps(store, RUN.id)["a/b"], values)

    def test_the_tails_of_metrics_tell_nan_from_what_was_not_measured(
        self, backend: Backend, store: Path
    ) -> None:
        gloss, cpu, epoch = "training/batch/Gloss", "system/cpu", "training/epoch/Gloss"
        values = [float(step) for step in range(1, 101)]
        values[94], values[97] = math.nan, -math.inf
        steps = list(range(1, 101))
        events: list[Event] = [
            FIELDS,
            Metrics(steps, steps, {gloss: values}),
            Metrics([95], [95], {cpu: [0.5]}),
            Metrics([98], [98], {cpu: [math.nan]}),
            Metrics([100], [100], {epoch: [math.inf]}),
        ]
        write(backend.open_tracker(RUN, store), events)

        tails = backend.load_tails(store, RUN.id, [gloss, cpu, epoch, "no/such"], 0.1)
        assert {path: list(series.index) for path, series in tails.items()} == {
            gloss: list(range(91, 101)),
            cpu: [95, 98],
            epoch: [100],
        }
        np.testing.assert_array_equal(tails[gloss], values[90:])
        np.testing.assert_array_equal(tails[cpu], [0.5, math.nan])
        last = backend.load_last_values(store, RUN.id)
        assert list(last) == sorted([gloss, cpu, epoch])
        np.testing.assert_array_equal(
            [last[gloss], last[cpu], last[epoch]], [100, math.nan, math.inf]
        )

    def test_artifacts_keep_every_byte_when_their_sources_are_gone(
        self, backend: Backend, store: Path, tmp_path: Path
    ) -> None:
        texts = {
            "line ends": "one\ntwo\r\nthree\rfour",
            "spaces": "    indented\n\n\n      more \n\ttab\n",
            "markup": "# no heading\n* no list\n<b>&amp;</b> `code` ``` 1. $x$ | a | b |\n",
            "unicode": "naïve, 星, 🌌\u2028\u0085\x00\x7f",
            "one line": "x",
            "empty": "",
            "long": "every line is like this one\n" * 5_000,
        }
        files = {
            "weights.bin": bytes(range(256)) * 300,
            "naïve name.toml": b"a = 1\r\n",
            "no suffix": b"\xff\xfe",
            "empty.dat": b"",
        }
        events: list[Event] = [FIELDS]
        for name, text in texts.items():
            events.append(Text(f"{ARTIFACTS}/texts/{name}", text))
        for index, (file, data) in enumerate(files.items()):
            (tmp_path / file).write_bytes(data)
            events.append(File(f"{ARTIFACTS}/files/{index}", tmp_path / file))
        write(backend.open_tracker(RUN, store), events)
        for file in files:
            (tmp_path / file).unlink()

        expected: dict[str, object] = {f"{ARTIFACTS}/texts/{name}": texts[name] for name in texts}
        for index, (file, data) in enumerate(files.items()):
            expected[f"{ARTIFACTS}/files/{index}"] = (Path(file).suffix, data)
        loaded = content(backend.load_events(store, RUN.id))["artifacts"]
        assert isinstance(loaded, dict)
        assert set(loaded) == set(expected)
        for path, value in expected.items():
            assert loaded[path] == value, path
