"""The command line as a user types it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from dcgan.cli import app
from tests.support.forked import dcgan, fork
from tests.support.refusal import error_of
from tests.support.sample_journals import write_journal
from tracking.backends.local import open_tracker
from tracking.events import Metrics
from tracking.store import create_run

TINY = [
    part
    for setting in (
        "network.generator_features=4",
        "network.discriminator_features=4",
        "images.every_steps=30",
        "images.count=9",
    )
    for part in ("--set", setting)
]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "120"})


def refused(*arguments: str) -> str:
    """The error that a command ends with: on one screen, without a traceback."""
    return error_of(invoke(*arguments))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two finished runs of one epoch, the second named and tagged."""
    folder = tmp_path_factory.mktemp("cli") / "runs"
    for extra in ([], ["--name", "second", "--group", "pair", "--tag", "a", "--tag", "b"]):
        result = invoke("train", "--epochs", "1", *TINY, *extra, "--store", str(folder))
        assert result.exit_code == 0, result.output
    return folder


def all_commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from all_commands(inner, (*words, name))


@pytest.mark.parametrize("command", [*all_commands(get_command(app))], ids=" ".join)
def test_help_cuts_no_word_at_80_columns(command: tuple[str, ...]):
    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    assert "Usage" in result.output
    assert "…" not in result.output


def test_training_ends_with_where_the_run_lies_and_what_to_type_next(tmp_path: Path):
    folder = tmp_path / "runs[a]"  # not a style of rich
    result = invoke("train", "--epochs", "1", *TINY, "--store", str(folder))
    assert result.exit_code == 0, result.output
    (run,) = folder.iterdir()
    assert f"{run.name} finished after 57 of 57 steps" in result.output
    assert f"  run         {run}\n" in result.output
    assert str(run / "images/fixed_noise/00000057.png") in result.output
    # Beside each command in a wide terminal, below it in a narrow one.
    assert f"  dcgan plot {run.name} --store '{folder}'\n      plot losses" in result.output


def test_brackets_in_a_path_are_printed(tmp_path: Path):
    store, plots = tmp_path / "runs[a]", tmp_path / "plots[b]"
    write_journal(store, "run-1", seed=0)
    printed = invoke("runs", "--where", "seed == 5", "--store", str(store)).output
    assert f"No runs in {store} match." in printed.replace("\n", " ")
    printed = invoke("plot", "run-1", "-o", str(plots), "--store", str(store)).output
    assert f"{plots / 'loss.png'}\n" in printed


