"""Why a hospital did not answer: all that leaves it when something is wrong."""

from enum import IntEnum

from fedpate.errors import FedPateError

SCHEMA = 1  # of the wire


class Code(IntEnum):
    """Flower's own codes are below 100."""

    FAILED = 101
    MALFORMED = 102
    SCHEMA = 103
    SETTINGS = 104
    UNTRAINED = 105
    NO_SITE = 106
    BUNDLE = 107


REASONS = {
    Code.FAILED: "the hospital failed; its own log says why",
    Code.MALFORMED: "the request does not have the records that this action takes",
    Code.SCHEMA: f"the request is not of wire schema {SCHEMA}: use the same version of fedpate",
    Code.SETTINGS: "the hospital does not accept these settings",
    Code.UNTRAINED: "the hospital has no teachers for these settings: send train.teachers first",
    Code.NO_SITE: "the node is neither simulated nor configured as a hospital",
    Code.BUNDLE: "the hospital runs only the thin bundle of the fedpate that it installed",
}


class Refusal(FedPateError):  # noqa: N818 - a decision, not a fault
    """The hospital refuses a request; only the code leaves."""

    def __init__(self, code: Code) -> None:
        super().__init__(REASONS[code])
        self.code = code
