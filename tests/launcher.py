"""Start the command in a fork of a process that has imported it already, since an import costs 0.4 s of CPU time.

What is started is a process like any other, and a child of the tests' process: the launcher forks twice, and the tests'
process adopts the second fork. Two things differ from a start by the shell: modules are imported, and Python has read
those variables of the environment that it reads at its start. Tests that need either start ``COMMAND`` themselves.
On request a third differs: the clock of the command.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import gc
import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_")
"""Prefixes of the variables that Python reads at its start."""
CLOCK_SHIFT = "TEST_CLOCK_SHIFT"
"""Name of the variable with the seconds by which the clock of the command is ahead of the machine's."""
_LARGEST = 128 * 1024


_request_lock = threading.Lock()


class Forked(subprocess.Popen[str]):
    """Start the command with ``args`` (program and arguments); ``cwd`` and ``env`` are required."""

    def _execute_child(self, args: Any, *details: Any) -> None:  # noqa: ANN401 (as in the standard library)
        _, _, _, _, cwd, env, _, _, _, *pipes = details
        stdin, _, _, stdout, _, stderr, *_ = pipes
        given = {number: fd for number, fd in enumerate((stdin, stdout, stderr)) if fd != -1}
        request = {"argv": args, "cwd": str(cwd), "environ": dict(env), "given": list(given)}
        with _request_lock:
            socket.send_fds(_launcher(), [json.dumps(request).encode()], list(given.values()))
            self.pid = int(_launcher().recv(_LARGEST))
        self._child_created = True
        self._close_pipe_fds(*pipes[:6])  # type: ignore[attr-defined]


@functools.cache
def _launcher() -> socket.socket:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        line, pipe = [sys.executable, "-P", __file__, str(its.fileno())], subprocess.PIPE
        # Pipes, as what is started gets: Python notes once whether its standard streams are terminals or can seek.
        process = subprocess.Popen(line, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)

    def end() -> None:
        ours.close()
        process.communicate()

    atexit.register(end)
    return ours


def serve(requests: socket.socket) -> int:
    """Answer each request with the PID of a new process; return in that process, and after the last request."""
    from exporter import cli  # noqa: PLC0415 (the process of the tests needs it not)

    gc.freeze()  # otherwise the last collection in each fork traverses these objects, which copies their pages
    while True:
        data, fds, _, _ = socket.recv_fds(requests, _LARGEST, 3)
        if not data:
            return 0
        reader, writer = os.pipe()
        if not (between := os.fork()):
            if child := os.fork():
                os.write(writer, str(child).encode())
                os._exit(0)
            requests.close()
            _become(json.loads(data), fds)
            os.closerange(3, max(reader, writer, *fds) + 1)
            if shift := os.environ.pop(CLOCK_SHIFT, ""):
                cli._clock = lambda: time.time() + float(shift)
            return cli.main()
        os.waitpid(between, 0)  # then the other fork is an orphan, which the process of the tests adopts
        requests.send(os.read(reader, _LARGEST))
        for fd in (reader, writer, *fds):
            os.close(fd)


def _become(request: dict[str, Any], fds: list[int]) -> None:
    for number, fd in zip(request["given"], fds, strict=True):
        os.dup2(fd, number)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environ"])
    time.tzset()
    sys.argv = request["argv"]


if __name__ == "__main__":
    sys.exit(serve(socket.socket(fileno=int(sys.argv[1]))))
