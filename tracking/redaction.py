"""What no tracker may see: tokens, secret values of the environment, the home directory."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from tracking.events import Event, Fields, Text, Value

Redactor: TypeAlias = Callable[[str], str]

REDACTED = "REDACTED"
SECRET_NAME = r"(?:token|passw(?:or)?d|passphrase|secret|api[-_]?key|access[-_]?key|credential)"
SHORTEST_SECRET = 6
"""A shorter value of a variable would be found in innocent words."""

_SECRET_VARIABLE = re.compile(SECRET_NAME, re.IGNORECASE)
# JSON in base64 (Neptune, JWT), then the prefixes of GitHub, GitLab, Hugging Face, OpenAI and AWS.
_TOKEN = re.compile(
    r"\b(?:eyJ[\w-]{20}"
    r"|(?:gh[oprsu]_|github_pat_|glpat-|hf_|sk-(?:proj-)?|AKIA)[A-Za-z0-9]{16})[\w.+/=-]*"
)
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")


def make_redactor(environment: Mapping[str, str] = os.environ) -> Redactor:
    """A function that takes out of a text what must not be seen.

    The values of variables whose names tell of a secret, tokens by their form, and the
    credentials of addresses become `REDACTED` or nothing; the home directory becomes `~`.
    """
    secrets = {
        value
        for name, value in environment.items()
        if _SECRET_VARIABLE.search(name) and len(value) >= SHORTEST_SECRET
    }
    longest_first = sorted(secrets, key=len, reverse=True)
    secret = re.compile("|".join(map(re.escape, longest_first))) if secrets else None
    homes = [re.compile(rf"(?<![\w.-]){re.escape(str(home))}(?![\w.-])") for home in _homes()]

    def clean(text: str) -> str:
        if secret:
            text = secret.sub(REDACTED, text)
        text = _URL_CREDENTIALS.sub("", _TOKEN.sub(REDACTED, text))
        for home in homes:
            text = home.sub("~", text)
        return text

    return clean


def redact_event(event: Event, clean: Redactor) -> Event:
    """An event with all of its texts cleaned; files are as they are."""
    match event:
        case Fields(values):
            return Fields(redact_fields(values, clean))
        case Text(_, content):
            return replace(event, content=clean(content))
    return event


def redact_fields(values: Mapping[str, Value], clean: Redactor) -> dict[str, Value]:
    """The same for the values of fields."""
    return {path: _clean_value(value, clean) for path, value in values.items()}


def _clean_value(value: Value, clean: Redactor) -> Value:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, (list, tuple)):
        return [clean(each) if isinstance(each, str) else each for each in value]
    return value


def _homes() -> set[Path]:
    try:
        home = Path.home()
    except RuntimeError:  # a container's user can be without one
        return set()
    return {home, home.resolve()} - {Path("/")}
