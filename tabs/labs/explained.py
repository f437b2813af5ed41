"""Where the chapter explains a diagnosis: the section, and the state of its figure that shows the very mistake.

A rule is found by the diagnosis's name. A lab's own mistake that has none is explained by the section that the lab needs first,
one of Triton's by the section on Triton.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from collections.abc import Mapping
from html import escape
from typing import Any

import labs
from tabs.figures import bits, dot_product, online_softmax, scaling, softmax_lanes, tile_map
from tabs.labs.way import titles_of_tabs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Passage:
    """A section by its tab, and a figure in a state; `shows` says what is seen there."""

    names: str  # of diagnoses, as a pattern
    tab: str
    shows: str
    figure: str = ""
    state: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_ASCENDING = {**online_softmax.DEFAULTS, "scores": online_softmax.PRESETS["ascending"], "step": 8}

PLACES = (
    Passage(
        names=r"max_not_subtracted|shared_maximum|one_max_for_all_rows|minimum_subtracted|not_finite",
        tab="normalization",
        shows="a score of 100 in four lanes",
        figure="softmax-lanes",
        state={**softmax_lanes.DEFAULTS, "scores": [100, *softmax_lanes.DEFAULTS["scores"][1:]]},
    ),
    Passage(
        names=r"max_starts_at_zero",
        tab="normalization",
        shows="the same scores, 100 lower",
        figure="softmax-lanes",
        state={**softmax_lanes.DEFAULTS, "shift": -100},
    ),
    Passage(
        names=r".*_rescaled|each_tile_alone|max_replaced|normalised_on_the_way|sum_of_last_tile|(only_)?last_tile_only|only_last_tile",
        tab="online",
        shows="a climbing row, its old sum not rescaled",
        figure="online-softmax",
        state={**_ASCENDING, "rescale": False},
    ),
    Passage(
        names=r"fully_masked_tile|masked_first_block|no_visible_key.*",
        tab="tiling",
        shows="tiles that are masked entirely, without a guard",
        figure="tile-map",
        state={**tile_map.DEFAULTS, "block_m": 64, "block_n": 16, "guard": False},
    ),
    Passage(
        names=r"diagonal.*|.*causal|top_left|mask_.*|masked_.*|hidden_.*|past_hidden|window.*|both_sides|quadratic_memory|race",
        tab="tiling",
        shows="which tiles a causal mask hides",
        figure="tile-map",
        state=tile_map.DEFAULTS,
    ),
    Passage(
        names=r"scale_(?!mantissa|bias).*|no_scale",
        tab="similarity",
        shows="what the scale does to scores",
        figure="scaling",
        state=scaling.DEFAULTS,
    ),
    Passage(
        names=r"components_lost|last_component_lost|key_with_itself|absolute|mean_of_products|key_transposed|value_transposed",
        tab="similarity",
        shows="one query against each key",
        figure="dot-product",
        state=dot_product.DEFAULTS,
    ),
    Passage(
        names=r"padding.*|base_two|not_normalised|no_division|divided.*|log_softmax|temperature_sign|over_.*|uniform|.*in_fp16|fp16_sum",
        tab="normalization",
        shows="softmax in four ways",
        figure="softmax-lanes",
        state=softmax_lanes.DEFAULTS,
    ),
    Passage(
        names=r"e5m2|exponent_bias|subnormals.*|block_scale_(e5m2|as_number)|scale_(mantissa|bias).*",
        tab="precision",
        shows="an E4M3 code, bit by bit",
        figure="bits",
        state={**bits.DEFAULTS, "format": "e4m3", "bits": 0x39},
    ),
    Passage(
        names=r"sign_ignored|codes_.*|half_.*|nibble_order|halves_not_pairs",
        tab="precision",
        shows="a four-bit code, bit by bit",
        figure="bits",
        state={**bits.DEFAULTS, "format": "e2m1", "bits": 0x1},
    ),
    Passage(
        names=r".*global.*|block_.*|first_block_scale|scales_.*|no_block_scale|dequantised_copy",
        tab="precision",
        shows="blocks and their scales",
    ),
    Passage(
        names=r".*split.*|.*partials|lse_.*|merge_.*|weighed_.*|remainder_dropped",
        tab="online",
        shows="how two parts of a row are merged",
    ),
    Passage(
        names=r"kv_len_ignored|first_kv_len|.*head.*|.*group.*|no_keys|nan_beyond_kv_len",
        tab="memory",
        shows="what decoding reads",
    ),
)


TRITON = "triton"  # the section on programs, lanes, masks and strides


def place_of(name: str, lab_id: str) -> Passage | None:
    """Where `name` is explained to whoever does that lab; None where the chapter has no section for it."""
    found = next((place for place in PLACES if re.fullmatch(place.names, name)), None)
    if found is not None:
        return found
    lab = labs.load(lab_id).lab
    own = name in {*(oracle.name for oracle in lab.oracles), *(symptom.name for symptom in lab.symptoms)}
    tab = next((tab for tab in (lab.needs if own else (TRITON,)) if tab in titles_of_tabs()), None)
    return Passage(names=re.escape(name), tab=tab, shows="") if tab else None


def link_to(place: Passage) -> str:
    """The address of the section with its figure in that state (tabs/figures/figure.js reads it)."""
    if not place.figure:
        return f"?tab={place.tab}"
    text = json.dumps(place.state, separators=(",", ":")).encode()
    return f"?tab={place.tab}&state={place.figure}.{base64.urlsafe_b64encode(text).decode().rstrip('=')}"


def explained(name: str, lab_id: str) -> str:
    """The link as HTML; empty where there is nothing to link to."""
    place = place_of(name, lab_id) if lab_id in labs.lab_ids() else None
    if place is None:
        return ""
    title = escape(titles_of_tabs()[place.tab])
    shows = f", with {escape(place.shows)}" if place.figure else f": {escape(place.shows)}" if place.shows else ""
    return f'<p class="read">Explained in <a href="{escape(link_to(place))}">{title}</a>{shows}.</p>'
