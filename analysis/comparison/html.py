"""A comparison as HTML for notebooks: the result in words, and the tables behind it."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from analysis.caveats import NO_QUALITY
from analysis.comparison.compare import Comparison
from analysis.comparison.conclusions import findings, verdict
from analysis.comparison.tables import Table, effect_table, failure_table, summary_table
from tracking.fields import escape_control_characters


def comparison_html(comparison: Comparison) -> str:
    """The verdict, the remarks and the tables of `dcgan compare`."""
    paragraphs = [
        *(_paragraph("b", objection) for objection in comparison.overridden),
        _paragraph("b", verdict(comparison)),
        *(_paragraph("span", finding) for finding in findings(comparison)),
        *(_paragraph("i", warning) for warning in (*comparison.warnings, NO_QUALITY)),
    ]
    tables = (summary_table(comparison), effect_table(comparison), failure_table(comparison))
    return Markup("<div>{}{}</div>").format(
        Markup("").join(paragraphs), Markup("").join(map(_table_html, tables))
    )


def _paragraph(tag: str, text: str) -> Markup:
    return Markup(f"<p><{tag}>{{}}</{tag}></p>").format(escape_control_characters(text))


def _table_html(table: Table) -> Markup:
    rows = [
        _row("td", row, table.texts, strong=position in table.strong)
        for position, row in enumerate(table.rows)
    ]
    return Markup("<table><caption>{}</caption><thead>{}</thead><tbody>{}</tbody></table>").format(
        escape_control_characters(table.caption),
        _row("th", table.columns, table.texts),
        Markup("").join(rows),
    )


def _row(tag: str, cells: Iterable[str], texts: int, *, strong: bool = False) -> Markup:
    weight = ";font-weight:bold" if strong else ""
    return Markup("<tr>{}</tr>").format(
        Markup("").join(
            Markup(f"<{tag} style='text-align:{{}}{weight}'>{{}}</{tag}>").format(
                "left" if position < texts else "right", escape_control_characters(cell)
            )
            for position, cell in enumerate(cells)
        )
    )
