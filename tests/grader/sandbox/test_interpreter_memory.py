"""The map of addresses that interpreted kernels are checked against."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.sandbox.case.address_map import AccessFault, AddressMap, Region

pytestmark = pytest.mark.process

X = Region("x", 1000, 1400, writable=False)
BLOCKS = Region("x", 1000, 1400, writable=False, by_block_pointer=True)
OUT = Region("out", 2000, 2400, writable=True)


def addresses(*regions):
    made = AddressMap()
    for region in regions or (OUT, X):
        made.add(region)
    return made


def lanes(*values):
    return np.array(values, dtype=np.uint64)


@pytest.mark.parametrize(
    ("address", "region"),
    [(999, None), (1000, X), (1399, X), (1400, X), (1401, None), (2000, OUT), (0, None)],
    ids=str,
)
def test_an_address_is_found_with_the_end_of_its_region(address, region):
    assert addresses().find(address) is region


@pytest.mark.parametrize("form", [bool, np.int32, np.int8], ids=lambda form: form.__name__)  # program_id > 0 is int32
def test_masked_lanes_are_neither_checked_nor_counted_as_moved(form):
    made = addresses()

    touched = made.access("load", lanes(1000, 5, 1396), np.array([1, 0, 1]).astype(form), 4, None)

    assert list(touched.addresses) == [1000, 1396]

    assert (made.traffic.loaded_bytes, made.traffic.masked_bytes) == (8, 4)


def test_a_mask_that_is_all_off_touches_nothing():
    made = addresses()

    made.access("store", lanes(5, 6), np.array([False, False]), 4, None)

    assert (made.traffic.stored_bytes, made.traffic.masked_bytes) == (0, 8)


@pytest.mark.parametrize(
    ("kind", "pointers", "region", "stage", "said"),
    [
        ("load", (1396, 1400), X, "bounds", "A load reaches 1 element past the end of x."),
        ("load", (1398,), X, "bounds", "A load reaches 1 element past the end of x, by one number."),
        ("load", (1000, 1420), X, "bounds", "A load reaches 6 elements past the end of x."),
        ("load", (1400, 1420), X, "bounds", "A load reaches 6 elements past the end of x, with every lane."),
        ("load", (992,), X, "bounds", "A load reaches 2 elements before the start of x."),
        ("load", (1400, 1420), BLOCKS, "bounds", "A load through a block pointer reaches 6 elements past the end of x."),
        ("load", (2000,), X, "bounds", "A load reaches 151 elements past the end of x, by one number."),
        ("load", (1396, 2000), None, "bounds", "A load reaches 151 elements past the end of x."),
        ("load", (1500,), None, "bounds", "A load reaches 26 elements past the end of x, by one number."),
        ("load", (1 << 40,), X, "bounds", "A load reaches memory far outside x."),
        ("load", (0,), Region("key", 0, 0, True), "bounds", "A load reaches into key, which has no elements."),
        ("store", (1000,), X, "input_changed", "A store would change the input x."),
        ("atomic", (1000,), None, "input_changed", "An atomic operation would change the input x."),
    ],
)
def test_what_a_kernel_must_not_touch(kind, pointers, region, stage, said):
    made = addresses()

    with pytest.raises(AccessFault) as caught:
        made.access(kind, lanes(*pointers), None, 4, region)

    assert (caught.value.stage, str(caught.value)) == (stage, said)
    assert made.first_fault is caught.value


def test_a_mask_that_lets_such_lanes_through_is_told_of():
    with pytest.raises(AccessFault, match=r"1 element past the end of x, within its mask\.$"):
        addresses().access("load", lanes(1392, 1396, 1400, 1404), np.array([True, True, True, False]), 4, X)


@given(st.lists(st.integers(900, 2500), min_size=1, max_size=8), st.sampled_from([1, 2, 4, 8]))
def test_an_access_passes_where_every_lane_lies_in_one_region(pointers, itemsize):
    made = addresses()
    inside = any(all(r.start <= p and p + itemsize <= r.stop for p in pointers) for r in (X, OUT))

    try:
        made.access("load", lanes(*pointers), None, itemsize, None)
        passed = True
    except AccessFault:
        passed = False

    assert passed == inside
