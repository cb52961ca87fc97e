"""`dcgan ui`."""

from __future__ import annotations

import contextlib
from typing import Annotated, Literal

import typer
from rich.console import Console

from dcgan.cli.options import Store
from dcgan.store_dir import DEFAULT_STORE


def ui(
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 picks a free one.", min=0, max=65_535)
    ] = 0,
    view: Annotated[
        Literal["compare", "runs", "sweep", "mlflow"],
        typer.Option(help="The page to open: a view made for DCGANs, or MLflow's own."),
    ] = "compare",
    store: Store = DEFAULT_STORE,
) -> None:
    """Open the MLflow UI for the store.

    It shows the runs that were trained with [bold]--tracker mlflow[/bold]: side
    by side, as a table, or as the means of the arms of a sweep. The server
    accepts connections from this machine only and stops on Ctrl-C.
    """
    from dcgan.jobs.signals import unwind_on_termination
    from tracking.backends.mlflow import ui_page
    from tracking.mlflow_server import external_server_address, mlflow_server

    console = Console(highlight=False)
    shown = None if view == "mlflow" else view
    if address := external_server_address(store):
        page = f"{address}/{ui_page(store, shown)}"
        console.print(f"The MLflow UI of your own server: [bold]{page}[/bold]", soft_wrap=True)
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(unwind_on_termination())
        with console.status("Starting the MLflow server ..."):
            server = stack.enter_context(mlflow_server(store, port))
        page = f"{server.address}/{ui_page(store, shown)}"
        console.print(f"MLflow UI, until Ctrl-C: [bold]{page}[/bold]", soft_wrap=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.wait()
