"""The folder of a run: what lies in it, and how the engine reads and extends it."""

from pathlib import Path

RECIPE_FILE = Path("artifacts/recipe.toml")
"""The recipe that repeats the run."""

CHECKPOINT_DIR = "checkpoints"
PLOTS_DIR = "plots"
