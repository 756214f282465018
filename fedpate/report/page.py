"""`report.html`: one self-contained page about one run, every number from what it recorded.

Nothing is loaded and nothing runs: the page's own policy forbids it. Values are escaped. A number
of summary.json is a `<data>` element that names its key and holds all its digits.
"""

import functools
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from fedpate import _json
from fedpate.errors import ConfigError
from fedpate.report import breakdown, pictures, recorded, text, words
from fedpate.report.recorded import SUMMARY, Recorded, read_summary
from fedpate.report.spending import spending

PAGE = "report.html"
UNITS = ("patient", "hospital")
FORMS: dict[str, Callable[[Any], str]] = {
    "number": text.count,
    "epsilon": text.epsilon,
    "percent": text.percent,
    "scale": text.scale,
    "size": text.size,
    "seconds": lambda value: f"{value:.1f} s",
    "auc": lambda value: f"{value:.3f}",
    "short": lambda value: f"{value:.6g}",
}

__all__ = ["PAGE", "SUMMARY", "read_summary", "render", "template", "write", "write_page"]


def write(folder: Path) -> Path:
    """Write `report.html` beside the `summary.json` of a finished run.

    Raises:
      ConfigError: no finished run, or one of another version, or the page cannot be written.
      LedgerError: the run's ledger is broken.
    """
    return write_page(folder / PAGE, render(recorded.read(folder)))


def write_page(page: Path, html: str) -> Path:
    """Write any page; returns where.

    Raises:
      ConfigError: it cannot be written.
    """
    try:
        page.write_text(html, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{page} must be a file that can be written: {error.strerror}") from error
    return page


def render(run: Recorded) -> str:
    """The page."""
    summary, details = run.summary, run.details
    rows = [row for row in words.accuracies(summary) if row.accuracy is not None]
    return template("page.html").render(
        s=summary,
        d=details,
        v=Numbers(summary),
        share=_share,
        simulation=summary["data"]["train_records"] is not None,
        sentences=words.three_sentences(summary),
        warning=words.warning(summary),
        mechanism=words.mechanism(summary["mechanism"]),
        units=words.units(summary),
        what_left=words.what_left(summary, (details or {}).get("votes", "labels")),
        assumptions=words.assumptions(summary),
        who_saw_what=words.who_saw_what(summary),
        accuracies=rows,
        flow=_drawn(pictures.data_flow(summary)),
        audit=run.audit,
        head=run.head,
        ledger=shlex.quote(run.ledger or run.name),
        settings=run.settings,
        run_name=run.name,
        **_from_details(summary, details),
    )


@functools.cache
def template(name: str) -> jinja2.Template:
    """One of the templates beside this module; everything that it shows is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= FORMS
    return environment.get_template(name)


class Numbers:
    """Numbers of summary.json by their key, as `<data>` elements."""

    def __init__(self, summary: Mapping[str, Any]) -> None:
        self._summary = summary
        self._shown = {"schema"}

    def __call__(self, key: str, form: str = "number") -> Markup:
        """The number at `key` (names joined by dots) in one of `FORMS`; a dash for null."""
        value: Any = self._summary
        for name in key.split("."):
            value = value.get(name)
        self._shown.add(key)
        if value is None:
            return Markup("-")
        element = '<data value="{}" data-key="{}">{}</data>'
        return Markup(element).format(_json.dumps(value), key, FORMS[form](value))  # noqa: S704

    def others(self) -> list[str]:
        """Keys of the numbers that the page has not shown so far: none is left out."""
        return [key for key in _number_keys(self._summary) if key not in self._shown]


def _number_keys(block: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in block.items():
        if isinstance(value, Mapping):
            yield from _number_keys(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{name}"


def _from_details(summary: Mapping[str, Any], details: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the page shows from details.json; all empty without it."""
    if details is None:
        empty = ("curves", "charges", "classes", "class_names", "hospitals")
        absent = ("consensus", "matrix", "some_classes", "some_hospitals")
        return {**dict.fromkeys(empty, ()), **dict.fromkeys(absent)}
    privacy, charges = summary["privacy"], details["ledger"]["charges"]
    curves = []
    for unit in UNITS:
        if found := spending(charges, unit, privacy["delta"]):
            budget = privacy[unit]["budget"]
            curve = pictures.spending_curve(found, unit, privacy["delta"], budget)
            curves.append((unit, _drawn(curve)))
    bins, names = details["consensus"], breakdown.class_names(details)
    n_hospitals = len(details["hospitals"] or [])
    return {
        "curves": curves,
        "charges": charges,
        "consensus": _drawn(pictures.consensus_bars(bins)) if bins else None,
        "classes": breakdown.class_rows(details),
        "class_names": names,
        "some_classes": breakdown.told(len(names), "classes", "most frequent"),
        "matrix": breakdown.matrix(details),
        "hospitals": breakdown.hospital_rows(details),
        "some_hospitals": breakdown.told(n_hospitals, "hospitals", "largest"),
    }


def _share(part: float, whole: float) -> str:
    """A percentage for a style, at most 100."""
    return f"{100 * min(1.0, part / whole):.4g}"


def _drawn(picture: str) -> Markup:
    return Markup(picture)  # noqa: S704 - made by `drawing`, which escapes
