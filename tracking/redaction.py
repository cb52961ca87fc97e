"""Removes tokens, secrets in the environment, and the home directory before tracking."""

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
"""Shorter values of secret variables are ignored: they occur within ordinary words."""

_SECRET_VARIABLE = re.compile(SECRET_NAME, re.IGNORECASE)
# OPENAI_KEY, GH_PAT, DB_PWD, PGPASS, HTTP_AUTH: such names are less certain, so the value must not
# be a plain word. PWD itself is the working directory.
_LIKELY_SECRET_VARIABLE = re.compile(
    r"(?:^|_)(?:key|pat|pass|auth|pw|creds?|cookie|dsn)(?:_|$)|_pwd$|^pgpass", re.IGNORECASE
)
# Our own list, for detect-secrets 1.5 (2024) takes 0.3 s to import and lacks Hugging Face,
# Anthropic, Google, npm, and the newer tokens of GitHub and OpenAI. JSON in base64 (Neptune, JWT),
# then the prefixes of GitHub, GitLab, Hugging Face, OpenAI and Anthropic, Stripe, Slack, npm,
# PyPI, Replicate, DigitalOcean, NVIDIA, Google and AWS.
_TOKEN = re.compile(
    r"\b(?:eyJ[\w-]{20}"
    r"|(?:gh[oprsu]_|hf_|r8_|AKIA|ASIA)[A-Za-z0-9]{16}"
    r"|(?:github_pat_|glpat-|sk-(?:proj-|ant-)?|[rs]k_live_|xox[abeoprs]-|npm_|pypi-|dop_v1_|nvapi-)"
    r"[\w-]{16}"
    r"|AIza[\w-]{30}|ya29\.[\w-]{16}|SG\.[\w-]{16,32}\.[\w-]{16}|sq0(?:csp|atp)-[\w-]{20}"
    r")[\w.+/=-]*"
    # Databricks, Twilio, Telegram, webhooks of Slack and of Discord, the accounts of Azure, and
    # private keys.
    r"|\b(?:dapi|SK)[0-9a-f]{32}\b|\b[0-9]{8,10}:[\w-]{35}(?![\w-])"
    r"|(?<=hooks\.slack\.com/services/)[\w/]{20,}|(?<=/api/webhooks/)[0-9]{5,20}/[\w-]{20,}"
    r"|(?<=AccountKey=)[\w+/=]{20,}"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\w+/=\s:,-]*"
)
# Lengths are bounded, or a long text without an @ would take time that grows with its square.
# A password may contain a slash; the part after a host's port may contain an @.
_URL_CREDENTIALS = re.compile(
    r"(?<=://)(?:[^/\s]{0,256}@|[^/\s:@]{1,64}:(?!\d{1,5}/)[^\s]{0,256}@)"
    r"|(?<![\w./:@-])[\w.-]{1,64}:[^\s/:@]{1,256}@(?=[\w.-]{1,256}:)"
)
# Signed addresses of S3, Google and CloudFront have a signature, those of Azure a sig.
_QUERY_SECRET = re.compile(
    rf"(?<=[?&])((?:[\w.-]{{0,64}}(?:{SECRET_NAME}|signature)[\w.-]{{0,64}}|sig)=)[^&\s#\"']+",
    re.IGNORECASE,
)


def make_redactor(environment: Mapping[str, str] = os.environ) -> Redactor:
    """A function that removes secrets and the home directory from a text.

    The values of variables whose names suggest a secret, and tokens recognised by their form,
    become `REDACTED`; credentials in addresses are removed; the home directory becomes `~`.
    """
    secrets = {
        value
        for name, value in environment.items()
        if len(value) >= SHORTEST_SECRET and _is_secret(name, value)
    }
    longest_first = sorted(secrets, key=len, reverse=True)
    secret = re.compile("|".join(map(re.escape, longest_first))) if secrets else None
    plain = {str(home) for home in _homes()}
    in_toml = {home.replace("\\", "\\\\") for home in plain}  # where backslashes are doubled
    homes = [re.compile(rf"(?<![\w.-]){re.escape(text)}(?![\w.-])") for text in plain | in_toml]

    def redact(text: str) -> str:
        if secret:
            text = secret.sub(REDACTED, text)
        text = _QUERY_SECRET.sub(rf"\1{REDACTED}", text)
        text = _URL_CREDENTIALS.sub("", _TOKEN.sub(REDACTED, text))
        for home in homes:
            text = home.sub("~", text)
        return text

    return redact


def redact_event(event: Event, redact: Redactor) -> Event:
    """The event with all of its texts redacted; the content of files stays as it is."""
    match event:
        case Fields(values):
            return Fields(redact_fields(values, redact))
        case Text(_, content):
            return replace(event, content=redact(content))
    return event


def redact_fields(values: Mapping[str, Value], redact: Redactor) -> dict[str, Value]:
    """The fields with all of their texts redacted."""
    return {path: _redact_value(value, redact) for path, value in values.items()}


def _is_secret(name: str, value: str) -> bool:
    if _SECRET_VARIABLE.search(name):
        return True
    return bool(_LIKELY_SECRET_VARIABLE.search(name)) and not value.isalpha()


def _redact_value(value: Value, redact: Redactor) -> Value:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, (list, tuple)):
        return [redact(each) if isinstance(each, str) else each for each in value]
    return value


def _homes() -> set[Path]:
    try:
        home = Path.home()
    except RuntimeError:  # a container's user may have none
        return set()
    return {home, home.resolve()} - {Path("/")}
