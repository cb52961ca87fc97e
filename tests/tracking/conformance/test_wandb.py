import pytest

from tracking.testing import Conformance

pytestmark = pytest.mark.slow


class TestWandb(Conformance):
    backend_name = "wandb"
    sdks = ("wandb", "pandas")
