"""Writes the tables of docs/diagnosis.md from health_rules.json.

    python benchmarks/health_page.py

Everything between `<!-- written: NAME -->` and `<!-- end: NAME -->` is written; the rest of the
page is not touched. health_rules.py does it after it has judged.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tracking.wording import rounded

HERE = Path(__file__).parent
RESULTS = HERE / "health_rules.json"
PAGE = HERE.parent / "docs" / "diagnosis.md"
ADVICE_KEYS = ("failure", "rules", "images", "broken", "metric", "seeds", "failed", "remedies")
REMEDY_KEYS = ("name", "settings", "difference", "low", "high", "shown", "failed")
WIDTH = 100
DASH = "\N{EN DASH}"


def sections(results: Mapping[str, Any]) -> dict[str, str]:
    """What stands between the markers, by their name.

    results: The content of health_rules.json.
    """
    return {
        "trained": trained(results["trained"]),
        "detector": detector(results["judged"]),
        "wrong": wrong(results["judged"]),
        "tuned": detector(results["tuned"]),
        "healthy": healthy(results["healthy"]),
        "reference": reference(results["reference"]),
        "advice": advice(results["trials"], results["untried"]),
    }


def write_page(text: str, written: Mapping[str, str]) -> str:
    """The page with its sections replaced.

    Args:
        text: The page.
        written: The sections by name.

    Raises:
        ValueError: The page lacks the markers of a section.
    """
    for name, section in written.items():
        pattern = rf"(<!-- written: {name} -->\n).*?(<!-- end: {name} -->)"
        text, count = re.subn(
            pattern, lambda m, s=section: f"{m[1]}\n{s}\n\n{m[2]}", text, flags=re.DOTALL
        )
        if count != 1:
            raise ValueError(f"{PAGE.name} has {count} sections {name}, not one")
    return text


def printed_by_diagnose(results: Mapping[str, Any]) -> dict[str, Any]:
    """What diagnosis/measured.json has of the results."""
    return {
        "detector": {
            rule: {key: value for key, value in each.items() if key not in ("missed", "false")}
            for rule, each in results["judged"].items()
        },
        "trials": [
            {key: trial[key] for key in ADVICE_KEYS}
            | {
                "remedies": [
                    {key: remedy[key] for key in REMEDY_KEYS} for remedy in trial["remedies"]
                ]
            }
            for trial in results["trials"]
        ],
    }


def trained(counts: Mapping[str, int]) -> str:
    """How many of the labelled runs there are, in one sentence."""
    done = counts["digits"] + counts["others"]
    share = (
        f"All {done} declared runs have been trained"
        if done == counts["declared"]
        else f"Only {done} of the {counts['declared']} declared runs have been trained so far"
    )
    return _paragraph(
        f"**{share}**: {counts['digits']} on `digits`, and {counts['others']} on other sets, "
        "which judge here. Intervals are Wilson's, 95%."
    )


def detector(counts: Mapping[str, Mapping[str, Any]]) -> str:
    """How often each rule is right."""
    rows = [
        (
            rule,
            each["present"],
            each["found"],
            _share(each["found"], each["present"], each["recall_interval"]),
            each["alarms"],
            each["right"],
            _share(each["right"], each["alarms"], each["precision_interval"]),
        )
        for rule, each in counts.items()
    ]
    header = ("rule", "runs with it", "found", "recall", "alarms", "right", "precision")
    return _table(header, "lrrlrrl", rows)


def wrong(counts: Mapping[str, Mapping[str, Any]]) -> str:
    """In which kinds of runs each rule missed a failure or raised a false alarm."""
    rows = [
        (rule, _kinds(each["missed"]), _kinds(each["false"]))
        for rule, each in counts.items()
        if each["missed"] or each["false"]
    ]
    return _table(("rule", "missed in", "false alarm in"), "lll", rows)


def healthy(runs: Mapping[str, Any]) -> str:
    """The alarms in healthy labelled runs."""
    alarms = runs["alarms"]
    start = f"Of the {runs['judged']} healthy runs on other sets, {len(alarms)} raised an alarm"
    if not alarms:
        return f"{start}."
    rows = [(_short(run), _stretches(findings)) for run, findings in alarms.items()]
    return f"{start}:\n\n{_table(('run', 'alarms'), 'll', rows)}"


def reference(runs: Mapping[str, Any]) -> str:
    """What the rules find in committed runs."""
    rows = [
        (f"[{run}](../runs/reference/{run})", _stretches(found, with_evidence=True))
        for run, found in runs["found"].items()
    ]
    silent = runs["runs"] - len(rows)
    return (
        f"Of the {runs['runs']} committed runs, {silent} raise no alarm. The others:\n\n"
        f"{_table(('run', 'findings'), 'll', rows)}"
    )


def advice(trials: Sequence[Mapping[str, Any]], untried: Sequence[str]) -> str:
    """What was measured of each failure's remedies, and which failures were not tried."""
    parts = [_trial(trial) for trial in trials]
    if untried:
        names = ", ".join(f"`{name}`" for name in untried)
        parts.append(
            _paragraph(
                f"Declared and not trained yet: {names}. For the rules that hold in none of the "
                "settings above, `dcgan diagnose` says that what helps was not measured."
            )
        )
    return "\n\n".join(parts)


