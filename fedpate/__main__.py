"""`python -m fedpate` is `fedpate`."""

import sys

from fedpate.cli import main

if __name__ == "__main__":
    code = main()
    # Where Ctrl-C struck while text was being executed (a dataclass was being made), Python
    # remembers it after it was handled, and ends by a signal; executing anything makes it forget.
    exec("")  # noqa: S102
    sys.exit(code)
