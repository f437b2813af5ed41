"""The kinds of bugs that the hunt asks for: a taxonomy over the names of the labs' mistakes.

A mistake is of the kind that its name stands under. Where one name means two things in two labs, one of them stands with its
lab: "lab07_decode/one_key_too_many". A mistake whose name stands nowhere is no task of the hunt.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """`title` and `says` are for learners; `mistakes` are names, separated by blanks."""

    name: str
    title: str
    says: str
    mistakes: str


KINDS = (
    Kind(
        name="mask",
        title="Mask",
        says="A lane that should be off takes part, or one that should be on does not.",
        mistakes="""store_without_mask padding_takes_part padding_is_zero padding_not_given padded_heads_stored last_column_lost
        last_component_lost last_key_lost last_key_dropped kv_len_ignored first_kv_len nan_beyond_kv_len masked_with_zero
        lab07_decode/one_key_too_many
        dkey_store_not_masked""",
    ),
    Kind(
        name="sight",
        title="Who sees whom",
        says="A query sees keys that it must not see, or misses some that it must: causality, alignment, window.",
        mistakes="""causal not_causal diagonal_excluded mask_of_the_tile past_hidden top_left one_key_too_many one_key_too_few
        both_sides window_ignored
        keys_not_masked backward_top_left""",
    ),
    Kind(
        name="coverage",
        title="Work left out",
        says="The grid or a loop does not reach everything: rows, tiles, heads, splits.",
        mistakes="""one_tile_a_row whole_tiles_only half_of_the_rows components_lost last_tile_lost first_tile_written
        first_tile_only one_tile_of_queries tail_lost tail_dropped diagonal_tile_skipped one_sequence one_head_per_group
        only_first_split remainder_dropped odd_channels whole_tiles_of_the_window
        last_queries_dropped first_head_of_the_group lse_not_written lab12_backward/last_tile_only""",
    ),
    Kind(
        name="address",
        title="Wrong address",
        says="The right tensor is read or written at the wrong place: row, tile, head, axis.",
        mistakes="""first_row_again first_tile_again rows_reversed shifted_by_one head_ignored batch_and_head_swapped
        head_modulo first_query_of_group key_transposed value_transposed
        probs_not_transposed dscores_not_transposed backward_head_modulo first_batch_of_dout""",
    ),
    Kind(
        name="stride",
        title="Stride assumed",
        says="A tensor is taken for contiguous, and a view of a larger one has gaps between its rows.",
        mistakes="""stride_assumed value_strides_assumed query_stride_assumed query_strides_assumed cache_strides_assumed
        strides_assumed scale_strides_assumed
        cache_stride_assumed dout_stride_of_out""",
    ),
    Kind(
        name="operand",
        title="Wrong operand",
        says="Another tensor or another operation stands where the formula has its own.",
        mistakes="""doubled offsets_stored zeros absolute_value key_with_itself key_as_value log_softmax sign_of_the_exponent
        softmax_missing
        delta_missing delta_of_dout delta_not_weighed dvalue_from_dscores dkey_from_probs dprobs_from_key dkey_dvalue_exchanged
        lse_without_maximum lse_is_maximum""",
    ),
    Kind(
        name="scale",
        title="softmax_scale",
        says="The scores are not multiplied by softmax_scale exactly once.",
        mistakes="""scale_forgotten scale_ignored scale_one_over_d scale_twice scale_divided no_scale scale_from_head_dim
        scores_not_scaled_again dquery_not_scaled dkey_not_scaled neither_scaled dquery_scaled_twice dvalue_scaled""",
    ),
    Kind(
        name="maximum",
        title="The row's maximum",
        says="What is subtracted before exp is not the row's own maximum, so exp overflows or all of a row vanishes.",
        mistakes="""max_not_subtracted max_starts_at_zero minimum_subtracted one_max_for_all_rows shared_maximum
        maximum_before_mask""",
    ),
    Kind(
        name="empty",
        title="A row without keys",
        says="A row or a tile sees nothing: −inf − (−inf) or 0 / 0 is NaN.",
        mistakes="""masked_first_block fully_masked_tile diagonal_first no_visible_key nothing_for_no_key no_keys
        empty_split""",
    ),
    Kind(
        name="rescale",
        title="Rescaling",
        says="When the running maximum grows, what was summed before is not brought to the new one.",
        mistakes="""sum_not_rescaled sum_not_rescaled_small_tile acc_not_rescaled nothing_rescaled sum_replaced last_tile_only
        each_tile_alone max_replaced""",
    ),
    Kind(
        name="division",
        title="Normalisation",
        says="The division by the sum is missing, made twice, or by something else.",
        mistakes="""not_normalised no_division divided_by_cols divided_by_length divided_twice mean_of_products
        merge_not_divided""",
    ),
    Kind(
        name="order",
        title="Order of steps",
        says="The right steps come in the wrong order or along the wrong axis, or programs race.",
        mistakes="""normalised_on_the_way masked_after_the_softmax softmax_over_the_queries
        added_without_atomics""",
    ),
    Kind(
        name="base",
        title="Base of exp and log",
        says="Base 2 and base e are mixed: exp2 without log2(e), log2 beside exp.",
        mistakes="""exp2_without_log2e base_two log2_of_the_sum lse_in_base_two merge_in_base_two
        lse_in_base_2 lse_in_the_wrong_base scaled_in_base_2""",
    ),
    Kind(
        name="merge",
        title="Merging splits",
        says="Partial results are put together with weights that are not exp(lse − max).",
        mistakes="""mean_of_partials sum_of_partials weighed_by_maximum weighed_by_sum weights_exchanged""",
    ),
    Kind(
        name="precision",
        title="Precision",
        says="Numbers pass through fp16 where fp32 is needed, and are rounded or overflow.",
        mistakes="""through_fp16 sum_in_fp16 rounded_to_fp16 scores_in_fp16 weights_in_fp16 acc_in_fp16
        dprobs_in_fp16 query_rounded""",
    ),
    Kind(
        name="code",
        title="Decoding a number",
        says="The bits of an FP8 or NVFP4 code are read wrongly: sign, exponent, mantissa, nibble.",
        mistakes="""e5m2 codes_as_numbers exponent_bias sign_ignored signed_bytes subnormals_lost subnormals_with_one scale_e5m2
        block_scale_as_number codes_as_magnitudes codes_as_signed_numbers half_lost half_with_one halves_not_pairs nibble_order
        scale_bias scale_mantissa_dropped""",
    ),
    Kind(
        name="dequantise",
        title="Scale of a cache",
        says="The scale of a quantised cache is missing, taken from elsewhere, or applied to the wrong values.",
        mistakes="""divided_by_scale first_scale key_scale_for_value key_scale_missing value_scale_missing scales_missing
        scales_swapped block_of_32 block_scale_shifted first_block_scale no_block_scale scales_interleaved globals_missing
        globals_swapped key_global_for_value key_global_missing value_global_missing""",
    ),
    Kind(
        name="rule",
        title="Not allowed",
        says="Triton or the lab does not allow it: a tile whose size is no power of two, torch doing the exercise.",
        mistakes="""arange_of_cols group_not_a_power_of_two library_softmax torch_dequantises host_reads_kv_len""",
    ),
)


@functools.cache
def by_name() -> Mapping[str, Kind]:
    """The kinds by their names, in their order."""
    return {kind.name: kind for kind in KINDS}


def kind_of(lab_id: str, mistake: str) -> Kind | None:
    """The kind of a mistake; None where its name stands under none."""
    return _kinds().get(f"{lab_id}/{mistake}") or _kinds().get(mistake)


@functools.cache
def _kinds() -> Mapping[str, Kind]:
    """By mistake.

    Raises:
        ValueError: a mistake stands under two kinds.
    """
    found: dict[str, Kind] = {}
    for kind in KINDS:
        for mistake in kind.mistakes.split():
            if mistake in found:
                raise ValueError(f"mistake {mistake} stands under {found[mistake].name} and {kind.name}: expected one kind")
            found[mistake] = kind
    return found