def _trial(trial: Mapping[str, Any]) -> str:
    settings = "at the recipe's own settings"
    if trial["broken"]:
        settings = f"with `{_settings(trial['broken'])}`"
    held = ", ".join(
        f"`{rule}` in {count}" for rule, count in sorted(trial["held"].items(), key=_most_first)
    )
    rows = [
        (
            each["name"],
            f"`{_settings(each['settings'])}`",
            rounded(each["distance"], 3),
            _change(each["difference"]),
            f"{_change(each['low'])} to {_change(each['high'])}",
            ("better" if each["difference"] < 0 else "worse") if each["shown"] else "no",
            each["failed"],
        )
        for each in trial["remedies"]
    ]
    header = ("remedy", "settings", trial["metric"], "change", "interval", "shown", "failed runs")
    opening = _paragraph(
        f"**{trial['failure']}**: {trial['images']} {settings}, {trial['steps']} steps, "
        f"{trial['seeds']} seeds; {trial['metric']} {rounded(trial['broken_distance'], 3)}. "
        f"{trial['failed']} of the {trial['seeds']} runs count as failed. Rules that held in them "
        f"at some step: {held or 'none'}.{_not_as_declared(trial)}"
    )
    untried = ", ".join(trial["untried"])
    rest = f"\n\nDeclared and not trained yet: {untried}." if untried else ""
    return f"{opening}\n\n{_table(header, 'llrrllr', rows)}{rest}"


def _not_as_declared(trial: Mapping[str, Any]) -> str:
    """A sentence for a setting that did not break as it was meant to."""
    if trial["held"].get(trial["declared_for"], 0) > trial["seeds"] / 2:
        return ""
    return (
        f" It was declared as a setting for `{trial['declared_for']}`, which most of its runs do "
        "not show: what helps against that remains unmeasured."
    )


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={json.dumps(value)}" for key, value in settings.items())


def _share(part: int, whole: int, interval: Sequence[float] | None) -> str:
    if interval is None:
        return DASH
    return f"{part / whole:.0%} ({100 * interval[0]:.0f} to {interval[1]:.0%})"


def _change(share: float) -> str:
    """A change in percent, with a decimal where it would else be zero."""
    return f"{share:+,.{0 if abs(share) >= 0.005 else 1}%}"


def _kinds(runs: Iterable[str]) -> str:
    """Kinds and sets of runs, with their number if it is more than one."""
    counts = Counter(_short(run).rpartition("/")[0] for run in runs)
    return ", ".join(f"{name} ({n} runs)" if n > 1 else name for name, n in counts.items()) or DASH


def _short(run: str) -> str:
    return run.removeprefix("labelled/")


def _stretches(findings: Iterable[Mapping[str, Any]], *, with_evidence: bool = False) -> str:
    """Rules with their steps, one rule after the other."""
    shown = []
    for each in findings:
        until = f"to {each['until']:,}" if each["ended"] else "on"
        evidence = f" ({each['evidence']})" if with_evidence else ""
        shown.append(f"`{each['rule']}` from step {each['since']:,} {until}{evidence}")
    return "; ".join(shown)


def _paragraph(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _table(header: Sequence[str], alignment: str, rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table.

    Args:
        header: Names of the columns.
        alignment: `l` or `r` for each.
        rows: Their cells.
    """
    marks = ["---:" if each == "r" else "---" for each in alignment]
    lines = [f"| {' | '.join(header)} |", f"|{'|'.join(marks)}|"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    text = write_page(PAGE.read_text(encoding="utf-8"), sections(results))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
