"""The book of accesses, held against an oracle that keeps every event and looks at every pair of them."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.sandbox.case.access_book import AccessBook
from grader.sandbox.case.address_map import Access, Region
from grader.sandbox.case.sight import Sight
from grader.sandbox.protocol import LentTensor, SightOf

SCRATCH = Region("scratch", 4096, 4096 + 8 * 4, writable=True, scratch=True)
X = Region("x", 65536, 65536 + 64, writable=False)
KINDS = ("load", "volatile", "store", "atomic", "barrier")


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a program: what, on which cells of SCRATCH; an atomic's order, scope and success."""

    kind: str
    cells: tuple[int, ...]
    order: str = "acq_rel"
    scope: str = "gpu"
    done: bool = True


@dataclasses.dataclass(frozen=True)
class Event:
    number: int
    program: int
    step: Step


CELLS = st.lists(st.integers(0, 7), min_size=1, max_size=3, unique=True).map(tuple)
STEPS = st.builds(
    Step,
    kind=st.sampled_from(KINDS),
    cells=CELLS,
    order=st.sampled_from(["acq_rel", "acq_rel", "acquire", "release", "relaxed"]),
    scope=st.sampled_from(["gpu", "gpu", "sys", "cta"]),
    done=st.booleans(),
)
LAUNCH = st.lists(st.lists(STEPS, max_size=5), min_size=1, max_size=4)
# Programs that mostly hand on properly, through one cell: of others nearly all race, whatever the book thinks of clocks.
TELLING = st.builds(Step, kind=st.just("atomic"), cells=st.just((7,)), order=st.sampled_from(["acq_rel", "release", "acquire"]))
TOUCHING = st.builds(Step, kind=st.sampled_from(["load", "store"]), cells=st.sampled_from([(0,), (0, 1), (2,)]))
ORDERLY = st.lists(st.one_of(TOUCHING, st.just(Step("barrier", ())), TELLING), max_size=2).map(lambda steps: [*steps, *CLOSING])
CLOSING = (Step("atomic", (7,)),)


def access(cells, region=SCRATCH, itemsize=4):
    addresses = np.array([region.start + itemsize * cell for cell in cells], dtype=np.uint64)
    return Access(addresses, int(addresses.min()), int(addresses.max()), itemsize, region)


def play(launches, order):
    """The book after the launches' programs ran in an order; lines are numbers of steps."""
    at = [0]
    book = AccessBook(lambda: at[0])
    events = []
    for launch in launches:
        book.launch(len(launch))
        played = []
        for program in order(len(launch)):
            book.enter(program)
            for step in launch[program]:
                at[0] += 1
                played.append(Event(at[0], program, step))
                do(book, step)
            book.leave()
        events.append(played)
    return book, events


def do(book, step):
    match step.kind:
        case "load" | "volatile":
            book.load(access(step.cells), weak=step.kind == "load")
        case "store":
            book.store(access(step.cells))
        case "atomic":
            done = np.full(len(step.cells), step.done)
            book.atomic(access(step.cells), order=step.order, scope=step.scope, done=done)
        case "barrier":
            book.barrier()


def conflict(one, other):
    """Whether two events race unless something orders them."""
    kinds = {step_kind(one), step_kind(other)}
    if one.program == other.program or not set(one.step.cells) & set(other.step.cells) or "barrier" in kinds:
        return False
    if kinds <= {"load", "volatile"}:
        return False
    return not kinds <= {"atomic", "volatile"}  # what every program sees as one step


def step_kind(event):
    local = event.step.kind == "atomic" and event.step.scope == "cta"
    return "store" if local else event.step.kind


def racing(events):
    """Every pair of events of one launch that nothing orders, in the order they were played."""
    known = {}  # program -> events that happened before whatever it does next
    sent = {}  # cell -> events told of by the atomics that stored it last
    pairs = set()
    for index, event in enumerate(events):
        mine = known.setdefault(event.program, set())
        for earlier in events[:index]:
            if conflict(earlier, event) and earlier not in mine:
                pairs.add((event.number, earlier.number))
        own = [each for each in events[: index + 1] if each.program == event.program]
        step = event.step
        if step.kind == "store":
            for cell in step.cells:
                sent.pop(cell, None)
        if step.kind == "atomic" and step.scope != "cta":
            if step.order in ("acquire", "acq_rel"):
                for cell in step.cells:
                    mine |= sent.get(cell, set())
            if step.order in ("release", "acq_rel") and step.done:
                barriers = [place for place, each in enumerate(own) if each.step.kind == "barrier"]
                last = barriers[-1] if barriers else -1
                told = {
                    each
                    for place, each in enumerate(own)
                    if each.step.kind != "store" or len(each.step.cells) == 1 or place < last
                }
                for cell in step.cells:
                    sent[cell] = sent.get(cell, set()) | mine | told
    return pairs


@settings(max_examples=600, deadline=None)
@given(
    st.lists(st.one_of(LAUNCH, st.lists(ORDERLY, min_size=2, max_size=3)), min_size=1, max_size=2),
    st.randoms(use_true_random=False),
)
def test_a_race_is_found_where_there_is_one_and_nowhere_else(launches, random):
    book, events = play(launches, lambda count: random.sample(range(count), count))

    pairs = set().union(*map(racing, events))
    assert (book.race is not None) is bool(pairs)
    if book.race is not None:
        assert (book.race.line, book.race.other_line) in pairs


