"""Foreign text in Markdown."""

from __future__ import annotations

import re

from tracking.fields import escape_control_characters

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$!])")


def escape_markdown(text: str) -> str:
    """The text in one line, with everything escaped that Markdown would interpret."""
    return _SPECIAL.sub(r"\\\1", escape_control_characters(" ".join(text.split())))
