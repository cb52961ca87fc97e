"""The notebooks of examples/: they run, and what is committed of them was run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "examples").glob("*.ipynb"))
MAX_BYTES = 300_000
TINY = {
    "tour": "EPOCHS = 1",
    "comparison": "SEEDS = 1; EPOCHS = 1; JOBS = 1",
    "own_images": "IMAGES = 48; EPOCHS = 1; LONGER = 2",
}

QUICKLY = """
def go_quickly():
    import dcgan
    from dcgan.sweeping import session, worker

    train, networks = dcgan.train, ("generator", "discriminator")
    tiny = {f"network.{network}_features": 4 for network in networks}
    dcgan.train = lambda *recipe, settings, **more: train(*recipe, settings=settings | tiny, **more)
    run = worker.run_work_item
    session.run_work_items = lambda items, *_: ([run(item) for item in items], True)

go_quickly()
"""
"""Smaller networks, and no worker of a sweep, which would import PyTorch once more."""


# nbformat and nbclient take 3 s to import, in every worker that collects this file.


def read(path: Path) -> Any:
    import nbformat

    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", ()))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_small_with_its_outputs_and_without_errors(path: Path) -> None:
    assert path.stat().st_size < MAX_BYTES
    text = path.read_text(encoding="utf-8")
    assert str(REPOSITORY) not in text
    assert str(Path.home()) + "/" not in text
    cells = code_cells(read(path))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        failed = any(output.output_type == "error" for output in cell.outputs)
        assert failed == ("raises-exception" in tags(cell)), cell.source
        assert not any(output.get("name") == "stderr" for output in cell.outputs), cell.source


def test_the_notebooks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one kernel, emptied between them: it imports PyTorch once."""
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    cells = [new_code_cell(QUICKLY)]
    for path in NOTEBOOKS:
        for number, cell in enumerate(code_cells(read(path))):
            cell.id = f"{path.stem}-{number}"
            if "parameters" in tags(cell):
                cell.source = TINY[path.stem]
            cells.append(cell)
        cells.append(new_code_cell("%reset -f"))
    monkeypatch.setenv("DCGAN_STORE", str(tmp_path / "runs"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = new_notebook(cells=cells)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    by_source = {cell.source: cell.outputs for cell in notebook.cells}
    [losses] = by_source["run.plot_losses()"]
    assert losses.data["image/png"]
    assert "image/jpeg" in by_source["run.plot_real_and_fake()"][0].data
    [compared] = by_source["comparison"]
    assert "No claim can be made from so few runs." in compared.data["text/html"]
    [mistake] = next(cell.outputs for cell in notebook.cells if "raises-exception" in tags(cell))
    assert mistake.traceback == [f"ConfigError: {mistake.evalue}"]
    assert "generator 0.weight: 100x16x4x4 there, 64x16x4x4 here" in mistake.evalue
