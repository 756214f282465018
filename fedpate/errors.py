"""Everything fedpate raises on purpose.

FedPateError
├── ConfigError(ValueError)      a setting is wrong; found before anything has run
├── DataError(ValueError)        a data set cannot be used as it is: missing, malformed, too small
├── PredictionError(ValueError)  a hospital's answer is malformed: shape, range, query ids
├── LedgerError                  the ledger cannot be trusted or read: broken chain, wrong file
├── EngineError                  Flower's runtime did not start, failed, or went away
└── NothingReleased              the run stopped on purpose before a label existed
    ├── BudgetExceeded           the next release would pass (epsilon, delta); ledger unchanged
    ├── QuorumError              too few hospitals answered; nothing charged
    └── AuditFailed              a measurement contradicts the guarantee that would be stated

Messages name the setting, the rule and the value; never patient data. `exit_code` is what the
command line ends with.
"""

from typing import ClassVar


class FedPateError(Exception):
    """Base class; its message is one line that a user can act on."""

    exit_code: ClassVar[int] = 2


class ConfigError(FedPateError, ValueError):
    """A setting is wrong; found before anything has run."""


class DataError(FedPateError, ValueError):
    """A data set cannot be used as it is: missing, malformed or too small."""


class PredictionError(FedPateError, ValueError):
    """A hospital's answer is malformed: its shape, its range or its query ids."""


class LedgerError(FedPateError):
    """The ledger cannot be trusted or read; nothing is released on its word."""


class EngineError(FedPateError):
    """Flower's runtime did not start, failed, or went away."""

    exit_code: ClassVar[int] = 1


class NothingReleased(FedPateError):  # noqa: N818 - a refusal, not a fault
    """The run stopped on purpose before a label existed."""

    exit_code: ClassVar[int] = 3


class BudgetExceeded(NothingReleased):
    """The next release would pass a budget; the ledger is unchanged."""

    def __init__(self, unit: str, would_be: float, budget: float, delta: float) -> None:
        super().__init__(
            f"{unit} epsilon would reach {would_be:.3f} at delta={delta:g}, "
            f"over privacy.budget.{unit}={budget:g}; nothing was released or charged"
        )
        self.unit, self.would_be, self.budget, self.delta = unit, would_be, budget, delta

    def __reduce__(self) -> tuple[type["BudgetExceeded"], tuple[str, float, float, float]]:
        return type(self), (self.unit, self.would_be, self.budget, self.delta)


class AuditFailed(NothingReleased):
    """A measurement contradicts the guarantee; nothing may be released on its word."""


class QuorumError(NothingReleased):
    """Too few hospitals answered; nothing was released or charged."""

    def __init__(self, present: int, needed: int, step: str, missing: str = "") -> None:
        super().__init__(
            f"min_hospitals={needed} hospitals are needed, {present} completed '{step}'; "
            "nothing was released or charged" + (f"; missing: {missing}" if missing else "")
        )
        self.present, self.needed, self.step, self.missing = present, needed, step, missing

    def __reduce__(self) -> tuple[type["QuorumError"], tuple[int, int, str, str]]:
        return type(self), (self.present, self.needed, self.step, self.missing)
