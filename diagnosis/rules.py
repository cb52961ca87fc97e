"""The rules: what each looks at, its threshold, its source, and what it cannot know.

Thresholds were chosen on one half of labelled runs and judged on the other: docs/diagnosis.md has
the table, and benchmarks/health_rules.py makes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from diagnosis.data_rule import data_at_fault
from diagnosis.evidence import Facts, Window
from diagnosis.image_grids import MAX_IMAGES, GridReading
from diagnosis.readings import Judgement, Reading, Undecided

RuleName: TypeAlias = Literal[
    "not_finite",
    "diverging",
    "discriminator_won",
    "generator_won",
    "one_image",
    "collapsed",
    "oscillating",
    "not_learning",
    "memorising",
    "data_at_fault",
]

WON = 0.03
"""D has won if its mean outputs are this near to what its loss asks for, as a share of their
range."""

FOOLED = 0.1
"""G has won if D's mean outputs for real images and fakes are this near to each other."""

ALIKE = 0.2
"""G's images are alike if they vary less than this share of the real images' variation."""

SAME = 0.03
"""They are one image below this share."""

TWINS = 0.3
"""G draws few images if each has a twin this much nearer than the nearest of a real image."""

FINE, FINE_SHARE = 3.0, 0.12
"""G draws noise if its share of fine detail exceeds real images' by this factor, and this share."""

COPY = 0.5
"""G copies if its images are this much nearer to real ones than those are to each other."""

SWINGING = 0.35
"""D's advantage swings if its means over tenths of a window deviate by so much of its range."""

MOVING = 0.045
"""An update changes too much of a network: usual is a thousandth to two hundredths.

Of the labelled runs on digits, healthy ones reach 3.0%, a critic or a D with spectral norm in its
first steps, and those at too high a rate start at 6.6%; this is their geometric mean.
"""

LARGE = 50.0
"""A loss that is never so large in a game that is still played; that of a critic may be."""

OPENING_STEPS = 200
"""D is ahead in the first steps of many healthy trainings, and G draws noise.

With several updates of D per step it is ahead by that of its own: its opening is as many updates.
"""


@dataclass(frozen=True)
class Rule:
    """One way in which a training fails.

    Attributes:
        name: As fields, tags and options have it.
        title: What it finds, in a few words.
        source: Where the sign is described.
        read: Looks at a window.
        fatal: What the run counts as if the rule holds at its end; None if that is no failure.
    """

    name: RuleName
    title: str
    source: str
    read: Callable[[Facts, Window], Reading] = field(repr=False, compare=False)
    fatal: Literal["collapsed", "diverged"] | None = None


def not_finite(facts: Facts, window: Window) -> Reading:
    """A loss, an output of D or a gradient is NaN or infinite."""
    if not window.means:
        return Undecided("no metrics of its steps were kept")
    if all(math.isfinite(value) for value in window.means.values()):
        return Judgement(False, 0.0)
    names = {name: step for name, step in window.non_finite.items() if not name.endswith("_norm")}
    first = min(names.values(), default=window.first)
    began = {name for name, step in names.items() if step == first}
    culprit = _which_network_began(began)
    shown = ", ".join(_shown(name) for name in sorted(began)) or "a metric"
    return Judgement(
        True,
        1.0,
        f"{shown} is not finite from step {first:,} on{culprit}",
        {"step": float(first)},
        since=first,
    )


def _which_network_began(began: set[str]) -> str:
    """In the order of a step: D sees real images, then fakes, and is updated; then G is."""
    real, fake, after = "D_x" in began, "D_G_z1" in began, "D_G_z2" in began or "Gloss" in began
    if real and not fake:
        return ": it began with the real images, so the data hold values that are not finite"
    if fake and not real:
        return ": it began with G, whose update in the step before broke its images"
    if after and not fake:
        return ": it began with D, whose update in this step broke it"
    if real and fake:
        return ": both of D's outputs broke at once, so it began with D or with the data"
    return ""


def diverging(facts: Facts, window: Window) -> Reading:
    """Losses grow without bound, or each update moves a network too far for it to settle."""
    losses = [abs(window.means[name]) for name in ("Gloss", "Dloss") if name in window.means]
    if facts.targets is not None and losses and LARGE <= max(losses) < math.inf:
        evidence = f"a loss has reached {max(losses):,.3g}"
        return Judgement(True, max(losses) / LARGE, evidence, {"loss": max(losses)})
    ratios = {
        network: window.means[f"{network}_update_ratio"] / _updates_per_step(facts, network)
        for network in _UPDATES
        if f"{network}_update_ratio" in window.means
    }
    if not ratios:
        return Undecided("how far its steps moved the weights was not measured")
    if not all(map(math.isfinite, ratios.values())):
        return Undecided("its weights are not finite")
    network, ratio = max(ratios.items(), key=lambda item: item[1])
    return Judgement(
        ratio >= MOVING,
        ratio / MOVING,
        f"each update moves {network}'s weights by {ratio:.1%} of their size; usual is 0.1 to 2%",
        {f"{network}_update_ratio": ratio},
    )


