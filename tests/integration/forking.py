"""The program of a fork server: see `integration.forkserver`. Its argument is a socket's number.

It imports nothing that a kernel does not.
"""

from __future__ import annotations

import json
import os
import socket
import sys

# What each kernel imports until it answers, besides what these import.
PRELOADED = (
    "ipykernel.kernelapp",
    "ipykernel.zmqshell",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
)


def serve(channel: socket.socket) -> None:
    """Answer requests, one after the other; returns in a fork, which has to become a kernel."""
    with channel, channel.makefile("rw", encoding="utf-8") as stream:
        for line in stream:
            request = json.loads(line)
            if "end_of" in request:
                pid, status = os.waitpid(request["end_of"], os.WNOHANG)
                answer = os.waitstatus_to_exitcode(status) if pid else None
            else:
                answer = {"pid": os.fork()}
                if not answer["pid"]:
                    become(**request)
                    return
            stream.write(json.dumps(answer) + "\n")
            stream.flush()
    sys.exit()  # the tests have ended


def become(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Take on what a process of its own would have been started with."""
    os.setsid()  # as Jupyter's launcher does, for the sake of interrupts
    os.environ.clear()
    os.environ.update(environment, JPY_PARENT_PID=str(os.getppid()))
    os.chdir(folder)
    sys.argv[:] = arguments


def main() -> None:
    """Be a server, or in a fork a kernel, whose end is this process's own."""
    del sys.path[0]  # this file's folder; `ipykernel_launcher` takes its own away, too
    os.environ["JPY_PARENT_PID"] = str(os.getpid())  # ipykernel reads it when it is imported
    for name in PRELOADED:
        __import__(name)
    serve(socket.socket(fileno=int(sys.argv[1])))
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance()


if __name__ == "__main__":
    main()
