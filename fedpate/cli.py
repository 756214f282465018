"""The command line: a table of verbs; a verb's module is imported when it is asked for.

Exit codes: 0 done; 2 bad input, told in one line; 3 a budget or a quorum stopped the run and
nothing was released; 1 a bug, with its traceback; 130 Ctrl-C or SIGTERM, after tidying up.
"""

import difflib
import importlib
import os
import signal
import sys
from collections.abc import Sequence

from fedpate import __version__
from fedpate._environment import keep_private
from fedpate.commands import VERBS
from fedpate.errors import FedPateError

HELP = f"""\
fedpate {__version__}: PATE as a federation. Hospitals vote, only noisy labels leave, and the
privacy price is stated.

usage: fedpate VERB [SETTING=VALUE ...] [--json] [--help]

{{verbs}}

First steps:
  fedpate simulate                                  ten hospitals on data that ships with it
  fedpate simulate hospitals=20 mechanism=laplace mechanism.noise_scale=20
  fedpate simulate --help                           what can be set, with examples

Smaller epsilon = more noise = more privacy; it never appears without its unit (patient, hospital)
and delta."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; `argv` is the command line without the program's name."""
    args = list(sys.argv[1:] if argv is None else argv)
    if args[:1] == ["help"] and len(args) > 1:
        args = [args[1], "--help"]
    if not args or args[0] in ("-h", "--help", "help"):
        say(HELP.format(verbs="\n".join(f"  {verb:<12} {does}" for verb, does in VERBS.items())))
        return 0
    if args[0] in ("-V", "--version"):
        say(f"fedpate {__version__}")
        return 0
    verb, rest = args[0], args[1:]
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(VERBS)}"
        if "=" in verb or verb.startswith("-"):
            hint = f"a verb comes first: fedpate simulate {verb}"
        complain(f"fedpate: {verb!r} is not a verb; {hint}")
        return 2
    return run_verb(verb, rest)


def run_verb(verb: str, args: Sequence[str]) -> int:
    """Run a known verb and turn what stops it into an exit code."""
    keep_private()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # failures come to us, to be told in one line
    # SIGINT too: a shell starts its background jobs deaf to it, and nothing would be tidied up.
    before = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        module = importlib.import_module(f"fedpate.commands.{verb}")
        if "-h" in args or "--help" in args:
            say(module.HELP)
            return 0
        code = int(module.main(list(args)))
        sys.stdout.flush()
    except FedPateError as error:
        complain(f"fedpate {verb}: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        complain(f"fedpate {verb}: interrupted")
        return 128 + signal.SIGINT
    except BrokenPipeError:  # `fedpate ... | head`: nobody is reading any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code


def say(text: str) -> None:
    """One block of text for the user."""
    sys.stdout.write(f"{text}\n")


def complain(text: str) -> None:
    """One line about what stopped us, on stderr."""
    sys.stderr.write(f"{text}\n")
