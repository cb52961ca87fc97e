"""Fonts for characters that matplotlib's own lacks, such as Chinese, Japanese and Korean ones."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from matplotlib.font_manager import get_font_names

WIDE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK TC",
    "Noto Sans CJK JP",
    "Noto Sans CJK KR",
    "Source Han Sans SC",
    "Source Han Sans",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "IPAexGothic",
    "IPAGothic",
    "NanumGothic",
    "PingFang SC",
    "Hiragino Sans GB",
    "Hiragino Sans",
    "Apple SD Gothic Neo",
    "Microsoft YaHei",
    "Yu Gothic",
    "Meiryo",
    "Malgun Gothic",
    "Arial Unicode MS",
)
"""Of Linux, macOS and Windows, those with the most characters of each first."""

# Matplotlib says each time that such a font has no bold face.
logging.getLogger("matplotlib.font_manager").addFilter(
    lambda record: "Failed to find font weight" not in record.getMessage()
)

ADVICE = (
    "No installed font has some of the characters of a name, so figures show boxes in their place. "
    "Install a font with them, such as Noto Sans CJK (Debian: fonts-noto-cjk)."
)


def fallback_fonts(installed: Iterable[str] | None = None) -> list[str]:
    """The fonts to ask for a character, in this order, if matplotlib's own lacks it.

    installed: Names of fonts; by default those that matplotlib finds.
    """
    names = set(get_font_names() if installed is None else installed)
    return [name for name in WIDE_FONTS if name in names]
