"""Tracks runs: one interface, several stores, and readers that agree with each other."""
