"""The JavaScript twins against the NumPy models, value by value, and the numbers that the chapter states."""

import numpy as np
import pytest

from tabs.figures import decode_attention, dot_product, memory_traffic, online_softmax, roofline, softmax_lanes, tile_map


def close(left, right, rtol=1e-12):
    np.testing.assert_allclose(np.asarray(left, float), np.asarray(right, float), rtol=rtol, atol=1e-300)


class TestDotProduct:
    def test_the_chapters_default_is_written_as_the_chapter_writes_it(self, js):
        query, key = dot_product.DEFAULTS["query"], dot_product.DEFAULTS["keys"][0]
        expected = "(1x0.5) + (0x0) + (0.5x1) + (-0.5x0) = 1.00"

        assert dot_product.written(query, key) == expected
        assert js("DotProduct.written(q, k)", q=query, k=key) == expected

    def test_random_vectors_agree(self, js):
        rng = np.random.default_rng(0)
        for _ in range(50):
            query, keys = rng.standard_normal(4), rng.standard_normal((6, 4)) * 10 ** rng.uniform(-3, 3)
            ours, theirs = dot_product.agreement(query, keys[0]), js("DotProduct.agreement(q, k)", q=query, k=keys[0])
            for field in ("terms", "norm_query", "norm_key"):
                close(theirs[field], getattr(ours, field))
            np.testing.assert_allclose(theirs["dot"], ours.dot, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(theirs["angle_deg"], ours.angle_deg, rtol=1e-9)
            scores = dot_product.scores(query, keys)
            np.testing.assert_allclose(js("DotProduct.scores(q, k)", q=query, k=keys), scores, rtol=1e-9, atol=1e-9)
            assert js("DotProduct.ranking(s)", s=scores) == dot_product.ranking(scores)

    def test_a_zero_vector_has_no_angle(self, js):
        assert np.isnan(dot_product.agreement([0, 0], [1, 2]).angle_deg)
        assert np.isnan(js("DotProduct.agreement([0, 0], [1, 2]).angle_deg"))

    def test_equal_scores_keep_their_order(self, js):
        assert dot_product.ranking([1, 2, 2, 0]) == js("DotProduct.ranking([1, 2, 2, 0])") == [1, 2, 0, 3]


class TestSoftmaxLanes:
    def test_the_chapters_default(self, js):
        probs = softmax_lanes.exact(softmax_lanes.DEFAULTS["scores"])

        assert [f"{p:.3f}" for p in probs] == ["0.563", "0.207", "0.126", "0.028", "0.076"]
        assert abs(probs.sum() - 1) < 1e-12
        close(js("SoftmaxLanes.exact(s).probs", s=softmax_lanes.DEFAULTS["scores"]), probs)

    def test_all_lanes_agree_on_random_and_hostile_scores(self, js):
        rng = np.random.default_rng(1)
        cases = [rng.uniform(-20, 20, 5) for _ in range(60)]
        cases += [rng.uniform(-200, 200, 5) for _ in range(30)] + [
            np.array(c, float) for c in ([12, 1, 0, 0, 0], [1000] * 5, [-1000] * 5)
        ]
        for scores in cases:
            theirs = js("SoftmaxLanes.lanes(s)", s=scores)
            for name, lane in softmax_lanes.lanes(scores).items():
                close(theirs[name]["exps"], lane.exps)
                close(theirs[name]["probs"], lane.probs)

    def test_where_each_format_overflows(self, js):
        assert softmax_lanes.largest_score("fp16") == 11.0859375
        assert round(softmax_lanes.largest_score("fp32"), 2) == 88.72
        for scores, spoiled in (([11.0859375], set()), ([11.1], {"naive fp16"}), ([88.73], {"naive fp16", "naive fp32"})):
            scores = [*scores, 0, 0, 0, 0]
            ours = {name for name, lane in softmax_lanes.lanes(scores).items() if np.isnan(lane.probs).any()}
            theirs = {name for name, lane in js("SoftmaxLanes.lanes(s)", s=scores).items() if np.isnan(lane["probs"]).any()}
            assert ours == theirs == spoiled

    def test_a_shift_changes_nothing_exactly(self, js):
        scores = softmax_lanes.DEFAULTS["scores"]
        shifted = js("SoftmaxLanes.exact(SoftmaxLanes.changed(s, 100, 1)).probs", s=scores)
        np.testing.assert_allclose(shifted, softmax_lanes.exact(scores), rtol=1e-12)
        close(js("SoftmaxLanes.changed(s, 3, 0.7)", s=scores), softmax_lanes.changed(scores, shift=3, temperature=0.7))


class TestOnlineSoftmax:
    def random_cases(self):
        rng = np.random.default_rng(2)
        for _ in range(60):
            count, size = int(rng.integers(1, 40)), int(rng.integers(1, 9))
            yield [round(float(x), 1) for x in rng.uniform(-2, 4, count)], size

    def test_it_starts_with_nothing_seen(self):
        assert online_softmax.DEFAULTS["scores"] == [] and online_softmax.DEFAULTS["step"] == 0
        assert online_softmax.trace([], 4) == []

    def test_streaming_equals_two_passes(self):
        for scores, size in [*self.random_cases(), *((list(p), 4) for p in online_softmax.PRESETS.values())]:
            check = online_softmax.check(scores, size)
            np.testing.assert_allclose(check.lse, check.two_pass_lse, rtol=1e-12)
            assert check.error <= 1e-12

    @pytest.mark.parametrize("rescale", [True, False], ids=["rescale", "no_rescale"])
    @pytest.mark.parametrize("guard", [True, False], ids=["guard", "no_guard"])
    def test_every_micro_step_agrees(self, js, rescale, guard):
        for scores, size in [*self.random_cases(), *((list(p), 4) for p in online_softmax.PRESETS.values())]:
            ours = online_softmax.trace(scores, size, rescale=rescale, guard=guard)
            theirs = js("OnlineSoftmax.trace(s, n, r, g)", s=scores, n=size, r=rescale, g=guard)
            assert [step.phase for step in ours] == [step["phase"] for step in theirs]
            for field in ("block", "m_block", "m_new", "alpha", "m_i", "l_i", "acc"):
                close([step[field] for step in theirs], [getattr(step, field) for step in ours])
            check = online_softmax.check(scores, size, rescale=rescale, guard=guard)
            answer = js("OnlineSoftmax.check(s, n, r, g)", s=scores, n=size, r=rescale, g=guard)
            np.testing.assert_allclose(answer["error"], check.error, atol=1e-12)
            close([answer["lse"], answer["two_pass_lse"]], [check.lse, check.two_pass_lse], rtol=1e-11)

    @pytest.mark.parametrize(("preset", "error"), [("descending", 0.0), ("constant", 0.0), ("ascending", 0.39)])
    def test_without_the_rescale_the_order_decides(self, preset, error):
        assert round(online_softmax.check(online_softmax.PRESETS[preset], 4, rescale=False).error, 2) == error

    def test_without_the_guard_a_masked_first_block_is_nan(self):
        scores = online_softmax.PRESETS["first block masked"]
        assert np.isnan(online_softmax.check(scores, 4, guard=False).error)
        assert online_softmax.check(scores, 4).error < 1e-12


class TestDecodeAttention:
    INPUTS = {name: decode_attention.DEFAULTS[name] for name in ("query", "keys", "values")}

    def test_the_chapters_numbers(self):
        a = decode_attention.attention(**self.INPUTS)
        assert [f"{s:.2f}" for s in a.scores] == ["0.59", "1.00", "0.06", "0.75"]
        assert [f"{s:.3f}" for s in a.scaled] == ["0.295", "0.500", "0.030", "0.375"]
        assert [f"{w:.3f}" for w in a.weights] == ["0.245", "0.301", "0.188", "0.266"]
        np.testing.assert_allclose(a.out, [0.6155, 0.4105], atol=5e-5)

    def test_every_step_agrees(self, js):
        rng = np.random.default_rng(3)
        for _ in range(50):
            state = {
                "query": rng.standard_normal(4),
                "keys": rng.standard_normal((4, 4)),
                "values": rng.standard_normal((4, 2)),
            }
            options = {"sharpness": float(rng.uniform(0, 20)), "scaled": bool(rng.integers(2))}
            ours = decode_attention.attention(**state, **options)
            theirs = js("DecodeAttention.attention(state)", state={**{k: v.tolist() for k, v in state.items()}, **options})
            for field in ("scores", "scaled", "weights", "out"):
                np.testing.assert_allclose(theirs[field], getattr(ours, field), rtol=1e-9, atol=1e-12)

    @pytest.mark.parametrize("size", [1, 2, 3, 4])
    def test_blocks_give_the_same_output(self, size, js):
        a = decode_attention.attention(**self.INPUTS)
        ours = decode_attention.in_blocks(a.scaled, self.INPUTS["values"], size)
        theirs = js("DecodeAttention.inBlocks(s, v, n)", s=a.scaled, v=self.INPUTS["values"], n=size)

        np.testing.assert_allclose(ours[-1].acc / ours[-1].l_i, a.out, rtol=1e-12)
        for mine, other in zip(ours, theirs, strict=True):
            close([other["m_i"], other["alpha"], other["l_i"], *other["acc"]], [mine.m_i, mine.alpha, mine.l_i, *mine.acc])

    def test_bytes_of_each_step(self, js):
        sizes = {"seqlen_kv": 4096, "head_dim": 128, "value_dim": 128}
        assert decode_attention.step_bytes(**sizes) == js("DecodeAttention.stepBytes(s)", s=sizes)
        assert decode_attention.step_bytes(**sizes)[1] == 2 * 4096 * 2


class TestMemoryTraffic:
    @pytest.mark.parametrize(
        ("seqlen", "num_heads", "stored"),
        [(4096, 1, 32 * 2**20), (131072, 1, 32 * 2**30), (131072, 32, 1024 * 2**30)],
        ids=["4k", "128k", "128k_32_heads"],
    )
    def test_the_chapters_sizes(self, seqlen, num_heads, stored, js):
        sizes = {"seqlen": seqlen, "num_heads": num_heads, "score_bytes": 2}
        assert memory_traffic.scores_bytes(**sizes) == stored
        assert js("MemoryTraffic.scoresBytes(s)", s=sizes) == stored

    def test_the_quizs_answer(self):
        assert memory_traffic.scores_bytes(seqlen=8192, num_heads=1, score_bytes=4) == 256 * 2**20

    def test_at_64_queries_and_d_128_flash_moves_what_naive_moves(self):
        moved = memory_traffic.moved(seqlen=8192, head_dim=128, num_heads=1, element_bytes=2, score_bytes=2, tile=64)
        assert [size // 2**20 for size in moved] == [520, 516, 8]

    def test_traffic_agrees(self, js):
        rng = np.random.default_rng(4)
        for _ in range(50):
            sizes = {
                "seqlen": int(rng.integers(1, 2**17)), "head_dim": int(rng.choice([64, 128])),
                "num_heads": int(rng.integers(1, 64)),
                "element_bytes": 2, "score_bytes": int(rng.choice([2, 4])), "tile": int(rng.integers(16, 257)),
            }  # fmt: skip
            ours, theirs = memory_traffic.moved(**sizes), js("MemoryTraffic.moved(s)", s=sizes)
            assert (theirs["naive"], theirs["flash"], theirs["least"]) == ours
            assert js("MemoryTraffic.flashBytes(s)", s=sizes) == memory_traffic.flash_bytes(
                seqlen=sizes["seqlen"], num_heads=sizes["num_heads"]
            )

    def test_a_cache_in_three_formats(self, js):
        sizes = {"kv_len": 8192, "num_heads_kv": 8, "head_dim": 128, "batch": 1}
        ours = [memory_traffic.cache_bytes(cache, **sizes) for cache in memory_traffic.CACHE_BITS]
        assert [round(size / 1e6, 1) for size in ours] == [33.6, 16.8, 9.4]
        assert [js("MemoryTraffic.cacheBytes(c, s)", c=cache, s=sizes) for cache in memory_traffic.CACHE_BITS] == ours
        assert round(ours[0] / ours[2], 2) == 3.56
        assert js("MemoryTraffic.decodeUs(3e9, 3000)") == memory_traffic.decode_us(3e9, 3000) == 1000


class TestTileMap:
    SIZES = [(128, 64, 32), (100, 64, 32), (130, 128, 64), (128, 64, 64), (128, 32, 64), (1, 16, 16), (257, 16, 128)]

    @pytest.mark.parametrize(("seqlen", "block_m", "block_n"), SIZES)
    @pytest.mark.parametrize("causal", [True, False], ids=["causal", "full"])
    @pytest.mark.parametrize("guard", [True, False], ids=["guard", "no_guard"])
    def test_tiles_and_lost_rows_agree(self, seqlen, block_m, block_n, causal, guard, js):
        sizes = {"seqlen": seqlen, "block_m": block_m, "block_n": block_n, "causal": causal}
        assert js("TileMap.tiles(s)", s=sizes) == tile_map.tiles(**sizes)
        assert js("TileMap.nanRows(s)", s={**sizes, "guard": guard}) == tile_map.nan_rows(**sizes, guard=guard)
        padded = tile_map.padded_share(seqlen=seqlen, block_m=block_m, block_n=block_n)
        close(js("TileMap.paddedShare(s)", s=sizes), padded)

    @pytest.mark.parametrize(
        ("sizes", "lost"),
        list(zip(SIZES[:5], [64, 64, 66, 0, 0], strict=True)),
        ids=["64x32", "ragged", "128x64", "square", "wide"],
    )
    def test_rows_lost_without_the_guard(self, sizes, lost):
        seqlen, block_m, block_n = sizes
        options = {"seqlen": seqlen, "block_m": block_m, "block_n": block_n}
        assert len(tile_map.nan_rows(**options, causal=True, guard=False)) == lost
        assert tile_map.nan_rows(**options, causal=True, guard=True) == []

    def test_shared_memory(self, js):
        sizes = {"block_m": 128, "block_n": 64, "head_dim": 128, "stages": 1}
        assert tile_map.shared_bytes(**sizes) == js("TileMap.sharedBytes(s)", s=sizes) == 64 * 1024


class TestRoofline:
    def test_roofs_and_workloads_agree(self, js):
        for roof in roofline.SHEETS:
            close(js("Roofline.ridge(roof)", roof=roof._asdict()), roofline.ridge(roof))
            for intensity in (0.25, 4, roofline.ridge(roof), 1e5):
                ours = roofline.attainable(roof, intensity)
                close(js("Roofline.attainable(roof, i)", roof=roof._asdict(), i=intensity), ours)
        for cache, bits in memory_traffic.CACHE_BITS.items():
            theirs = js("Roofline.decodeIntensity(8, MemoryTraffic.CACHE_BITS[cache] / 8)", cache=cache)
            close(theirs, roofline.decode_intensity(8, bits / 8))
        for seqlen in (1, 63, 64, 65, 4096):
            for causal in (True, False):
                close(
                    js("Roofline.prefillIntensity(n, 2, c)", n=seqlen, c=causal),
                    roofline.prefill_intensity(seqlen, causal=causal),
                )
                tiled = roofline.tiled_intensity(seqlen, 64, causal=causal)
                close(js("Roofline.tiledIntensity(n, 64, 2, c)", n=seqlen, c=causal), tiled)

    def test_reading_k_and_v_once_for_every_tile_costs_the_intensity(self):
        assert roofline.tiled_intensity(64, 64) == roofline.prefill_intensity(64)
        assert roofline.tiled_intensity(65536, 64) == pytest.approx(64, rel=0.01)
        assert roofline.tiled_intensity(65536, 64, causal=True) == pytest.approx(64, rel=0.01)
