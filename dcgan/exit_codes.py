"""What the command `dcgan` exits with; imports nothing, since Ctrl-C is met before all imports."""

EXIT_FAILED = 1
EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130
