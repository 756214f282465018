"""`python -m fedpate` is `fedpate`."""

import sys

from fedpate.cli import main

if __name__ == "__main__":
    sys.exit(main())
