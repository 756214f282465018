"""The file format of a privacy ledger, and the check of all that is in it."""

import os

from fedpate.errors import LedgerError
from fedpate.privacy import label_cache
from fedpate.privacy.book import Book
from fedpate.privacy.chain import Verification
from fedpate.privacy.chain_file import ChainFile
from fedpate.privacy.chain_format import ChainFormat

FORMAT = ChainFormat("privacy ledger", 0x66705031, version=1, tables=label_cache.TABLES)


def verify(path: str | os.PathLike[str], expected_head: str | None = None) -> Verification:
    """Check a ledger on disk, whichever federation's; what it finds it returns.

    Args:
      path: the ledger.
      expected_head: a head hash that was noted earlier and elsewhere; without one, a file that was
        made anew as a whole, or put back to an older copy, looks sound.

    Raises:
      LedgerError: not a ledger of this version at all, or unreadable.
    """
    file = ChainFile.read(path, FORMAT)
    try:
        return verify_file(file, expected_head)
    finally:
        file.close()


def verify_file(file: ChainFile, expected_head: str | None = None) -> Verification:
    """Check chain, tables, the meaning of every entry, and the labels; see `verify`."""
    found = file.verify(expected_head)
    if not found.ok:
        return found
    try:
        with file.reading():
            book = Book()
            for entry in file.entries():
                book.add(entry)
            problems = tuple(label_cache.problems(file.db, book.releases))
    except LedgerError as error:
        return Verification(found.head, (str(error),))
    return Verification(found.head, problems)
