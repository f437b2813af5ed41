"""A kernel that is wrong in a known way is named so, from its cases and its answers; any other gets facts and no name."""

import dataclasses
import functools
import math
import time

import pytest
import torch

from grader.judge.case.inputs import prepare
from grader.judge.case.judged import Finding
from grader.judge.diagnosis.accounts.attention import READERS
from grader.judge.diagnosis.accounts.keys import held_at_the_end
from grader.judge.diagnosis.accounts.masks import of_one_query, turned_in_tiles, up_to_a_tile, window_by_tiles
from grader.judge.diagnosis.accounts.parts import (
    MERGES,
    largest_of_sums,
    merged,
    of_own_softmax,
    overlapping,
    parts_exchanged,
    put_together,
)
from grader.judge.diagnosis.accounts.passes import (
    SECOND_PASSES,
    divided_by_the_whole,
    first_pass,
    floored,
    last_pass,
    last_pass_mixed,
    log_sum,
    not_zero,
    of_row_zero,
    of_running_maximum,
    of_some_steps,
    second_pass,
    softmax_twice,
    summed_down,
    summed_in_tile,
    summed_together,
    under_older_maximum,
    under_sum_so_far,
    up_to_a_masked_tile,
)
from grader.judge.diagnosis.accounts.rules import accounts
from grader.judge.diagnosis.accounts.sources import SOURCES, of_channels, stored_as
from grader.judge.diagnosis.accounts.way import Way, answer
from grader.judge.diagnosis.diagnose import Inquiry
from grader.judge.diagnosis.oracles import Suspects
from grader.judge.diagnosis.probes import asking, battery
from grader.judge.diagnosis.probes.asking import AskedQuestion, ask, telling
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading
from grader.judge.diagnosis.symptoms import denied
from grader.judge.judging import _answer_depends_on
from grader.judge.verdict.gate import compare, limit_for
from grader.report import Diagnosis, Fact, Verdict
from labs import load

SEED = b"a seed known to the tests alone!"
LAB2, LAB5, LAB6, LAB7 = "lab02_safe_softmax", "lab05_flash_attention", "lab06_causal", "lab07_decode"
LAB1, LAB3, LAB9, LAB11 = "lab01_scores", "lab03_online_softmax", "lab09_fp8_kv", "lab11_sliding_window"
LAB4, LAB10 = "lab04_naive_attention", "lab10_nvfp4_kv"


