"""Recipes, overrides, and what a user reads after a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from dcgan.cli.options import parse_overrides
from dcgan.config.loading import Override, load_config, parse_override, recipe_names, to_toml
from dcgan.config.schema import ConfigError


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_valid_and_survives_being_written_out(name: str, tmp_path: Path):
    config = load_config(name, [])
    assert config.name == name
    copy = tmp_path / "copy.toml"
    copy.write_text(to_toml(config))
    assert load_config(str(copy), []) == config


def test_overrides_are_typed_and_the_later_one_counts():
    config = load_config(
        "digits",
        [
            parse_override("optimizer.lr=1"),
            parse_override("optimizer.betas=[0.0, 0.9]"),
            parse_override("init.scheme=default"),
            parse_override("training.epochs=3"),
            Override("training.epochs", 4, "--epochs 4"),
        ],
    )
    assert config.optimizer.lr == 1.0
    assert config.optimizer.betas == (0.0, 0.9)
    assert config.init.scheme == "default"
    assert config.training.epochs == 4


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("optimizer.lrr=3", ["optimizer.lrr", "no such key", "Did you mean optimizer.lr?"]),
        ("lr=3", ["lr: there is no such key", "Did you mean optimizer.lr?"]),
        ("trainig.epochs=3", ["(--set trainig.epochs=3)", "Did you mean training.epochs?"]),
        ("optimizer.lr=-1", ["optimizer.lr = -1", "greater than 0", "--set optimizer.lr=-1"]),
        ("optimizer.lr=nan", ["optimizer.lr = nan", "finite"]),
        ("optimizer.betas=[0.5, 2]", ["optimizer.betas = 2", "less than 1"]),
        ("optimizer.betas=[0.5]", ["optimizer.betas"]),
        (
            "dataset.split=2024",
            ['split: it should be text, such as "2024" (', "--set 'dataset.split=\"2024\"'."],
        ),
        ("optimizer.generator_betas=[0.5]", ["generator_betas: it should be a list such as [0.5,"]),
        ("optimizer.discriminator_lr=2", ["optimizer.discriminator_lr = 2", "less than or equal"]),
        ("training.epochs=many", ["training.epochs = 'many'", "valid integer"]),
        ("training.epochs=true", ["training.epochs = True", "valid integer"]),
        ("training.epochs=2.5", ["training.epochs = 2.5", "valid integer"]),
        ("dataset.name=mnits", ["dataset.name = 'mnits'", "'digits'"]),
        ("dataset.image_size=50", ["dataset.image_size = 50", "a multiple of 16 from 16 to 512"]),
        ("dataset.image_size=[64,28]", ["[64, 28]", "[height, width], such as [64, 96]"]),
        ("dataset.value_range=5", ["value_range = 5", '"percentile" or [low, high]']),
        ("dataset.value_range=[1]", ["value_range = [1]", '"percentile" or [low, high]']),
        ("dataset.value_range=[0,inf]", ["value_range = [0, inf]", "or [low, high]"]),
        ("loss.gradient_penalty=inf", ["gradient_penalty = inf", "finite"]),
        ("loss.name=wgan_gp", ["wgan_gp", 'discriminator_batch_norm = "none"']),
        ("network.family=compact", ["works only at 28x28", "dataset.image_size = 28"]),
        ("images.weights=ema", ["stabilisers.generator_ema, such as 0.999"]),
        ("stabilisers.diff_augment=['colour']", ["'colour'", "'color'"]),
        ("stabilisers.label_flipping=0.5", ["label_flipping = 0.5", "less than 0.5"]),
        ("dataset.path=here", ["dataset", "embedded"]),
        ("seed.x=1", ["seed.x", "single value"]),
        ("seed=-1", ["seed = -1", "greater than or equal to 0"]),
        ("epochs", ["--set epochs", "key=value"]),
    ],
)
def test_a_mistake_is_named_with_what_would_be_right(setting: str, parts: list[str]):
    with pytest.raises(ConfigError) as caught:
        load_config("digits", [parse_override(setting)])
    for part in parts:
        assert part in str(caught.value)
    assert len(str(caught.value).splitlines()) < 10


@pytest.mark.parametrize("network", [("kim", 16), ("dense", 32)])
def test_a_grid_of_one_image_needs_running_statistics_where_maps_have_one_pixel(
    network: tuple[str, int],
):
    family, size = network
    settings = [f"network.family={family}", f"dataset.image_size={size}", "images.count=1"]
    overrides = [parse_override(text) for text in settings]
    with pytest.raises(ConfigError, match=r"set images\.count to 2 or more, or images\.mode"):
        load_config("digits", overrides)
    load_config("digits", [*overrides, parse_override("images.mode=eval")])
    load_config("digits", [*overrides, parse_override("images.count=2")])
    load_config("digits", [parse_override("images.count=1")])


def test_a_section_sets_its_keys_and_leaves_the_others_alone():
    settings = ["network={latent_size = 8}", "training={steps = 3}"]
    config = load_config("digits", parse_overrides(settings, batch_size=16))
    assert (config.network.latent_size, config.network.discriminator_features) == (8, 32)
    assert (config.training.steps, config.training.epochs) == (3, None)
    assert config.training.batch_size == 16
    with pytest.raises(ConfigError, match=r"network\.latent: there is no such key \(--set netw"):
        load_config("digits", parse_overrides(["network={latent = 8}"]))
    with pytest.raises(ConfigError, match="one excludes the other"):
        parse_overrides(["training={steps = 3}"], epochs=2)


def test_what_takes_the_place_of_a_key_of_the_recipe_replaces_it():
    config = load_config("digits", [parse_override("training.steps=7")])
    assert (config.training.steps, config.training.epochs) == (7, None)
    config = load_config("mnist-softmax", [Override("training.epochs", 2, "--epochs 2")])
    assert (config.training.steps, config.training.epochs) == (None, 2)
    config = load_config("digits", [parse_override("images.every_epochs=3")])
    assert (config.images.every_steps, config.images.every_epochs) == (None, 3)


@pytest.fixture
def two_rates(tmp_path: Path) -> str:
    """A recipe in which each network has a learning rate of its own."""
    recipe = tmp_path / "ttur.toml"
    recipe.write_text(
        '[dataset]\nname = "digits"\n[training]\nepochs = 1\n'
        "[optimizer]\ngenerator_lr = 1e-4\ndiscriminator_lr = 4e-4\n"
    )
    return str(recipe)


def test_either_network_may_have_a_learning_rate_and_betas_of_its_own(two_rates: str):
    one_pair = load_config(two_rates, [parse_override("optimizer.generator_betas=[0.0, 0.9]")])
    both = [one_pair.optimizer.of("generator"), one_pair.optimizer.of("discriminator")]
    assert [each.lr for each in both] == [1e-4, 4e-4]
    assert [each.betas for each in both] == [(0.0, 0.9), (0.5, 0.999)]
    shared = load_config("digits", [parse_override("optimizer.lr=1e-3")]).optimizer
    assert shared.of("generator").lr == shared.of("discriminator").lr == 1e-3


def test_the_flag_lr_sets_both_rates_except_one_that_is_set_beside_it(two_rates: str):
    rates = load_config(two_rates, parse_overrides([], lr=1e-3)).optimizer
    assert (rates.lr, rates.generator_lr, rates.discriminator_lr) == (1e-3, None, None)
    own_rate = parse_overrides(["optimizer.generator_lr=5e-4"], lr=1e-3)
    rates = load_config(two_rates, own_rate).optimizer
    assert (rates.of("generator").lr, rates.of("discriminator").lr) == (5e-4, 1e-3)


def test_a_rate_that_would_have_no_effect_is_refused(two_rates: str):
    with pytest.raises(ConfigError, match=r"--set optimizer.lr=1.* has no effect, because optimi"):
        load_config(two_rates, [parse_override("optimizer.lr=1e-3")])
    one = [parse_override("optimizer.lr=1e-3"), parse_override("optimizer.generator_lr=1e-4")]
    assert load_config("digits", one).optimizer.of("discriminator").lr == 1e-3


def test_two_lengths_or_none_in_a_recipe(tmp_path: Path):
    recipe = tmp_path / "mine.toml"
    for length in ("epochs = 1\nsteps = 1\n", ""):
        recipe.write_text(f'[dataset]\nname = "digits"\n[training]\n{length}')
        with pytest.raises(ConfigError, match=r"training: give either epochs or steps"):
            load_config(str(recipe), [])


def test_all_mistakes_come_at_once():
    with pytest.raises(ConfigError) as caught:
        load_config("digits", [parse_override("optimizer.lr=-1"), parse_override("seed=x")])
    assert "optimizer.lr" in str(caught.value)
    assert "seed" in str(caught.value)


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(ConfigError, match=r"(?s)digts.*Did you mean digits.*The recipes are"):
        load_config("digts", [])


def test_a_recipe_file_that_is_missing_broken_or_binary(tmp_path: Path):
    with pytest.raises(ConfigError, match="No such file"):
        load_config(str(tmp_path / "none.toml"), [])
    broken = tmp_path / "broken.toml"
    broken.write_text("seed = = 3")
    with pytest.raises(ConfigError, match=r"broken\.toml is not valid TOML.*line 1"):
        load_config(str(broken), [])
    for text in (f"seed = {'9' * 5_000}", f"seed = {'[' * 100_000}"):
        broken.write_text(text)
        with pytest.raises(ConfigError, match=r"broken\.toml is not valid TOML"):
            load_config(str(broken), [])
        with pytest.raises(ConfigError, match="seed"):
            load_config("digits", [parse_override(text.replace(" ", ""))])
    broken.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(str(broken), [])


def test_a_recipe_without_a_name_takes_that_of_its_file(tmp_path: Path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text('[dataset]\nname = "digits"\n[training]\nepochs = 1\n')
    assert load_config(str(recipe), []).name == "mine"


def test_a_missing_key_is_named(tmp_path: Path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text('[dataset]\nname = "digits"\n')
    with pytest.raises(ConfigError, match=r"training: it is missing \(.*mine\.toml\)"):
        load_config(str(recipe), [])
