"""The notebook page: cells of a script, run, with what they print and show.

`test_docs` builds the page, and so runs the hospital story.
"""

import sys

import pytest

import doc_pages

sys.path.append(str(doc_pages.DOCS))
import notebook  # beside the pages, not a package

STORY = doc_pages.DOCS / "tutorials" / "hospital_story.py"


def written(tmp_path, text):
    script = tmp_path / "script.py"
    script.write_text(text)
    return notebook.to_markdown(script)


def test_cells_are_run_in_order_and_show_what_they_print_and_what_their_last_line_is(tmp_path):
    page = written(
        tmp_path,
        "# %% [markdown]\n# # Title\n#\n# Words.\n\n# %%\nx = 2\nprint('one')\n\n# %%\nx * 21\n",
    )
    assert page == (
        "# Title\n\nWords.\n\n```python\nx = 2\nprint('one')\n```\n\n```text\none\n```\n\n"
        "```python\nx * 21\n```\n\n```text\n42\n```"
    )


def test_rich_values_are_one_block_of_html(tmp_path):
    page = written(
        tmp_path,
        "# %%\nclass Rich:\n    def _repr_html_(self):\n        return '<p>\\n\\n</p>'\n\nRich()\n",
    )
    assert page.endswith('<div class="output">\n<p>\n</p>\n</div>')


def test_an_error_ends_the_build(tmp_path):
    with pytest.raises(AssertionError):
        written(tmp_path, "# %%\nassert False\n")


def test_the_story_tells_everything_that_it_has_to():
    kinds, texts = zip(*notebook.cells(STORY.read_text(encoding="utf-8")), strict=True)
    assert kinds.count("markdown") >= 8 <= kinds.count("python")
    told = " ".join(" ".join(texts).split())
    for words in (
        *("parallel databases", "Laplace noise", "Randomized response", "noisy maximum"),
        *("Ten hospitals", "**Smaller epsilon is more private**", "one teacher per hospital"),
    ):
        assert words.lower() in told.lower()
