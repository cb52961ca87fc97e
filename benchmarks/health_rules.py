"""How often the rules of health are right, and what helps against each failure.

    python benchmarks/health_rules.py --store STORE [--tune]
    python benchmarks/health_rules.py --reference

STORE holds the runs of health_runs.py, which are labelled in health/labelled.toml. The runs on
digits served to choose the thresholds; those on other sets judge them here, and with `--tune` they
are not looked at. An alarm counts if a rule held at any look, even if it ended by itself.

The remedies of health/advice.toml are compared with the broken setting in pairs of runs with the
same seeds, by the test and the correction of `dcgan compare`, over the logarithm of the Frechet
distance. All results go to health_rules.json, what `dcgan diagnose` prints of them to
diagnosis/measured.json, and the tables to docs/diagnosis.md.

With `--reference`, only the committed runs are judged again; all else stays as it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

import health_page  # noqa: E402
from health_advice import trials  # noqa: E402
from health_runs import MARKS, HealthRun, advice_runs, labelled_runs, read  # noqa: E402

from analysis.comparison.statistics import wilson_interval  # noqa: E402
from analysis.health import examine  # noqa: E402
from diagnosis import RULES  # noqa: E402
from tracking.backends.local import read_fields, read_steps  # noqa: E402

REFERENCE = ROOT / "runs" / "reference"


@dataclass(frozen=True)
class Labels:
    """What is true of a run by the way it was made.

    Attributes:
        must: Rules that hold.
        may: Rules that might; they count neither way.
        is_broken: Whether the training cannot succeed.
    """

    must: frozenset[str]
    may: frozenset[str]
    is_broken: bool


def labels_by_name() -> dict[str, Labels]:
    """The labels of each labelled run, by the run's name."""
    kinds: dict[tuple[str, str], Labels] = {}
    for kind in read("labelled")["kinds"]:
        either = kind.get("any", [])
        for image_set in kind["sets"]:
            kinds[kind["name"], image_set] = Labels(
                frozenset(kind.get("must", [])),
                frozenset([*kind.get("may", []), *either]),
                bool(kind.get("must") or either),
            )
    return {run.name: kinds[run.tags[0], run.tags[1]] for run in labelled_runs()}


def folders(store: Path, runs: Sequence[HealthRun]) -> dict[str, Path]:
    """The folder of each finished run, by the run's name."""
    marks = store / MARKS / "done"
    return {
        run.name: store / (marks / run.mark).read_text(encoding="utf-8")
        for run in runs
        if (marks / run.mark).exists()
    }


def findings_in(folder: Path) -> list[dict[str, Any]]:
    """What the rules find in a run."""
    fields = {path: value for path, value in read_fields(folder).items() if value is not None}
    watch = examine(fields, read_steps(folder), folder)
    return [
        {
            "rule": f.rule,
            "since": f.since,
            "until": f.until,
            "ended": f.ended,
            "score": float(f"{f.score:.3g}"),
            "evidence": f.evidence,
        }
        for f in watch.findings
    ]


def reference_runs() -> Iterator[Path]:
    """The folders of the committed runs."""
    return (file.parent for file in sorted(REFERENCE.rglob("run.json")))


def judge_reference_runs() -> dict[str, Any]:
    """The findings in the committed runs, by the run's path below runs/reference."""
    runs = list(reference_runs())
    with ProcessPoolExecutor() as pool:
        found = dict(zip(runs, pool.map(findings_in, runs), strict=True))
    return {
        "runs": len(runs),
        "found": {
            folder.relative_to(REFERENCE).as_posix(): each for folder, each in found.items() if each
        },
    }


def judge(
    found: Mapping[str, Sequence[Mapping[str, Any]]], labels: Mapping[str, Labels]
) -> dict[str, dict[str, Any]]:
    """Counts per rule, and for any rule at all.

    Args:
        found: Findings by the run's name.
        labels: By the run's name.
    """
    counts: dict[str, dict[str, Any]] = {}
    for rule in (*RULES, "any"):
        alarms = right = present = hit = 0
        missed, false = [], []
        for name in found:
            held = {str(each["rule"]) for each in found[name]}
            truth = labels[name]
            if rule == "any":
                is_true, counted, alarm = (
                    truth.is_broken,
                    True,
                    bool(held - truth.may) or (truth.is_broken and bool(held)),
                )
            else:
                is_true, counted = rule in truth.must, rule not in truth.may
                alarm = rule in held
            if not counted:
                continue
            alarms += alarm
            right += alarm and is_true
            present += is_true
            hit += alarm and is_true
            if is_true and not alarm:
                missed.append(name)
            if alarm and not is_true:
                false.append(name)
        counts[rule] = {
            "alarms": alarms,
            "right": right,
            "present": present,
            "found": hit,
            "precision_interval": list(wilson_interval(right, alarms)) if alarms else None,
            "recall_interval": list(wilson_interval(hit, present)) if present else None,
            "missed": missed,
            "false": false,
        }
    return counts


def healthy_alarms(
    found: Mapping[str, Sequence[Mapping[str, Any]]], labels: Mapping[str, Labels]
) -> dict[str, Any]:
    """The alarms in runs that are not broken.

    Args:
        found: Findings by the run's name.
        labels: By the run's name.
    """
    judged = [name for name in found if not labels[name].is_broken]
    alarms = {
        name: [each for each in found[name] if each["rule"] not in labels[name].may]
        for name in judged
    }
    return {"judged": len(judged), "alarms": {run: each for run, each in alarms.items() if each}}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--store", type=Path)
    chosen.add_argument(
        "--reference", action="store_true", help="judge only the committed runs again"
    )
    parser.add_argument(
        "--tune", action="store_true", help="judge the runs on digits, and stop there"
    )
    options = parser.parse_args()
    if options.reference:
        results = json.loads(health_page.RESULTS.read_text(encoding="utf-8"))
        write({**results, "reference": judge_reference_runs()})
        return
    labels = labels_by_name()
    done = folders(options.store, [*labelled_runs()])
    if options.tune:
        done = {name: folder for name, folder in done.items() if "/digits/" in name}
    with ProcessPoolExecutor() as pool:
        found = dict(zip(done, pool.map(findings_in, done.values()), strict=True))
        digits, others = (
            {name: each for name, each in found.items() if ("/digits/" in name) == on_digits}
            for on_digits in (True, False)
        )
        counts = judge(digits if options.tune else others, labels)
        print(health_page.detector(counts), health_page.wrong(counts), sep="\n\n")
    if options.tune:
        return
    advised = trials(options.store, folders(options.store, [*advice_runs()]), findings_in)
    tried = {trial["failure"] for trial in advised}
    results = {
        "trained": {"declared": len(labels), "digits": len(digits), "others": len(others)},
        "judged": counts,
        "tuned": judge(digits, labels),
        "healthy": healthy_alarms(others, labels),
        "reference": judge_reference_runs(),
        "trials": advised,
        "untried": [
            failure["name"]
            for failure in read("advice")["failures"]
            if failure["name"] not in tried
        ],
        "found": found,
    }
    write(results)


def write(results: Mapping[str, Any]) -> None:
    """Write the results, what `dcgan diagnose` prints of them, and the page's tables."""
    health_page.RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    measured = ROOT / "diagnosis" / "measured.json"
    measured.write_text(
        json.dumps(health_page.printed_by_diagnose(results), indent=1) + "\n", encoding="utf-8"
    )
    health_page.main()


if __name__ == "__main__":
    main()
