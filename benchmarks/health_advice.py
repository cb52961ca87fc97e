"""What helps against each failure, from the runs of health/advice.toml."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from health_runs import HealthRun, advice_runs, read

from analysis.comparison.compare import training_outcomes
from analysis.comparison.differences import differences_from
from analysis.comparison.measures import Measure
from analysis.runs import Runs, load

Findings = Sequence[Mapping[str, Any]]

METRICS = {"lenet_fid": "LeNet-FID", "random_fid": "random-FID"}
IMAGES = {"digits": "digits", "mnist": "4,096 images of MNIST"}


def trials(
    store: Path, done: Mapping[str, Path], findings_in: Callable[[Path], Findings]
) -> list[dict[str, Any]]:
    """Each failure with its remedies, compared in pairs.

    Args:
        store: Of the runs.
        done: The folders of the finished ones, by the runs' names.
        findings_in: Applies the rules to the run of a folder.
    """
    runs, advice = load(store), read("advice")
    result = []
    for failure in advice["failures"]:
        trained = [
            run for run in advice_runs() if run.tags[0] == failure["name"] and run.name in done
        ]
        # An arm with fewer seeds than were declared is left out until it has them all.
        counts = Counter(run.arm for run in trained)
        chosen = [run for run in trained if counts[run.arm] == advice["seeds"]]
        if {"broken"} < {run.arm for run in chosen}:
            result.append(_trial(failure, runs, chosen, done, findings_in))
    return result


def _trial(
    failure: Mapping[str, Any],
    runs: Runs,
    chosen: Sequence[HealthRun],
    done: Mapping[str, Path],
    findings_in: Callable[[Path], Findings],
) -> dict[str, Any]:
    ids = [done[run.name].name for run in chosen]
    last = runs.last_values(ids)
    metric = next(name for name in METRICS if f"evaluation/{name}" in last.columns)
    frame = pd.DataFrame(
        {
            "arm": [run.arm for run in chosen],
            "seed": [run.seed for run in chosen],
            "outcome": training_outcomes(runs, ids),
            "log_fid": np.log(last[f"evaluation/{metric}"].to_numpy()),
            "rules": [
                sorted({str(each["rule"]) for each in findings_in(done[run.name])})
                for run in chosen
            ],
        },
        index=ids,
    )
    broken = frame[frame["arm"] == "broken"]
    held = Counter(rule for rules in broken["rules"] for rule in rules)
    measure = Measure("log_fid", "", "logarithm of the Frechet distance")
    differences = differences_from("broken", frame, [measure])
    failed = differences.failures.set_index("arm")[["collapsed", "diverged", "failed"]].sum(axis=1)
    remedies = [
        {
            "name": row["arm"],
            "settings": failure["remedies"][row["arm"]],
            "difference": math.expm1(row["mean"]),
            "low": math.expm1(row["ci_low"]),
            "high": math.expm1(row["ci_high"]),
            "shown": bool(row["shown"]),
            "failed": int(failed[row["arm"]]),
            "distance": _geometric_mean(frame[frame["arm"] == row["arm"]]),
        }
        for row in differences.values.to_dict("records")
    ]
    return {
        "failure": failure["name"],
        "declared_for": failure["rule"],
        "rules": [rule for rule, count in held.items() if count > len(broken) / 2],
        "images": "96 images of MNIST" if "data" in failure else IMAGES[failure["set"]],
        "broken": {k: v for k, v in failure["broken"].items() if k != "training.steps"},
        "steps": failure["broken"]["training.steps"],
        "metric": METRICS[metric],
        "seeds": len(broken),
        "failed": int(failed["broken"]),
        "remedies": sorted(remedies, key=lambda each: each["difference"]),
        "broken_distance": _geometric_mean(broken),
        "held": dict(held),
        "untried": [
            name for name in failure["remedies"] if name not in {each["name"] for each in remedies}
        ],
        "runs": [
            {
                "arm": row["arm"],
                "seed": row["seed"],
                "distance": round(math.exp(row["log_fid"]), 4),
                "rules": row["rules"],
            }
            for row in frame.to_dict("records")
        ],
    }


def _geometric_mean(runs: pd.DataFrame) -> float:
    """Of the distances: the mean of what is compared."""
    return float(np.exp(runs["log_fid"].mean()))
