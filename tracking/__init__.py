"""Tracks runs: one interface, several stores, and readers that return the same tables."""
