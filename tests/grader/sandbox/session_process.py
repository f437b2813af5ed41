"""A session without walls, in a process of its own, spoken to as the judge does. Used by the tests of session and recorder."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from grader.sandbox import protocol
from grader.sandbox.protocol import LentTensor

ROOT = Path(__file__).parents[3]
FILL = 0xFF
GUARD = 4096
SIZE = 1 << 22
_MAIN = """
import sys
from grader.sandbox.session import session as session
kind, command_fd, reply_fd, inputs_fd, out_fd = sys.argv[1], *map(int, sys.argv[2:])
session.warm_up(kind)
session.main(kind=kind, command_fd=command_fd, reply_fd=reply_fd, inputs_fd=inputs_fd, out_fd=out_fd)
"""


class WorkerProcess:
    """One session process; `load` and `case` may be called as often as one likes."""

    def __init__(self, kind: str) -> None:
        self._inputs_fd, self._out_fd = (os.memfd_create(name) for name in ("inputs", "out"))
        for fd in (self._inputs_fd, self._out_fd):
            os.ftruncate(fd, SIZE)
        command_read, self._command = os.pipe()
        self._reply, reply_write = os.pipe()
        fds = (command_read, reply_write, self._inputs_fd, self._out_fd)
        self._cache = tempfile.TemporaryDirectory()
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TRITON_CACHE_DIR": self._cache.name}
        environment.pop("TRITON_INTERPRET", None)
        if kind == "interpret":
            environment["TRITON_INTERPRET"] = "1"
        command = [sys.executable, "-c", _MAIN, kind, *map(str, fds)]
        self._process = subprocess.Popen(command, pass_fds=fds, env=environment, cwd=ROOT)
        os.close(command_read)
        os.close(reply_write)
        assert self._receive() == ("ready", {})

    def load(self, source, *, entry="entry", arguments=("x", "out"), forbidden=(), target=None):
        """The last reply to a load message: its kind and its fields."""
        message = {"kind": "load", "source": source, "entry": entry, "arguments": arguments}
        self._send({**message, "forbidden": forbidden, "target": target})
        first = self._receive()
        return first if first != ("parsed", {}) else self._receive()

    def case(self, *, inputs, out, scalars=None, strided=(), scratch_limit_bytes=None, **how):
        """Lend tensors and run: the reply, and `out` afterwards.

        Args:
            inputs: name -> tensor, laid one after the other with guards between.
            out: a tensor of the form of `out`.
            strided: inputs whose rows are laid out with a gap of 24 cells.
            how: more of the message: order, in_turn, sight.
        """
        for fd in (self._inputs_fd, self._out_fd):
            os.pwrite(fd, bytes([FILL]) * SIZE, 0)
        lent, offset = [], GUARD
        for name, tensor in inputs.items():
            if name in strided:
                row = tensor.shape[-1] + 24
                wide = torch.full((*tensor.shape[:-1], row), float("nan"), dtype=tensor.dtype)
                wide[..., : tensor.shape[-1]] = tensor
                data, strides = wide, wide.stride()
            else:
                data, strides = tensor.contiguous(), tensor.contiguous().stride()
            os.pwrite(self._inputs_fd, data.view(torch.uint8).numpy().tobytes() if data.numel() else b"", offset)
            lent.append(_lent(name, "inputs", offset, tensor, strides))
            offset += -(-(data.numel() * data.element_size() + GUARD) // 256) * 256
        lent.append(_lent("out", "out", GUARD, out, out.stride()))
        tensors = [vars(item) for item in lent]
        message = {"kind": "case", "tensors": tensors, "scalars": scalars or {}, "scratch_limit_bytes": scratch_limit_bytes}
        self._send(message | how)
        reply = self._receive()
        written = bytearray(os.pread(self._out_fd, out.numel() * out.element_size(), GUARD))
        result = torch.frombuffer(written, dtype=out.dtype).view(out.shape) if written else torch.empty_like(out)
        return (*reply, result)

    def record(self, **case):
        """Like `case`, for a recorder: the record's bytes."""
        kind, fields, _ = self.case(**case)
        assert kind == "record", fields
        (size,) = protocol.LENGTH.unpack(protocol.read_exactly(self._reply, protocol.LENGTH.size))
        assert size == fields["size"]
        return protocol.read_exactly(self._reply, size)

    def close(self) -> None:
        os.close(self._command)
        self._process.wait(timeout=60)
        self._cache.cleanup()
        for fd in (self._reply, self._inputs_fd, self._out_fd):
            os.close(fd)

    def _send(self, message) -> None:
        protocol.write_all(self._command, protocol.encode(message))

    def _receive(self):
        (size,) = protocol.LENGTH.unpack(protocol.read_exactly(self._reply, protocol.LENGTH.size))
        return protocol.parse_reply(protocol.read_exactly(self._reply, size))


def _lent(name, buffer, offset, tensor, strides):
    dtype = str(tensor.dtype).removeprefix("torch.")
    shape = tuple(tensor.shape)
    return LentTensor(name=name, buffer=buffer, offset=offset, shape=shape, strides=tuple(strides), dtype=dtype)
