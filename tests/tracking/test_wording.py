"""The phrases that messages share."""

from __future__ import annotations

from tracking.wording import did_you_mean, join_with_and, plural, rounded


def test_a_noun_agrees_with_its_count():
    assert [plural(count, "run") for count in (0, 1, 2, 1_000)] == [
        "0 runs", "1 run", "2 runs", "1,000 runs",
    ]  # fmt: skip


def test_the_last_of_several_parts_follows_an_and():
    parts = ["loss of G", "loss of D", "FID"]
    assert [join_with_and(parts[:count]) for count in (1, 2, 3)] == [
        "loss of G", "loss of G and loss of D", "loss of G, loss of D and FID",
    ]  # fmt: skip


def test_a_rounded_number_has_no_exponent_up_to_a_million():
    assert [rounded(value, 2) for value in (123.4, 0.01234, 98_765.0, 1e-7, -5.0)] == [
        "120", "0.012", "99,000", "1e-07", "-5",
    ]  # fmt: skip
    assert [rounded(value, 3, "+") for value in (1234.5, -0.5, float("nan"))] == [
        "+1,230", "-0.5", "+nan",
    ]  # fmt: skip


def test_the_closest_names_are_suggested_by_the_whole_name_then_by_its_last_part():
    keys = ["optimizer.lr", "optimizer.betas", "training.epochs"]
    assert did_you_mean("optimizer.lrr", keys, limit=1) == "Did you mean optimizer.lr?"
    assert did_you_mean("lr", keys) == "Did you mean optimizer.lr?"
    assert did_you_mean("nothing.alike", keys) == ""
    assert did_you_mean("anything", []) == ""
