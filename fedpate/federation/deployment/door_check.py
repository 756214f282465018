"""What stands between a hospital and its coordinator, in words that an IT person can act on."""

import datetime as dt
import ssl
from email.utils import parsedate_to_datetime

import httpx

from fedpate.federation.deployment.proxy import REFUSED
from fedpate.federation.deployment.signatures import NEWEST_S, OLDEST_S, sign
from fedpate.federation.doors import PREFIX
from fedpate.federation.kit import HospitalKit

TIMEOUT_S = 10.0

_REFUSALS = {
    "key": "the coordinator does not admit this hospital's key: it was shut out, or the "
    "coordinator's kit is older than this one",
    "clock": "the coordinator refuses this machine's clock: set it by NTP",
    "signature": "the coordinator does not accept this hospital's signature: is node.key whole?",
}


def look(kit: HospitalKit, now: dt.datetime | None = None) -> list[str]:
    """Knock at the coordinator's door as this hospital; [] if it would be let in.

    Nothing is changed: the request asks for the run of no node and is refused further inside.
    `now` is this machine's clock, in UTC.
    """
    trusted = ssl.create_default_context(cafile=str(kit.folder / "ca.crt"))
    now = now or dt.datetime.now(dt.UTC)
    try:
        answer = httpx.post(
            f"https://{kit.coordinator}{PREFIX}get-run",
            headers=sign(kit.folder / "node.key", now),
            content=b"",
            verify=trusted,
            timeout=TIMEOUT_S,
        )
    except httpx.ConnectError as error:
        if isinstance(_root(error), ssl.SSLError):
            return [
                f"{kit.coordinator} does not prove to be the coordinator of {kit.federation}: "
                f"{_root(error)}"
            ]
        return [f"the coordinator at {kit.coordinator} cannot be reached: {error}"]
    except httpx.HTTPError as error:
        return [f"the coordinator at {kit.coordinator} does not answer: {error!r}"]
    findings = _clock(answer.headers.get("date"), now)
    reason = answer.headers.get(REFUSED)
    if answer.status_code == httpx.codes.UNAUTHORIZED and reason in _REFUSALS:
        findings.append(_REFUSALS[reason])
    elif answer.status_code >= 500:
        findings.append("the coordinator's SuperLink is not there; trying again")
    return findings


def _clock(date: str | None, now: dt.datetime) -> list[str]:
    """Tell a clock that is outside of what signatures tolerate, by the answer's own date."""
    try:
        theirs = parsedate_to_datetime(date or "")
    except ValueError:
        return []
    behind = (theirs - now).total_seconds()  # the date has whole seconds
    if -NEWEST_S < behind < OLDEST_S:
        return []
    side = "behind" if behind > 0 else "ahead of"
    return [
        f"this machine's clock is {abs(behind):.0f} s {side} the coordinator's; at most "
        f"{OLDEST_S} s behind and {NEWEST_S} s ahead are tolerated: set it by NTP"
    ]


def _root(error: BaseException) -> BaseException:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return error