@settings(max_examples=200, deadline=None)
@given(LAUNCH, st.randoms(use_true_random=False))
def test_what_only_stores_and_loads_races_in_every_order_or_in_none(launch, random):
    plain = [[step for step in program if step.kind in ("load", "store")] for program in launch]

    found = [play([plain], lambda count: random.sample(range(count), count))[0].race is not None for _ in range(3)]

    assert len(set(found)) == 1


def test_launches_follow_one_another():
    book, _ = play([[[Step("store", (0,))], []], [[], [Step("load", (0,))]]], lambda count: range(count))

    assert book.race is None


LEFT = Step("store", (0, 1))
TOLD = Step("atomic", (7,))
READ = Step("load", (1,))


@pytest.mark.parametrize(
    ("first", "second", "races"),
    [
        ([LEFT], [READ], True),
        ([LEFT, Step("barrier", ()), TOLD], [TOLD, READ], False),
        ([LEFT, TOLD], [TOLD, READ], True),
        ([Step("store", (1,)), TOLD], [TOLD, READ], False),
        ([LEFT, Step("barrier", ()), Step("atomic", (7,), order="relaxed")], [TOLD, READ], True),
        ([LEFT, Step("barrier", ()), TOLD], [Step("atomic", (7,), order="relaxed"), READ], True),
        ([LEFT, Step("barrier", ()), Step("atomic", (7,), scope="cta")], [TOLD, READ], True),
        ([LEFT, Step("barrier", ()), TOLD], [Step("atomic", (6,)), READ], True),
        ([TOLD], [Step("load", (7,))], True),
        ([TOLD], [Step("volatile", (7,))], False),
        ([Step("load", (0,))], [Step("load", (0,))], False),
    ],
    ids=[
        "nothing_between",
        "ordered",
        "no_barrier_before_the_atomic",
        "one_thread_needs_no_barrier",
        "released_by_nobody",
        "acquired_by_nobody",
        "scope_too_small",
        "another_cell",
        "atomic_and_plain",
        "atomic_and_volatile",
        "two_loads",
    ],
)
def test_what_orders_two_programs(first, second, races):
    book, _ = play([[first, second]], lambda count: range(count))

    assert (book.race is not None) is races


def test_cells_of_different_size_are_told_apart():
    book = AccessBook(lambda: 1)
    book.launch(2)
    book.enter(0)
    book.store(access((0, 1), itemsize=2))
    book.enter(1)
    book.store(access((2, 3), itemsize=2))
    assert book.race is None

    book.store(access((1,), itemsize=1))

    assert book.race is not None


def test_scratch_that_nobody_wrote():
    at = [3]
    book = AccessBook(lambda: at[0])
    book.filled(SCRATCH, SCRATCH.start, (2, 2), (4, 1), 4)  # cells 0, 1, 4, 5
    book.launch(1)
    book.enter(0)
    book.store(access((2,)))
    book.load(access((0, 1, 2, 4, 5)), weak=True)
    assert book.unwritten is None

    at[0] = 8
    book.atomic(access((3,)), order="relaxed", scope="gpu")
    book.load(access((6,)), weak=True)

    assert (book.unwritten.name, book.unwritten.line) == ("scratch", 8)


def test_facts_of_a_case():
    book = AccessBook(lambda: None)
    book.launch(1)
    book.enter(0)
    book.store(access((0,)))

    facts = book.facts([X, SCRATCH, Region("out", 1 << 20, (1 << 20) + 64, writable=True)])

    assert (facts.never_loaded, facts.never_stored, facts.stores_scratch) == (("x",), ("out",), True)


def lent(name, start, rows):
    return (
        LentTensor(name=name, buffer="inputs", offset=0, shape=(2, rows, 4), strides=(rows * 4, 4, 1), dtype="float32"),
        start,
        4,
    )


@pytest.mark.parametrize(
    ("queries", "keys", "first", "hidden"),
    [
        ((0, 3), [(0, 3)], None, 0),
        ((0, 3), [(0, 3), (4, 7)], None, 4),
        ((0, 3), [(2, 5)], None, 0),
        ((4, 7), [(0, 3), (4, 7)], None, 0),
        ((4, 7), [(0, 1), (2, 3), (4, 7)], -1, 2),
    ],
    ids=["the_diagonal", "a_tile_above_it", "half_a_tile", "below_it", "before_the_window"],
)
def test_keys_that_no_row_of_the_program_sees(queries, keys, first, hidden):
    sight = Sight(
        SightOf(queries="query", keys=("key",), first=first, last=0),
        {"query": lent("query", 0, 8), "key": lent("key", 4096, 8)},
    )

    def rows(start, head, span):
        return start + (head * 8 + span[0]) * 16, start + (head * 8 + span[1]) * 16 + 12

    sight.loaded("query", *rows(0, 1, queries))
    for span in keys:
        sight.loaded("key", *rows(4096, 1, span))
    sight.next_program()

    assert (sight.hidden, sight.loads) == (hidden, sum(high - low + 1 for low, high in keys))
