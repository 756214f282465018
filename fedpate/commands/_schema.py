"""Parts of the small schemas that several verbs share."""

from dataclasses import dataclass

from fedpate import _check


@dataclass(frozen=True)
class Delta:
    """`privacy.delta`: at which delta epsilon is stated."""

    delta: float = 1e-5

    def __post_init__(self) -> None:
        _check.open_unit(**{"privacy.delta": self.delta})
