"""The book of one case: who touched which cell in which launch, and what orders them.

Programs of one launch run in any order, or at once. Two of them that touch a cell, one of them storing, are ordered by an
atomic that releases and one that acquires (`clocks`), or they race; two atomics that both programs can see never do.
Launches follow one another. The book holds for each cell of scratch and `out` the last store and all loads and atomics since,
so no order of running hides a race from it. It also knows scratch that is read before anybody wrote it, inputs that
nobody reads, and keys that are read in vain (`sight`).

Followed up on: Flanagan, Freund, "FastTrack", 2009; NVIDIA, "PTX ISA", "Memory Consistency Model".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from grader.sandbox.case.address_map import Access, Region
from grader.sandbox.case.clocks import Clocks
from grader.sandbox.case.entries import HOST, Entries
from grader.sandbox.case.pages import Cells, Page, distinct
from grader.sandbox.case.sight import Sight
from grader.sandbox.case.trace_book import TraceBook
from grader.sandbox.protocol import Facts, Race, Unwritten

RELEASES = ("release", "acq_rel")
ACQUIRES = ("acquire", "acq_rel")
BLOCK_ALONE = "cta"  # a scope that reaches no other program


class AccessBook:
    """Told of a case's launches, programs and accesses as they happen.

    Args:
        line: the submission's line that runs now.
        sight: which rows of keys are of use to which row of queries; None where nobody asks.
        trace: is told where a race and the first load of what nobody wrote were seen; None where nobody watches.
    """

    def __init__(self, line: Callable[[], int | None], sight: Sight | None = None, trace: TraceBook | None = None) -> None:
        self.trace = trace
        self.race: Race | None = None
        self.unwritten: Unwritten | None = None
        self.stores_scratch = False
        self.configurations = 1
        self._line = line
        self._sight = sight
        self._clocks = Clocks()
        self._pages: dict[Region, Page] = {}
        self._loaded: set[str] = set()
        self._stored: set[str] = set()
        self._program = 0
        self._entries = Entries(self._clocks, line)

    def launch(self, programs: int, *, kernel: str = "", grid: tuple[int, int, int] | None = None) -> None:
        """A launch begins; all before it is over. `kernel` and `grid` are for the trace."""
        if self.trace is not None:
            self.trace.launch(kernel, grid or (programs, 1, 1))
        self._clocks.start(programs)
        self._entries.new_launch()
        for page in self._pages.values():
            if page.whole("clock").any():
                page.write("clock", slice(None), 0)

    def enter(self, program: int) -> None:
        """A program runs from now on, or runs again."""
        self._program = program
        self._entries.new_program()
        if self.trace is not None:
            self.trace.enter(program)

    def leave(self) -> None:
        """The program that runs is over."""
        if self._sight is not None:
            self._sight.next_program()

    def barrier(self) -> None:
        """All threads of the program wait for each other here."""
        self._clocks.barrier(self._program)

    def filled(self, region: Region, address: int, shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> None:
        """The host fills a view of scratch or `out`; launches before are over, those after have not begun."""
        page = self._page(region, itemsize)
        page.write("stored", page.view(address, shape, strides, itemsize), HOST)
        if self.trace is not None:
            self.trace.filled(region, address, shape, strides, itemsize)

    def load(self, access: Access, *, weak: bool) -> None:
        """`weak`: an ordinary load, which the compiler may take for one of memory that nobody else changes."""
        region = access.region
        self._loaded.add(region.name)
        if self._sight is not None:
            self._sight.loaded(region.name, access.low, access.high)
        if not region.writable:
            return
        page, cells = self._cells(access)
        self._look_for_unwritten(page, cells, region)
        if self._clocks.programs < 2:
            return
        against = ("stored", "changed") if weak else ("stored",)
        kind = "load" if weak else "volatile load"
        self._hold(page, cells, region, against, kind)
        self._enter(page, "loaded" if weak else "watched", cells, kind)

    def store(self, access: Access) -> None:
        region = access.region
        self._stored.add(region.name)
        self.stores_scratch |= region.scratch
        page, cells = self._cells(access)
        if self._clocks.programs > 1:
            self._hold(page, cells, region, ("stored", "loaded", "watched", "changed"), "store")
            for column in ("loaded", "watched", "changed", "clock"):
                if page.read(column, cells) is not None:
                    page.write(column, cells, 0)
        page.write("stored", cells, self._entries.add(0, self._program, "store", block=access.addresses.size > 1))

    def atomic(self, access: Access, *, order: str, scope: str, done: np.ndarray | None = None) -> None:
        """An atomic operation. `done`: whether each lane stored, which a compare-and-swap may not; then it hands on nothing."""
        region = access.region
        self._loaded.add(region.name)
        self._stored.add(region.name)
        self.stores_scratch |= region.scratch
        page, cells = self._cells(access)
        self._look_for_unwritten(page, cells, region)
        kind = "atomic"
        local = scope == BLOCK_ALONE
        if self._clocks.programs > 1:
            against = ("stored", "loaded", "watched", "changed") if local else ("stored", "loaded")
            kind = "atomic of scope cta" if local else kind
            self._hold(page, cells, region, against, kind)
        self._enter(page, "stored" if local else "changed", cells, kind)
        if self._clocks.programs > 1 and not local:
            self._hand_on(page, cells, order, done)

    def facts(self, regions: list[Region]) -> Facts:
        """What the case showed, of these tensors."""
        inputs = [region.name for region in regions if not region.writable and region.stop > region.start]
        written = [region.name for region in regions if region.writable]
        return Facts(
            race=self.race,
            unwritten=self.unwritten,
            never_loaded=tuple(name for name in inputs if name not in self._loaded),
            never_stored=tuple(name for name in written if name not in self._stored),
            stores_scratch=self.stores_scratch,
            configurations=self.configurations,
            hidden_keys=self._sight.hidden if self._sight else 0,
            loaded_keys=self._sight.loads if self._sight else 0,
        )

    def _page(self, region: Region, itemsize: int) -> Page:
        page = self._pages.get(region)
        if page is None:
            page = self._pages[region] = Page(region.start, region.stop, itemsize)
        return page

    def _cells(self, access: Access) -> tuple[Page, Cells]:
        page = self._page(access.region, access.itemsize)
        return page, page.cells(access.addresses, access.low, access.high, access.itemsize)

    def _look_for_unwritten(self, page: Page, cells: Cells, region: Region) -> None:
        if self.unwritten is not None:
            return
        stored, changed = page.read("stored", cells), page.read("changed", cells)
        if stored is None:
            nobody = changed is None or not changed.all()
        elif changed is None:
            nobody = not stored.all()
        else:
            nobody = not (stored | changed).all()
        if nobody:
            self.unwritten = Unwritten(name=region.name, line=self._line())
            if self.trace is not None:
                self.trace.mark("unwritten")

    def _hold(self, page: Page, cells: Cells, region: Region, columns: tuple[str, ...], kind: str) -> None:
        """Hold an access against what other programs did to the same cells."""
        if self.race is not None:
            return
        for column in columns:
            numbers = page.read(column, cells)
            if numbers is None:
                continue
            for number in distinct(numbers):
                other = self._entries.unordered(number, self._program)
                if other is not None:
                    self.race = Race(
                        name=region.name,
                        line=self._line(),
                        kind=kind,
                        program=self._program,
                        other_line=other.line,
                        other_kind=other.kind,
                        other_program=other.entity % self._clocks.programs,
                    )
                    if self.trace is not None:
                        self.trace.mark("race", (self.race.other_program, other.line))
                    return

    def _enter(self, page: Page, column: str, cells: Cells, kind: str) -> None:
        """Put this access on top of those that the cells have."""
        numbers = page.read(column, cells)
        present = [0] if numbers is None else distinct(numbers)
        if numbers is None or len(present) == 1:
            page.write(column, cells, self._entries.add(present[0], self._program, kind))
            return
        changed = numbers.copy()
        for number in present:
            changed[numbers == number] = self._entries.add(number, self._program, kind)
        page.write(column, cells, changed)

    def _hand_on(self, page: Page, cells: Cells, order: str, done: np.ndarray | None) -> None:
        """What an atomic learns from the one before it, and tells the one behind."""
        clocks = page.read("clock", cells)
        if order in ACQUIRES and clocks is not None:
            self._clocks.acquire(self._program, distinct(clocks))
        if order not in RELEASES or (done is not None and not done.any()):
            return
        if clocks is None:
            page.write("clock", cells, self._clocks.release(self._program, 0))
        else:
            told = clocks.copy()
            for number in distinct(clocks):
                told[clocks == number] = self._clocks.release(self._program, number)
            page.write("clock", cells, told)
        if self._clocks.crowded:
            self._clocks.keep({int(number) for page in self._pages.values() for number in np.unique(page.whole("clock"))})
