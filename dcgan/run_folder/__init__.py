"""The folder of a run: what lies in it and how the engine reads and extends it."""
