"""The summary of a run for notebooks: a table, its losses, its last grid."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from markupsafe import Markup

from analysis.data_names import data_set_name
from analysis.plots.inline import figure_png, picture_jpeg
from analysis.plots.run import draw_run_plot
from dcgan.store_dir import seen_from_here
from tracking.errors import UserError
from tracking.evaluation_paths import score_name
from tracking.events import CONFIG, SYS
from tracking.fields import escape_control_characters
from tracking.last_losses import last_losses
from tracking.wording import plural

if TYPE_CHECKING:
    from dcgan.api.run import Run

_LOSS_DPI = 64
_FIELDS = {
    "recipe": f"{SYS}/recipe",
    "seed": f"{SYS}/seed",
    "images": f"{CONFIG}/dataset/size",
    "started": f"{SYS}/created",
    "device": f"{SYS}/device",
}


def run_html(run: Run) -> str:
    """An HTML summary of a run, with its pictures as far as it has any."""
    fields = run.fields
    rows = {"status": f"{run.status}, {plural(run.steps, 'step')}"}
    if name := fields.get(f"{CONFIG}/dataset/name"):
        rows["data"] = data_set_name(name, fields.get(f"{CONFIG}/dataset/path"))
    recorded = {name: fields.get(path) for name, path in _FIELDS.items()}
    rows |= {name: str(value) for name, value in recorded.items() if value is not None}
    rows |= _scores(run)
    if error := fields.get(f"{SYS}/error"):
        rows["error"] = str(error)
    rows["folder"] = str(seen_from_here(run.folder))
    cells = Markup("").join(
        Markup(
            "<tr><th style='text-align:left'>{}</th><td style='text-align:left'>{}</td></tr>"
        ).format(name, escape_control_characters(value))
        for name, value in rows.items()
    )
    return Markup(
        "<div><b>{}</b><table>{}</table>"
        "<div style='display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start'>{}{}</div></div>"
    ).format(run.name, cells, _losses(run), _last_grid(run))


def _scores(run: Run) -> dict[str, str]:
    """Losses of the last epoch, or of the last step, and the newest scores of an evaluation."""
    from tracking.backends.local import last_values

    last = last_values(run.folder)
    rows = {}
    generator, discriminator = last_losses(last)
    if generator is not None and discriminator is not None:
        rows["losses"] = f"G {generator:.3f}, D {discriminator:.3f}"
    scores = {name: value for path, value in last.items() if (name := score_name(path))}
    if scores:
        rows["scores"] = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
    return rows


def _losses(run: Run) -> Markup:
    try:
        figure = draw_run_plot(run.folder, "loss")
    except UserError:
        return Markup("")
    return _picture("png", figure_png(figure, _LOSS_DPI), "Losses of G and D by step")


def _last_grid(run: Run) -> Markup:
    try:
        grid = run.grid()
    except UserError:
        return Markup("")
    return _picture("jpeg", picture_jpeg(grid), f"Images of G at step {run.grid_steps[-1]}")


def _picture(kind: str, content: bytes, text: str) -> Markup:
    return Markup(
        "<img alt='{}' title='{}' style='max-width:34em' src='data:image/{};base64,{}'>"
    ).format(text, text, kind, base64.b64encode(content).decode())
