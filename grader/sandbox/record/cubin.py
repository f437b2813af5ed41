"""What a cubin says about its kernels: registers, stack, parameters. A small reader of ELF that takes nothing for granted.

A cubin is a 64-bit little-endian ELF file. Its section `.nv.info` holds attributes of all kernels (registers, frame size),
`.nv.info.<kernel>` those of one (parameters, threads). The attributes' numbers are not documented by NVIDIA; those used here
agree with `cuobjdump --dump-resource-usage` (a test compares them) for sm_75 to sm_120.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

_HEADER_BYTES = 64
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_ATTRIBUTE = struct.Struct("<BBH")
_SECTION_LIMIT = 4096
_SYMBOL_LIMIT = 65536
_KERNEL_LIMIT = 64
_ATTRIBUTES_LIMIT = 65536  # bytes of a section of attributes; Triton's have some hundreds
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


def kernels(cubin: bytes) -> dict[str, Kernel]:
    """The kernels of a cubin, by name.

    Args:
        cubin: may be hostile.

    Raises:
        CubinError: it is malformed.
    """
    try:
        return _kernels(cubin)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise CubinError(f"the cubin is malformed ({type(error).__name__})") from error


def own_memory_bytes(cubin: bytes) -> int:
    """Device memory that loading the cubin takes for its global variables. Same contract as `kernels`."""
    try:
        sections = _sections(cubin)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise CubinError(f"the cubin is malformed ({type(error).__name__})") from error
    return sum(section.size for name, section in sections.items() if name.startswith(".nv.global"))


def _kernels(data: bytes) -> dict[str, Kernel]:
    sections = _sections(data)
    symbols = _symbols(data, sections)
    whole = {"registers": {}, "frame": {}}
    for number, value in _attributes(data, sections.get(".nv.info")):
        if number in (_REGISTERS, _FRAME_SIZE) and len(value) == 8:
            symbol, amount = struct.unpack("<II", value)
            whole["registers" if number == _REGISTERS else "frame"][symbols.get(symbol)] = amount
    if len(whole["registers"]) > _KERNEL_LIMIT:
        raise CubinError(f"the cubin has more than {_KERNEL_LIMIT} kernels")
    found = {}
    for name in whole["registers"]:
        if name is None:
            continue
        sizes, threads = {}, 0
        for number, value in _attributes(data, sections.get(f".nv.info.{name}")):
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
            registers=whole["registers"][name],
            frame_bytes=whole["frame"].get(name, 0),
            parameter_bytes=tuple(sizes[ordinal] for ordinal in range(len(sizes))),
            threads=threads,
        )
    return found


@dataclasses.dataclass(frozen=True)
class _Section:
    kind: int
    start: int
    size: int
    link: int


def _sections(data: bytes) -> dict[str, _Section]:
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
            raise CubinError(f"the cubin has two sections {text[:80]!r}")
        sections[text] = _Section(kind, start, size, link)
    # ptxas lists the PTX of a binary for sm_100 and later twice. Were there no limit, every one of thousands of sections could
    # be all of the file, to be read again and again.
    if inside > 2 * len(data):
        raise CubinError("sections of the cubin overlap")
    return sections


def _symbols(data: bytes, sections: dict[str, _Section]) -> dict[int, str]:
    """The functions among the symbols, by index."""
    table, texts = sections.get(".symtab"), sections.get(".strtab")
    if table is None or texts is None or table.kind != _SYMTAB:
        raise CubinError("the cubin has no symbols")
    count = table.size // _SYMBOL.size
    if count > _SYMBOL_LIMIT:
        raise CubinError("the cubin has too many symbols")
    functions = {}
    for index in range(count):
        name, info, *_ = _read(_SYMBOL, data, table.start + index * _SYMBOL.size)
        if info & 0xF == _FUNCTION:
            functions[index] = _text(data, texts.start + name)
    return functions


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


def _text(data: bytes, start: int) -> str:
    end = data.find(b"\0", start, start + 4096) if start < len(data) else -1
    if end < 0:
        raise CubinError("a name in the cubin has no end")
    return data[start:end].decode()
