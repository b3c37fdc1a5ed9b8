"""Execute a program with the restrictions of a unit, as root: ``sandbox.py CONFINEMENT PROGRAM ARGUMENT...``.

CONFINEMENT is a file of JSON: the system calls and address families that are allowed, and the user to become. All
capabilities are dropped, privileges cannot be regained, and no memory can be both written and executed.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import sys
from pathlib import Path

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 24, 38, 65
ALLOW, ERRNO, EQUAL = 0x7FFF0000, 0x00050000, 4


class Comparison(ctypes.Structure):
    """libseccomp's ``struct scmp_arg_cmp``."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def give_up_privileges(user: int) -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        prctl(PR_CAPBSET_DROP, capability)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def filter_calls(seccomp: ctypes.CDLL, calls: list[str], families: list[str]) -> None:
    """Let every other system call fail with EPERM."""
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(ERRNO | errno.EPERM))
    numbers = {call: seccomp.seccomp_syscall_resolve_name(call.encode()) for call in calls}
    for call, number in numbers.items():
        if call != "socket" and number >= 0:  # others are not of this architecture
            seccomp.seccomp_rule_add_array(context, ALLOW, number, 0, None)
    for family in families:
        only = Comparison(0, EQUAL, getattr(socket, family), 0)
        seccomp.seccomp_rule_add_array(context, ALLOW, numbers["socket"], 1, ctypes.byref(only))
    if seccomp.seccomp_load(context):
        raise OSError("seccomp_load")


def main() -> None:
    confinement = json.loads(Path(sys.argv[1]).read_text())
    seccomp = ctypes.CDLL("libseccomp.so.2")
    give_up_privileges(confinement["user"])
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_MDWE, 1)
    filter_calls(seccomp, confinement["calls"], confinement["families"])
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 (no shell)


if __name__ == "__main__":
    main()
