"""Grid: a table without lines. A short one is Rich's, folded to the width there is; a long one is only aligned.

Rich measures and folds every cell, some milliseconds a row; nobody reads thousands of rows but programs, which fold
nothing. Knows columns and cells. Does not know what they mean.
"""

from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.table import Column, Table
from rich.text import Text

LONG = 500
"""More rows than this are not folded."""
_GAP = "  "


class Grid(Table):
    """A table of texts; a column that begins with ``>`` is right-aligned."""

    def __init__(self, columns: Sequence[str], rows: Iterable[Sequence[str | Text]], title: str | None = None) -> None:
        super().__init__(box=None, header_style="bold", title=title, title_justify="left", pad_edge=False)
        for column in columns:
            justify = "right" if column.startswith(">") else "left"
            self.add_column(column.lstrip(">"), justify=justify, overflow="fold")  # type: ignore[arg-type]  # a Literal
        for row in rows:
            self.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        if self.row_count <= LONG:
            yield from super().__rich_console__(console, options)
            return
        if self.title:
            yield from (Segment(str(self.title), console.get_style("table.title")), Segment.line())
        for line in zip(*(self._aligned(column, console) for column in self.columns), strict=True):
            yield from line
            yield Segment.line()

    def _aligned(self, column: Column, console: Console) -> Iterator[Segment]:
        """Yield a column's cells, from the header on, all of one width."""
        head = [(str(column.header), console.get_style("bold"))] if self.show_header else []
        cells = [*head, *((_one_line(cell), _style(cell, console)) for cell in column.cells)]
        widths = [cell_len(text) for text, _ in cells]
        most = max(widths)
        for (text, style), width in zip(cells, widths, strict=True):
            space = " " * (most - width)
            yield Segment((space + text if column.justify == "right" else text + space) + _GAP, style)


def _one_line(cell: object) -> str:
    return " ".join(str(cell).splitlines())


def _style(cell: object, console: Console) -> Style | None:
    return console.get_style(cell.style) if isinstance(cell, Text) and cell.style else None
