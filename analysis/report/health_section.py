"""The section of a report on what the health rules found in its run."""

from __future__ import annotations

from analysis.report.content import Block, Prose
from diagnosis import RunWatch
from diagnosis.advice import advice_for, how_sure
from diagnosis.findings import holding


def health_section(watch: RunWatch) -> tuple[Block, ...]:
    """A paragraph per finding; what helps against those that hold; and what cannot be known."""
    blocks: list[Block] = []
    now = holding(watch.findings)
    for finding in now:
        blocks.append(Prose(f"{finding} {how_sure(finding.rule)}", "warning"))
        blocks += [Prose(line.strip()) for line in advice_for(finding.rule)]
    blocks += [Prose(str(finding)) for finding in watch.findings if finding.ended]
    if not blocks:
        blocks.append(Prose("No rule found anything."))
    if watch.unknown:
        reasons = "; ".join(f"{rule}: {reason}" for rule, reason in watch.unknown.items())
        blocks.append(Prose(f"What cannot be known: {reasons}.", "note"))
    return tuple(blocks)
