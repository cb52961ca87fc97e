"""The configuration of a run: its schema, and how it is loaded from a recipe."""
