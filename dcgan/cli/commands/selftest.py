"""`dcgan selftest`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from dcgan.cli.format import borderless_table
from dcgan.cli.options import Device
from dcgan.cli.output_file import check_output_file
from dcgan.cpu.allocator import keep_memory
from dcgan.exit_codes import EXIT_FAILED
from tracking.wording import plural

if TYPE_CHECKING:
    import torch

_COLOURS = {"passed": "green", "failed": "red", "skipped": "yellow"}


def selftest(
    device: Device = "auto",
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only checks whose names begin with this; repeatable."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="JSON file to write the results to, to attach to a bug report.",
            callback=check_output_file,
        ),
    ] = None,
) -> None:
    """Check that a device trains correctly, and how fast.

    The step of every recipe is compared with a plain loop in float64, a step
    that is replayed as a CUDA graph with an eager one, a resumed training with
    one that was not interrupted, distances of evaluations with the CPU's, and
    the speed with the official PyTorch example. Takes up to five minutes; nothing
    is tracked or saved. The exit code is 1 if a check fails.

    [dim]dcgan selftest --device cuda --output selftest.json
    dcgan selftest --only "step of" --only resume[/dim]
    """
    keep_memory()
    from dcgan.selftest.checks import all_checks, run_check
    from dcgan.training.device import choose_device
    from tracking.atomic_files import write_output

    chosen_device = choose_device(device)
    prefixes = tuple(only or ("",))
    names = [name for name in all_checks() if name.startswith(prefixes)]
    if not names:
        raise typer.BadParameter(
            f"no check begins with it. The checks are: {'; '.join(all_checks())}.",
            param_hint="--only",
        )
    console = Console(highlight=False)
    console.print(f"\n{_describe_machine(chosen_device)}\n")
    outcomes = []
    for name in names:
        with console.status(f"{name} ..."):
            outcomes.append(run_check(name, chosen_device))
    table = borderless_table()
    for heading in ("check", "result", "seconds", "detail"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left")
    for outcome in outcomes:
        result = f"[{_COLOURS[outcome.result]}]{outcome.result}[/]"
        table.add_row(outcome.name, result, f"{outcome.seconds:.1f}", outcome.detail)
    console.print(table)
    failures = sum(outcome.result == "failed" for outcome in outcomes)
    skipped = sum(outcome.result == "skipped" for outcome in outcomes)
    console.print(f"\n{plural(len(outcomes), 'check')}, {failures} failed, {skipped} skipped.")
    if output is not None:
        report = {
            "machine": _describe_machine(chosen_device),
            "checks": [asdict(outcome) for outcome in outcomes],
        }
        with write_output(output) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        console.print(f"Report: {output}", soft_wrap=True, markup=False)
    if failures:
        raise typer.Exit(EXIT_FAILED)


def _describe_machine(device: torch.device) -> str:
    """The device and the versions that matter, in one line."""
    import platform

    import torch

    from dcgan.training.device import device_name

    parts = [f"{device}: {device_name(device)}", f"PyTorch {torch.__version__}"]
    if device.type == "cuda":
        parts.append(f"cuDNN {torch.backends.cudnn.version()}")
    return ", ".join([*parts, f"Python {platform.python_version()}", platform.system()])
