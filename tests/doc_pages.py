"""The pages that people read, their code blocks, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    (?=\S).*$", re.MULTILINE)
INLINE = re.compile(r"`(fedpate [^`]+)`")
SHELL = ("bash", "sh", "console")
PROGRAM = ("python3", "run.py", "fedpate")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    language: str
    text: str


def pages() -> list[Path]:
    """README and every page of docs, as they are in the working tree."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def name(page: Path) -> str:
    """Relative to the project."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(*found) for found in FENCE.findall(page.read_text(encoding="utf-8"))]


def commands(page: Path) -> list[list[str]]:
    """The arguments of every `fedpate ...` on a page: in shell blocks, indented, and in a line."""
    text = page.read_text(encoding="utf-8")
    found = [args for block in blocks(page) if block.language in SHELL for args in script(block)]
    rest = FENCE.sub("", text)
    for line in (*INDENTED.findall(rest), *INLINE.findall(rest)):
        found += list(_arguments(line.strip()))
    return [args for args in found if args[0] != args[0].upper()]  # `fedpate VERB` is none


def script(block: Block) -> list[list[str]]:
    """The arguments of every `fedpate ...` of a shell block, in order."""
    return list(_arguments(block.text))


def examples(help_text: str) -> list[list[str]]:
    """The commands under "examples" in a verb's help."""
    _, _, after = help_text.partition("\nexamples")
    lines = "\n".join(line.strip() for line in after.splitlines())
    return list(_arguments(lines))


def _arguments(text: str) -> Iterator[list[str]]:
    for line in text.replace("\\\n", " ").splitlines():
        line = re.sub(r'^eval "\$\((.*?)\)"', r"\1", line)
        if not re.match(r"(python3 run\.py )?fedpate ", line):
            continue
        words = shlex.split(line, comments=True)
        yield words[words.index("fedpate") + 1 :]
