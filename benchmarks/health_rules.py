"""How often the rules of health are right, and what helps against each failure.

    python benchmarks/health_rules.py --store STORE [--tune] [--output benchmarks/health_rules.json]

STORE holds the runs of health_runs.py, which are labelled in health/labelled.toml. The runs on
digits served to choose the thresholds; those on other sets judge them here. An alarm counts if a
rule held at any look, even if it ended by itself.

The remedies of health/advice.toml are compared with the broken setting in pairs of runs with the
same seeds, by the test and the correction of `dcgan compare`, over the logarithm of the Frechet
distance. diagnosis/measured.json gets what `dcgan diagnose` prints.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from health_runs import MARKS, HealthRun, advice_runs, labelled_runs, read  # noqa: E402

from analysis.comparison.compare import training_outcomes  # noqa: E402
from analysis.comparison.differences import differences_from  # noqa: E402
from analysis.comparison.measures import Measure  # noqa: E402
from analysis.comparison.statistics import wilson_interval  # noqa: E402
from analysis.health import examine  # noqa: E402
from analysis.runs import load  # noqa: E402
from diagnosis import RULES  # noqa: E402
from tracking.backends.local import read_fields, read_steps  # noqa: E402

LEAST_PAIRS = 6
"""Arms with fewer runs could show nothing, and are left out until there are more."""


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
        {"rule": f.rule, "since": f.since, "seen": f.seen, "ended": f.ended, "score": f.score}
        for f in watch.findings
    ]


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
        wrong = []
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
            if alarm != is_true:
                wrong.append(name)
        counts[rule] = {
            "alarms": alarms,
            "right": right,
            "present": present,
            "found": hit,
            "precision_interval": list(wilson_interval(right, alarms)) if alarms else None,
            "recall_interval": list(wilson_interval(hit, present)) if present else None,
            "wrong": wrong,
        }
    return counts


def trials(store: Path, done: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Each failure with its remedies, compared in pairs."""
    runs = load(store)
    by_name = {folder.name: name for name, folder in done.items()}
    result = []
    for failure in read("advice")["failures"]:
        trained = [
            run for run in advice_runs() if run.tags[0] == failure["name"] and run.name in done
        ]
        counts = Counter(run.arm for run in trained)
        chosen = [run for run in trained if counts[run.arm] >= LEAST_PAIRS]
        if counts["broken"] < LEAST_PAIRS or len({run.arm for run in chosen}) < 2:
            continue
        ids = [done[run.name].name for run in chosen]
        outcomes = training_outcomes(runs, ids)
        last = runs.last_values(ids)
        metric = next(
            name for name in ("lenet_fid", "random_fid") if f"evaluation/{name}" in last.columns
        )
        frame = pd.DataFrame(
            {
                "arm": [run.arm for run in chosen],
                "seed": [run.seed for run in chosen],
                "outcome": outcomes,
                "log_fid": np.log(last[f"evaluation/{metric}"].to_numpy()),
            },
            index=ids,
        )
        broken = frame[frame["arm"] == "broken"]
        held = Counter(
            rule
            for run in broken.index
            for rule in {
                each["rule"] for each in findings_in(done[by_name[run]]) if not each["ended"]
            }
        )
        differences = differences_from(
            "broken", frame, [Measure("log_fid", "", "logarithm of the Frechet distance")]
        )
        failed = differences.failures.set_index("arm")[["collapsed", "diverged", "failed"]].sum(
            axis=1
        )
        remedies = [
            {
                "name": row["arm"],
                "settings": failure["remedies"][row["arm"]],
                "difference": math.expm1(row["mean"]),
                "low": math.expm1(row["ci_low"]),
                "high": math.expm1(row["ci_high"]),
                "shown": bool(row["shown"]),
                "failed": int(failed[row["arm"]]),
            }
            for row in differences.values.to_dict("records")
        ]
        result.append(
            {
                "failure": failure["name"],
                "rules": [rule for rule, count in held.items() if count > len(broken) / 2],
                "images": {"digits": "digits", "mnist": "4,096 images of MNIST"}[failure["set"]]
                if "data" not in failure
                else "96 images of MNIST",
                "broken": {k: v for k, v in failure["broken"].items() if k != "training.steps"},
                "metric": {"lenet_fid": "LeNet-FID", "random_fid": "random-FID"}[metric],
                "seeds": len(broken),
                "failed": int(failed["broken"]),
                "remedies": sorted(remedies, key=lambda each: each["difference"]),
                "broken_distance": float(np.exp(broken["log_fid"]).median()),
                "held": dict(held),
            }
        )
    return result


def table(counts: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of the detector, as Markdown."""
    lines = [
        "| rule | runs with it | found | recall | alarms | right | precision |",
        "|---|---:|---:|---|---:|---:|---|",
    ]
    for rule, each in counts.items():
        lines.append(
            f"| {rule} | {each['present']} | {each['found']} | "
            f"{_range(each['found'], each['present'], each['recall_interval'])} | "
            f"{each['alarms']} | {each['right']} | "
            f"{_range(each['right'], each['alarms'], each['precision_interval'])} |"
        )
    return "\n".join(lines)


def _range(part: int, whole: int, interval: Sequence[float] | None) -> str:
    if interval is None:
        return "\N{EN DASH}"
    return f"{part / whole:.0%} ({interval[0]:.0%} to {interval[1]:.0%})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument(
        "--tune", action="store_true", help="judge the runs on digits, and stop there"
    )
    parser.add_argument("--output", type=Path, default=HERE / "health_rules.json")
    options = parser.parse_args()
    labels = labels_by_name()
    done = folders(options.store, [*labelled_runs()])
    with ProcessPoolExecutor() as pool:
        found = dict(zip(done, pool.map(findings_in, done.values()), strict=True))
    halves = {
        is_tuning: {name: each for name, each in found.items() if ("/digits/" in name) == is_tuning}
        for is_tuning in (True, False)
    }
    chosen = halves[options.tune]
    counts = judge(chosen, labels)
    where = "on digits" if options.tune else "on other sets"
    print(f"{len(done)} labelled runs of {len(labels)}; {len(chosen)} {where}:\n")
    print(table(counts))
    for rule, each in counts.items():
        if each["wrong"]:
            print(f"\n{rule} was wrong in: {', '.join(each['wrong'])}")
    if options.tune:
        return
    advised = trials(options.store, folders(options.store, [*advice_runs()]))
    for trial in advised:
        print(
            f"\n{trial['failure']}: {trial['held']}, {trial['failed']} of {trial['seeds']} failed"
        )
        for each in trial["remedies"]:
            print(
                f"  {each['name']:18} {each['difference']:+.0%} ({each['low']:+.0%} to "
                f"{each['high']:+.0%}){' shown' if each['shown'] else ''}, {each['failed']} failed"
            )
    options.output.write_text(
        json.dumps(
            {
                "judged": counts,
                "tuned": judge(halves[True], labels),
                "found": found,
                "trials": advised,
            },
            indent=1,
        )
        + "\n",
        encoding="utf-8",
    )
    kept = {
        "detector": {
            rule: {key: value for key, value in each.items() if key != "wrong"}
            for rule, each in counts.items()
        },
        "trials": [
            {key: value for key, value in trial.items() if key not in ("broken_distance", "held")}
            for trial in advised
        ],
    }
    measured = HERE.parent / "diagnosis" / "measured.json"
    measured.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
