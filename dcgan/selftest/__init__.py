"""Checks that a device computes what it should: `dcgan selftest`."""
