"""How the texts of this repository tell a user to install something."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_nothing_is_installed_by_a_name_that_no_index_has():
    """Anybody could register it there."""
    texts = [
        path
        for folder in ("dcgan", "tracking", "analysis", "diagnosis", "docs", "examples", ".github")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".md", ".toml", ".ipynb", ".yml")
    ]
    texts += [*ROOT.glob("*.md"), ROOT / "Makefile"]
    by_name = re.compile(r"install\b[^\n]*[\s'\"](?:dcgan-lab|dcgan_lab)\b")
    assert [str(path) for path in texts if by_name.search(path.read_text("utf-8"))] == []
    assert by_name.search("pip install 'dcgan-lab[video]'")
