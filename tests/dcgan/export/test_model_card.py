"""The model card: what the Hub reads of it, what it says, and what it never replaces."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from dcgan.config.loading import load_config
from dcgan.export.description import ExportError
from dcgan.export.export_run import export_run
from dcgan.export.model_card import read_mark
from dcgan.run_folder.trained_run import TrainedRun
from tests.support.sample_journals import STEPS
from tests.support.untrained_run import write_untrained_run

pytest.importorskip("safetensors", reason="safetensors, of the extra export, is not installed")

HOSTILE = "a `name` with | <b>markup</b> --> and\x1b[31m"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """An evaluated run of a user's own folder."""
    folder = write_untrained_run(
        tmp_path_factory.mktemp("store"),
        "digits-aaaaaa",
        "dataset.name=folder",
        'dataset.path="/home/ada/faces"',
        'evaluation.held_out="/home/ada/held-out"',
        "stabilisers.generator_ema=0.9",
        evaluation={"lenet_fid": 12.5, "best_lenet_fid": 12.5, "two_sample_accuracy": 0.9},
        fields={
            "config/dataset/name": "folder",
            "config/dataset/path": "/home/ada/faces",
            "sys/name": HOSTILE,
            "sys/evaluation/floor/lenet_fid": 3.25,
            "sys/evaluation/better/lenet_fid": "lower",
            "sys/evaluation/samples": 500,
            "sys/evaluation/held_out": "half of the images, which were trained on as well",
        },
    )
    return TrainedRun.open(folder)


@pytest.fixture(scope="module")
def card(run: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("export")
    export_run(run, folder / "g.safetensors")
    return (folder / "README.md").read_text(encoding="utf-8")


def test_the_hub_reads_it(card: str) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    data = hub.ModelCard(card).data
    assert data.library_name == "pytorch"
    assert data.pipeline_tag == "unconditional-image-generation"
    assert "safetensors" in data.tags
    results = {result.metric_type: result.metric_value for result in data.eval_results}
    assert results == {"lenet_fid": 12.5, "two_sample_accuracy": 0.9}
    assert data.model_name == HOSTILE.replace("\x1b", r"\x1b")


def test_it_says_what_the_generator_is_and_how_good(card: str) -> None:
    for part in (
        f"after {STEPS} steps",
        "![The first 64 images of seed 0](samples.png)",
        'load_generator(Path("g.safetensors"))',
        r"| latents | float32 (batch, 6, 1, 1), drawn from N(0, 1) |",
        r"| lenet\_fid | lower | 12.5 | 3.25 |",
        r"| two\_sample\_accuracy | 0.5 | 0.9 |  |",
        "Of 500 images at step 40",
        "a perfect generator can: half of the images, which were trained on as well.",
        "| Images | 100 |",
        "MIT licence",
        "## Limits",
    ):
        assert part in card
    assert "/home/ada" not in card, "no path of the user's"
    assert "best" not in card.partition("## Limits")[0].partition("## Evaluation")[2]


def test_its_recipe_is_a_recipe(card: str, tmp_path: Path) -> None:
    recipe = re.search(r"```toml\n(.*?)```", card, re.DOTALL)
    assert recipe is not None
    (tmp_path / "mine.toml").write_text(recipe[1], encoding="utf-8")
    assert load_config(str(tmp_path / "mine.toml"), []).network.latent_size == 6


def test_nothing_in_a_run_steers_the_card(card: str) -> None:
    text = card.split("---\n", 2)[2]
    page = MarkdownIt("commonmark").enable("table").render(text)
    assert "<b>" not in page
    assert "\x1b" not in card
    mark = read_mark(card)
    assert mark is not None
    assert mark["files"] == ["g.safetensors"]


def test_scores_of_other_weights_are_left_out(run: TrainedRun, tmp_path: Path) -> None:
    export_run(run, tmp_path / "g.safetensors", weights="ema")
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "moving average of its weights" in text
    assert "was not evaluated" in text
    assert "12.5" not in text


def test_files_of_one_generator_share_a_card(run: TrainedRun, tmp_path: Path) -> None:
    for name in ("b.safetensors", "a.safetensors", "b.safetensors"):
        export_run(run, tmp_path / name)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert read_mark(text) == {
        "run": "digits-aaaaaa",
        "step": STEPS,
        "weights": "current",
        "files": ["a.safetensors", "b.safetensors"],
    }
    with pytest.raises(ExportError, match=r"describes another generator, in a.safetensors, b"):
        export_run(run, tmp_path / "c.safetensors", weights="ema")
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == text
    assert not (tmp_path / "c.safetensors").exists()


def test_a_picture_of_the_users_own_is_never_replaced(run: TrainedRun, tmp_path: Path) -> None:
    (tmp_path / "samples.png").write_bytes(b"mine")
    with pytest.raises(
        ExportError, match=r"samples.png exists, and was not written.*\n.*--no-card"
    ):
        export_run(run, tmp_path / "g.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["samples.png"]
    assert (tmp_path / "samples.png").read_bytes() == b"mine"


def test_the_recipe_names_initial_weights_without_their_folder(tmp_path: Path) -> None:
    weights = 'init.weights=["/home/ada/secret/netG.pth", "digits-bbbbbb:40"]'
    run = TrainedRun.open(write_untrained_run(tmp_path, "digits-aaaaaa", weights))
    export_run(run, tmp_path / "export" / "g.safetensors")
    card = (tmp_path / "export" / "README.md").read_text(encoding="utf-8")
    assert "/home/ada" not in card
    assert "netG.pth" in card
    assert "digits-bbbbbb:40" in card


@pytest.mark.parametrize("content", ["# My project\n", "<!-- dcgan export: {broken} -->\n"])
def test_a_readme_of_the_users_own_is_never_replaced(
    run: TrainedRun, tmp_path: Path, content: str
) -> None:
    (tmp_path / "README.md").write_text(content)
    with pytest.raises(ExportError, match=r"was not written by dcgan export.\n.*--no-card"):
        export_run(run, tmp_path / "g.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == content
    export_run(run, tmp_path / "g.safetensors", card=False)
    assert (tmp_path / "README.md").read_text() == content
