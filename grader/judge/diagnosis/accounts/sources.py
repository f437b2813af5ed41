"""Where query, key and value are read, and out is stored: other rows, heads, sequences, channels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch

from grader.judge.diagnosis.accounts.attention import Attention


def stored_as(order: tuple[int, ...]) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    """Right answers, whose axes [batch, heads, rows, head_dim] stand in out in another order."""
    return lambda out, a: out.permute(order).reshape(out.shape)


PLACES_OF_OUT = (
    ("out_by_sequence", "[batch, seqlen_q, heads, head_dim]", (0, 2, 1, 3)),
    ("out_heads_first", "[heads, batch, seqlen_q, head_dim]", (1, 0, 2, 3)),
    ("out_turned", "[batch, heads, head_dim, seqlen_q]", (0, 1, 3, 2)),
)


def _of(name: str, pick: Callable[[torch.Tensor, Attention], torch.Tensor]) -> Callable[[Attention], Attention]:
    """Some of query, key, value are taken from elsewhere."""
    return lambda a: a.but(**{part: pick(getattr(a, part), a) for part in name.split()})


def _first(axis: int) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    return lambda x, a: x.narrow(axis, 0, 1).expand_as(x)


def _exchanged(x: torch.Tensor, a: Attention) -> torch.Tensor:
    """The strides of batch and head exchanged: (b, h) holds what lies at (h, b), or nothing where that is outside."""
    batch, heads = x.shape[:2]
    place = torch.arange(batch * heads)
    source = place % heads * heads + place // heads
    taken = x.flatten(0, 1)[source.clamp(max=batch * heads - 1)]
    return taken.masked_fill((source >= batch * heads)[:, None, None], math.nan).view_as(x)


def _split_by_batch(x: torch.Tensor, a: Attention) -> torch.Tensor:
    """The program id split by the number of sequences: batch = pid % batch, head = pid // batch."""
    batch, heads = x.shape[:2]
    place = torch.arange(batch * heads)
    return x.flatten(0, 1)[place % batch * heads + place // batch].view_as(x)


def _following(shift: int) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    return lambda x, a: x.roll(-shift, dims=2)


def of_channels(count: int) -> Callable[[Attention], Attention]:
    """Query and key meet in so many channels, the first ones."""
    return _of("query", lambda x, a: x.masked_fill(torch.arange(x.shape[-1]) >= count, 0.0))


def without_rows(parts: str) -> Callable[[Attention], Attention]:
    """Rows from seqlen_q on are read as 0."""
    return _of(parts, lambda x, a: x.masked_fill((torch.arange(x.shape[2]) >= a.rows)[:, None], 0.0))


def _first_tile(tile: int) -> Callable[[torch.Tensor, Attention], torch.Tensor]:
    return lambda x, a: x[:, :, torch.arange(x.shape[2]) % tile]


def not_advanced(tile: int) -> Iterator[tuple[str, str, Callable[[Attention], Attention]]]:
    """The first tile's rows again at every step."""
    for parts in ("key", "value", "key value"):
        sentence = f"Each step reads the first tile of {parts.replace(' ', ' and ')} again ({tile} wide): it is not moved on."
        yield f"first_tile_again_{parts.replace(' ', '_')}", sentence, _of(parts, _first_tile(tile))


def _heads() -> Iterator[tuple[str, str, Callable[[Attention], Attention]]]:
    for parts in ("query", "key", "value", "key value", "query key value"):
        said = " and ".join(parts.rsplit(maxsplit=1)).replace("query key", "query, key")
        short = parts.replace(" ", "_")
        yield f"first_head_{short}", f"Every head reads {said} of head 0: the head's offset is missing.", _of(parts, _first(1))
        yield (
            f"first_batch_{short}",
            f"Every sequence reads {said} of batch 0: the batch's offset is missing.",
            _of(parts, _first(0)),
        )
        yield f"batch_head_swapped_{short}", f"Batch and head are exchanged in the address of {said}.", _of(parts, _exchanged)
        sentence = f"The program id is split into batch and head by the number of sequences, not of heads ({said})."
        yield f"split_by_batch_{short}", sentence, _of(parts, _split_by_batch)


SOURCES = (
    *_heads(),
    ("key_as_value", "The weights multiply key, not value.", lambda a: a.but(value=a.key)),
    ("value_as_key", "The scores are those of query and value, not of query and key.", lambda a: a.but(key=a.value)),
    ("value_shifted", "Rows of value are read one row late.", _of("value", _following(1))),
    ("value_shifted_back", "Rows of value are read one row early.", _of("value", _following(-1))),
    ("key_shifted", "Rows of key are read one row late.", _of("key", _following(1))),
)


def _modulo(x: torch.Tensor, a: Attention) -> torch.Tensor:
    """Query head h takes head h % heads_kv: the cache once for each query head."""
    heads = a.heads
    return x[:, torch.arange(heads) % x.shape[1]]


def _first_of_group(x: torch.Tensor, a: Attention) -> torch.Tensor:
    group = x.shape[1] // a.heads_kv
    return x[:, torch.arange(x.shape[1]) // group * group]


def _interleaved(x: torch.Tensor, a: Attention) -> torch.Tensor:
    """Query head g of group h takes the query of head g · heads_kv + h."""
    return x.unflatten(1, (-1, a.heads_kv)).transpose(1, 2).flatten(1, 2)


GROUPS = (
    (
        "query_heads_interleaved",
        "Member g of group h uses the query of head g · num_heads_kv + h: it is h · group_size + g, as in out.",
        _of("query", _interleaved),
    ),
    ("head_modulo", "Query head h reads cache head h % num_heads_kv: it is h // group_size.", _of("key value", _modulo)),
    ("head_modulo_key", "For key, query head h reads cache head h % num_heads_kv: it is h // group_size.", _of("key", _modulo)),
    (
        "head_modulo_value",
        "For value, query head h reads cache head h % num_heads_kv: it is h // group_size.",
        _of("value", _modulo),
    ),
    ("first_query_of_group", "All query heads of a group use the group's first query.", _of("query", _first_of_group)),
)
