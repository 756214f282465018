"""Tables that never cut a number in two: where there is no room, one line for each cell."""

from collections.abc import Iterator

from rich import table
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.text import Text

_ENDLESS = 10_000  # columns: wider than any table


class Table(table.Table):
    """`rich.table.Table`, but for narrow terminals.

    Rich shortens what does not fit ("1…" for 12.3). Text may be wrapped, but a price that is cut is
    another price, so a table that cannot be as wide as its longest words is told as a list.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, or its cells as lines: `column: value`, an empty line after each row."""
        least = self.__rich_measure__(console, options.update(width=_ENDLESS)).minimum
        if least <= options.max_width:
            yield from super().__rich_console__(console, options)
        else:
            yield from self._lines()

    def _lines(self) -> Iterator[Text]:
        if self.title:
            yield Text(str(self.title), style="bold")
        headers = [" ".join(str(column.header).split()) for column in self.columns]
        for row in zip(*(column.cells for column in self.columns), strict=True):
            for header, cell in zip(headers, row, strict=True):
                if value := str(cell).strip():
                    named = f"{escape(header)}: " if header and self.show_header else ""
                    yield Text.from_markup(f"{named}{value}")
            yield Text("")
        if self.caption:
            yield Text(str(self.caption))
