"""
Runs C{twist} in a process that does not outlive the thread which started it, whatever becomes of that.

C{python -m streamline.testing.embedded.leash PARENT streamline …}: the kernel is asked to kill this process when its
parent's thread ends (C{prctl(2)}, C{PR_SET_PDEATHSIG}), which holds for one that was stopped, too.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1


def run(parent: int, arguments: list[str]) -> None:
    """
    Be C{twist}, as long as the parent lives.

    @param parent: its process id.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == parent:  # else it was gone before the kernel knew
        sys.argv[1:] = arguments
        runpy.run_module("twisted", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run(int(sys.argv[1]), sys.argv[2:])
