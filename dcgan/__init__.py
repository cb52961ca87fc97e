"""Trains DCGANs. Every run is a stream of events to the trackers of `tracking`."""

import os

# OpenMP's threads spin at each barrier, by default so long that another process on one of
# the cores makes a step 70 times slower; with this it is 6 times, and without one as fast.
# It is read once, when PyTorch loads.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
