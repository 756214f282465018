"""A notebook kept as a script with `# %%` cells, run and written as Markdown with its outputs.

What a notebook would show is shown: printed text, and the value of a cell's last line as the object
shows itself (`_repr_svg_`, `_repr_html_`, else its repr). An error in a cell ends the build.
"""

import ast
import contextlib
import io
import re
from pathlib import Path
from typing import Any

CELL = re.compile(r"^# %%(?P<markdown> \[markdown\])?\n", re.MULTILINE)


def cells(script: str) -> list[tuple[str, str]]:
    """("markdown" or "python", text) of each cell; the comment signs of Markdown are taken off."""
    _, *rest = CELL.split(script)
    found = []
    for markdown, body in zip(rest[::2], rest[1::2], strict=True):
        text = body.strip("\n")
        if markdown:
            text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in text.splitlines())
        found.append(("markdown" if markdown else "python", text))
    return found


def to_markdown(script: Path) -> str:
    """Run a script, cell by cell, in one namespace."""
    names: dict[str, Any] = {"__name__": "notebook"}
    parts = []
    for kind, text in cells(script.read_text(encoding="utf-8")):
        parts.append(text if kind == "markdown" else f"```python\n{text}\n```")
        if kind == "python":
            parts += _outputs(text, script.name, names)
    return "\n\n".join(parts)


def _outputs(code: str, name: str, names: dict[str, Any]) -> list[str]:
    """What a cell prints, then what its last line comes to."""
    printed = io.StringIO()
    tree = ast.parse(code, name)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, name, "exec"), names)  # noqa: S102 - our own script
        value = None
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval"), names)  # noqa: S307
    text = printed.getvalue().rstrip()
    shown = [f"```text\n{text}\n```"] if text else []
    return shown if value is None else [*shown, _rich(value)]


def _rich(value: Any) -> str:
    if hasattr(value, "_repr_svg_"):
        svg = value._repr_svg_()
        return _block(svg[svg.index("<svg") :])
    if hasattr(value, "_repr_html_"):
        return _block(value._repr_html_())
    return f"```text\n{value!r}\n```"


def _block(html: str) -> str:
    """One block of HTML: in Markdown it ends at an empty line, so there is none inside."""
    lines = [line for line in html.splitlines() if line.strip()]
    return "\n".join(['<div class="output">', *lines, "</div>"])
