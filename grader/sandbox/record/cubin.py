"""What a cubin says about its kernels: registers, stack, parameters. A small reader of ELF that takes nothing for granted.

A cubin is a 64-bit little-endian ELF file. Its section `.nv.info` holds attributes of all kernels (registers, frame size),
`.nv.info.<kernel>` those of one (parameters, threads). The attributes' numbers are not documented by NVIDIA; those used here
agree with `cuobjdump --dump-resource-usage` (a test compares them) for sm_75 to sm_120.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_ATTRIBUTE = struct.Struct("<BBH")
_SECTION_LIMIT = 512  # Triton's have some thirty
_KERNEL_LIMIT = 64
_NAME_LIMIT = 544  # bytes, to which names are cut: a kernel that a launch may name has 512, its sections a prefix besides
_ATTRIBUTES_LIMIT = 65536  # bytes of all sections of attributes that are read; Triton's have some hundreds
_SYMTAB, _FUNCTION, _WITHOUT_BYTES = 2, 2, 8

_REGISTERS, _FRAME_SIZE, _PARAMETER, _THREADS = 0x2F, 0x11, 0x17, 0x10
_SIZED = 4  # the one attribute format whose value is longer than two bytes


class CubinError(ValueError):
    """This is not a cubin that can be read; the message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kernel:
    """Facts of one kernel.

    `frame_bytes` is a thread's stack frame: what was spilled, and arrays that are indexed by a variable, of which Triton
    makes none. `parameter_bytes`: the size of each parameter, in order. `threads`: the most (or, for Triton, the exact
    number) a block may have, 0 where the cubin does not say.
    """

    name: str
    registers: int
    frame_bytes: int
    parameter_bytes: tuple[int, ...]
    threads: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class CubinFacts:
    """What was read of one cubin.

    `own_memory_bytes`: device memory that loading it takes for its global variables. `read_bytes`: of attributes, which is
    what reading it costs; whoever reads many cubins of one stranger adds them up.
    """

    kernels: dict[str, Kernel]  # by name
    own_memory_bytes: int
    read_bytes: int


def facts(cubin: bytes) -> CubinFacts:
    """Read a cubin, which may be hostile: time and memory are bounded by the limits above, whatever is in it.

    Raises:
        CubinError: it is malformed.
    """
    try:
        return _facts(cubin)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise CubinError(f"the cubin is malformed ({type(error).__name__})") from error


def _facts(data: bytes) -> CubinFacts:
    sections = _sections(data)
    whole: dict[int, dict[int, int]] = {_REGISTERS: {}, _FRAME_SIZE: {}}
    for number, value in _attributes(data, sections.get(b".nv.info")):
        if number in whole and len(value) == 8:
            symbol, amount = struct.unpack("<II", value)
            whole[number][symbol] = amount
    if len(whole[_REGISTERS]) > _KERNEL_LIMIT:
        raise CubinError(f"the cubin has more than {_KERNEL_LIMIT} kernels")
    named = {symbol: raw for symbol in whole[_REGISTERS] if (raw := _function(data, sections, symbol)) is not None}
    of_each = [sections.get(b".nv.info." + name) for name in named.values()]
    read_bytes = sum(section.size for section in (sections.get(b".nv.info"), *of_each) if section is not None)
    if read_bytes > _ATTRIBUTES_LIMIT:
        raise CubinError("the attributes of the cubin are too large")
    found = {}
    for symbol, raw_name in named.items():
        name = raw_name.decode()
        sizes, threads = {}, 0
        for number, value in _attributes(data, sections.get(b".nv.info." + raw_name)):
            if number == _PARAMETER and len(value) == 12:
                _, ordinal, _, flags = struct.unpack("<IHHI", value)
                sizes[ordinal] = flags >> 18
            elif number == _THREADS and len(value) >= 12:
                x, y, z = struct.unpack_from("<III", value)
                threads = x * y * z
        if sorted(sizes) != list(range(len(sizes))):
            raise CubinError(f"the parameters of {name} are not numbered one after the other")
        found[name] = Kernel(
            name=name,
            registers=whole[_REGISTERS][symbol],
            frame_bytes=whole[_FRAME_SIZE].get(symbol, 0),
            parameter_bytes=tuple(sizes[ordinal] for ordinal in range(len(sizes))),
            threads=threads,
        )
    own_memory = sum(section.size for name, section in sections.items() if name.startswith(b".nv.global"))
    return CubinFacts(kernels=found, own_memory_bytes=own_memory, read_bytes=read_bytes)


@dataclasses.dataclass(frozen=True)
class _Section:
    kind: int
    start: int
    size: int
    link: int


def _sections(data: bytes) -> dict[bytes, _Section]:
    if data[:6] != b"\x7fELF\x02\x01":
        raise CubinError("the cubin is no 64-bit little-endian ELF file")
    (offset,) = struct.unpack_from("<Q", data, 40)
    entry_bytes, count, names_index = struct.unpack_from("<HHH", data, 58)
    if entry_bytes != _SECTION.size or count > _SECTION_LIMIT or names_index >= count:
        raise CubinError("the cubin's table of sections is malformed")
    raw = [_read(_SECTION, data, offset + index * entry_bytes) for index in range(count)]
    names = raw[names_index][4]
    sections = {}
    inside = 0
    for name, kind, _, _, start, size, link, *_ in raw:
        if kind != _WITHOUT_BYTES:
            inside += size
            if start + size > len(data):
                raise CubinError("a section of the cubin lies outside of it")
        text = _text(data, names + name)
        if text in sections:
            raise CubinError(f"the cubin has two sections {text.decode(errors='replace')[:80]!r}")
        sections[text] = _Section(kind, start, size, link)
    # ptxas lists the PTX of a binary for sm_100 and later twice. Were there no limit, every one of thousands of sections could
    # be all of the file, to be read again and again.
    if inside > 2 * len(data):
        raise CubinError("sections of the cubin overlap")
    return sections


def _function(data: bytes, sections: dict[bytes, _Section], index: int) -> bytes | None:
    """The name of symbol `index` where it is a function. Others are never read: a table may hold thousands."""
    table, texts = sections.get(b".symtab"), sections.get(b".strtab")
    if table is None or texts is None or table.kind != _SYMTAB:
        raise CubinError("the cubin has no symbols")
    if index >= table.size // _SYMBOL.size:
        return None
    name, info, *_ = _read(_SYMBOL, data, table.start + index * _SYMBOL.size)
    return _text(data, texts.start + name) if info & 0xF == _FUNCTION else None


def _attributes(data: bytes, section: _Section | None) -> Iterator[tuple[int, bytes]]:
    """Number and value of each attribute of a section."""
    if section is None:
        return
    if section.kind == _WITHOUT_BYTES or section.size > _ATTRIBUTES_LIMIT:
        raise CubinError("a section of attributes of the cubin is too large")
    position, end = section.start, section.start + section.size
    while position + 4 <= end:
        form, number, size = _read(_ATTRIBUTE, data, position)
        position += 4
        if form == _SIZED:
            if position + size > end:
                raise CubinError("an attribute of the cubin is cut off")
            yield number, data[position : position + size]
            position += size


def _read(form: struct.Struct, data: bytes, start: int) -> tuple[int, ...]:
    if start + form.size > len(data):
        raise CubinError("the cubin is cut off")
    return form.unpack_from(data, start)


def _text(data: bytes, start: int) -> bytes:
    if start >= len(data):
        raise CubinError("a name in the cubin lies outside of it")
    end = data.find(b"\0", start, start + _NAME_LIMIT)
    return data[start : end if end >= 0 else start + _NAME_LIMIT]
