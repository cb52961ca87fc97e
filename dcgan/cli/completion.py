"""Completion of `KEY=VALUE` in the shell, which bash splits into three words."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping

_KEY = "_DCGAN_KEY"
"""The variable for the key of the value to complete, if the shell replaces only the value."""


def join_settings(environment: MutableMapping[str, str]) -> None:
    """Join words that bash splits at `=`; does nothing unless bash asks for completions.

    Bash replaces only what follows `=`, so the key is put into a separate variable.
    """
    if environment.get("_DCGAN_COMPLETE") != "complete_bash":
        return
    words = environment.get("COMP_WORDS", "").split("\n")[: int(environment["COMP_CWORD"]) + 1]
    joined: list[str] = []
    for word, before in zip(words, ["", *words], strict=False):
        if joined and "=" in (word, before):
            joined[-1] += word
        else:
            joined.append(word)
    if "=" in words[-2:]:
        environment[_KEY], _, joined[-1] = joined[-1].partition("=")
    environment["COMP_WORDS"] = "\n".join(joined)
    environment["COMP_CWORD"] = str(len(joined) - 1)


def complete_setting(incomplete: str) -> Iterator[tuple[str, str]]:
    """Complete the value of --set in the shell: a key, and then its values if they are few.

    If only one key matches, it is offered with its values at once, because the shell adds a space
    after a single offer.
    """
    from dcgan.config.loading import settable_keys

    keys = settable_keys()
    if key := os.environ.get(_KEY):
        yield from _values(keys[key].values if key in keys else (), "")
        return
    key, equals, _ = incomplete.partition("=")
    matching = [each for each in keys.values() if each.key.startswith(key)]
    if equals or len(matching) == 1:
        chosen = keys.get(key) if equals else matching[0]
        if chosen is not None and chosen.values:
            yield from _values(chosen.values, f"{chosen.key}=")
        elif chosen is not None:
            yield f"{chosen.key}=", chosen.description
        return
    for setting in matching:
        yield f"{setting.key}=", setting.description


def _values(values: tuple[str, ...], prefix: str) -> Iterator[tuple[str, str]]:
    for value in values:
        yield f"{prefix}{value}", ""
