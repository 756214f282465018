"""Private teachers in the report: both prices, the smaller one, and no false alarm."""

import math

from fedpate.report import words
from summaries import summary


def told(**routes):
    found = summary()
    found["mechanism"] |= {"name": "none", "noise_scale": None, "guarantee": True}
    found["privacy"]["patient"] |= {"guaranteed": 8.0, "bound": "dpsgd_teachers"}
    found["privacy"]["patient"]["routes"] = routes or None
    return found


def test_both_prices_are_told_and_which_counts():
    found = told(votes=math.inf, dpsgd_teachers=8.0)
    said = words.two_prices(found["privacy"])
    assert "8.00 by the DP-SGD training of its teacher" in said
    assert said.endswith("that of its teacher's own training")
    cheap = told(votes=1.25, dpsgd_teachers=8.0)
    assert words.two_prices(cheap["privacy"]).endswith("that of the noise on the votes")
    assert any(line.startswith("A patient has two prices") for line in words.assumptions(found))


def test_votes_without_noise_are_private_only_if_the_teachers_are():
    assert words.warning(told(votes=math.inf, dpsgd_teachers=8.0)) == ""
    assert "epsilon is infinite" in words.warning(told())
    assert words.two_prices(told()["privacy"]) == ""
    assert words.two_prices(summary()["privacy"]) == ""  # of an earlier fedpate
