"""The documentation builds without a warning, and says nothing that only our machines know."""

import importlib.util
import os
import re
import subprocess
import sys

import pytest

import doc_pages

NEEDED = ("sphinx", "myst_parser", "furo")
OURS = re.compile(r"/(?:work|root|home|tmp)/|pypi\.org|pythonhosted|download\.pytorch|/simple/")
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.fixture
def site(tmp_path):
    """The built pages."""
    if not all(importlib.util.find_spec(name) for name in NEEDED):
        pytest.skip("Sphinx, MyST or Furo is not installed: pip install -e '.[docs]'")
    out = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*command, str(doc_pages.DOCS), str(out)],
        env={**os.environ, "PYTHONPATH": str(doc_pages.ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


def test_the_build_has_every_page_and_what_is_generated_and_no_warning(site):
    for page in doc_pages.DOCS.rglob("*.md"):
        assert (site / page.relative_to(doc_pages.DOCS).with_suffix(".html")).is_file(), page

    configuration = (site / "reference" / "configuration.html").read_text()
    for setting in ("privacy.budget.patient", "mechanism.threshold_noise_scale", "data.patient"):
        assert setting in configuration
    assert "usage: fedpate account VOTES" in (site / "reference" / "cli.html").read_text()
    assert "UNTRAINED" in (site / "reference" / "wire.html").read_text()
    assert "PrivacyLedger" in (site / "reference" / "api.html").read_text()
    story = (site / "tutorials" / "hospital-story.html").read_text()
    assert "labels were released; the first ten:" in story  # it ran to its end
    assert "<svg" in story
    assert "guaranteed epsilon</th>" in story
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert "generated:" not in text
        assert not OURS.search(text), page


@pytest.mark.parametrize("page", doc_pages.pages(), ids=doc_pages.name)
def test_a_page_names_no_machine_of_ours_and_links_to_what_is_there(page):
    text = page.read_text(encoding="utf-8")
    assert not OURS.search(text)
    for target in LINK.findall(doc_pages.FENCE.sub("", text)):
        if "://" not in target:
            assert (page.parent / target).exists(), target
