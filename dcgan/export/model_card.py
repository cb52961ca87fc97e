"""The model card of an exported generator, for the Hugging Face Hub."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import yaml

from dcgan.config.loading import to_toml
from dcgan.config.schema import Config
from dcgan.export.description import INPUT, OUTPUT, Description
from dcgan.run_folder.trained_run import TrainedRun
from tracking.backends.local import read_fields, read_steps
from tracking.evaluation_paths import DIRECTIONS, EVALUATION_FIELDS, REAL_SCORES, score_name
from tracking.events import CONFIG, SYS, Value
from tracking.fields import escape_control_characters, to_text
from tracking.markdown import escape_markdown
from tracking.metric_directions import direction_of
from tracking.redaction import make_redactor
from tracking.wording import ANECDOTE

CARD_FILE, SAMPLES_FILE = "README.md", "samples.png"

_TASK = "unconditional-image-generation"
_MARK = re.compile(r"^<!-- dcgan export: (\{.*\}) -->$", re.MULTILINE)

_HUB_DATASETS = {
    "mnist": "ylecun/mnist",
    "fashion-mnist": "zalando-datasets/fashion_mnist",
    "cifar10": "uoft-cs/cifar10",
}
"""Name of a data set here -> its name on the Hub."""

_CARD_FIELDS = {
    "name": "Name",
    "split": "Split",
    "size": "Images",
    "image_size": "Image size, pixels",
    "channels": "Channels",
    "transforms": "Transforms",
    "fingerprint": "Fingerprint",
}
"""Fields of the data set that the card shows. Its path is private."""

_USAGE = {
    ".onnx": f"""import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession({{file}})
latents = {{draw_numpy}}
(images,) = session.run(["{OUTPUT}"], {{{{"{INPUT}": latents}}}})
pixels = np.round((images + 1) * 127.5).astype(np.uint8)  # (16, C, H, W)
""",
    ".pt2": """import torch

generator = torch.export.load({file}).module()
with torch.no_grad():
    images = generator({draw_torch})
pixels = ((images + 1) * 127.5).round().to(torch.uint8)  # (16, C, H, W)
""",
    ".safetensors": """from pathlib import Path

import torch
from dcgan.export.weights_file import load_generator  # of the DCGAN lab, with its extra "export"

generator = load_generator(Path({file}))
with torch.no_grad():
    images = generator({draw_torch})
