import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpate._json import dumps

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values, st.sampled_from([None, 1]))
def test_python_reads_back_what_was_written(value, indent):
    assert json.loads(dumps(value, indent)) == value


@given(values)
def test_strict_readers_accept_it(value):
    def refuse(token):
        raise AssertionError(token)

    json.loads(dumps(value), parse_constant=refuse)


def test_infinity_is_a_number_token_and_text_is_left_alone():
    written = dumps({"epsilon": math.inf, "text": 'Infinity "NaN" \\'})
    assert written == '{"epsilon": 1e999, "text": "Infinity \\"NaN\\" \\\\"}'


def test_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        dumps({"accuracy": math.nan})
