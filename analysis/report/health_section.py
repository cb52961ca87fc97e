"""The section of a report with the findings of the health rules."""

from __future__ import annotations

from analysis.health import nothing_found
from analysis.report.content import Block, Prose
from diagnosis import RunWatch
from diagnosis.advice import advice_for, how_sure
from diagnosis.findings import holding


def health_section(watch: RunWatch) -> tuple[Block, ...]:
    """A paragraph per finding, remedies for current findings, and rules that cannot be judged."""
    blocks: list[Block] = []
    now = holding(watch.findings)
    for finding in now:
        blocks.append(Prose(f"{finding} {how_sure(finding.rule)}", "warning"))
        blocks += [Prose(line.strip()) for line in advice_for(finding.rule)]
    blocks += [Prose(str(finding)) for finding in watch.findings if finding.ended]
    if not blocks:
        blocks.append(Prose(nothing_found(watch)))
    if watch.unknown:
        reasons = "; ".join(f"{rule}: {reason}" for rule, reason in watch.unknown.items())
        blocks.append(Prose(f"Rules that cannot be judged: {reasons}.", "note"))
    return tuple(blocks)
