"""Applies the rules of `diagnosis` to a run while it trains, and records which of them hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from dcgan.config.schema import ConfigError
from diagnosis import RULES, RunWatch
from diagnosis.findings import Finding, holding
from tracking.backends.local import read_events, read_fields
from tracking.events import (
    FIXED_NOISE,
    HEALTH,
    REAL,
    RULES_THAT_HOLD,
    SYS,
    Event,
    Fields,
    Metrics,
    Value,
)
from tracking.png import read_image
from tracking.run_files import image_files
from tracking.tracker import Held
from tracking.wording import did_you_mean

STOP_GROUPS = {
    name: tuple(rule.name for rule in RULES.values() if rule.fatal == name)
    for name in ("collapsed", "diverged")
}
"""Names that stand for several rules: the outcomes of which a comparison counts failures."""


def parse_stop_when(text: str | None) -> tuple[str, ...]:
    """The rules that end a run, from `collapsed,diverged`; raises ConfigError for other names."""
    if text is None:
        return ()
    if not isinstance(text, str):
        raise ConfigError(f"stop_when: it should be 'collapsed,diverged' or the like, not {text}.")
    rules: list[str] = []
    for name in (part.strip() for part in text.split(",")):
        if name not in RULES and name not in STOP_GROUPS:
            names = [*STOP_GROUPS, *(rule for rule in RULES if rule not in STOP_GROUPS)]
            hint = did_you_mean(name, names, limit=1)
            raise ConfigError(
                f"There is no rule {name!r} that could stop a run. {hint}".rstrip()
                + f"\nThe rules are: {', '.join(names)}."
            )
        rules += [name] if name in RULES else []
        rules += STOP_GROUPS.get(name, ())
    return tuple(dict.fromkeys(rules))


class HealthMonitor:
    """Follows a run's events, and records the findings of the rules as fields and tags.

    Args:
        emit: Called with the fields to record.
        warn: Called with a message if a rule raises an error, which must not end a training.
        stop_when: The rules that end the run.
        tags: The run's own tags; the names of the rules that hold are added to them.

    Attributes:
        stopped_by: The finding that ends the run; None as long as there is none.
    """

    def __init__(
        self,
        emit: Callable[[Event], None],
        warn: Callable[[str], None],
        stop_when: Collection[str] = (),
        tags: Sequence[str] = (),
    ) -> None:
        self._watch: RunWatch | None = RunWatch()
        self._emit = emit
        self._warn = warn
        self._stop_when = frozenset(stop_when)
        self._tags = tuple(tag for tag in tags if tag not in RULES)
        self._recorded: list[Finding] = []
        self.stopped_by: Finding | None = None

    def replay(self, folder: Path) -> None:
        """Catch up on the journal of a resumed run, and record its findings again."""
        fields = read_fields(folder, alive=False)
        self._watch = RunWatch(fields)
        tags = fields.get(f"{SYS}/tags")
        if isinstance(tags, list):
            self._tags = tuple(str(tag) for tag in tags if tag not in RULES)
        # Grids first, as the watch asks of a stored run, and of them the real one, without which
        # those of fakes are left out.
        pictures = image_files(folder)
        for series in (REAL, FIXED_NOISE):
            for (path, step), file in pictures.items():
                if path == series:
                    for picture in read_image(path, step, 0, file.read_bytes()):
                        self._watch.add(picture)
        for event in read_events(folder, Held(images=frozenset(pictures))):
            if isinstance(event, Metrics):
                self._watch.add(event)
        # The run may resume from a step before some of the recorded findings.
        stale = {path: None for path in fields if path.startswith(f"{HEALTH}/")}
        self._recorded = list(self._watch.findings)
        if stale or self._recorded:
            self._emit_state(stale, self._recorded)

    def add(self, event: Event) -> None:
        """Apply the rules to an event of the run."""
        self._look(lambda watch: watch.add(event))

    def finish(self) -> None:
        """Apply the rules to the last step."""
        self._look(RunWatch.finish)

    def _look(self, act: Callable[[RunWatch], None]) -> None:
        if self._watch is None:
            return
        try:
            act(self._watch)
            findings = list(self._watch.findings)
        except Exception as error:
            self._watch = None
            self._warn(f"The rules of health failed: {error!r}. Training continues without them.")
            return
        before = [*self._recorded, *[None] * (len(findings) - len(self._recorded))]
        changed = [
            new
            for old, new in zip(before, findings, strict=True)
            if old is None or old.ended != new.ended
        ]
        self._recorded = findings
        if changed:
            self._emit_state({}, changed)
        if self.stopped_by is None:
            named = [each for each in holding(findings) if each.rule in self._stop_when]
            self.stopped_by = named[0] if named else None

    def _emit_state(self, stale: Mapping[str, Value], changed: Sequence[Finding]) -> None:
        values: dict[str, Value] = dict(stale)
        for finding in changed:
            path = f"{HEALTH}/{finding.rule}"
            values[f"{path}/since"] = finding.since
            values[f"{path}/until"] = finding.until if finding.ended else None
            values[f"{path}/evidence"] = finding.evidence
        names = [finding.rule for finding in holding(self._recorded)]
        values[RULES_THAT_HOLD] = names
        self._emit(Fields(values | {f"{SYS}/tags": [*self._tags, *names]}))
