"""The error of all probes."""

from __future__ import annotations

from tracking.errors import UserError


class ProbeError(UserError):
    """A probe that cannot be run on this run or on these images, explained for the user."""
