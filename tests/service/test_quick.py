"""The usual request is read quickly, and understood as the other reader understands it; or it is left to that one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forecasting.errors import GatecastError
from service.body import decode
from service.quick import QuickReader

READER = QuickReader()
NUMBERS = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**63 - 1), st.floats(-1e6, 1e6)
)
MATRICES = st.tuples(st.integers(1, 5), st.integers(1, 4)).flatmap(
    lambda shape: st.lists(
        st.lists(NUMBERS, min_size=shape[1], max_size=shape[1]), min_size=shape[0], max_size=shape[0]
    )
)
KEYS = st.fixed_dictionaries(
    {"observations": MATRICES},
    optional={
        "last_timestamp": st.sampled_from(["2024-03-01T02:00:00Z", "2024-03-01T02:00:00.5+01:00"]),
        "series": st.text(max_size=20),
        "horizon": st.integers(1, 1000),
        "levels": st.lists(st.integers(1, 99), max_size=3),
        "explain": st.just("memory"),
    },
)


@given(request=KEYS, indent=st.sampled_from([None, 1]))
@example(request={"observations": [[3.4e38], [3.4e38]]}, indent=None)  # each fits into 32 bits, their sum does not
def test_a_usual_request_is_understood_as_the_other_reader_understands_it(request: dict[str, Any], indent: Any) -> None:
    body = json.dumps(request, indent=indent).encode()
    found = READER.read(body)
    whole = decode(body)
    if '\\"' in body.decode():
        assert found is None  # an escaped quotation mark is for the other reader
        return
    assert found is not None
    usual, rows = found
    for key in ("last_timestamp", "series", "horizon", "levels", "explain"):
        assert getattr(usual, key) == getattr(whole, key)
    np.testing.assert_array_equal(rows, np.array(whole.observations, dtype=np.float64).astype(np.float32))


UNUSUAL = {
    "a missing value": b'{"observations":[[1,null]]}',
    "a boolean": b'{"observations":[[1,true]]}',
    "a text": b'{"observations":[[1,"2"]]}',
    "a ragged row": b'{"observations":[[1,2],[1]]}',
    "as many numbers in ragged rows": b'{"observations":[[1,2],[1],[1,2,3]]}',
    "an empty row": b'{"observations":[[]]}',
    "no row": b'{"observations":[]}',
    "a flat array": b'{"observations":[1,2]}',
    "a deeper array": b'{"observations":[[[1]]]}',
    "a number": b'{"observations":1}',
    "no number between commas": b'{"observations":[[1,,2]]}',
    "a number in two pieces": b'{"observations":[[1 2,3]]}',
    "a comma too many": b'{"observations":[[1,2],]}',
    "NaN": b'{"observations":[[NaN]]}',
    "more than 32 bits hold": b'{"observations":[[1e39]]}',
    "more than 64 bits hold": b'{"observations":[[1e400]]}',
    "many digits": b'{"observations":[[' + b"9" * 5000 + b"]]}",
    "a leading zero": b'{"observations":[[01]]}',
    "a key twice": b'{"observations":[[1]],"observations":[[2]]}',
    "a null": b'{"observations":[[1]],"series":null}',
    "an unknown key": b'{"observations":[[1]],"colour":1}',
    "several windows": b'{"windows":[{"observations":[[1]]}]}',
    "covariates": b'{"observations":[[1]],"known_future":[[1]]}',
    "no JSON": b"rows",
    "nothing": b"",
    "no UTF-8": b'{"observations":[[1]],"series":"\xff"}',
    "something behind": b'{"observations":[[1]]} 1',
    "a time without an offset": b'{"observations":[[1]],"last_timestamp":"2024-03-01T02:00:00"}',
    "no horizon": b'{"observations":[[1]],"horizon":0}',
    "an impossible level": b'{"observations":[[1]],"levels":[100]}',
}


@pytest.mark.parametrize("body", UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_not_usual_is_left_to_the_other_reader(body: bytes) -> None:
    assert READER.read(body) is None


@given(body=st.binary(max_size=60).map(lambda raw: b'{"observations":' + raw + b"}"))
def test_nothing_is_read_quickly_that_the_other_reader_refuses(body: bytes) -> None:
    if READER.read(body) is not None:
        decode(body)


@given(text=st.text('[]{},:"0123456789.eE+- nulltrue', max_size=40))
def test_nor_of_what_looks_like_rows(text: str) -> None:
    body = b'{"observations":' + text.encode() + b"}"
    found = READER.read(body)
    try:
        whole = decode(body)
    except GatecastError:
        assert found is None
    else:
        if found is not None:
            assert np.array(whole.observations, dtype=np.float32).tolist() == found[1].tolist()