def test_flags_and_settings_reach_the_configuration(store: Path):
    result = invoke(
        "train", "--epochs", "1", "--lr", "1e-3", "--batch-size", "500", "--seed", "7",
        "--no-weight-init", "--set", "optimizer.betas=[0.1, 0.9]", *TINY, "--store", str(store),
        "--name", "flags",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    fields = json.loads(invoke("show", "flags", "--json", "--store", str(store)).stdout)["fields"]
    assert fields["config/optimizer/lr"] == 1e-3
    assert fields["config/optimizer/betas"] == [0.1, 0.9]
    assert fields["config/training/batch_size"] == 500
    assert fields["config/init/scheme"] == "default"
    assert fields["config/seed"] == fields["sys/seed"] == 7


def test_runs_lists_every_run(store: Path):
    table = invoke("runs", "--store", str(store)).output
    rows = json.loads(invoke("runs", "--json", "--store", str(store)).stdout)
    assert len(rows) >= 2
    for row in rows:
        assert row["run"] in table
        assert row["status"] == "finished"
        assert row["epochs"] == 1
        assert row["g_loss"] > 0
    assert rows[1]["name"] == "second"


def test_show_tells_what_made_a_run(store: Path):
    shown = json.loads(invoke("show", "second", "--json", "--store", str(store)).stdout)
    fields = shown["fields"]
    assert fields["sys/tags"] == ["a", "b"]
    assert fields["sys/group"] == "pair"
    assert fields["config/dataset/size"] == 1797
    assert fields["config/dataset/fingerprint"].startswith("sha256:")
    assert fields["sys/packages/torch"]
    assert shown["last"]["training/epoch/number"] == 1
    text = invoke("show", "second", "--store", str(store)).output
    for part in ("finished", "optimizer/lr", "Generator_arch.txt", "epoch/Gloss"):
        assert part in text


def test_show_prints_each_field_once(tmp_path: Path):
    fields = {"health/holds": ["collapsed"], "of_another_program": 1}
    write_journal(tmp_path, "run-1", seed=0, fields=fields)
    printed = invoke("show", "run-1", "--store", str(tmp_path)).output
    health, others = printed.split("Other fields")
    assert "holds" in health
    assert "holds" not in others
    assert "of_another_program" in others


def test_show_and_diff_say_when_the_evaluations_are_of_an_earlier_step(tmp_path: Path):
    for name, evaluated in (("first", 10), ("second", 20)):
        run, _ = create_run(tmp_path, "digits", name, 1_000)
        tracker = open_tracker(run, tmp_path)
        tracker.write(Metrics((evaluated,), (1_000,), {"evaluation/kid": (0.5,)}))
        tracker.write(Metrics((30,), (2_000,), {"training/batch/Gloss": (1.0,)}))
        tracker.close("finished")
    text = invoke("show", "first", "--store", str(tmp_path)).output
    assert re.search(r"evaluation/kid +0\.5 +at step 10 *\n", text)
    assert re.search(r"training/batch/Gloss +1 *\n", text)
    shown = json.loads(invoke("show", "first", "--json", "--store", str(tmp_path)).stdout)
    assert shown["evaluation_steps"] == {"evaluation/kid": 10}
    compared = invoke("diff", "first", "second", "--store", str(tmp_path)).output
    assert "Evaluations of step 10 in A stand beside those of step 20 in B." in compared


def test_a_run_is_found_by_id_by_the_start_of_its_random_part_by_name_and_as_last(store: Path):
    rows = json.loads(invoke("runs", "--json", "--store", str(store)).stdout)
    first = rows[0]["run"]
    for reference in (first, first.rpartition("-")[2], first[:-1]):
        shown = json.loads(invoke("show", reference, "--json", "--store", str(store)).stdout)
        assert shown["fields"]["sys/id"] == first
    last = json.loads(invoke("show", "last", "--json", "--store", str(store)).stdout)
    assert last["fields"]["sys/id"] == rows[-1]["run"]


def test_sample_draws_new_images_that_its_seed_repeats(store: Path, tmp_path: Path):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        path = str(tmp_path / f"{name}.png")
        result = invoke(
            "sample", "last", "-n", "16", "-o", path, "--seed", seed, "--store", str(store)
        )
        assert result.exit_code == 0, result.output
    pictures = [(tmp_path / f"{name}.png").read_bytes() for name in "abc"]
    assert pictures[0] == pictures[1] != pictures[2]
    assert PIL.Image.open(tmp_path / "a.png").size == (4 * 34 + 2, 4 * 34 + 2)


@pytest.mark.parametrize("ending", ["png", "jpg", "JPEG", "webp", "tif", "bmp"])
def test_the_ending_decides_the_format_and_missing_folders_are_made(
    store: Path, tmp_path: Path, ending: str
):
    path = tmp_path / "a" / "b" / f"x.{ending}"
    result = invoke("sample", "last", "-n", "4", "-o", str(path), "--store", str(store))
    assert result.exit_code == 0, result.output
    assert PIL.Image.open(path).format == {"jpg": "JPEG", "tif": "TIFF"}.get(ending, ending.upper())


def test_plot_draws_four_pictures(store: Path, tmp_path: Path):
    result = invoke("plot", "last", "-o", str(tmp_path / "plots"), "--store", str(store))
    assert result.exit_code == 0, result.output
    written = sorted(path.name for path in (tmp_path / "plots").iterdir())
    pictures = ["loss.png", "progression.png", "real_and_fake.png", "scores.png"]
    assert written == ["captions.txt", *pictures]
    assert all(min(PIL.Image.open(tmp_path / "plots" / name).size) > 300 for name in pictures)


def test_mistakes_are_told_on_one_screen_and_leave_nothing_behind(tmp_path: Path):
    store = str(tmp_path / "runs")
    (tmp_path / "empty").mkdir()
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "words.png").write_text("these are words")
    (tmp_path / "one").mkdir()
    PIL.Image.new("RGB", (32, 32)).save(tmp_path / "one" / "only.png")
    (tmp_path / "mnist" / "raw").mkdir(parents=True)
    (tmp_path / "mnist" / "raw" / "train-images-idx3-ubyte.gz").touch()
    mistakes = {
        ("--lr", "-1"): "optimizer.lr = -1.0: it should be greater than 0 (--lr -1.0)",
        ("--epochs", "0"): "training.epochs = 0",
        ("--set", "optimizer.lrr=1"): "Did you mean optimizer.lr?",
        ("--set", "nonsense"): "--set key=value",
        ("--set", "optimzer.lr=3"): "(--set optimzer.lr=3). Did you mean optimizer.lr?",
        ("--set", "optimizer.betas=3"): "Write it as --set 'optimizer.betas=[0.5, 0.999]'",
        ("--set", "optimizer.betas=[0.5]"): "a list such as [0.5, 0.999]",
        ("--set", "optimizer.betas=[0.5, 2.0]"): "less than 1",
        ("--set", "stabilisers.diff_augment=color"): '["color", "translation"]',
        ("--steps", "5", "--epochs", "2"): "Give either --epochs 2 or --steps 5",
        ("--set", "training.steps=5", "--epochs", "2"): "either --set training.steps=5 or",
        ("--name", "last"): "cannot be named 'last'",
        ("--data", str(tmp_path / "nowhere")): "no such folder",
        ("--data", str(tmp_path / "empty")): "holds no images",
        ("--data", str(tmp_path / "words")): "words.png: cannot identify image file",
        ("--batch-size", "5000"): "only 1,797 images",
        ("--data", str(tmp_path / "one")): "only one image, and a batch needs at least two",
        ("--data", str(tmp_path / "mnist")): "dcgan train mnist-ablation --data",
        ("--device", "cuda:77"): "no such device",
        ("--device", "toaster"): "no such device",
        ("--name", "a\x1b[31mred"): "use plain text",
        ("--tracker", "aim"): "no tracker 'aim'. Choose from: mlflow, neptune, tensorboard, wandb",
        ("nosuchrecipe",): "The recipes are:",
        ("nosuch.toml",): "No such file",
    }
    for arguments, message in mistakes.items():
        assert message in refused("train", *arguments, "--store", store), arguments
    assert not (tmp_path / "runs").exists()


