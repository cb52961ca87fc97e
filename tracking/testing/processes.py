"""Runs a backend in a separate process, to kill it or to check its imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tracking.backends import Backend
from tracking.testing.suite import Suite


class Processes(Suite):
    """Tests with the writing process, and with the imports that a backend causes."""

    def test_a_killed_process_loses_nothing_that_was_written(
        self, backend: Backend, store: Path
    ) -> None:
        code = """
import os, sys
from pathlib import Path
from tracking.backends import load_backend
from tracking.events import Fields, Metrics
from tracking.tracker import Run

tracker = load_backend(sys.argv[1]).open_tracker(Run("killed", "killed", 1), Path(sys.argv[2]))
tracker.write(Fields({"config/seed": 1, "sys/status": "running"}))
for step in range(1, 4):
    tracker.write(Metrics([step], [step], {"training/batch/Gloss": [step / 7]}))
os.kill(os.getpid(), 9)
"""
        assert _run_python(code, self.backend_name, str(store)).returncode == -9
        assert backend.load_runs(store).loc["killed", "config/seed"] == 1
        steps = backend.load_steps(store, "killed")
        assert list(steps["training/batch/Gloss"]) == [1 / 7, 2 / 7, 3 / 7]

    def test_importing_the_backend_imports_no_sdk(self) -> None:
        code = f"""
import sys
from tracking.backends import load_backend
load_backend(sys.argv[1])
print(*{{"torch", "numpy", *{self.sdks}}} & set(sys.modules))
"""
        result = _run_python(code, self.backend_name)
        assert (result.stdout, result.stderr) == ("\n", "")


def _run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
    )
