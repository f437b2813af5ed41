"""Rows that hang on each other, and answers that hang on earlier calls: asked for, measured, and named only where they do."""

import pytest
import torch
from test_inquiry import LAB2, LAB5, LAB6, SEED, diagnosed, finding, way

from grader.judge.case.inputs import prepare
from grader.judge.diagnosis.accounts.sources import SOURCES
from grader.judge.diagnosis.diagnose import Inquiry
from grader.judge.diagnosis.oracles import _shared_sentence
from grader.judge.diagnosis.probes.carried import carried, may_carry
from grader.judge.diagnosis.probes.heads import values_of_heads
from grader.judge.diagnosis.probes.peaks import peaks
from labs import load


def scores_of(inputs):
    """[.., rows, keys], float64; of lab 2 or of an attention lab."""
    if "x" in inputs:
        return inputs["x"].double()
    return inputs["query"].double() @ inputs["key"].double().transpose(-1, -2) * inputs["softmax_scale"]


def finished(weights, inputs):
    return weights if "x" in inputs else weights @ inputs["value"].double()


def along_rows(inputs):
    """What is summed for one row is summed over the rows of its tile, without a rule that foretells it."""
    s = scores_of(inputs)
    power = torch.exp(s - s.amax(-1, keepdim=True))
    return finished(power / (power.sum(-1, keepdim=True) + 0.3 * power.sum((-1, -2), keepdim=True)), inputs)


@pytest.mark.parametrize("lab_id", [LAB2, LAB5])
def test_rows_that_are_mixed_are_named_where_no_rule_foretells_how(lab_id):
    found = diagnosed(lab_id, along_rows)

    assert found.diagnosis.name == "rows_mixed"
    assert found.facts[0].given.startswith("one number of ")
    assert found.facts[0].got.endswith("change as well")


def test_heads_that_read_each_other_are_no_mixed_rows():
    mixed = next(change for name, _, change in SOURCES if name == "first_head_query")

    assert diagnosed(LAB5, lambda inputs: way(LAB5, before=(mixed,))(inputs) * 0.7).diagnosis.name != "rows_mixed"


def kept_over(programs):
    """Program p computes rows p, p + programs …, and its sum goes on from one to the next."""

    def answered(inputs):
        s = scores_of(inputs).flatten(end_dim=-2) if "x" not in inputs else scores_of(inputs)
        power, m = torch.exp(s - s.amax(-1, keepdim=True)), s.amax(-1)
        total = power.sum(-1)
        for row in range(programs, len(total)):
            total[row] = total[row] + total[row - programs] * torch.exp(m[row - programs] - m[row])
        weights = power / total[:, None]
        return weights if "x" in inputs else finished(weights.reshape(scores_of(inputs).shape), inputs)

    return answered


def read_carried(lab_id, compute):
    lab = load(lab_id).lab
    (question,) = carried(lab, lab.kind)
    return question.read([finding(lab, each, compute) for each in question.cases])


@pytest.mark.parametrize(("lab_id", "what"), [(LAB2, "row"), (LAB5, "head")])
def test_what_goes_on_into_the_next_row_is_seen(lab_id, what):
    reading = read_carried(lab_id, kept_over(7))

    assert reading.fact.got.startswith(f"{what}s 7, 14, 21, 28")
    assert reading.cause.name == "carried_over"
    assert f"{what} 7 changes" in reading.cause.sentence


@pytest.mark.parametrize("lab_id", [LAB2, LAB5, LAB6])
def test_nothing_is_carried_where_rows_are_apart_or_all_read_the_first(lab_id):
    assert read_carried(lab_id, way(lab_id)) is None
    assert read_carried(lab_id, lambda inputs: way(lab_id)(inputs) * 3.0) is None
    if lab_id != LAB2:
        first = next(change for name, _, change in SOURCES if name == "first_head_query")
        assert read_carried(lab_id, way(lab_id, before=(first,))) is None


def judged(lab_id, compute):
    lab = load(lab_id).lab
    return lab, [finding(lab, prepare(lab, each, SEED), compute) for each in lab.cases if each.group == "visible"]


def test_it_is_asked_where_cases_of_many_rows_fail():
    lab, wrong = judged(LAB5, way(LAB5, divisions=2))
    _, right = judged(LAB5, lab.expected)
    many = [each for each in wrong if each.prepared.case.name in ("twice_as_long", "ragged_tail_129")]

    assert may_carry(many, right)
    assert not may_carry(wrong, right)
    assert not may_carry(many, [])


def test_a_symptom_of_heads_is_not_said_where_one_head_alone_is_wrong():
    """State that goes on into the next tile of queries is wrong for one head as well."""

    def answered(inputs):
        right = lab.expected(inputs)
        heads, rows = right.shape[:2].numel(), right.shape[2]
        return right if heads * -(-rows // 64) == 1 else right * torch.linspace(1, 2, rows)[:, None]

    lab = load(LAB5).lab
    _, findings = judged(LAB5, answered)

    assert any(each.failed and each.prepared.tensors["query"].shape[:2].numel() == 1 for each in findings)
    assert Inquiry(lab, LAB5, findings).diagnose().diagnosis.name != "head_offset"


def test_the_first_keys_of_a_rows_last_tile_are_no_values_of_others():
    """Where all keys but those of the last tile are lost, the row's last key comes out: it was not read for another."""
    lab = load(LAB6).lab
    (question,) = peaks(lab, lab.kind)

    def last_tile(a):
        first = torch.arange(a.rows)[:, None] // 32 * 32
        return a.visible() & (torch.arange(a.keys)[None, :] >= first)

    lost = [finding(lab, each, way(LAB6, visible=last_tile)) for each in question.cases]
    shifted = way(LAB6, before=(lambda a: a.but(value=a.value.roll(-32, dims=2)),))

    assert question.read(lost) is None
    assert question.read([finding(lab, each, shifted) for each in question.cases]) is not None


def test_levels_of_two_bugs_are_told_where_they_stand():
    assert _shared_sentence(["⟨0.001⟩ is added. And: lanes count as ⟨0⟩."]) == "0.001 is added. And: lanes count as 0."
    assert _shared_sentence(["lanes count as ⟨-50⟩.", "lanes count as ⟨-20⟩."]) == "lanes count as −50 to −20."


def split_with_tiles(inputs, tile=128):
    """The sequence is program id // heads % batch, where tiles of queries are counted in the program id, too."""
    lab = load(LAB5).lab
    right = lab.expected(inputs)
    (batch, heads), rows = right.shape[:2], right.shape[2]
    tiles = -(-rows // tile)
    out = torch.empty_like(right)
    for program in range(batch * heads * tiles):
        place, head = program // tiles, program // tiles % heads
        other = program // heads % batch
        at = slice(program % tiles * tile, (program % tiles + 1) * tile)
        out[place // heads, head, at] = right[other, head, at] if other != place // heads else right[place // heads, head, at]
    return out


def test_sequences_that_are_exchanged_where_heads_have_several_tiles_are_caught_and_told():
    lab = load(LAB5).lab
    case = next(each for each in lab.cases if each.name == "tiles_of_several_heads")
    (question,) = (each for each in values_of_heads(lab, lab.kind) if each.name == "values_2_2_136")

    assert finding(lab, prepare(lab, case, SEED), split_with_tiles).failed
    assert not any(each.failed for each in judged(LAB5, split_with_tiles)[1])
    reading = question.read([finding(lab, each, split_with_tiles) for each in question.cases])
    assert "batch 0, head 1 gets value of batch 1, head 1" in reading.fact.got
    assert question.read([finding(lab, each, lab.expected) for each in question.cases]) is None
