"""What a run costs before it is run: calibrated noise, events per unit, how much is affordable.

Everything here is data-independent: settings and numbers of queries, classes and teachers.
"""

from collections.abc import Mapping
from functools import partial

from fedpate.federation.settings import Run
from fedpate.privacy.accounting import affordable, calibrate
from fedpate.privacy.events import Event
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.mechanism import Mechanism

UNITS = ("patient", "hospital")


def calibrated(run: Run, n_queries: int, n_classes: int) -> Mechanism:
    """The run's mechanism; its noise meets `privacy.target_epsilon` per patient, if there is one.

    Raises:
      ConfigError: no noise is enough.
    """
    mechanism: Mechanism = run.mechanism
    target, delta = run.privacy.target_epsilon, run.privacy.delta
    if target is None:
        return mechanism
    scale = calibrate(
        lambda noise: mechanism.with_noise(noise).event(n_queries, 1, n_classes), target, delta
    )
    return mechanism.with_noise(scale)


def events(
    mechanism: Mechanism, n_queries: int, n_classes: int, largest_k: int
) -> dict[str, Event]:
    """Unit -> price: a patient moves one vote, a hospital the votes of its k teachers.

    Args:
      mechanism: calibrated.
      n_queries: asked, answered or not.
      n_classes: of the federation.
      largest_k: most teachers that one hospital has.
    """
    moved = {"patient": 1, "hospital": largest_k}
    return {unit: mechanism.event(n_queries, moved[unit], n_classes) for unit in UNITS}


def budgets(run: Run) -> Mapping[str, float | None]:
    """Unit -> the most epsilon that the ledger may reach."""
    return {"patient": run.privacy.budget.patient, "hospital": run.privacy.budget.hospital}


def affordable_queries(
    run: Run, mechanism: Mechanism, ledger: PrivacyLedger, n_queries: int, n_classes: int
) -> int:
    """How many of `n_queries` new queries may be asked, before anybody is bothered.

    Raises:
      BudgetExceeded: not all of them (`privacy.on_budget=stop`), or not even one (`truncate`).
    """
    limits, delta = budgets(run), run.privacy.delta
    k = run.teachers_per_hospital

    def price(unit: str, count: int) -> Event:
        return events(mechanism, count, n_classes, k)[unit]

    count = n_queries
    if run.privacy.on_budget == "truncate":
        for unit, limit in limits.items():
            if limit is not None:
                price_per_unit = partial(price, unit)
                count = affordable(price_per_unit, ledger.spent(unit), limit, delta, count)
    ledger.require_affordable(events(mechanism, max(count, 1), n_classes, k), delta, limits)
    return count
