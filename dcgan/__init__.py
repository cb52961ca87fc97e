"""Trains DCGANs. Every run is a stream of events that the backends of `tracking` store."""

import os

# OpenMP's threads spin at each barrier, by default for so long that another process on one of
# the cores makes a step 70 times slower. With this value it is 6 times, and on an idle machine
# a step is as fast as before. OpenMP reads it once, when PyTorch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
