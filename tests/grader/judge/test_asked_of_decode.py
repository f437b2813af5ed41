"""What decode kernels are asked besides: whose value and weights come out, how parts are joined, terms of no key, constants."""

import math

import pytest
import torch

from grader.judge.diagnosis.accounts.attention import READERS
from grader.judge.diagnosis.accounts.parts import MERGES, merged
from grader.judge.diagnosis.probes.battery import questions
from grader.judge.diagnosis.probes.merges import WEIGHTS
from labs import load
from tests.grader.judge.test_inquiry import LAB7, LAB9, LAB10, diagnosed, finding, way

SWINGS = "128 keys whose scores swing, and fall or climb"


def read(lab_id, name, compute):
    lab = load(lab_id).lab
    question = next(each for each in questions(lab, lab_id) if each.name == name)
    return question.read([finding(lab, case, compute) for case in question.cases])


def runs(length):
    return lambda lane, n: (lane // length).expand(len(n), -1)


@pytest.mark.parametrize("factor", [0.986, 1.09])
def test_a_constant_with_a_wrong_digit_is_measured_and_foretells(factor):
    found = diagnosed(LAB7, way(LAB7, base=factor), cases=4)

    assert found.diagnosis.name == "scores_by_a_constant"
    assert f"counts {factor} times" in found.diagnosis.sentence


def with_terms(number):
    """Right but for terms of score 0 and value 0 in the sum: `number(kv_len)` of them, [batch]."""

    def compute(inputs):
        a = READERS[load(LAB7).lab.kind](inputs)
        seen = (torch.arange(a.keys) < a.kv_len[:, None])[:, None, None, :]
        total = torch.exp(a.scores().masked_fill(~seen, -math.inf)).sum(-1)
        more = number(a.kv_len)[:, None, None]
        return way(LAB7)(inputs) * (total / (total + more).clamp(min=1e-300)).reshape(*inputs["query"].shape[:2], 1)

    return compute


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (lambda kv_len: torch.full_like(kv_len, 5), "5 beside 128 keys (case small)"),
        (lambda kv_len: kv_len % 7, "2 beside 128 keys (case small)"),
    ],
)
def test_terms_that_no_key_has_are_counted(number, said):
    found = diagnosed(LAB7, with_terms(number), cases=3).diagnosis

    assert found.name == "terms_without_key"
    assert said in found.sentence


def test_no_terms_are_counted_where_heads_would_have_other_numbers_of_them():
    def compute(inputs):
        out = way(LAB7)(inputs)
        return out * (0.9 + 0.02 * (torch.arange(out.shape[1]) % 3))[:, None]

    assert diagnosed(LAB7, compute, cases=3).diagnosis.name == "measured"


def shifted(inputs):
    """Rows of value from 64 on are read one row late."""
    value = inputs["value"].clone()
    value[:, :, 64:] = value[:, :, 64:].roll(-1, dims=2)
    return way(LAB7)({**inputs, "value": value})


def test_the_value_that_comes_out_for_a_key_is_told():
    got = read(LAB7, "peaks", shifted).fact.got

    assert got.startswith("where key 64 has it, the value of key 65 comes out")
    assert got.endswith("(keys 0 to 63 are right)")


