"""`report.html`: one self-contained page about one run, every number from its summary.json.

Nothing is loaded and nothing runs: the page's own policy forbids it. Values are escaped.
"""

import json
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from omegaconf import OmegaConf

from fedpate.errors import ConfigError
from fedpate.report import plots, text, words

SUMMARY, LEDGER, PAGE = "summary.json", "ledger.sqlite", "report.html"
SCHEMA = 1


def write(folder: Path) -> Path:
    """Write `report.html` beside the `summary.json` of a finished run.

    Raises:
      ConfigError: no finished run, or one of another version, or the page cannot be written.
    """
    page = folder / PAGE
    html = render(read_summary(folder), ledger_head(folder), settings(folder), folder.name)
    try:
        page.write_text(html, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{page} must be a file that can be written: {error.strerror}") from error
    return page


def read_summary(folder: Path) -> dict[str, Any]:
    """What `summary.json` holds.

    Raises:
      ConfigError: there is none, or it is not a summary that this version reads.
    """
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"RUN_DIR must be the directory of a finished run, got {folder} "
            f"without a readable {SUMMARY}"
        ) from error
    if not isinstance(summary, dict) or summary.get("schema") != SCHEMA:
        raise ConfigError(
            f"{folder / SUMMARY} must be of schema {SCHEMA}, which this version reads"
        )
    return summary


def ledger_head(folder: Path) -> str | None:
    """The hash of the last entry of the run's own ledger; None where it has none."""
    if not (folder / LEDGER).is_file():
        return None
    from fedpate.privacy.ledger import PrivacyLedger

    with PrivacyLedger.read(folder / LEDGER) as ledger:
        return ledger.head


def settings(folder: Path) -> str | None:
    """The composed settings, as Hydra recorded them; None where it was not there."""
    config, hydra = (folder / ".hydra" / name for name in ("config.yaml", "hydra.yaml"))
    if not (config.is_file() and hydra.is_file()):
        return None
    chosen = OmegaConf.select(OmegaConf.load(hydra), "hydra.runtime.choices") or {}
    options = [
        f"{group}={option}"
        for group, option in sorted(chosen.items())
        if "/" not in group and option
    ]
    return f"# {' '.join(options)}\n" + config.read_text(encoding="utf-8")


def render(
    summary: dict[str, Any], head: str | None, recorded_settings: str | None, run_name: str
) -> str:
    """The page.

    Args:
      summary: schema 1.
      head: of the ledger, or None.
      recorded_settings: YAML, or None.
      run_name: the run directory's name, for the command that checks the ledger again.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"epsilon": text.epsilon, "percent": text.percent}
    environment.filters |= {"scale": text.scale, "size": text.size, "number": text.count}
    rows = words.accuracies(summary)
    told = "; ".join(f"{row.name} {text.percent(row.accuracy)}" for row in rows)
    bars = plots.accuracy_bars(rows, f"Bar chart of accuracies: {told}")
    return environment.get_template("page.html").render(
        s=summary,
        sentences=words.three_sentences(summary),
        warning=words.warning(summary),
        mechanism=words.mechanism(summary["mechanism"]),
        relation=words.relation(summary["privacy"]),
        assumptions=words.assumptions(summary),
        who_saw_what=words.who_saw_what(summary),
        accuracies=rows,
        bars=Markup(bars),  # noqa: S704 - made by plots.svg, which escapes
        head=head,
        settings=recorded_settings,
        run_name=run_name,
    )
