"""Exit codes of `dcgan`; imports nothing, because Ctrl-C is handled before other imports."""

EXIT_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
