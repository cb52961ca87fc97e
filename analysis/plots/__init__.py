"""Figures of runs and of arms."""
