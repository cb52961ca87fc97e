"""A process that has imported PyTorch and forks trainings, so that a kill costs no import.

Reads lines of JSON from stdin, `{"arguments": [...], "directory": "..."}`, forks a process that
runs `dcgan` with these arguments, and answers with its process id; then with its exit status
once it has ended.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    # All that a training imports before its first step.
    import git  # noqa: F401
    import torch  # noqa: F401

    import dcgan.cli
    import dcgan.cli.progress
    import dcgan.jobs.run
    import dcgan.run_folder.describe

    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            os.chdir(order["directory"])
            log = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            sys.argv = ["dcgan", *order["arguments"]]
            dcgan.cli.app()
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
