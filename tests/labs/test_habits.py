"""A habit shows where it is, says nothing where it is not, and never where nothing was counted."""

import pytest
import torch

from labs.declaration import Spent
from labs.habits import cache_read_by_each_head, dequantised_copy, hidden_keys_loaded, memory_slope, read_again

QUERY = torch.zeros(1, 4, 64, dtype=torch.float16)
KV_LEN = torch.tensor([100], dtype=torch.int32)
CACHE = {"query": QUERY, "key": torch.zeros(1, 1, 100, 64, dtype=torch.uint8), "kv_len": KV_LEN}


def spent(inputs=None, **bytes_):
    return Spent(inputs=inputs or {}, **{"out_bytes": 0, "loaded_bytes": 0, "stored_bytes": 0, "scratch_bytes": 0, **bytes_})


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [(16384, 65536, "4.0 times when n doubled"), (16384, 32768, "2.0 times when n doubled"), (0, 0, "")],
    ids=["squared", "linear", "none"],
)
def test_memory_slope(before, after, said):
    remark = memory_slope("n", "2n")({"n": spent(scratch_bytes=before), "2n": spent(scratch_bytes=after)})

    assert said in remark
    assert bool(remark) is bool(said)
    assert ("each pair of tokens" in remark) is (after == 4 * before > 0)


def test_a_slope_needs_both_cases():
    assert memory_slope("n", "2n")({"n": spent(scratch_bytes=16384)}) == ""


@pytest.mark.parametrize(("times", "shows"), [(1, False), (2, True), (3, True), (0, False)])
def test_read_again(times, shows):
    x = torch.zeros(3, 128)

    remark = read_again("x", "a", from_times=2, advice="Keep it.")({"a": spent({"x": x}, loaded_bytes=times * x.nbytes)})

    assert remark == (f"x is read {times:.1f} times. Keep it." if shows else "")


@pytest.mark.parametrize(("times", "shows"), [(1, False), (2, False), (4, True), (0, False)])
def test_cache_read_by_each_head(times, shows):
    used = spent(CACHE, loaded_bytes=times * CACHE["key"].nbytes)

    assert bool(cache_read_by_each_head("a", ("key",))({"a": used})) is shows


@pytest.mark.parametrize(("times", "shows"), [(1, True), (4, False)], ids=["by_each_head", "lanes_that_share_a_byte"])
def test_a_cache_that_is_read_as_often_where_a_group_has_one_head_is_read_by_no_head(times, shows):
    alone = CACHE | {"query": QUERY[:, :1]}
    used = {
        "a": spent(CACHE, loaded_bytes=4 * CACHE["key"].nbytes),
        "b": spent(alone, loaded_bytes=times * CACHE["key"].nbytes),
    }

    assert bool(cache_read_by_each_head("a", ("key",))(used)) is shows


@pytest.mark.parametrize(
    ("scratch", "stored", "shows"),
    [(0, 512, False), (12800, 13312, True), (12800, 0, True), (12800, 4096, False), (4096, 4608, False)],
    ids=["no_scratch", "copy", "copy_on_a_gpu", "room_that_is_not_used", "partials"],
)
def test_dequantised_copy(scratch, stored, shows):
    used = spent(CACHE, out_bytes=512, scratch_bytes=scratch, stored_bytes=stored)

    assert bool(dequantised_copy("a", lambda given: 2 * given["key"].numel())({"a": used})) is shows


@pytest.mark.parametrize(("hidden", "shows"), [(0, False), (64, True)])
def test_hidden_keys(hidden, shows):
    remark = hidden_keys_loaded("a", advice="End the loop there.")({"a": spent(hidden_keys=hidden, loaded_keys=960)})

    assert ("64 of 960 rows of key and value in a. End the loop there." in remark) is shows
    assert bool(remark) is shows
