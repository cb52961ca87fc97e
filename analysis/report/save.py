"""Writes a report as a web page, as Markdown with its figures, or as a PDF."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, get_args

from analysis.caveats import NO_QUALITY
from analysis.plots.figure_file import save, save_captions
from analysis.report.content import Report
from tracking.atomic_files import atomic_write
from tracking.errors import UserError, not_written

Format: TypeAlias = Literal["html", "md", "pdf"]


def format_of(path: Path) -> Format:
    """The format that a file's extension names. Raises UserError for any other extension."""
    for name in get_args(Format):
        if path.suffix.lower() == f".{name}":
            return name  # type: ignore[no-any-return]
    raise UserError(
        f"The format of {path} is not clear: its name should end in .html, .md or .pdf."
    )


def save_report(
    report: Report, path: Path, format: Format, figures: Path | None = None
) -> list[Path]:
    """Write a report; no file is left incomplete.

    Args:
        report: What to write.
        path: The file.
        format: Its format.
        figures: A folder for every figure as PNG, SVG and PDF, its data as CSV, the captions, and
            the animations as WebP. Markdown has them in `<name>_files` next to the file in any
            case.

    Returns:
        All files, the report first.

    Raises:
        UserError: A file cannot be written, or an image of a run cannot be read.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder. Give the name of a file in it.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(path, error) from error
    written = []
    try:
        if figures is not None:
            written += _save_figures(report, figures)
        match format:
            case "html":
                from analysis.report.html import to_html

                content = to_html(report).encode()
            case "md":
                from analysis.report.markdown import to_markdown

                folder = path.with_name(f"{path.stem}_files")
                written += _save_figures(report, folder)
                content = to_markdown(report, folder.name).encode()
            case "pdf":
                from analysis.report.pdf import to_pdf

                content = to_pdf(report)
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise UserError(
            f"{error.filename or path} cannot be read or written: {error.strerror or error}."
        ) from error
    return [path, *written]


def _save_figures(report: Report, folder: Path) -> list[Path]:
    files = [file for picture in report.pictures for file in save(picture, folder)]
    if files:
        captions = {picture.name: caption for picture, caption in report.captioned}
        files.append(save_captions(captions, [report.question, NO_QUALITY], folder))
    for animation in report.animations:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{animation.name}.webp"
        with atomic_write(file) as temporary:
            temporary.write_bytes(animation.webp)
        files.append(file)
    return files
