"""Strategies: JSON of any shape, real JSON with one value changed, real bytes with some changed, cut or doubled."""

from hypothesis import strategies as st

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["x", "out", "kind", "fault", "lab02_safe_softmax", "00", "\ud800", 10**300])
)
ANY_JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4), max_leaves=8
)


def places(item, path=()):
    """The path of every value."""
    for key, value in item.items() if isinstance(item, dict) else enumerate(item):
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


@st.composite
def changed_json(draw, item):
    """A copy with one value replaced, or left out."""
    import copy

    made = copy.deepcopy(item)
    *way, last = draw(st.sampled_from(list(places(made))))
    inside = made
    for step in way:
        inside = inside[step]
    if draw(st.booleans()):
        inside[last] = draw(ANY_JSON)
    else:
        del inside[last]
    return made


@st.composite
def changed_bytes(draw, data):
    """Some bytes changed, a stretch doubled, the end cut off."""
    made = bytearray(data)
    for _ in range(draw(st.integers(0, 8))):
        place = draw(st.integers(0, len(made) - 1) | st.integers(0, min(127, len(made) - 1)))
        made[place] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        start = draw(st.integers(0, len(made) - 1))
        made[start:start] = made[start : start + draw(st.integers(1, 64))]
    return bytes(made[: draw(st.integers(0, len(made)) | st.just(len(made)))])
