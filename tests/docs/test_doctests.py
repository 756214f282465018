"""Examples with `>>>`, in public modules and on the pages, print what they show."""

import doctest
import importlib

import pytest

import doc_pages

MODULES = ("fedpate.accountant", "fedpate.mechanisms")
PAGES = [
    page for page in doc_pages.pages() if any(b.language == "pycon" for b in doc_pages.blocks(page))
]
OPTIONS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module(name):
    found = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize("page", PAGES, ids=doc_pages.name)
def test_the_examples_of_a_page(page, tmp_path):
    text = "\n".join(b.text for b in doc_pages.blocks(page) if b.language == "pycon")
    parsed = doctest.DocTestParser().get_doctest(text, {"folder": tmp_path}, page.name, None, 0)
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    assert runner.run(parsed) == (0, len(parsed.examples))