pixels = ((images + 1) * 127.5).round().to(torch.uint8)  # (16, C, H, W)
""",
}

_LIMITS = (
    ANECDOTE,
    "Images have the biases of the training data. They show nothing that exists, but a generator "
    "may repeat training images.",
    "The metrics depend on the number of images and on the features: they compare with those of "
    "other programs only where both are the same.",
)


def model_card(run: TrainedRun, description: Description, files: Sequence[str]) -> str:
    """Compose the card from the run's journal: what it is, data, training, metrics and limits.

    Args:
        run: The run at the checkpoint that was exported.
        description: The description of its generator.
        files: The names of the exported files beside the card.
    """
    fields = read_fields(run.folder)
    scores = _scores(run, description)
    height, width = description.sides
    name = str(fields.get(f"{SYS}/name") or run.folder.name)
    parts = [
        f"---\n{_front_matter(run.config, name, scores, files)}---",
        _mark(description, files),
        f"# {escape_markdown(name)}",
        f"The generator of a DCGAN (Radford et al. 2016), of {description.channels} x "
        f"{height} x {width} images, after {run.step:,} steps of "
        "training"
        + (", as a moving average of its weights." if description.weights == "ema" else "."),
        f"![The first 64 images of seed 0]({SAMPLES_FILE})",
        "*The first 64 images of seed 0; none was picked by hand.*",
        "## Use",
        *(_usage(description, file) for file in files),
        _table(("", ""), [(INPUT, description.input), (OUTPUT, description.output)]),
        "## Training data",
        *_training_data(fields),
        "## Training",
        *_training(run.config, fields),
        "## Evaluation",
        *_evaluation(run, fields, scores),
        "## Limits",
        "\n".join(f"- {limit}" for limit in _LIMITS),
        "## Licence",
        "The code that trained this generator, dcgan-lab, has the MIT licence. If you publish "
        "the weights, choose a licence for them that the training data's licence allows, and "
        "add it as `license:` at the top of this file.",
    ]
    return make_redactor()("\n\n".join(parts) + "\n")


def read_mark(card: str) -> dict[str, Any] | None:
    """The metadata of the generator in a card of `dcgan export`; None for any other text."""
    match = _MARK.search(card)
    if match is None:
        return None
    try:
        mark = json.loads(match[1])
    except ValueError:
        return None
    return mark if isinstance(mark, dict) else None


def files_of_card(mark: Mapping[str, Any]) -> list[str]:
    """The names of the exported files that a card describes, without those in other folders."""
    names = mark.get("files")
    if not isinstance(names, list):
        return []
    return [name for name in names if isinstance(name, str) and PurePath(name).name == name]


def _mark(description: Description, files: Sequence[str]) -> str:
    mark = {
        "run": description.run,
        "step": description.step,
        "weights": description.weights,
        "files": list(files),
    }
    text = json.dumps(mark).replace("--", "\\u002d\\u002d")  # two hyphens would end the comment
    return f"<!-- dcgan export: {text} -->"


def _front_matter(
    config: Config, name: str, scores: Mapping[str, float], files: Sequence[str]
) -> str:
    extensions = [PurePath(file).suffix[1:] for file in files]
    content: dict[str, Any] = {
        "library_name": "pytorch",
        "pipeline_tag": _TASK,
        "tags": ["dcgan", "gan", "image-generation", *extensions],
    }
    if config.dataset.name in _HUB_DATASETS:
        content["datasets"] = [_HUB_DATASETS[config.dataset.name]]
    if scores:
        result = {
            "task": {"type": _TASK},
            "dataset": {"type": config.dataset.name, "name": config.dataset.name},
            "metrics": [
                {"type": metric, "name": metric, "value": value} for metric, value in scores.items()
            ],
        }
        content["model-index"] = [{"name": escape_control_characters(name), "results": [result]}]
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return text


def _usage(description: Description, file: str) -> str:
    size, uniform = description.network.latent_size, description.network.latent_law == "uniform"
    shape = f"16, {size}, 1, 1"
    code = _USAGE[PurePath(file).suffix.lower()].format(
        file=json.dumps(file),
        draw_torch=f"torch.rand({shape}) * 2 - 1" if uniform else f"torch.randn({shape})",
        draw_numpy=(
            f"np.random.uniform(-1, 1, ({shape})).astype(np.float32)"
            if uniform
            else f"np.random.standard_normal(({shape})).astype(np.float32)"
        ),
    )
    return f"```python\n{code}```"


def _training_data(fields: Mapping[str, Value]) -> list[str]:
    rows = [
        (label, _in_words(fields[path]))
        for key, label in _CARD_FIELDS.items()
        if fields.get(path := f"{CONFIG}/dataset/{key}") is not None
    ]
    parts = [_table(("", ""), rows)]
    if "(synthetic)" in str(fields.get(f"{CONFIG}/dataset/path")):
        parts.insert(0, "**Synthetic: these images were rendered by a program.**")
    return parts


def _training(config: Config, fields: Mapping[str, Value]) -> list[str]:
    paths = {
        "Recipe": f"{SYS}/recipe",
        "Seed": f"{SYS}/seed",
        "Device": f"{SYS}/device",
        "Arithmetic": f"{SYS}/arithmetic",
        "PyTorch": f"{SYS}/packages/torch",
        "Code": f"{SYS}/git/commit",
    }
    rows = [
        (label, to_text(fields[path]))
        for label, path in paths.items()
        if fields.get(path) is not None
    ]
    weights = config.init.weights and tuple(PurePath(each).name for each in config.init.weights)
    public = (
        config.replace("dataset", path=None)
        .replace("evaluation", held_out=None)
        .replace("init", weights=weights)  # the names of files, without their folders
    )
    recipe = escape_control_characters(to_toml(public))
    return [
        _table(("", ""), rows),
        "The recipe, which `dcgan train recipe.toml` repeats:",
        f"```toml\n{recipe}```",
    ]


def _evaluation(
    run: TrainedRun, fields: Mapping[str, Value], scores: Mapping[str, float]
) -> list[str]:
    if not scores:
        return ["This generator was not evaluated: its quality is what you see."]
    rows = [
        (
            metric,
            str(fields.get(f"{DIRECTIONS}/{metric}") or direction_of(metric) or ""),
            f"{value:.4g}",
            _number(fields.get(f"{REAL_SCORES}/{metric}")),
        )
        for metric, value in scores.items()
    ]
    samples = fields.get(f"{EVALUATION_FIELDS}/samples")
    how = f"Of {samples:,} images" if isinstance(samples, int) else "Of the generator's images"
    space = fields.get(f"{EVALUATION_FIELDS}/feature_space")
    features = f", by {escape_markdown(str(space))}" if space else ""
    source = fields.get(f"{EVALUATION_FIELDS}/held_out")
    which = f": {escape_markdown(str(source))}" if source else ""
    return [
        f"{how} at step {run.step:,}{features}. The last column is what real images get, as much "
        f"as a perfect generator can{which}.",
        _table(("metric", "better", "this generator", "real images"), rows),
    ]


def _scores(run: TrainedRun, description: Description) -> dict[str, float]:
    """Metric -> finite value at the run's checkpoint; none if other weights were evaluated."""
    if description.weights != run.config.images.weights:
        return {}
    steps = read_steps(run.folder)
    rows = steps[steps["step"] == run.step]
    values = {
        metric: float(recorded.iloc[-1])
        for path in rows
        if (metric := score_name(str(path))) and not (recorded := rows[path].dropna()).empty
    }
    return {metric: value for metric, value in values.items() if math.isfinite(value)}


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(map(escape_markdown, row))} |" for row in rows]
    return "\n".join(lines)


def _in_words(value: Value) -> str:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_number else to_text(value)


def _number(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else ""
