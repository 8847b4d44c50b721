"""Pieces of Markdown: tables that are aligned in plain text, lists, and text that stays text."""

import re
from collections.abc import Sequence


def escape_markdown(text: str) -> str:
    """Text that stays text in a paragraph or in a cell."""
    return re.sub(r"([\\`*_<>\[\]|&~])", r"\\\1", " ".join(text.split()))


def bold(text: str, condition: bool = True) -> str:
    """The text in bold where the condition holds; nothing stays nothing."""
    return f"**{text}**" if condition and text else text


def bullet_list(lines: Sequence[str]) -> str:
    """A list of escaped lines."""
    return "\n".join(f"- {escape_markdown(line)}" for line in lines)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns are aligned in plain text, too: the first to the left, the others to the right.

    Args:
        head: Titles of the columns.
        rows: As many cells in each row.
    """
    widths = [max(3, *(len(cells[k]) for cells in (head, *rows))) for k in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([_line(head, widths), _line(rule, widths), *(_line(cells, widths) for cells in rows)])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cells[0].ljust(widths[0])]
    padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return f"| {' | '.join(padded)} |"
