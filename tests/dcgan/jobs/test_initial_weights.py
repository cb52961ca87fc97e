"""A new run starts from the weights of another run, or from the official example's files."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

from analysis import load
from analysis.comparison.arms import group_into_arms
from dcgan.cli import app
from dcgan.config.loading import load_config, parse_override
from dcgan.config.schema import Config, ConfigError
from dcgan.export.description import Description
from dcgan.export.weights_file import to_safetensors
from dcgan.jobs.initial_weights import InitialWeights, load_initial_weights
from dcgan.jobs.prepare import RunMetadata, prepare, prepare_resume
from dcgan.jobs.run import run_job
from dcgan.models import build_networks
from dcgan.run_folder.trained_run import TrainedRun
from dcgan.sweeping.plan import Factor, Sweep
from dcgan.sweeping.request import SweepRequest, find_or_plan
from dcgan.training.checkpoint import CheckpointError, find_checkpoint, load_checkpoint
from dcgan.training.state import SINGLE_PROCESS, derive_seeds, initial_state
from tests.dcgan.conftest import SMALL
from tracking.backends.local import amend_fields, read_fields, run_folders
from tracking.errors import StoreError, UserError

CPU = torch.device("cpu")
TINY = (*SMALL, "training.batch_size=600", "training.epochs=1", "seed=3")


def config_of(*settings: str, recipe: str = "digits") -> Config:
    return load_config(recipe, [parse_override(text) for text in settings])


def trained(store: Path, *settings: str, said: list[str] | None = None) -> Path:
    job = prepare(config_of(*TINY, *settings), "cpu", store, (), RunMetadata())
    warn = [].append if said is None else said.append
    return run_job(job, [], listen=lambda _: None, warn=warn, stopping=lambda: False).folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("source") / "runs")


@pytest.fixture
def store(source: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(source.parent, tmp_path / "runs"))


def loaded(store: Path, *settings: str, recipe: str = "digits") -> InitialWeights:
    weights = load_initial_weights(config_of(*settings, recipe=recipe), store)
    assert weights is not None
    return weights


class OfficialGenerator(nn.Module):
    """The netG of pytorch/examples/dcgan at --nz 8 --ngf 4 --nc 1 --imageSize 64."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = [8, 32, 16, 8, 4, 1]
        for index in range(5):
            stride, padding = (1, 0) if index == 0 else (2, 1)
            layers.append(
                nn.ConvTranspose2d(
                    channels[index], channels[index + 1], 4, stride, padding, bias=False
                )
            )
            if index < 4:
                layers += [nn.BatchNorm2d(channels[index + 1]), nn.ReLU(True)]
        self.main = nn.Sequential(*layers, nn.Tanh())


