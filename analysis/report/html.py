"""A report as a single web page that needs no network, font or other file."""

from __future__ import annotations

import base64
import hashlib

import jinja2
from markupsafe import Markup

from analysis.image_files import read_picture
from analysis.plots.arm_grids import cropped
from analysis.plots.figure_file import FigureFile
from analysis.report.content import Panel, Report
from tracking.fields import escape_control_characters
from tracking.png import to_png

MAX_VECTOR_BYTES = 400_000
"""Larger figures become PNGs of 200 dpi: a browser would take seconds to draw their lines."""

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("analysis.report"),
    autoescape=jinja2.select_autoescape(["html"]),
    undefined=jinja2.StrictUndefined,
    finalize=lambda value: (
        value if hasattr(value, "__html__") else escape_control_characters(value)
    ),
    trim_blocks=True,
    lstrip_blocks=True,
)


def to_html(report: Report) -> str:
    """The whole page. Raises OSError if an image grid cannot be read."""
    script = _TEMPLATES.get_template("slider.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _TEMPLATES.get_template("report.html").render(
        report=report,
        script=Markup(script),
        script_digest=digest,
        figure=_figure,
        grid=_grid,
        data=_data,
        kind=lambda block: type(block).__name__,
    )


def _figure(picture: FigureFile) -> str:
    if len(picture.svg) <= MAX_VECTOR_BYTES:
        return _data("image/svg+xml", picture.svg)
    return _data("image/png", picture.png)


def _grid(panel: Panel, step: int) -> str:
    pixels = cropped(read_picture(panel.files[step]), panel.sides)
    return _data("image/png", to_png(pixels if pixels.ndim == 3 else pixels[:, :, None]))


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
