"""What happens between fork and exec of a supervised process.

Run as `python -I -S child.py PARENT SIGNAL USER PROGRAM ARGUMENT...`: it becomes PROGRAM. The kernel sends SIGNAL to it
when the thread that started it ends, even by kill -9. USER is "uid:gid" to give up root for, or "".
"""

import ctypes
import os
import sys
import warnings  # noqa: F401 - execvp needs it, when the standard library may be out of this user's reach

PR_SET_PDEATHSIG, PR_SET_SECUREBITS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 1, 28, 47, 2
SECBIT_NO_SETUID_FIXUP = 4
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
CAPABILITY_VERSION = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def give_up_root(uid: int, gid: int) -> None:
    """Become an ordinary user who may still read below folders that only root may enter, such as /root.

    So a project in root's own home works without opening that folder to everybody. Where the system does not grant
    that, the user is as ordinary as any.
    """
    if sys.platform == "linux":
        # Without this bit the change of user drops all capabilities, and access(2) would ignore the one we keep.
        libc.prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if sys.platform == "linux" and not keep(CAP_DAC_READ_SEARCH) and not keep(CAP_DAC_OVERRIDE):
        keep_only(0)


def keep(capability: int) -> bool:
    """Keep this capability alone, through exec; False if this system does not grant it."""
    return keep_only(1 << capability) and libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) == 0


def keep_only(mask: int) -> bool:
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    low_and_high = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)  # effective, permitted, inheritable
    return libc.capset(header, low_and_high) == 0


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