class OfficialDiscriminator(nn.Module):
    """The netD of pytorch/examples/dcgan at --ndf 4 --nc 1 --imageSize 64."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, 4, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for channels in (4, 8, 16):
            layers += [
                nn.Conv2d(channels, 2 * channels, 4, 2, 1, bias=False),
                nn.BatchNorm2d(2 * channels),
                nn.LeakyReLU(0.2),
            ]
        self.main = nn.Sequential(*layers, nn.Conv2d(32, 1, 4, 1, 0, bias=False), nn.Sigmoid())


OFFICIAL = (*SMALL, "dataset.image_size=64")


@pytest.fixture
def official(tmp_path: Path) -> list[str]:
    files = [str(tmp_path / "netG.pth"), str(tmp_path / "netD.pth")]
    for network, file in zip((OfficialGenerator(), OfficialDiscriminator()), files, strict=True):
        torch.save(network.state_dict(), file)
    return files


def assert_same(state: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    assert state.keys() == other.keys()
    assert all(torch.equal(state[name], other[name]) for name in state)


def test_a_run_starts_from_another_ones_weights_and_says_so(store: Path) -> None:
    reference = f"init.weights=['{next(store.glob('digits-*')).name}:best']"
    with pytest.raises(CheckpointError, match="no best checkpoint"):
        trained(store, reference)
    [source] = store.glob("digits-*")
    folder = trained(store, "init.weights=last", "training.steps=1", "optimizer.lr=1e-12")
    start, end = (
        load_checkpoint(find_checkpoint(each / "checkpoints")) for each in (source, folder)
    )
    assert end["step"] == 1
    for name, tensor in start["generator"].items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(end["generator"][name], tensor, rtol=0, atol=1e-10)
    fields = read_fields(folder)
    assert fields["config/init/weights"] == [f"{source.name}:3"]
    assert fields["sys/initial_weights/from"] == [f"{source.name}:3"]
    assert fields["sys/initial_weights/networks"] == ["generator", "discriminator"]
    assert len(str(fields["sys/initial_weights/sha256"])) == 64
    assert "init.weights" in group_into_arms(load(store).table, ["init.weights"]).factors


def test_all_of_both_networks_is_taken_and_the_average_starts_from_g(store: Path) -> None:
    weights = loaded(store, *TINY, "init.weights=last")
    config = config_of(*TINY, "stabilisers.generator_ema=0.9")
    state = initial_state(config, derive_seeds(0), CPU, SINGLE_PROCESS)
    state.start_from(weights.networks)
    assert_same(state.generator.state_dict(), weights.networks["generator"])
    assert_same(state.discriminator.state_dict(), weights.networks["discriminator"])
    assert state.average is not None
    assert_same(state.average.module.state_dict(), weights.networks["generator"])


def test_the_official_examples_files_fit_in_any_order(official: list[str], tmp_path: Path) -> None:
    state = torch.load(official[1], weights_only=True)
    without_counts = {name: state[name] for name in state if "num_batches" not in name}
    torch.save(without_counts, official[1])  # as PyTorch before 0.4.1 saved it
    weights = loaded(tmp_path, *OFFICIAL, f"init.weights={official[::-1]}")
    assert sorted(weights.networks) == ["discriminator", "generator"]
    training = initial_state(config_of(*OFFICIAL), derive_seeds(0), CPU, SINGLE_PROCESS)
    training.start_from(weights.networks)
    theirs = OfficialGenerator()
    theirs.load_state_dict(torch.load(official[0], weights_only=True))
    latents = torch.randn(4, 8, 1, 1)
    with torch.no_grad():
        ours = training.generator.eval()(latents)
        torch.testing.assert_close(ours, theirs.eval().main(latents), rtol=1e-4, atol=1e-6)


def test_an_exported_generator_starts_a_new_run(store: Path, tmp_path: Path) -> None:
    run = TrainedRun.open(run_folders(store)[0])
    file = tmp_path / "generator.safetensors"
    file.write_bytes(to_safetensors(run.generator(), Description.of_run(run)))
    weights = loaded(store, f"init.weights={file}", *SMALL)
    assert weights.origins == (str(file),)
    assert list(weights.networks) == ["generator"]
    assert_same(weights.networks["generator"], run.generator().state_dict())


def test_with_one_file_the_other_network_starts_as_usual(official: list[str], store: Path) -> None:
    weights = loaded(store, *OFFICIAL, f"init.weights={official[0]}")
    assert list(weights.networks) == ["generator"]
    note = weights.note()
    assert note is not None
    assert "Only the generator starts from" in note
    training = initial_state(config_of(*OFFICIAL), derive_seeds(0), CPU, SINGLE_PROCESS)
    training.start_from(weights.networks)
    _, drawn = build_networks(config_of(*OFFICIAL), derive_seeds(0).weights)
    assert_same(training.discriminator.state_dict(), drawn.state_dict())


def test_weights_of_other_shapes_are_named_layer_by_layer(store: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(store, *TINY, "init.weights=last", "network.latent_size=9")
    lines = str(caught.value).splitlines()
    assert lines[1] == "  generator 0.weight: 8x16x4x4 there, 9x16x4x4 here"
    assert lines[2] == "The configurations differ in: network.latent_size = 8 there, 9 here."
    with pytest.raises(ConfigError) as caught:
        loaded(store, "init.weights=last", recipe="celeba")
    assert len(str(caught.value).splitlines()) <= 13
    assert re.search(r"\n  and \d\d more tensors\n", str(caught.value))


def not_tensors(path: Path) -> None:
    torch.save({"a": 1}, path)


def pickled_code(path: Path) -> None:
    torch.save(OfficialGenerator(), path)


def no_file(path: Path) -> None:
    path.unlink(missing_ok=True)


def text(path: Path) -> None:
    path.write_text("weights")


def diverged(path: Path) -> None:
    state = OfficialGenerator().state_dict()
    state["main.3.weight"][0] = float("nan")
    torch.save(state, path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (not_tensors, r"is not the state_dict\(\) of a network"),
        (pickled_code, r"only a file of tensors is loaded.\nSave the state_dict\(\)"),
        (no_file, "cannot be read: No such file"),
        (text, "only a file of tensors"),
        (diverged, r"generator of .* not finite, in 3.weight"),
    ],
)
def test_files_that_hold_no_weights(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    write(tmp_path / "net.pth")
    with pytest.raises(UserError, match=message):
        loaded(tmp_path, *OFFICIAL, f"init.weights={tmp_path / 'net.pth'}")


def test_files_of_half_the_precision_or_of_parameters(tmp_path: Path) -> None:
    file = tmp_path / "net.pth"
    network = OfficialGenerator()
    torch.save(network.state_dict(keep_vars=True), file)
    of_parameters = loaded(tmp_path, *OFFICIAL, f"init.weights={file}").sha256()
    torch.save(network.state_dict(), file)
    assert of_parameters == loaded(tmp_path, *OFFICIAL, f"init.weights={file}").sha256()
    torch.save(network.bfloat16().state_dict(), file)
    halved = loaded(tmp_path, *OFFICIAL, f"init.weights={file}")
    assert halved.fields().values["sys/initial_weights/sha256"] != of_parameters


def test_two_generators_and_runs_that_do_not_exist(official: list[str], store: Path) -> None:
    with pytest.raises(ConfigError, match="both hold a generator"):
        loaded(store, *OFFICIAL, f"init.weights={[official[0]] * 2}")
    with pytest.raises(StoreError, match="There is no run 'nobody'"):
        loaded(store, *TINY, "init.weights=nobody:3")
    with pytest.raises(CheckpointError, match="no checkpoint of step 77; choose one of: 3"):
        loaded(store, *TINY, "init.weights=last:77")


def test_a_run_killed_before_its_first_checkpoint_starts_from_the_same_weights(store: Path) -> None:
    source = next(store.glob("digits-*"))
    folder = trained(store, f"init.weights={source.name}")
    expected = load_checkpoint(find_checkpoint(folder / "checkpoints"))
    shutil.rmtree(folder / "checkpoints")
    amend_fields(folder, {"sys/status": "killed"})
    job = prepare_resume(store, folder.name, "cpu")
    run_job(job, [], listen=lambda _: None, warn=lambda _: None, stopping=lambda: False)
    again = load_checkpoint(find_checkpoint(folder / "checkpoints"))
    assert_same(again["generator"], expected["generator"])

    shutil.rmtree(folder / "checkpoints")
    amend_fields(folder, {"sys/status": "killed", "sys/initial_weights/sha256": "0"})
    with pytest.raises(StoreError, match="are not those that the run"):
        prepare_resume(store, folder.name, "cpu")


def test_a_sweep_names_the_step_because_last_would_soon_be_another_run(store: Path) -> None:
    source = next(store.glob("digits-*")).name
    settings = [parse_override(text) for text in TINY[:-1]]

    def planned(weights: str) -> Sweep:
        factor = Factor("init.weights", (weights,), "--over")
        request = SweepRequest(subject="digits", factors=(factor,), overrides=tuple(settings))
        return find_or_plan(request, store)[0]

    with pytest.raises(ConfigError, match=rf"by its id and the step.\n.*means: {source}:3"):
        planned("last")
    assert planned(f"{source}:3").runs[0].config.init.weights == (f"{source}:3",)


def test_the_command_takes_runs_and_files(official: list[str], store: Path) -> None:
    settings = [part for text in TINY for part in ("--set", text)]
    arguments = ["train", *settings, "--device", "cpu", "--store", str(store)]
    result = CliRunner().invoke(app, [*arguments, "--epochs", "1", "--from", "last:3"])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(app, [*arguments, "--from", official[0], "--from", official[1]])
    assert result.exit_code == 2, result.output
    assert "do not fit the networks of" in re.sub(r"[\s│]+", " ", result.output)
    assert len(list(store.glob("digits-*"))) == 2, "nothing is half-written"
