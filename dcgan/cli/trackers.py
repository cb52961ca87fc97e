"""The trackers that commands accept: built-in ones, and those of other packages."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import typer
from typer.core import TyperCommand

from tracking.backends import check_client

_OPTIONS = ("tracker", "to", "kind")
_FROM_PACKAGES = " From other packages: "


class ImportSource(StrEnum):
    """The kinds of stores from which built-in backends import runs."""

    MLFLOW = "mlflow"
    NEPTUNE_OFFLINE = "neptune-offline"
    NEPTUNE_EXPORT = "neptune-export"
    TENSORBOARD = "tensorboard"
    WANDB = "wandb"
    LOCAL = "local"


class TrackerCommand(TyperCommand):
    """A command whose help lists the trackers of other packages.

    They are looked up only when the help is printed, because that takes time.
    """

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        from tracking.plugins import installed_plugins

        trackers = ", ".join(
            f"{each.name} ({each.package})" for each in installed_plugins().values()
        )
        for option in self.params:
            if option.name in _OPTIONS and (text := getattr(option, "help", None)):
                own = text.partition(_FROM_PACKAGES)[0]
                option.help = f"{own}{_FROM_PACKAGES}{trackers}." if trackers else own  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


def check_import_source(kind: str) -> str:
    """Return the value of --from unchanged; raises typer.BadParameter if nothing can read it."""
    from tracking.plugins import installed_plugins

    kinds = (*ImportSource, *installed_plugins())
    if kind not in kinds:
        raise typer.BadParameter(
            f"There is no importer for {kind!r}. Choose from: {', '.join(kinds)}."
        )
    check_client(kind)
    return kind


def import_backend(kind: str) -> str:
    """The name of the backend for a value of --from."""
    return {"neptune-offline": "neptune", "neptune-export": "neptune_export"}.get(kind, kind)