def test_a_key_that_is_lost_is_no_matter_of_whose_value_comes_out():
    assert read(LAB7, "peaks", way(LAB7, keys=lambda lane, n: lane < n // 64 * 64 - 1)) is None


def test_channels_that_are_exchanged_are_no_matter_of_whose_value_comes_out():
    def compute(inputs):
        codes = inputs["key_codes"]
        return way(LAB10)({**inputs, "key_codes": codes >> 4 | (codes & 15) << 4})

    assert read(LAB10, "peaks", compute) is None


@pytest.mark.parametrize(
    ("lab_id", "weight", "said"),
    [
        (LAB7, MERGES[0][2], "e^lse, where lse is in base 2"),
        (LAB9, MERGES[4][2], "exp(m) alone: its sum l is missing"),
        (LAB7, MERGES[5][2], "its sum l alone: exp(m) is missing"),
        (LAB9, lambda m, total: torch.exp(m / math.log(2)) * total, "exp(m) · l, where m is in base 2"),
        (LAB10, lambda m, total: torch.exp(0.5 * m) * total**0.7, "exp(0.5 · m + 0.7 · ln l)"),
        (LAB10, lambda m, total: torch.exp(m) * (1.0 + total), "exp(m) · (1 + l): 1 is added to l before its logarithm"),
    ],
    ids=["base", "maxima", "sums", "maxima_in_base_2", "none_that_is_known", "one_more"],
)
def test_what_parts_are_weighed_by_is_read_off_the_weights(lab_id, weight, said):
    fact = read(lab_id, "merge_128", way(lab_id, after=(merged(runs(32), weight),))).fact

    assert fact.given == f"{SWINGS}: parts of them (keys 0 to 31 / 32 to 63 / 64 to 95 …) are joined, each weighed by"
    assert fact.got == said


def joined(length, weight):
    """Parts of so many keys, each right by itself, joined with weights whose logarithms `weight` makes of their m and ln l."""

    def compute(inputs):
        a = READERS[load(LAB7).lab.kind](inputs)
        parts = [a.scores()[..., at : at + length] for at in range(0, a.keys, length)]
        m = torch.stack([part.amax(-1) for part in parts], dim=-1)
        log_l = torch.stack([torch.logsumexp(part, -1) for part in parts], dim=-1) - m
        weights = torch.softmax(weight(m.flatten(0, -2), log_l.flatten(0, -2)), -1).view_as(m)
        power = torch.cat([torch.softmax(part, -1) * weights[..., [at]] for at, part in enumerate(parts)], dim=-1)
        return (power @ a.by_head(a.value)).reshape(a.out_shape)

    return compute


@pytest.mark.parametrize("length", [64, 43, 32, 16])
@pytest.mark.parametrize("words", [words for words, _ in WEIGHTS[:7] + WEIGHTS[-4:]])
def test_two_parts_are_enough_where_the_way_is_known(words, length):
    got = read(LAB7, "merge_128", joined(length, dict(WEIGHTS)[words]))

    if length == 64 and words.startswith("an old maximum"):  # that of the only pair is needed by none
        assert got is None
    else:
        assert got.fact.got == words


def test_what_parts_hand_over_in_fp16_is_told_where_that_has_few_digits():
    words = next(words for words, _ in WEIGHTS if words.startswith("exp(lse), where lse is in fp16"))

    assert read(LAB7, "merge_512_low", joined(47, dict(WEIGHTS)[words])).fact.got == words


def test_tiles_that_are_not_rescaled_are_told_as_what_is_joined_without():
    got = read(LAB7, "merge_128", way(LAB7, tile=32, acc_power=0.0)).fact.got

    assert got.endswith("what was joined before is not brought to a new maximum")


@pytest.mark.parametrize(
    "changes", [{"base": 1.2}, {"tile": 32, "keys": lambda lane, n: lane > 3}, {"tile": 32, "late": "acc"}]
)
def test_parts_are_not_spoken_of_where_it_is_not_they_that_are_joined_wrongly(changes):
    assert read(LAB7, "merge_128", way(LAB7, **changes)) is None


@pytest.mark.parametrize("name", ["nvfp4_key_codes", "nvfp4_meeting", "key_global_score"])
def test_parts_that_are_joined_wrongly_are_no_matter_of_codes_and_scales_of_keys(name):
    """Where launchers deal few keys out as well."""
    for weight in (MERGES[0][2], MERGES[6][2]):
        compute = way(LAB10, after=(merged(lambda lane, n: lane // ((n + 3) // 4).clamp(min=1), weight),))
        assert read(LAB10, name, compute) is None


def test_a_heads_weights_that_are_another_heads_are_told():
    def compute(inputs):
        out = way(LAB7)(inputs)
        return torch.cat((out[:, :4], out[:, 3:4], out[:, 5:]), dim=1)

    assert read(LAB7, "heads_1_2_5", compute).fact.got == "batch 0, head 4 gets the weights of batch 0, head 3"


def test_weights_of_the_right_ratios_are_told_by_their_sum():
    assert read(LAB7, "weights_1_12", lambda inputs: 0.25 * way(LAB7)(inputs)).fact.got == (
        "the weights of the query sum to 0.25, and have the right ratios"
    )


def test_runs_of_weights_that_are_off_by_one_factor_each_are_told():
    compute = way(LAB7, after=(merged(lambda lane, n: (lane // 20).expand(len(n), -1), MERGES[6][2]),))

    assert read(LAB7, "weights_1_40", compute).fact.got.startswith("weights of the query are off: keys 0 to 19 by the factor ")


def test_a_kv_len_by_head_is_told():
    def compute(inputs):
        group = inputs["query"].shape[1] // inputs["key"].shape[1]
        each = [
            way(LAB7)({**inputs, "kv_len": inputs["kv_len"].roll(-head % len(inputs["kv_len"]))})[:, head * group :][:, :group]
            for head in range(inputs["key"].shape[1])
        ]
        return torch.cat(each, dim=1)

    assert read(LAB7, "kv_heads", compute).fact.got.startswith("batch 0, head 2 counts ")


def test_codes_of_another_format_are_told_by_its_name():
    def compute(inputs):
        value = inputs["value"].view(torch.float8_e5m2).double() * inputs["value_scale"].double()[:, None, None]
        a = READERS["fp8"](inputs)
        return (torch.softmax(a.scores(), -1) @ a.by_head(value)).reshape(a.out_shape)

    assert "as if they were E5M2" in read(LAB9, "fp8_value_codes", compute).fact.given


def test_answers_that_are_off_by_little_and_in_no_way_that_is_known_are_called_so():
    def compute(inputs):
        out = way(LAB7)(inputs)
        generator = torch.Generator().manual_seed(out.numel())
        return out * (1 + 4e-3 * torch.randn(out.shape, generator=generator, dtype=out.dtype))

    assert diagnosed(LAB7, compute, cases=3, asked=False).diagnosis.name == "few_bits"
