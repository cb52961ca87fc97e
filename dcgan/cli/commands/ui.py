"""`dcgan ui`."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer
from rich.console import Console

from dcgan.cli.options import DEFAULT_STORE, Store


def ui(
    port: Annotated[
        int, typer.Option(help="Port to listen on; 0 picks a free one.", min=0, max=65_535)
    ] = 0,
    store: Store = DEFAULT_STORE,
) -> None:
    """Open the MLflow UI for the store.

    It shows the runs that were trained with [bold]--tracker mlflow[/bold]. The server
    accepts connections from this machine only and stops on Ctrl-C.
    """
    from dcgan.jobs.signals import termination_leaves_contexts
    from tracking.backends.mlflow import runs_page
    from tracking.mlflow_server import external_server_address, mlflow_server

    console = Console(highlight=False)
    if address := external_server_address(store):
        page = f"{address}/{runs_page(store)}"
        console.print(f"The MLflow UI of your own server: [bold]{page}[/bold]", soft_wrap=True)
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(termination_leaves_contexts())
        with console.status("Starting the MLflow server ..."):
            server = stack.enter_context(mlflow_server(store, port))
        page = f"{server.address}/{runs_page(store)}"
        console.print(f"MLflow UI, until Ctrl-C: [bold]{page}[/bold]", soft_wrap=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.wait()
