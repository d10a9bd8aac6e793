"""What happens between fork and exec of a supervised process.

Run as `python -I -S child.py PARENT SIGNAL USER PROGRAM ARGUMENT...`: it becomes PROGRAM. The kernel sends SIGNAL to it
when the thread that started it ends, even by kill -9. USER is "uid:gid" to give up root for, or "".
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG, PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
CAPABILITY_VERSION = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def give_up_root(uid: int, gid: int) -> None:
    """Become an ordinary user who may still read below folders that only root may enter, such as /root.

    So a project in root's own home works without opening that folder to everybody.
    """
    if sys.platform == "linux":
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if sys.platform == "linux":
        any(keep(capability) for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE))


def keep(capability: int) -> bool:
    """Keep this capability alone, through exec; False if this system does not grant it."""
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    mask = 1 << capability
    low_and_high = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)  # effective, permitted, inheritable
    if libc.capset(header, low_and_high) != 0:
        return False
    return libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) == 0


def die_with(parent: int, signal: int) -> None:
    """Ask the kernel for `signal` when the parent ends; end now if it already has."""
    if sys.platform == "linux":
        libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def main(parent: str, signal: str, user: str, *program: str) -> None:
    if user:
        give_up_root(*(int(part) for part in user.split(":")))
    die_with(int(parent), int(signal))  # after the change of user, which would undo it
    try:
        os.execvp(program[0], program)  # noqa: S606 - no shell is wanted
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


if __name__ == "__main__":
    main(*sys.argv[1:])
