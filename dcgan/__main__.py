"""`python -m dcgan` is the command `dcgan`."""

from dcgan.cli import app

app(prog_name="dcgan")
