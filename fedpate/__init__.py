"""PATE as a federation on Flower: hospitals vote, only noisy labels leave.

The command line has every feature; from Python there is `fedpate.simulate` and, on numpy arrays
alone, the parts it is made of. Names are imported when they are first used, so that importing the
package costs nothing: neither PyTorch nor Flower is touched before something needs it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedpate import accountant as accountant
    from fedpate import errors as errors
    from fedpate import mechanisms as mechanisms
    from fedpate.accountant import audit as audit
    from fedpate.accountant import plan as plan
    from fedpate.privacy.ledger import PrivacyLedger as Ledger
    from fedpate.result import Result as Result
    from fedpate.result import load as load
    from fedpate.simulation import simulate as simulate

__version__ = "0.1.0"

__all__ = [
    "Ledger",
    "Result",
    "__version__",
    "accountant",
    "audit",
    "errors",
    "load",
    "mechanisms",
    "plan",
    "simulate",
]

_HOMES = {
    "Ledger": ("fedpate.privacy.ledger", "PrivacyLedger"),
    "Result": ("fedpate.result", "Result"),
    "accountant": ("fedpate.accountant", ""),
    "audit": ("fedpate.accountant", "audit"),
    "errors": ("fedpate.errors", ""),
    "load": ("fedpate.result", "load"),
    "mechanisms": ("fedpate.mechanisms", ""),
    "plan": ("fedpate.accountant", "plan"),
    "simulate": ("fedpate.simulation", "simulate"),
}

if not TYPE_CHECKING:  # a checker would take any name for one that is there

    def __getattr__(name: str) -> Any:
        """A public name, imported now."""
        if name not in _HOMES:
            raise AttributeError(f"module 'fedpate' has no attribute {name!r}")
        module, attribute = _HOMES[name]
        home = importlib.import_module(module)
        found = getattr(home, attribute) if attribute else home
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return __all__
