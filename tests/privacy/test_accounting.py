import pytest

from fedpate.privacy.accounting import bounds
from fedpate.privacy.events import NoisyArgmax, repeated
from golden_values import expected, golden


@pytest.mark.parametrize("entry", golden("accounting.json", "gauss_gdp"))
def test_gaussian_golden(entry):
    inputs = entry["inputs"]
    event = repeated(NoisyArgmax(inputs["sigma"], 1), inputs["k"])
    assert bounds(event, inputs["delta"])["gaussian"].epsilon == expected(entry)