def test_a_store_that_cannot_be_written_to(tmp_path: Path):
    (tmp_path / "file").touch()
    message = refused("train", "--epochs", "1", "--store", str(tmp_path / "file" / "runs"))
    assert "cannot be written to" in message
    assert "--store" in message


def test_unknown_and_ambiguous_runs(store: Path, tmp_path: Path):
    assert "no run 'zzz'" in refused("show", "zzz", "--store", str(store))
    assert "could be any of" in refused("show", "digits", "--store", str(store))
    assert "There are no runs" in refused("show", "last", "--store", str(tmp_path))
    assert "no checkpoint of step 3" in refused(
        "sample", "last", "--checkpoint", "3", "--store", str(store)
    )
    assert "has finished" in refused("resume", "last", "--store", str(store))
    assert "tracked to MLflow" in refused("ui", "--store", str(store))


def test_a_damaged_run_and_an_unwritable_output_are_named(store: Path, tmp_path: Path):
    (tmp_path / "file").touch()
    message = refused("plot", "last", "-o", str(tmp_path / "file"), "--store", str(store))
    assert "file cannot be written" in message
    for command, output in (
        (["sample"], "x.txt"),
        (["sample"], "grid"),
        (["probe", "interpolate"], "x.gif"),
        (["report"], "file/report.html"),
        (["selftest"], "file/new/selftest.json"),
        (["sample"], "file/x.png"),
    ):
        message = refused(*command, "-o", str(tmp_path / output))
        assert "Traceback" not in message
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "refused before the work"
    (tmp_path / "digits-torn22").mkdir()
    (tmp_path / "digits-torn22" / "run.json").write_text("{")
    listed = invoke("runs", "--store", str(tmp_path))
    assert listed.exit_code == 0, "one damaged run hides no other"
    said = " ".join(listed.output.split())
    assert "The run digits-torn22 is left out" in said
    assert "run.json is damaged" in said
    assert "run.json is damaged" in refused("show", "digits-torn22", "--store", str(tmp_path))


def test_an_empty_store_is_no_error(tmp_path: Path):
    said = " ".join(invoke("runs", "--store", str(tmp_path)).output.split())
    assert "Start one with: dcgan train" in said
    assert json.loads(invoke("runs", "--json", "--store", str(tmp_path)).stdout) == []


def test_the_command_as_a_process(tmp_path: Path):
    command = [sys.executable, "-m", "dcgan"]
    arguments = ["train", "--lr", "-1"]
    ended = subprocess.run(
        command + arguments, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "greater than 0" in ended.stderr
    assert ended.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_that_of_the_package():
    assert invoke("--version").output == f"dcgan-lab {version('dcgan-lab')}\n"


def test_help_imports_no_heavy_library():
    code = (
        "import sys; from dcgan.cli import app; "
        "heavy = {'torch', 'pandas', 'numpy', 'mlflow', 'neptune', 'tensorboard', 'wandb', "
        "'matplotlib', 'sklearn'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


SDKS = ("mlflow", "neptune", "tensorboard", "wandb")
SLOW_IMPORTS = ("matplotlib", "pandas", "scipy", "sklearn", "sympy", "torch._dynamo", "torchvision")
"""Each delays the first step by tenths of a second, and a training needs none of them."""


def dcgan_without(*arguments: str) -> None:
    """Be the command `dcgan` where neither trackers' SDKs nor slow libraries can be imported."""
    assert not sys.modules.keys() & {*SDKS, *SLOW_IMPORTS}
    sys.modules |= dict.fromkeys((*SDKS, *SLOW_IMPORTS))  # type: ignore[arg-type]
    dcgan(*arguments)


def test_a_training_needs_no_remote_sdk_and_no_slow_library(tmp_path: Path):
    arguments = ["train", "--epochs", "1", *TINY, "--store", str(tmp_path / "runs")]
    command = fork(dcgan_without, *arguments, folder=tmp_path)
    output = command.communicate(timeout=200)
    assert command.returncode == 0, output
