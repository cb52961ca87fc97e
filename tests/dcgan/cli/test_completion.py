"""What the shell completes of `--set KEY=VALUE`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dcgan.cli.completion import complete_setting, join_settings


def offered(incomplete: str) -> list[str]:
    return [value for value, _ in complete_setting(incomplete)]


def test_keys_and_then_their_values_are_offered() -> None:
    assert {"init.scheme=", "init.bn_mean="} <= set(offered("init."))
    assert offered("init.sch") == ["init.scheme=dcgan", "init.scheme=glorot", "init.scheme=default"]
    assert offered("training.precision=b")[-1] == "training.precision=bf16"
    assert offered("optimizer.lr=") == ["optimizer.lr="]
    assert offered("no.such=") == []


@pytest.mark.parametrize(
    ("words", "joined", "key"),
    [
        ("dcgan train --set init.scheme = d", "dcgan train --set d", "init.scheme"),
        ("dcgan train --set init.scheme =", "dcgan train --set ", "init.scheme"),
        ("dcgan train --set a = 1 --set b", "dcgan train --set a=1 --set b", None),
        ("dcgan train --set init.scheme=d", "dcgan train --set init.scheme=d", None),
    ],
)
def test_what_bash_splits_is_joined(words: str, joined: str, key: str | None) -> None:
    environment = {"_DCGAN_COMPLETE": "complete_bash", "COMP_WORDS": words.replace(" ", "\n")}
    environment["COMP_CWORD"] = str(words.count(" "))
    join_settings(environment)
    assert environment["COMP_WORDS"] == joined.replace(" ", "\n")
    assert environment["COMP_CWORD"] == str(joined.count(" "))
    assert environment.get("_DCGAN_KEY") == key


@pytest.mark.parametrize(
    ("variables", "answer"),
    [
        (
            {"_DCGAN_COMPLETE": "complete_bash", "COMP_CWORD": "5"}
            | {"COMP_WORDS": "dcgan\ntrain\n--set\ntraining.precision\n=\nb"},
            "bf16",
        ),
        (
            {"_DCGAN_COMPLETE": "complete_bash", "COMP_CWORD": "3"}
            | {"COMP_WORDS": "dcgan\ntrain\n--tracker\nml"},
            "mlflow",
        ),
        (
            {"_DCGAN_COMPLETE": "complete_zsh"}
            | {"_TYPER_COMPLETE_ARGS": "dcgan train --set training.precision=b"},
            "_arguments '*: :((\"training.precision=bf16\"))'",
        ),
    ],
)
def test_bash_and_zsh_are_answered(variables: dict[str, str], answer: str) -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "dcgan"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.stdout.strip() == answer, asked.stderr
