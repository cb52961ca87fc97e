"""Inception by a file of weights: here random ones, which must not be called the usual ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from dcgan.cache_dir import cache_folder
from dcgan.config.loading import load_config
from dcgan.data.loading import load_images
from dcgan.evaluation.errors import EvaluationError
from dcgan.evaluation.features.feature_space import feature_spaces
from dcgan.evaluation.features.inception import WEIGHTS, find_weights, load_inception

CPU = torch.device("cpu")


class _Untrained(FeatureExtractorInceptionV3):
    def load_state_dict(self, state_dict, strict=True, assign=False):
        """Its first, random weights stay."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    torch.save({}, folder / "nothing.pth")
    torch.manual_seed(0)
    network = _Untrained("untrained", ["2048"], str(folder / "nothing.pth"))
    torch.save(network.state_dict(), folder / "random.pth")
    return folder / "random.pth"


def test_other_weights_bear_their_hash_and_give_its_features(weights: Path) -> None:
    found = load_inception(weights, CPU)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:8]
    assert found.prefix == f"inception_{digest}_"
    assert "not the usual ones" in found.description

    source = torch.Generator().manual_seed(0)
    grey = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8, generator=source)
    own = FeatureExtractorInceptionV3("own", ["2048"], str(weights))
    expected = own(grey.repeat(1, 3, 1, 1))[0]
    torch.testing.assert_close(found.extract(grey), expected, rtol=1e-4, atol=1e-5)


def test_weights_in_the_cache_are_found(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifiers = cache_folder() / "classifiers"  # of the digits one may be trained already
    classifiers.mkdir(parents=True, exist_ok=True)
    (tmp_path / "classifiers").symlink_to(classifiers)
    monkeypatch.setenv("DCGAN_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    images = load_images(load_config("digits", []).dataset)
    assert find_weights() is None
    assert [space.prefix for space in feature_spaces(images, CPU)] == ["lenet_"]
    (tmp_path / WEIGHTS).symlink_to(weights)
    first, second = feature_spaces(images, CPU)
    assert first.prefix.startswith("inception_"), "by its content, not by its name"
    assert second.prefix == "lenet_"
    assert first.features(images.pixels[:2]).shape == (2, 2048)
    assert [space.prefix for space in feature_spaces(images, CPU, use_inception=False)] == [
        "lenet_"
    ]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="No such file"):
        load_inception(tmp_path / "missing.pth", CPU)
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(EvaluationError, match="holds no weights of Inception"):
        load_inception(tmp_path / "other.pth", CPU)
    torch.save({"code": Path}, tmp_path / "code.pth")
    with pytest.raises(EvaluationError, match="holds no weights of Inception"):
        load_inception(tmp_path / "code.pth", CPU)
