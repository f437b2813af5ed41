"""A session that runs the Python it is sent; takes the place of `grader.sandbox.session.session` in tests of the supervisor."""

import traceback

from grader.sandbox import protocol


def main(*, kind, command_fd, reply_fd, inputs_fd, out_fd):
    protocol.write_all(reply_fd, protocol.encode({"kind": "ready"}))
    while True:
        message = protocol.read_message(command_fd)
        try:
            exec(message["code"], {"protocol": protocol})
        except Exception:
            traceback.print_exc()
            fault = {"kind": "fault", "stage": "run", "error_type": "", "text": "", "line": None, "raw": ""}
            protocol.write_all(reply_fd, protocol.encode(fault))
        else:
            protocol.write_all(reply_fd, protocol.encode({"kind": "loaded"}))
