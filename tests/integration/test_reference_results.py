"""The numbers in README and in the page of results are those of the committed journals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from analysis import Runs, load
from analysis.comparison.compare import Comparison, compare
from analysis.comparison.conclusions import interval_name
from tracking.events import EPOCH

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "runs" / "reference"


def words_of(page: Path) -> str:
    return re.sub(r"\s+", " ", page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def results() -> str:
    return words_of(REFERENCE / "README.md")


@pytest.fixture(scope="module")
def initialisation() -> Comparison:
    return compare(load(REFERENCE / "weight-init"))


def row(comparison: Comparison, metric: str) -> pd.Series:
    table = comparison.differences
    return table[table["metric"] == metric].iloc[0]


def interval(found: pd.Series, digits: int) -> str:
    low, high = sorted(abs(found[end]) for end in ("ci_low", "ci_high"))
    return f"{interval_name(found['level'])} {low:.{digits}f} to {high:.{digits}f}"


def test_the_effect_of_the_initialisation(results: str, initialisation: Comparison) -> None:
    loss, d_loss, fid, recall = (
        row(initialisation, name) for name in ("Gloss", "Dloss", "lenet_fid", "lenet_recall")
    )
    means = initialisation.summary.set_index(["metric", "arm"])["mean"]["lenet_fid"]
    with_it, without = (means[label] for label in initialisation.labels)
    assert (
        f"G's final loss is higher by {loss['mean']:.2f} ({interval(loss, 2)}, "
        f"p = {loss['p_holm']:.2g})" in results
    )
    assert f"D's is lower by {-d_loss['mean']:.2f} ({interval(d_loss, 2)})" in results
    assert (
        f"LeNet-FID is *better* by {-fid['mean']:.0f} ({interval(fid, 0)}; {without:.0f} instead "
        f"of {with_it:.0f})" in results
    )
    assert f"recall is better by {recall['mean']:.2f} ({interval(recall, 2)})" in results
    front_page = words_of(ROOT / "README.md")
    assert f"G's final loss is {loss['mean']:.2f} higher without" in front_page
    assert f"LeNet-FID is *better*: {without:.0f} instead of {with_it:.0f}" in front_page


def test_the_effect_of_the_learning_rate(results: str) -> None:
    runs = load(REFERENCE / "learning-rate")
    comparison = compare(runs)
    loss, d_x = row(comparison, "Gloss"), row(comparison, "D_x")
    assert (
        f"G's final loss is lower by {-loss['mean']:.1f} ({interval(loss, 1)}, "
        f"p = {loss['p_holm']:.2g}) and D(x) by {-d_x['mean']:.2f} ({interval(d_x, 2)})" in results
    )
    alone = compare(runs, metrics=["nearest_epoch"])
    slow, fast = alone.summary["mean"]
    nearest = row(alone, "nearest_epoch")
    assert f"closest at epochs {slow:.0f} (2e-4) and {fast:.0f} (2e-3) on average" in results
    assert f"{nearest['mean']:.1f} epochs later at 2e-3 ({interval(nearest, 1)}" in results


def test_the_single_runs_of_both_rates(results: str) -> None:
    runs = load(REFERENCE)
    rates = compare(
        runs_of(runs, "astro-zkmjqs", "astro-gc6k8t"),
        by=["optimizer.lr"],
        metrics=["nearest_epoch"],
    )
    slow, fast = rates.runs["nearest_epoch"]
    assert f"| epoch {slow:.0f} | epoch {fast:.0f} |" in results
    assert f"closest at epochs {slow:.0f} and {fast:.0f};" in results


def runs_of(runs: Runs, *ids: str) -> Runs:
    return Runs(runs.table.loc[list(ids)], runs.places)


def published_losses(page: str) -> Iterator[tuple[int, str]]:
    """Epoch and measured losses of the table of `mnist-ablation`."""
    for epoch, measured in re.findall(r"\| (\d+) \| [\d.]+ / [\d.]+ \| ([\d.]+ / [\d.]+) \|", page):
        yield int(epoch), measured


def test_the_losses_of_mnist_as_published(results: str) -> None:
    steps = load(REFERENCE).steps("mnist-ablation-tkq6d5")
    epochs = steps[steps[f"{EPOCH}/number"].notna()].set_index(f"{EPOCH}/number")
    told = dict(published_losses(results))
    assert sorted(told) == [1, 2, 3, 16, 17, 18, 19, 20]
    for epoch, measured in told.items():
        losses = epochs.loc[epoch, [f"{EPOCH}/Gloss", f"{EPOCH}/Dloss"]] * 547 / 546
        assert measured == " / ".join(f"{loss:.4f}" for loss in losses)


def test_the_quality_of_single_runs(results: str) -> None:
    runs = load(REFERENCE / "quality")
    last = runs.last_values()
    mnist = last.loc[["mnist-ablation-ajrc6g", "mnist-ablation-89bsza", "mnist-ablation-77pq2f"]]
    floor = runs.table["sys/evaluation/floor/lenet_fid"]
    distances = ", ".join(f"{value:.1f}" for value in mnist["evaluation/lenet_fid"])
    recalls = ", ".join(f"{value:.2f}" for value in mnist["evaluation/lenet_recall"])
    assert (
        f"LeNet-FID {distances} (three seeds; held-out real images {floor[mnist.index[0]]:.2f})"
        in (results)
    )
    assert f"recall {recalls}" in results
    cifar = last.loc["celeba-nfmwry"]
    assert (
        f"LeNet-FID {cifar['evaluation/lenet_fid']:.1f} ({floor['celeba-nfmwry']:.2f})" in results
    )
    for chosen, written in (
        (mnist, "{:.1f}% with 300 labels per class; a D with random weights {:.1f}%"),
        (last.loc[["celeba-nfmwry"]], "{:.1f}%; a D with random weights {:.1f}%"),
    ):
        accuracies = (
            100 * chosen[f"probes/features/{name}_accuracy"].mean()
            for name in ("discriminator", "random_discriminator")
        )
        assert written.format(*accuracies) in results


def test_the_run_of_twenty_epochs_and_the_picture_of_arithmetic(results: str) -> None:
    runs = load(REFERENCE / "quality")
    steps = runs.steps("mnist-ablation-s9r3hh")
    series = steps["evaluation/lenet_fid"].dropna()
    first, last = series.iloc[0], series.iloc[-1]
    assert f"falls from {first:.1f} after four to {last:.1f} at the end" in results
    values = runs.newest_values("mnist-ablation-s9r3hh")
    share, at_random, rank = (
        values[f"probes/arithmetic/{name}"] for name in ("share", "share_at_random", "rank")
    )
    assert (
        f"up to {share:.1%} are classified as a nine; along random directions, up to "
        f"{at_random:.1%}; rank {rank:.0f} of 101" in words_of(ROOT / "docs" / "evaluation.md")
    )
