"""Entry point of `dcgan` and `python -m dcgan`; sets up the process before heavy imports."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from types import FrameType

from dcgan.exit_codes import EXIT_INTERRUPTED

_POLL_SECONDS = 0.02


def main() -> None:
    """Run the command line. Ctrl-C ends it with one sentence, even while it imports libraries."""
    signal.signal(signal.SIGINT, _Interrupts())
    try:
        from dcgan.cli import app
        from dcgan.cli.completion import join_settings

        join_settings(os.environ)
        app(prog_name="dcgan")
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    finally:
        signal.signal(
            signal.SIGINT, signal.SIG_DFL
        )  # no traceback while the interpreter shuts down


class _Interrupts:
    """Raises KeyboardInterrupt, but not during an import.

    Libraries that are being imported mistake it for a different error, swallow it, or abort. So the
    process exits at once, or, if a file is half-written, KeyboardInterrupt is raised after the
    import.
    """

    def __init__(self) -> None:
        self._is_waiting = False

    def __call__(self, _number: int, frame: FrameType | None) -> None:
        if not _is_importing(frame):
            raise KeyboardInterrupt
        tracking = sys.modules.get("tracking.unfinished")
        if self._is_waiting or tracking is None or not tracking.UNFINISHED:
            # A spinner hides the cursor, and the terminal has shown ^C.
            print("\x1b[?25h\n" if sys.stderr.isatty() else "", end="", file=sys.stderr)
            print("Interrupted.", file=sys.stderr, flush=True)
            os._exit(EXIT_INTERRUPTED)
        self._is_waiting = True
        threading.Thread(target=self._raise_after_import, daemon=True).start()

    def _raise_after_import(self) -> None:
        main_thread = threading.main_thread().ident or 0
        while _is_importing(sys._current_frames().get(main_thread)):
            time.sleep(_POLL_SECONDS)
        self._is_waiting = False
        if sys.platform == "win32":
            _thread.interrupt_main()
        else:  # this also interrupts a blocking call
            signal.pthread_kill(main_thread, signal.SIGINT)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


if __name__ == "__main__":
    main()
