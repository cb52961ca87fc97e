"""The conformance suite that every backend passes, for the tests of trackers in other packages.

    from tracking.testing import Conformance

    class TestMine(Conformance):
        backend_name = "mine"
        sdks = ("my_sdk", "pandas")

`tracking.testing.sample_run` has the runs that the suite writes. Needs pytest.
"""

import pytest

# Before the parts are imported, so that a failure shows both sides of what was asserted.
pytest.register_assert_rewrite("tracking.testing.sample_run")
for _part in ("processes", "round_trip", "values"):
    pytest.register_assert_rewrite(f"tracking.testing.{_part}")

from tracking.testing.processes import Processes  # noqa: E402
from tracking.testing.round_trip import RoundTrip  # noqa: E402
from tracking.testing.values import SingleValues  # noqa: E402

__all__ = ["Conformance"]


class Conformance(RoundTrip, SingleValues, Processes):
    """What a backend must do; a subclass names the backend, as `tracking.testing.suite` says."""