def discriminator_won(facts: Facts, window: Window) -> Reading:
    """D's mean outputs reach what its loss asks for, so G is given hardly any gradient."""
    targets, outputs = facts.targets, _outputs(window)
    if outputs is None:
        return Undecided("D's outputs were not kept")
    if targets is None:
        return Undecided(
            f"the outputs of a D trained with {facts.loss or 'this loss'} have no goal"
        )
    if window.last * _updates_per_step(facts, "D") < OPENING_STEPS:
        return Undecided(f"it is judged once D has been updated {OPENING_STEPS} times")
    span = targets[0] - targets[1]
    gap = max(targets[0] - outputs[0], outputs[1] - targets[1]) / span
    norm = window.means.get("G_gradient_norm")
    gradient = f"; G's gradient norm is {norm:.2g}" if norm is not None else ""
    return Judgement(
        gap <= WON,
        WON / max(gap, WON / 100),
        f"D(x) is {outputs[0]:.3f} and D(G(z)) is {outputs[1]:.3f}, where its loss asks for "
        f"{targets[0]:.3g} and {targets[1]:.3g}{gradient}",
        {"D_x": outputs[0], "D_G_z1": outputs[1]},
    )


def generator_won(facts: Facts, window: Window) -> Reading:
    """D cannot tell fakes from real images, although they are unlike."""
    outputs = _outputs(window)
    if outputs is None:
        return Undecided("D's outputs were not kept")
    if facts.targets is None:
        return Undecided(
            f"the outputs of a D trained with {facts.loss or 'this loss'} have no goal"
        )
    if not window.grids:
        return Undecided(f"{_NO_GRIDS}, and D's outputs alone may mean that G is good")
    # Flipped targets bring the outputs together by themselves, and take the gradient away too.
    gap = (outputs[0] - outputs[1]) / facts.output_span
    if window.last < OPENING_STEPS:
        return Undecided(f"D's outputs and G's images are judged from step {OPENING_STEPS} on")
    return Judgement(
        gap <= FOOLED and _are_unlike(window),
        FOOLED / max(gap, FOOLED / 100),
        f"D(x) is {outputs[0]:.3f} and D(G(z)) is {outputs[1]:.3f}: D tells them apart by chance, "
        f"although the images of step {window.grids[-1].step:,} are unlike real ones",
        {"D_x": outputs[0], "D_G_z1": outputs[1]},
    )


def one_image(facts: Facts, window: Window) -> Reading:
    """G draws the same image for every z."""
    if not window.grids:
        return Undecided(_NO_GRIDS)
    grid = window.grids[-1]
    if grid.variation <= SAME and _is_untrained(window):
        return _untrained(grid)
    return Judgement(
        grid.variation <= SAME,
        SAME / max(grid.variation, 1e-9),
        f"at step {grid.step:,} its images vary {grid.variation:.3f} times as much as real ones",
        {"variation": grid.variation},
        since=grid.step,
    )


def collapsed(facts: Facts, window: Window) -> Reading:
    """G draws few images: they vary less than real ones, or each has a twin in the grid."""
    if not window.grids:
        return Undecided(_NO_GRIDS)
    grid = window.grids[-1]
    score = max(ALIKE / max(grid.variation, 1e-9), TWINS / max(grid.nearest, 1e-9))
    if score >= 1 and _is_untrained(window):
        return _untrained(grid)
    return Judgement(
        score >= 1,
        score,
        f"at step {grid.step:,} its images vary {grid.variation:.2f} times as much as real ones, "
        f"and the nearest to each is {grid.nearest:.2f} times as far",
        {"variation": grid.variation, "nearest": grid.nearest},
        since=grid.step,
    )


def oscillating(facts: Facts, window: Window) -> Reading:
    """D and G overtake each other in turn, and neither settles."""
    swings = [window.swings.get(name) for name in ("D_x", "D_G_z1")]
    if None in swings or facts.targets is None:
        return Undecided("D's outputs over enough steps were not kept, or have no scale")
    outputs = _outputs(window)
    if outputs is None or max(map(abs, outputs)) > _OFF_SCALE * facts.output_span:
        return Undecided("D's outputs have left their scale")
    swing = max(value for value in swings if value is not None) / facts.output_span
    return Judgement(
        swing >= SWINGING,
        swing / SWINGING,
        f"D's mean outputs over tenths of the window deviate by {swing:.2f} from a steady course",
        {"swing": swing},
    )


