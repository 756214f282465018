"""What a run costs before it is run: calibrated noise, events per unit, how much is affordable.

Everything here is data-independent: settings and numbers of queries, classes and teachers.
"""

from collections.abc import Callable, Mapping
from functools import partial

from fedpate.federation.private_teachers import Route
from fedpate.federation.settings import Run
from fedpate.privacy.accounting import affordable, calibrate
from fedpate.privacy.events import Event
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.mechanism import GatedMechanism, Mechanism
from fedpate.privacy.soft_votes import as_voted

UNITS = ("patient", "hospital")
Price = Callable[[int, int, int], Event]  # n_queries, votes_moved, n_classes -> event


def calibrated(run: Run, n_queries: int, n_classes: int) -> Mechanism:
    """The run's mechanism; its noise meets `privacy.target_epsilon` per patient, if there is one.

    Raises:
      ConfigError: no noise is enough.
    """
    mechanism = as_voted(run.mechanism, run.votes)
    target, delta = run.privacy.target_epsilon, run.privacy.delta
    if target is None:
        return mechanism
    scale = calibrate(
        lambda noise: mechanism.with_noise(noise).event(n_queries, 1, n_classes), target, delta
    )
    return mechanism.with_noise(scale)


def events(
    price: Price, n_queries: int, n_classes: int, largest_k: int, route: Route | None = None
) -> dict[str, Event]:
    """Unit -> price: a patient moves one vote, a hospital the votes of its k teachers.

    Args:
      price: `Mechanism.event`, or one step of a `GatedMechanism`.
      n_queries: asked, answered or not.
      n_classes: of the federation.
      largest_k: most teachers that one hospital has.
      route: a patient's other price, if the teachers are private themselves.
    """
    moved = {"patient": 1, "hospital": largest_k}
    found = {unit: price(n_queries, moved[unit], n_classes) for unit in UNITS}
    if route is not None:
        found["patient"] = route(found["patient"])
    return found


def budgets(run: Run) -> Mapping[str, float | None]:
    """Unit -> the most epsilon that the ledger may reach."""
    return {"patient": run.privacy.budget.patient, "hospital": run.privacy.budget.hospital}


def affordable_queries(
    run: Run,
    mechanism: Mechanism,
    ledger: PrivacyLedger,
    n_queries: int,
    n_classes: int,
    route: Route | None = None,
) -> int:
    """How many of `n_queries` new queries may be asked, before anybody is bothered.

    With `privacy.on_budget=stop` the budget must hold even if every query passes a gated
    mechanism's gate. With `truncate` it must hold for all gates and one answer; as many answers as
    are affordable follow (`releasing`).

    Raises:
      BudgetExceeded: not all of them (`stop`), or not even one (`truncate`).
    """
    price, k, count = mechanism.event, run.teachers_per_hospital, n_queries
    if run.privacy.on_budget == "truncate":
        if isinstance(mechanism, GatedMechanism):
            price = partial(_gates_and_one_answer, mechanism)
        count = truncated(run, price, ledger, n_queries, n_classes, k, route)
    must = events(price, max(count, 1), n_classes, k, route)
    ledger.require_affordable(must, run.privacy.delta, budgets(run))
    return count


def truncated(
    run: Run,
    price: Price,
    ledger: PrivacyLedger,
    n_queries: int,
    n_classes: int,
    largest_k: int,
    route: Route | None = None,
) -> int:
    """The largest number of queries, up to `n_queries`, that no budget forbids."""
    count = n_queries
    for unit, limit in budgets(run).items():
        if limit is not None:
            count = affordable(
                lambda n, unit=unit: events(price, n, n_classes, largest_k, route)[unit],  # type: ignore[misc]
                ledger.spent(unit),
                limit,
                run.privacy.delta,
                count,
            )
    return count


def _gates_and_one_answer(
    mechanism: GatedMechanism, n_queries: int, votes_moved: int, n_classes: int
) -> Event:
    gates = mechanism.gate_event(n_queries, votes_moved, n_classes)
    return gates + mechanism.answer_event(1, votes_moved, n_classes)
