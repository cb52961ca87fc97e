"""trackio keeps its databases in the folder of the tests, not in the user's."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest


@pytest.fixture(scope="session", autouse=True)
def _folder_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    for module in ("trackio", "dcgan_tracker_trackio"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed, which make test does")
    with pytest.MonkeyPatch.context() as patch:
        # trackio reads it when it is imported, which no test has done yet.
        patch.setenv("TRACKIO_DIR", str(tmp_path_factory.mktemp("trackio")))
        yield
