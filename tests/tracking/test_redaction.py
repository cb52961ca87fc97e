"""Tokens that are known by their form, in the middle of a text."""

from __future__ import annotations

import time

import pytest

from tracking.redaction import REDACTED, make_redactor

TOKENS = (
    "hf_" + "aB3d" * 9,
    "sk-ant-api03-" + "aB3d" * 24,
    "sk-proj-" + "aB3d" * 20,
    "AIza" + "aB3-dEf" * 5,
    "ghp_" + "aB3d" * 9,
    "github_pat_" + "aB3d" * 20,
    "glpat-" + "aB3_" * 5,
    "npm_" + "aB3d" * 9,
    "xoxb-123456789012-123456789012-" + "aB3d" * 6,
    "eyJ" + "aB3d" * 20,
    "ya29." + "aB3d" * 9,
    "AKIA" + "ABCD" * 4,
    "SG." + "aB3d" * 5 + "ab." + "aB3d" * 10 + "abc",
    "1234567890:" + "aB3d" * 8 + "abc",
    "sk_live_" + "aB3d" * 6,
    "pypi-AgEIcHlwaS5vcmc" + "aB3d" * 20,
    "SK" + "0a" * 16,
    "sq0csp-" + "aB3d" * 10 + "abc",
    "dop_v1_" + "0a" * 32,
    "dapi" + "0a" * 16,
    "r8_" + "aB3d" * 9,
    "nvapi-" + "aB3d" * 16,
)


@pytest.mark.parametrize("token", TOKENS, ids=lambda token: token[:8])
def test_tokens_are_known_by_their_form(token: str) -> None:
    assert make_redactor({})(f"run --key {token} --steps 3") == f"run --key {REDACTED} --steps 3"


def test_keys_of_azure_and_private_keys_are_known() -> None:
    redact = make_redactor({})
    assert redact("Name=a;AccountKey=" + "aB3d" * 20 + "==;End=b") == (
        f"Name=a;AccountKey={REDACTED};End=b"
    )
    body = "\n".join(["aB3d+/" * 10] * 20)
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----"
    assert "aB3d" not in redact(f"before\n{key}\n")


@pytest.mark.parametrize(
    "address",
    [
        "https://hooks.slack.com/services/{}", "https://discord.com/api/webhooks/12345678/{}",
        "https://b.s3.amazonaws.com/a.zip?X-Amz-Expires=9&X-Amz-Signature={}",
        "https://a.blob.core.windows.net/b/c.zip?sv=2024&sig={}",
    ],
)  # fmt: skip
def test_addresses_that_anybody_could_use_lose_their_secret(address: str) -> None:
    secret = "aB3d" * 10
    redacted = make_redactor({})(f"read {address.format(secret)} now")
    assert secret not in redacted
    assert redacted.startswith(f"read {address[:20]}") and redacted.endswith(f"{REDACTED} now")


@pytest.mark.parametrize(
    "text",
    [
        "optimizer.lr=0.0002", "2026-01-01T00:00:00", "SKIP", "http://localhost:5000/a",
        "sha256:" + "0a" * 32, "step 12345678: done", "dapi", "risk-free-and-very-long-words-here",
        "page?big=1&sigma=2&design=3",
    ],
)  # fmt: skip
def test_ordinary_texts_stay(text: str) -> None:
    assert make_redactor({})(text) == text


@pytest.mark.parametrize("character", ["a", "1", "-", ":", "aB3.", "1:", " ", "AccountKey="])
def test_a_long_text_takes_no_long_time(character: str) -> None:
    redact, text = make_redactor({}), character * 20_000
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 2