def even_and_odd(lane, n):
    return (lane // 32 % 2).expand(len(n), -1)


def part_of(length):
    return lambda lane, n: (lane // length).expand(len(n), -1)


def halves_of(lane, n):
    return lane // ((n + 1) // 2)


def finding(lab, prepared, compute):
    """The case judged, as answered by `compute(inputs)`."""
    out = compute(prepared.inputs).to(prepared.out_dtype)
    expected = lab.expected(prepared.inputs)
    comparison = compare(out, expected, limit_for(prepared.out_dtype, lab.score_scale(prepared.inputs), prepared.case.limit))
    unwritten = torch.zeros(out.shape, dtype=torch.bool)
    return Finding(
        prepared=prepared, verdict=comparison.verdict, out=out, expected=expected, comparison=comparison, unwritten=unwritten
    )


def diagnosed(lab_id, compute, *, cases=14, asked=True):
    lab = load(lab_id).lab
    chosen = [case for case in lab.cases if case.group == "visible"][:cases]
    findings = [finding(lab, prepare(lab, case, SEED), compute) for case in chosen]
    inquiry = Inquiry(lab, lab_id, findings)
    run = lambda prepared, stop: (finding(lab, each, compute) for each in prepared)  # noqa: E731
    told = {"cancelled": lambda: False, "clock": time.thread_time, "enough": inquiry.few_are_enough}
    answered = ask(inquiry.questions(), run, **told) if asked else ()
    return inquiry.diagnose(answered)


def way(lab_id, **changes):
    return lambda inputs: answer(Way(**changes), READERS[load(lab_id).lab.kind](inputs))


@pytest.mark.parametrize(
    ("lab_id", "changes", "name"),
    [
        (LAB2, {"base": math.log(2.0)}, "base_two"),
        (LAB2, {"tile": -1, "padding": -30.0}, "padding_takes_part"),
        (LAB2, {"tile": -1, "padding": 0.0, "padding_in": "max", "empty": "nan"}, "padding_in_maximum"),
        (LAB2, {"extra": 1}, "one_term_too_many"),
        (LAB2, {"after": (last_pass(1.0, 1.0, 0.0),)}, "last_pass_without_maximum"),
        (LAB2, {"after": (summed_together(4, one_maximum=False),)}, "sum_of_rows"),
        (LAB2, {"after": (summed_together(2, one_maximum=True),)}, "sum_of_rows"),
        (LAB2, {"added": 1e-3}, "added_to_sum"),
        (LAB2, {"after": (softmax_twice,)}, "softmax_twice"),
        (LAB4, {"after": (softmax_twice,)}, "softmax_twice"),
        (LAB2, {"after": (functools.partial(floored, level=-1.0),)}, "exponent_floored"),
        (LAB3, {"base": 0.7}, "scores_by_a_constant"),
        (LAB5, {"tile": 16, "divided": "own", "divisions": 0}, "tile_divided_in_each_step"),
        (LAB3, {"visible": not_zero, "empty": "nan"}, "zeros_left_out"),
        (LAB3, {"after": (of_own_softmax(part_of(512), none=0.0),)}, "parts_alone"),
        (LAB3, {"after": (largest_of_sums(lambda lane, n: (lane % 256).expand(len(n), -1)),)}, "sums_not_added"),
        (LAB3, {"after": (of_running_maximum(512),)}, "numerators_not_rescaled"),
        (LAB5, {"tile": 16, "divided": "old", "divisions": 0}, "acc_divided_in_each_step"),
        (LAB5, {"tile": 32, "divided": "tile", "divisions": 0}, "tile_divided_in_each_step"),
        (LAB4, {"after": (put_together(part_of(32), count=0, mean=False, none=0.0),)}, "parts_added"),
        (LAB5, {"after": (put_together(halves_of, count=2, mean=True, none=0.0),)}, "parts_averaged"),
        (LAB2, {"tile": -1, "padding": -math.log(2.0)}, "padding_takes_part"),  # −1 in base 2
        (LAB2, {"after": (summed_down(4, repeats=False),)}, "sum_over_rows"),
        (LAB2, {"after": (last_pass_mixed(1.0, "lm"),)}, "last_pass_lm"),
        (LAB3, {"after": (last_pass_mixed(1 / math.log(2.0), "ll"),)}, "last_pass_ll"),
        (LAB3, {"after": (last_pass(math.log(2.0), 1.0, 1 / math.log(2.0)),)}, "last_pass_x_in_base_e"),
        (LAB3, {"after": (last_pass(1 / math.log(2.0), 1.0, 1.0),)}, "last_pass_exp_for_exp2"),
        (LAB2, {"after": (log_sum(math.log(2.0), 1.0),)}, "log_of_other_base"),
        (LAB2, {"after": (log_sum(1.0, 1 / math.log(2.0)),)}, "exp_of_other_base"),
        (LAB3, {"after": (of_row_zero("s"),)}, "statistics_of_row_zero"),
        (LAB3, {"after": (of_row_zero("l"),)}, "statistics_of_row_zero"),
        (LAB3, {"tile": 1024, "late": "sum", "start": -1e9}, "sum_rescaled_late"),
        (LAB5, {"tile": 32, "late": "acc"}, "acc_rescaled_late"),
        (LAB3, {"tile": 1024, "counted_keys": lambda lane, n: lane >= 1024}, "first_tile_lost_in_sum"),
        (LAB5, {"visible": lambda a: (torch.arange(a.keys) < a.rows)[None, None, None]}, "keys_up_to_seqlen_q"),
        (LAB5, {"divisions": 0, "after": (lambda out, a: out / a.keys,)}, "divided_by_keys"),
        (LAB5, {"tile": 64, "acc_power": 0.0}, "acc_not_rescaled"),
        (LAB5, {"tile": 64, "sum_power": math.log(2.0)}, "sum_rescaled_base_two"),
        (LAB5, {"product_keys": lambda lane, n: lane != n - 1}, "last_key_not_in_product"),
        (LAB6, {"visible": lambda a: (a.distance() <= 1)[None, None]}, "one_key_too_many"),
        (LAB7, {"extra": 2}, "empty_parts_count"),
        (LAB7, {"part": lambda lane, n: (lane % 32).expand(len(n), -1)}, "parts_not_weighed"),
        (LAB9, {"part": lambda lane, n: lane // ((n + 2) // 3).clamp(min=1), "unweighed": "sum"}, "parts_sums_not_weighed"),
        (LAB6, {"part": lambda lane, n: lane // ((n + 1) // 2).clamp(min=1), "unweighed": "acc"}, "parts_acc_not_weighed"),
        (LAB2, {"base": 1.44 * math.log(2.0)}, "log2e_short"),
        (LAB3, {"after": (first_pass(1.443 * math.log(2.0), 1.0),)}, "log2e_short_in_sum"),
        (LAB3, {"after": (last_pass(1.0, 1.0, 1 / math.log(2.0)),)}, "last_pass_m_in_base_two"),
        (LAB3, {"part": lambda lane, n: (lane % 256).expand(len(n), -1), "unweighed": "sum"}, "parts_sums_not_weighed"),
        (LAB3, {"tile": 1024, "sum_power": math.inf}, "sum_thrown_away"),
        (LAB5, {"tile": 32, "acc_power": math.inf}, "acc_thrown_away"),
        (LAB5, {"tile": 32, "from_tile": "both"}, "both_rescaled_by_tile"),
        (LAB5, {"part": even_and_odd, "unweighed": "sum", "part_only": 1}, "one_parts_sums_not_weighed"),
        (LAB5, {"part": even_and_odd, "unweighed": "acc", "part_only": 0}, "one_parts_acc_not_weighed"),
        (
            LAB5,
            {"tile": 32, "maximum": "unscaled", "unscaled": math.log(2.0), "empty": "nan", "narrow": "product"},
            "max_not_scaled",
        ),
        (LAB5, {"tile": 32, "padding": 0.0, "keys": lambda lane, n: lane <= n}, "one_lane_too_many"),
        (LAB5, {"tile": 32, "late": "acc", "narrow": "product"}, "acc_rescaled_late"),
        (LAB5, {"after": (second_pass(SECOND_PASSES[0][2], half=True),)}, "second_pass_not_scaled"),
        (LAB6, {"after": (second_pass(SECOND_PASSES[2][2], half=False),)}, "second_pass_base_two"),
        (LAB3, {"times": lambda lane, n: overlapping(lane, n, count=4, tile=128)}, "parts_overlap"),
        (LAB5, {"after": (merged(even_and_odd, MERGES[0][2]),)}, "merged_exp"),
        (LAB6, {"visible": lambda a: up_to_a_tile(a, rows=32, tile=16, diagonal=False)}, "diagonal_left_out"),
        (
            LAB9,
            {"tile": 32, "maximum": "undecoded", "unscaled": math.log(2.0), "empty": "zero", "narrow": "product"},
            "max_not_scaled",
        ),
        (LAB10, {"tile": 64, "maximum": "undecoded", "empty": "nan", "narrow": "product"}, "max_not_scaled"),
        *(
            (LAB11, {"visible": functools.partial(window_by_tiles, rows=rows, tile=tile, edge=edge)}, name)
            for rows, tile, edge, name in (
                (64, 32, "late", "window_begins_late"),
                (64, 32, "late_clamped", "window_begins_late"),
                (16, 16, "counted", "window_tiles_too_few"),
                (32, 64, "counted_from_edge", "window_tiles_too_few"),
            )
        ),
        (LAB6, {"visible": lambda a: up_to_a_tile(a, rows=16, tile=32, diagonal=True)}, "end_rounded_down"),
        (LAB6, {"visible": lambda a: turned_in_tiles(a, tile=32)}, "mask_not_turned"),
        (LAB6, {"visible": lambda a: of_one_query(a, rows=32, last=False)}, "mask_of_one_query"),
        (LAB6, {"visible": lambda a: (a.distance() <= 2 * (a.rows - a.keys))[None, None]}, "shift_turned"),
        (LAB6, {"after": (of_some_steps(32, 16, lost="l", crossed=True, none=1.0, rescaled=False),)}, "sum_of_one_loop"),
        (LAB6, {"after": (of_some_steps(32, 32, lost="acc", crossed=False, none=0.0),)}, "acc_of_one_loop"),
        (LAB3, {"after": (up_to_a_masked_tile(1024),)}, "ends_at_masked_tile"),
        (LAB3, {"after": (under_older_maximum(1024),)}, "last_pass_older_maximum"),
        (LAB3, {"after": (under_sum_so_far(1024),)}, "last_pass_sum_so_far"),
        (LAB2, {"times": functools.partial(held_at_the_end, tile=-1)}, "last_key_again"),
        (LAB5, {"tile": 32, "times": functools.partial(held_at_the_end, tile=32)}, "last_key_again"),
        (LAB3, {"after": (parts_exchanged(part_of(1024)),)}, "statistics_of_parts"),
        (LAB4, {"after": (stored_as((0, 2, 1, 3)),)}, "out_by_sequence"),
        (LAB5, {"before": (of_channels(32),)}, "scores_of_some_channels"),
        (LAB4, {"after": (summed_in_tile(32, filled=True),)}, "sum_of_rows"),
        (LAB4, {"after": (divided_by_the_whole(32, half=False),)}, "acc_divided_in_each_step"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_known_bug_is_named_and_facts_are_measured(lab_id, changes, name):
    found = diagnosed(lab_id, way(lab_id, **changes), cases=17)  # the first of several heads among them

    assert found.diagnosis.name == name, found
    assert 1 <= len(found.facts) <= 3
    assert "⟨" not in found.diagnosis.sentence


def test_an_unknown_bug_gets_facts_and_no_name():
    right = way(LAB5)

    found = diagnosed(LAB5, lambda inputs: right(inputs) * (1.0 + 0.2 * torch.sin(torch.arange(inputs["query"].shape[-1]))))

    assert found.diagnosis.name == "measured"
    assert found.diagnosis.sentence.startswith(found.facts[0].given[0].upper() + found.facts[0].given[1:])
    assert found.picture.kind == "weights"


def test_two_bugs_at_once_are_both_said_or_none_is_named():
    found = diagnosed(LAB5, way(LAB5, divisions=0, base=math.log(2.0))).diagnosis

    assert found.name == "measured" or (
        "Two things are wrong." in found.sentence and "never divided" in found.sentence and "powers of 2" in found.sentence
    )


def test_whose_value_a_head_gets_is_asked_early_and_told_among_the_first_three():
    def told(**of_heads):
        readings = {name: Reading(fact=Fact(given=name, got="", expected="")) for name in ("key_scale", "equal_64", "kv_len_1")}
        readings |= {"weights_12": Reading(fact=Fact(given="weights_12", got="", expected=""))}
        readings = {
            "key_scale": readings.pop("key_scale"),
            "values_3": Reading(fact=Fact(given="values_3", got="", expected=""), **of_heads),
        } | readings
        asked = [
            AskedQuestion(question=KernelQuestion(name=name, cases=(), read=lambda found: None), findings=(), reading=reading)
            for name, reading in readings.items()
        ]
        return [reading.fact.given for reading in telling(asked)]

    assert told(whose=True) == ["key_scale", "equal_64", "values_3", "kv_len_1", "weights_12"]
    assert told() == ["key_scale", "equal_64", "kv_len_1", "weights_12", "values_3"]
    names = [question.name for question in battery.questions(load(LAB7).lab, LAB7)]
    assert names.index("values_3_3_1") < min(
        names.index(name) for name in ("equal_64", "weights_1_12", "slope") if name in names
    )


def test_what_weighs_little_and_is_left_out_is_told():
    right = way(LAB7)

    def weighed(inputs, kept):
        a = READERS["decode"](inputs)
        weights = torch.softmax(a.scores(), dim=-1)
        return (weights * kept(weights) @ a.by_head(a.value)).reshape(a.out_shape)

    def without_small(inputs):
        return weighed(inputs, lambda weights: weights > 1e-3 * weights.amax(-1, keepdim=True))

    def until_little(inputs):
        def kept(weights):
            of_tiles = weights.unflatten(-1, (-1, 64)).sum(-1)
            return (of_tiles >= 1e-3 * of_tiles.cumsum(-1)).cumprod(-1).repeat_interleave(64, dim=-1)

        return weighed(inputs, kept)

    assert read(LAB7, "small_weights", without_small).fact.got == "keys at scores of −6.985 and less have the weight 0"
    assert read(LAB7, "hills", until_little).fact.got == "keys 192 to 207 weigh nothing"
    for name in ("small_weights", "hills"):
        assert read(LAB7, name, right) is None
        assert read(LAB7, name, way(LAB7, divisions=0)) is None


def test_a_pattern_of_lengths_is_denied_where_heads_are_mixed():
    """ "Right where seqlen_q equals seqlen_kv" is not so then."""
    wrong = {"weights_12_20": False, "values_3_3_1": True}

    for name in ("window_alignment", "mask_alignment"):
        symptom = next(each for lab in (LAB6, LAB11) for each in load(lab).lab.symptoms if each.name == name)
        assert not denied(symptom, wrong)
        assert denied(symptom, {**wrong, "values_3_3_1": False})
    merge = next(each for each in load("lab08_split_kv").lab.symptoms if each.name == "merge_weights")
    assert denied(merge, {"step_4": False, "values_3_3_1": False})


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"tile": 32, "padding": 0.0, "acc_power": 0.0}, ("the sum counts 32 keys", "the first half weighs")),
        (
            {"visible": lambda a: (a.distance() < 0)[None, None], "base": 0.5},
            ("gives a weight to none", "the first half weighs"),
        ),
    ],
)
def test_facts_of_two_bugs_are_of_both(changes, facts):
    """Whatever comes of a wrong sum, or of a wrong mask, is told once: then comes what they do not explain."""
    found = diagnosed(LAB5 if "tile" in changes else LAB6, way(LAB5 if "tile" in changes else LAB6, **changes))

    said = " ".join(fact.got for fact in found.facts)
    assert all(each in said for each in facts), found.facts


def test_keys_of_another_head_are_told_whatever_the_scores_count():
    """The logarithms of the weights go by its scores in a straight line."""
    right = way(LAB5, base=math.log(2.0))
    firsts = lambda inputs: right({**inputs, "key": inputs["key"][:1].expand_as(inputs["key"])})  # noqa: E731

    fact = read(LAB5, "heads_3_3_1", firsts).fact

    assert fact.got.startswith("query ") and "has weights that go by the keys of batch 0, head" in fact.got
    assert "go by the keys" not in read(LAB5, "heads_3_3_1", right).fact.got


def test_keys_that_are_hidden_and_should_be_seen_deny_that_hidden_ones_are_seen_alone():
    """A mask that is turned round in a way that no rule knows."""
    hides = lambda a: (a.distance() <= 0) ^ ((torch.arange(a.rows) % 8)[:, None] < (torch.arange(a.keys) % 8)[None, :])  # noqa: E731
    shows = lambda a: (a.distance() <= 0) | ((torch.arange(a.keys) % 8)[None, :] > 5)  # noqa: E731
    right = lambda a: a.rows == 1  # noqa: E731
    named = [
        diagnosed(LAB6, way(LAB6, visible=lambda a, seen=seen: (seen(a) | right(a))[None, None]), cases=20).diagnosis.name
        for seen in (hides, shows)
    ]

    assert named == ["measured", "hidden_keys"]


def test_what_a_kernel_answers_besides_denies_a_rule():
    lab = load(LAB2).lab
    cases = [prepare(lab, case, SEED) for case in lab.cases[1:4]]
    wrong, right = (
        [finding(lab, case, compute) for case in cases] for compute in (way(LAB2, base=math.log(2.0)), lab.expected)
    )
    suspects = Suspects(lab.oracles, accounts(lab.kind), wrong)

    assert [rule.name for rule in suspects.left(wrong)] == ["base_two"]
    assert suspects.left(right) == []


def test_a_right_kernel_is_asked_nothing():
    lab = load(LAB5).lab
    findings = [finding(lab, prepare(lab, case, SEED), lab.expected) for case in lab.cases[:4]]

    assert list(Inquiry(lab, LAB5, findings).questions()) == []


def test_a_load_outside_value_in_a_case_that_lays_key_out_is_a_matter_of_strides():
    lab = load(LAB5).lab
    findings = [finding(lab, prepare(lab, case, SEED), lab.expected) for case in lab.cases if case.group == "visible"][:24]
    own = Diagnosis(sentence="Line 9: A load reaches 40 elements past the end of value: mask the lanes beyond it.", line=9)
    findings = [
        dataclasses.replace(each, verdict=Verdict.OUT_OF_BOUNDS, out=None, own=own) if each.name == "strided_key" else each
        for each in findings
    ]

    inquiry = Inquiry(lab, LAB5, findings)

    assert inquiry.diagnose().diagnosis.sentence.startswith("value is addressed with the strides of key")
    assert [question.name for question in inquiry.questions()] == ["layouts"]


def read(lab_id, name, compute):
    """What the question of that name reads off `compute`."""
    lab = load(lab_id).lab
    question = next(each for each in battery.questions(lab, lab_id) if each.name == name)
    return question.read([finding(lab, case, compute) for case in question.cases])


def source(name):
    return next(change for each, _, change in SOURCES if each == name)


def test_one_number_that_changes_more_than_its_rows_is_a_fact():
    right = way(LAB5)

    fact = read(LAB5, "reach", lambda inputs: right(inputs) + 0.1 * inputs["query"].double().mean()).fact

    assert fact.given == "one number of query 3 of batch 1, head 1 changed"
    assert fact.got.startswith("batch 0, head 0, row 0;")
    assert fact.got.endswith("change as well")


def test_one_number_that_changes_nothing_is_a_fact():
    fact = read(LAB5, "reach", way(LAB5, before=(source("first_batch_query"),))).fact

    assert fact.got == "batch 1, head 1, row 3 stays as it was"
    assert read(LAB5, "reach", way(LAB5)) is None


def test_weights_in_another_base_are_not_taken_for_codes():
    fact = read(LAB9, "fp8_key_codes", way(LAB9, base=math.log(2.0))).fact

    assert (fact.given, fact.got) == ("scores of keys of every code", "0.6931 times query · key")


@pytest.mark.parametrize("name", ["fp8_key_codes", "key_scale_score"])
def test_value_that_is_read_elsewhere_says_nothing_of_scores(name):
    right = way(LAB9)

    def overlapping(inputs):
        """Row n of value begins n elements after the first: its stride is 1."""
        value = inputs["value"]
        rows = [value.flatten(2)[..., row : row + value.shape[3]] for row in range(value.shape[2])]
        return right({**inputs, "value": torch.stack(rows, dim=2)})

    def again(inputs):
        """The first key is counted twice."""
        twice = {part: torch.cat((inputs[part], inputs[part][:, :, :1]), dim=2) for part in ("key", "value")}
        return right({**inputs, **twice, "kv_len": inputs["kv_len"] + 1})

    assert read(LAB9, name, overlapping) is None
    assert read(LAB9, name, again) is None


@pytest.mark.parametrize(
    ("compute", "got"),
    [
        (lambda out: out * (0.5 + 0.5 * (torch.arange(6) != 2))[:, None], "batch 0, head 2 gets 0.5 times its own"),
        (lambda out: 0.5 * out.roll(2, dims=1), "batch 0, head 0 is 2 and 32, which is no head's"),
        (lambda out: out.roll(2, dims=1), "batch 0, head 0 gets value of batch 0, head 2"),
    ],
)  # fmt: skip
def test_another_heads_value_is_told_from_a_share_of_ones_own(compute, got):
    right = way(LAB7)

    assert read(LAB7, "values_3_3_1", lambda inputs: compute(right(inputs))).fact.got.startswith(got)


@pytest.mark.parametrize(
    ("factor", "given", "got"),
    [
        (lambda codes: torch.full_like(codes, 2.0), "every code of value", "2 times its number"),
        (lambda codes: 1.0 - 0.5 * (codes.abs() < 1), "codes of value, 110 of 254 differ, each by the factor 0.5", "01 as"),
    ],
)  # fmt: skip
def test_one_factor_for_all_codes_is_no_matter_of_the_table(factor, given, got):
    right = way(LAB9)

    fact = read(LAB9, "fp8_value_codes", lambda inputs: right(inputs) * factor(right(inputs))).fact

    assert fact.given == given and fact.got.startswith(got)


def test_one_key_whose_weight_is_right_is_no_matter_of_counts():
    right = way(LAB5)

    fact = read(LAB5, "equal_1", lambda inputs: right(inputs)[..., :1].expand(inputs["query"].shape)).fact

    assert (fact.given, fact.got) == ("one key, value 0 in channel 1", "channel 1 of out is 256")


def out_of_bounds(findings, *names):
    own = Diagnosis(sentence="Case outside: Memory outside a tensor was touched.")
    return [
        dataclasses.replace(each, verdict=Verdict.OUT_OF_BOUNDS, out=None, own=own) if each.name in names else each
        for each in findings
    ]


def test_only_tensors_that_lie_far_apart_are_a_matter_of_32_bits():
    lab = load(LAB5).lab
    chosen = [case for case in lab.cases if case.name in ("ones", "batch_heads", "far_apart_key")]
    findings = [finding(lab, prepare(lab, case, SEED), lab.expected) for case in chosen]

    inquiry = Inquiry(lab, LAB5, out_of_bounds(findings, "far_apart_key"))

    assert inquiry.diagnose().diagnosis.name == "far_strides"
    assert "into key is computed in 32 bits" in inquiry.diagnose().diagnosis.sentence
    assert [question.name for question in inquiry.questions()] == ["far_apart"]
    assert Inquiry(lab, LAB5, out_of_bounds(findings, "far_apart_key", "ones")).diagnose().diagnosis.name != "far_strides"


def test_what_is_not_written_far_apart_is_no_matter_of_32_bits():
    """A grid that goes by the distance between rows is too short for rows that lie very far apart."""
    lab = load(LAB3).lab
    cases = [prepare(lab, case, SEED) for case in lab.cases if case.name in ("random", "row_levels", "far_apart")]
    findings = [finding(lab, case, lab.expected) for case in cases]
    lacking = torch.zeros_like(findings[-1].unwritten)
    lacking[1:] = True
    findings[-1] = dataclasses.replace(findings[-1], verdict=Verdict.NOT_WRITTEN, unwritten=lacking)

    said = Inquiry(lab, LAB3, findings).diagnose().diagnosis

    assert said.name == "strides" and "count the gaps" in said.sentence


@pytest.mark.parametrize("name", ["strided_key", "far_apart_key"])
def test_a_case_that_took_too_long_says_nothing_of_addresses(name):
    lab = load(LAB5).lab
    chosen = [case for case in lab.cases if case.name in ("ones", "batch_heads", name)]
    findings = [finding(lab, prepare(lab, case, SEED), lab.expected) for case in chosen]
    own = Diagnosis(sentence="Too slow.", name="time_limit")
    late = [
        dataclasses.replace(each, verdict=Verdict.TIME_LIMIT, out=None, own=own) if each.name == name else each
        for each in findings
    ]

    assert Inquiry(lab, LAB5, late).diagnose().diagnosis.name == "time_limit"


def test_a_view_with_the_only_heads_is_no_matter_of_strides():
    """Where no contiguous case has two heads, it may as well be the head that is wrong."""
    lab = load(LAB11).lab
    cases = [case for case in lab.cases if case.group == "visible" and case.name in ("random", "strided", "batch_heads")]
    findings = [finding(lab, prepare(lab, case, SEED), lab.expected) for case in cases]
    one_head = [each for each in findings if each.name != "batch_heads"]

    assert Inquiry(lab, LAB11, out_of_bounds(findings, "strided")).diagnose().diagnosis.name == "strides"
    assert Inquiry(lab, LAB11, out_of_bounds(one_head, "strided")).diagnose().diagnosis.name != "strides"


def test_asking_keeps_to_its_calls_and_ends_when_it_is_cancelled(monkeypatch):
    lab = load(LAB5).lab
    findings = [finding(lab, prepare(lab, case, SEED), way(LAB5, divisions=0)) for case in lab.cases[:3]]
    calls = []

    def run(prepared, stop):
        for each in prepared:
            calls.append(each.case.name)
            yield finding(lab, each, lab.expected)

    monkeypatch.setattr(asking, "CALLS", 5)
    ask(Inquiry(lab, LAB5, findings).questions(), run, cancelled=lambda: False)
    assert len(calls) <= 6

    calls.clear()
    ask(Inquiry(lab, LAB5, findings).questions(), run, cancelled=lambda: True)
    assert calls == []

    monkeypatch.setattr(asking, "SECONDS", 1e-9)
    ask(Inquiry(lab, LAB5, findings).questions(), run, cancelled=lambda: False)
    assert calls == []
    ask(Inquiry(lab, LAB5, findings).questions(), run, cancelled=lambda: False, clock=lambda: 0.0)  # others took all the time
    assert len(calls) == 6


@pytest.mark.parametrize(
    ("lab_id", "compute", "name"),
    [
        ("lab00_roof", lambda given: given["x"][:, torch.arange(given["x"].shape[1]) % 256], "first_tile_again"),
        (LAB1, lambda given: _products(given)[:, (given["query"].shape[0] - 1) // 32 * 32 :].sum(-1), "last_chunk_only"),
        (LAB1, lambda given: _products(given).amax(-1), "largest_product"),
    ],
)
def test_a_wrong_answer_that_depends_on_a_width_is_named_whatever_the_width(lab_id, compute, name):
    assert diagnosed(lab_id, compute, asked=False).diagnosis.name == name


def _products(given):
    return given["key"].double() * given["query"].double() * given["softmax_scale"]


def _halves(codes):
    """The even channels in the first half of the row, the odd ones in the second."""
    nibbles = torch.cat((codes & 15, codes >> 4), dim=-1)
    return nibbles[..., 0::2] | nibbles[..., 1::2] << 4


@pytest.mark.parametrize(
    ("part", "name", "got"),
    [
        ("value_codes", "nvfp4_places", "channel 1 arrives in 16; channel 2 arrives in 1; channel 3 arrives in 17"),
        ("key_codes", "nvfp4_meeting", "channel 1 of query meets 2 of key; channel 2 of query meets 4 of key"),
    ],
)
def test_channels_in_other_places_are_no_matter_of_the_codes(part, name, got):
    compute = lambda inputs: way(LAB10)({**inputs, part: _halves(inputs[part])})  # noqa: E731

    assert read(LAB10, name, compute).fact.got.startswith(got)
    assert read(LAB10, "nvfp4_value_codes", compute) is None
    if name == "nvfp4_places":  # what else is read off channels would be said of the wrong ones
        assert [fact.given for fact in diagnosed(LAB10, compute).facts] == ["one channel of value is 1, the others 0"]
    assert read(LAB10, name, lambda inputs: 0.5 * way(LAB10)(inputs)) is None


@pytest.mark.parametrize(
    ("lab_id", "name", "wrong", "given"),
    [
        (
            LAB9,
            "fp8_value_codes",
            lambda x: x * (x.abs() >= 2.0**-6),
            "14 of 254 differ: those of exponent 0, the subnormal ones",
        ),
        (LAB9, "fp8_value_codes", lambda x: x.abs(), "126 of 254 differ: those with the sign bit set, each by the factor −1"),
        (LAB10, "nvfp4_value_codes", lambda x: x * (1 - (x.abs() == 3) / 6), "2 of 16 differ, each by the factor 0.8333"),
        (LAB10, "nvfp4_value_codes", lambda x: x * (1 - (x.abs() == 0.5) / 2), "2 of 16 differ: those of exponent 0"),
    ],
)
def test_codes_that_differ_say_what_they_share_and_end_the_asking(lab_id, name, wrong, given):
    compute = lambda inputs: wrong(way(lab_id)(inputs)) if len(inputs["query"]) in (1, 8) else way(lab_id)(inputs)  # noqa: E731

    reading = read(lab_id, name, compute)

    assert reading.fact.given.startswith(f"codes of value, {given}") and reading.alone


def test_what_is_read_off_the_codes_is_shown_alone():
    """Every 3 of value is a 2.5, of which all weights and heads would show something."""
    right = way(LAB10)

    def compute(inputs):
        codes = inputs["value_codes"]
        low, high = (torch.where(codes >> at & 7 == 5, codes & (15 << at), 0) for at in (0, 4))
        lost = {"value_codes": low | high, "value_scales": inputs["value_scales"]}
        return right(inputs) - right({**inputs, **lost}) / 6

    found = diagnosed(LAB10, compute)

    assert {fact.given.partition(",")[0] for fact in found.facts} == {"codes of value"}
    assert found.diagnosis.sentence.startswith("Codes of value, 2 of 16 differ")


def test_a_wrong_scale_of_value_is_no_matter_of_counts():
    compute = lambda inputs: way(LAB10)({**inputs, "value_global": inputs["key_global"]})  # noqa: E731

    assert read(LAB10, "kv_len_65_1", compute) is None and read(LAB10, "equal_64", compute) is None
    assert "counts 64 keys" in read(LAB10, "kv_len_65_1", way(LAB10, kv_len=lambda a: a.kv_len - 1)).fact.got


def test_scales_are_not_read_where_their_blocks_are_exchanged():
    """Each channel takes the scale of the block before it."""
    compute = lambda inputs: way(LAB10)({**inputs, "value_scales": inputs["value_scales"].roll(1, dims=-1)})  # noqa: E731

    assert "channel 0 comes out as 8" in read(LAB10, "nvfp4_blocks_value", compute).fact.got
    assert read(LAB10, "nvfp4_scale_codes", compute) is None
    assert read(LAB10, "nvfp4_blocks_value", lambda inputs: 0.5 * way(LAB10)(inputs)) is None  # of no block


def test_keys_that_are_counted_several_times_are_told_how_often():
    right = way(LAB7)

    def compute(inputs):
        out = right(inputs)
        return out * (1 + 2 * ((torch.arange(out.shape[-1]) >= 40) & (torch.arange(out.shape[-1]) < 44)))

    assert read(LAB7, "equal_64", compute).fact.got == "keys 40 to 43 count 3 times as much as key 0"


def test_a_rule_is_computed_for_the_case_that_it_is_asked_of():
    """Of two cases that share their first tensor each has its own numbers."""
    lab = load(LAB7).lab
    given = dict(prepare(lab, lab.cases[0], SEED).inputs)
    rule = accounts(lab.kind)[0]

    one, other = rule.answer(given), rule.answer({**given, "value": -given["value"]})

    assert torch.equal(one, -other) and bool(one.any())


@pytest.mark.parametrize("part", ["key", "value"])
def test_block_scales_of_other_keys_are_a_fact_of_their_own(part):
    """Each step takes the scales of the first 32 keys."""

    def compute(inputs):
        scales = inputs[f"{part}_scales"]
        return way(LAB10)({**inputs, f"{part}_scales": scales[:, :, torch.arange(scales.shape[2]) % 32]})

    fact = read(LAB10, f"nvfp4_scales_of_keys_{part}", compute).fact

    assert fact.got.startswith("key 32 gets 1;" if part == "value" else "key 32 gets 0.03")
    assert read(LAB10, "equal_64", compute) is None  # no key is lost
    assert read(LAB10, f"nvfp4_scales_of_keys_{part}", way(LAB10)) is None


@pytest.mark.parametrize(
    ("visible", "got", "expected"),
    [
        (
            lambda a: a.visible() | (a.distance() == -30)[None, None],
            "gives a weight to keys 0 to 30 (wrong are queries 30 to 99",
            "keys 1 to 30",
        ),
        (lambda a: a.visible() & (torch.arange(a.rows) != 40)[:, None], "query 40 gives a weight to none", "keys 11 to 40"),
    ],
)
def test_keys_that_a_window_should_hide_are_told_by_query(visible, got, expected):
    fact = read(LAB11, "seen_100_100", way(LAB11, visible=visible)).fact

    assert (got in fact.got) and fact.expected == expected
    assert read(LAB11, "seen_100_100", way(LAB11)) is None
    assert read(LAB11, "seen_100_100", way(LAB11, divisions=0)) is None  # the sum is wrong there, and not the mask
    assert read(LAB11, "seen_100_100", lambda inputs: 1e-3 * way(LAB11)(inputs)) is None  # a small weight is one, too


def test_nothing_is_said_to_follow_the_last_key():
    right = lambda inputs: inputs["key"].double() @ inputs["query"].double() * inputs["softmax_scale"]  # noqa: E731
    without = lambda inputs, keys: right(inputs).masked_fill(torch.arange(len(inputs["key"])) >= keys, 0.0)  # noqa: E731

    assert read(LAB1, "keys_129", lambda inputs: without(inputs, 128)).fact.got == "out[128] is 0; keys 0 to 127 are right"
    assert "what follows it is wrong as well" in read(LAB1, "keys_129", lambda inputs: without(inputs, 120)).fact.got


def test_what_comes_out_elsewhere_is_not_mixed_with_other_rows():
    right = way(LAB5)
    mixed = lambda inputs: right(inputs) + 0.5 * right(inputs).roll(1, dims=2)  # noqa: E731

    moved = read(LAB5, "apart", way(LAB5, after=(stored_as((0, 2, 1, 3)),)))

    assert moved.cause is None and moved.fact.got.endswith("batch 0, head 1, row 3 stays as it was")
    assert read(LAB5, "apart", mixed).cause.name == "rows_mixed"


def test_columns_of_unlike_weights_do_not_tell_what_the_sum_counts():
    so_far = way(LAB3, after=(under_sum_so_far(1024),))

    assert read(LAB3, "equal_1025", so_far).fact.got.startswith("the first column weighs")
    assert read(LAB3, "equal_1025", way(LAB3, extra=1)).fact.got == "the sum counts 1026"


def test_a_factor_that_hangs_on_the_width_is_measured():
    by_width = lambda inputs: torch.softmax(inputs["x"].double() / inputs["x"].shape[1] ** 0.5, dim=-1)  # noqa: E731

    assert read(LAB2, "slope", by_width).fact.got == "0.25 in a row of 16 columns, 0.125 in a row of 64 columns"
    assert read(LAB2, "slope", way(LAB2)) is None
    assert read(LAB2, "slope", way(LAB2, divisions=0)) is None  # the sum is wrong, and not what is exponentiated


@pytest.mark.parametrize(
    ("compute", "got"),
    [
        (lambda query, key: key @ query + 5.0, "5 too much in each of out"),
        (lambda query, key: (key @ query).clamp(min=0.0), "0 in the place of each negative score; the others are right"),
        (lambda query, key: key @ query.roll(1), "out[0] is −64, which is query[63]; so are 64 of 64"),
        (lambda query, key: key @ query.masked_fill(torch.arange(len(query)) > 9, 0.0), "components 10 to 63 add nothing"),
        (lambda query, key: key @ query * 2.0 + 1.0, "out[62] is 127"),
    ],
)
def test_what_becomes_of_each_component_is_told_as_it_is(compute, got):
    fact = read(LAB1, "components_64", lambda inputs: compute(inputs["query"], inputs["key"])).fact

    assert fact.got == got


def test_heads_that_mix_where_keys_are_many_are_told():
    """As where a merge takes another head's part of the second split."""
    right = way(LAB7)

    def compute(inputs):
        out = right(inputs)
        return out if inputs["key"].shape[2] < 64 else 0.9 * out + 0.1 * out.roll(1, dims=1)

    assert read(LAB7, "reach", compute) is None
    assert read(LAB7, "reach_200", compute).fact.got == "batch 1, head 3 changes as well"
    assert read(LAB7, "reach_200", right) is None


def test_of_views_that_fail_those_with_the_fewest_gaps_are_told():
    lab = load(LAB10).lab
    few, many = ("key_scales", "value_scales"), ("key_codes", "key_scales", "query", "value_codes", "value_scales")
    plain, few_wide = (next(case for case in lab.cases if case.name == name) for name in ("small", "strided_scales"))
    chosen = [plain, dataclasses.replace(few_wide, sizes=plain.sizes), dataclasses.replace(plain, name="all", strided=many)]
    findings = [finding(lab, prepare(lab, case, SEED), lab.expected) for case in chosen]

    sentence = Inquiry(lab, LAB10, out_of_bounds(findings, few_wide.name, "all")).diagnose().diagnosis.sentence

    assert f"{' and '.join(few)} have gaps" in sentence


def test_a_kernel_that_forgets_kv_len_is_not_refused_where_the_keys_beyond_weigh_nothing():
    lab = load(LAB7).lab
    case = next(case for case in lab.cases if case.name == "kv_len_uneven")
    prepared = prepare(lab, case, SEED)
    short = prepared.inputs["kv_len"]
    assert short.unique().numel() > 1
    beyond = torch.arange(prepared.inputs["key"].shape[2]) >= short[:, None]
    key = prepared.inputs["key"].masked_fill(beyond[:, None, :, None], 0.0)
    key[..., 0] = torch.where(beyond[:, None], -64.0, 64.0)  # the first channel alone decides: what lies beyond has no weight
    query = prepared.inputs["query"].clone()
    query[..., 0] = 64.0
    unseen = dataclasses.replace(prepared, inputs={**prepared.inputs, "key": key, "query": query})

    assert not _answer_depends_on(lab, finding(lab, unseen, lab.expected), "kv_len")
    assert _answer_depends_on(lab, finding(lab, prepared, lab.expected), "kv_len")
    assert _answer_depends_on(lab, finding(lab, prepared, lab.expected), "query")
