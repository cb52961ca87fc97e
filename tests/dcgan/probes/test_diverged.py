"""Probes and exports of a run that diverged say so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dcgan.export.export_run import export_run
from dcgan.probes.errors import ProbeError
from dcgan.probes.filters import compare_features
from dcgan.probes.labelled_images import labelled_images
from dcgan.probes.latent import interpolate, shift_classes
from dcgan.probes.linear_probe import compare_feature_spaces
from dcgan.run_folder import trained_run
from dcgan.run_folder.trained_run import TrainedRun
from dcgan.sampling import GenerationError
from tests.support.untrained_run import write_untrained_run
from tracking.errors import UserError


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    write_untrained_run(store, "digits-aaaaaa")
    return store


@pytest.fixture
def run(store: Path, monkeypatch: pytest.MonkeyPatch) -> TrainedRun:
    """All of its weights are NaN, as an Adam with too high a rate leaves them."""
    run = TrainedRun.open(store / "digits-aaaaaa")
    for network in ("generator", "discriminator"):
        for weights in run.state[network].values():
            weights.fill_(float("nan") if weights.is_floating_point() else 0)
    # The journal of the fixture is of other images.
    monkeypatch.setattr(
        trained_run,
        "load_training_images",
        lambda folder, config: trained_run.load_images(config.dataset),
    )
    return run


PROBES: dict[str, tuple[Callable[[TrainedRun], object], type[UserError]]] = {
    "features": (
        lambda run: compare_feature_spaces(run, labelled_images(run, None, None, 0), 5, 1, 0),
        ProbeError,
    ),
    "filters": (lambda run: compare_features(run, 3), ProbeError),
    "interpolate": (
        lambda run: interpolate(run.generator(), run.config.network, rows=2, columns=3, seed=0),
        GenerationError,
    ),
    "arithmetic": (lambda run: shift_classes(run, "4", "9", 2.0, 0), GenerationError),
}


@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_says_that_the_run_diverged(run: TrainedRun, probe: str) -> None:
    """It fails in scikit-learn, or it draws NaN as black."""
    look, error = PROBES[probe]
    with pytest.raises(error, match="its training has diverged"):
        look(run)


def test_an_export_says_that_the_run_diverged(run: TrainedRun, tmp_path: Path) -> None:
    with pytest.raises(GenerationError, match="its training has diverged"):
        export_run(run, tmp_path / "g.pt2", card=False)
    assert list(tmp_path.iterdir()) == []
