"""The folder of a run: its layout, and how the engine reads and extends it."""

from pathlib import Path

RECIPE_FILE = Path("artifacts/recipe.toml")
"""The recipe that repeats the run, relative to the run's folder."""

CHECKPOINT_DIR = "checkpoints"
PLOTS_DIR = "plots"
