"""The caption of a figure that is shown alone."""

from __future__ import annotations

import io

from analysis.plots.style import draw_caption, new_figure


def test_a_dollar_sign_in_a_caption_begins_no_formula() -> None:
    figure = new_figure(3, "", "Each row: a latent of class $5^$")
    draw_caption(figure)
    figure.savefig(io.BytesIO())  # which would read the formula
    assert figure.get_supxlabel() == "Each row: a latent of class $5^$"