def not_learning(facts: Facts, window: Window) -> Reading:
    """G's images are noise: their spectrum has far more fine detail than that of real images."""
    if not window.grids:
        return Undecided(_NO_GRIDS)
    grid = window.grids[-1]
    if grid.step < OPENING_STEPS:
        return _untrained(grid)
    if math.isnan(grid.fineness) or math.isnan(grid.real_fineness):
        return Undecided("its images are of one colour")
    score = min(grid.fineness / max(FINE * grid.real_fineness, 1e-9), grid.fineness / FINE_SHARE)
    return Judgement(
        score >= 1,
        score,
        f"at step {grid.step:,} {grid.fineness:.0%} of its images' power is fine detail, of real "
        f"ones' {grid.real_fineness:.0%}",
        {"fineness": grid.fineness, "real_fineness": grid.real_fineness},
        since=grid.step,
    )


def memorising(facts: Facts, window: Window) -> Reading:
    """G returns images that it was trained on."""
    size, shown = facts.number("dataset/size"), facts.number("images/count")
    if not window.grids:
        return Undecided(_NO_GRIDS)
    if size is None or shown is None or size > shown:
        return Undecided("the grid of real images holds only a part of them: see dcgan evaluate")
    if size > MAX_IMAGES:
        return Undecided(
            f"only {MAX_IMAGES} images of the grid of real ones are looked at: see dcgan evaluate"
        )
    grid = window.grids[-1]
    if grid.copies <= COPY and _is_untrained(window):
        return _untrained(grid)
    return Judgement(
        grid.copies <= COPY,
        COPY / max(grid.copies, 1e-9),
        f"at step {grid.step:,} its images are {grid.copies:.2f} times as far from the nearest of "
        f"the {size:.0f} real ones as those are from each other",
        {"copies": grid.copies},
        since=grid.step,
    )


_UPDATES = {"G": "training/generator_steps", "D": "training/discriminator_batches"}
"""How often a network is updated in one training step."""

_NO_GRIDS = "no grids of its images and of real ones were kept, or the real ones are all alike"


_ROUGH, _ROUGH_SHARE = 2.0, 0.05
"""Half of what makes noise, of which D alone would not be sure."""

_OFF_SCALE = 3.0
"""Outputs of this many times their range are no longer those of a game."""


def _updates_per_step(facts: Facts, network: str) -> float:
    return max(facts.number(_UPDATES[network]) or 1.0, 1.0)


def _is_untrained(window: Window) -> bool:
    """Whether the images may vary little because G has not begun to learn."""
    varied = any(each.variation >= ALIKE and each.nearest >= TWINS for each in window.grids)
    return window.grids[-1].step < OPENING_STEPS and not varied


def _untrained(grid: GridReading) -> Undecided:
    return Undecided(
        f"G's images are judged from step {OPENING_STEPS} on, and the last are of step {grid.step}"
    )


def _are_unlike(window: Window) -> bool:
    """Whether the last images are noise or few, which no D that learns would pass for real."""
    grid = window.grids[-1]
    is_noise = grid.fineness >= max(_ROUGH * grid.real_fineness, _ROUGH_SHARE)
    return is_noise or grid.variation <= ALIKE or grid.nearest <= TWINS


def _outputs(window: Window) -> tuple[float, float] | None:
    real, fake = window.means.get("D_x"), window.means.get("D_G_z1")
    if real is None or fake is None or not math.isfinite(real + fake):
        return None
    return real, fake


def _shown(name: str) -> str:
    return {"D_x": "D(x)", "D_G_z1": "D(G(z))", "Gloss": "G's loss", "Dloss": "D's loss"}.get(
        name, name
    )


RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("not_finite", "values are not finite", "IEEE 754", not_finite, "diverged"),
        Rule(
            "diverging",
            "losses or weights run away",
            "Karpathy 2017, CS231n: update-to-weight ratio near 1e-3",
            diverging,
        ),
        Rule(
            "discriminator_won",
            "D has won",
            "Arjovsky and Bottou 2017, section 2",
            discriminator_won,
            "collapsed",
        ),
        Rule(
            "generator_won",
            "D cannot tell fakes from real images",
            "Goodfellow et al. 2014, section 4.1",
            generator_won,
        ),
        Rule(
            "one_image",
            "G draws one image for every z",
            "Salimans et al. 2016, section 3.2",
            one_image,
            "collapsed",
        ),
        Rule(
            "collapsed",
            "G draws few images",
            "Salimans et al. 2016, section 3.2; Arora and Zhang 2017 for twins",
            collapsed,
            "collapsed",
        ),
        Rule("oscillating", "D and G oscillate", "Mescheder et al. 2018, section 2", oscillating),
        Rule("not_learning", "G draws noise", "Durall et al. 2020, section 2", not_learning),
        Rule("memorising", "G copies its data", "Webster et al. 2019, section 3", memorising),
        Rule(
            "data_at_fault",
            "the data are at fault",
            "the dataset card, see docs/data.md",
            lambda facts, window: data_at_fault(facts),
        ),
    )
}
"""By name, the gravest first."""
