#!/usr/bin/python3
"""What group.py counts as the memory of a tree of processes: what several share, once.

    tests/limits/trees.py [--build DIRECTORY]

Each tree holds 32 MiB, or twice that, besides its interpreters. Start reading at TREES."""

import argparse
import os
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import group
from group import MIB, Group, Unavailable

HELD = 32 * MIB
SLACK = 12 * MIB  # three interpreters
SECONDS = 60
BEGIN = f"""
import mmap, os, signal, sys
signal.alarm({10 * SECONDS})
def hold():
    return bytearray(b"x") * {HELD}
def ready():
    os.write(1, b"ready\\n")
"""

# A program, how often it says that it is ready, how much its tree holds, how many processes it has, and how many address
# spaces. One who spawns waits in the library for its child, which waits in the kernel for somebody to write to the pipe.
TREES = {
    "one process": ("block = hold(); ready(); signal.pause()", 1, HELD, 1, 1),
    "two forked children that write to nothing":
        ("block = hold()\nfor _ in '12': os.fork() or (ready(), signal.pause())\nsignal.pause()", 2, HELD, 3, 3),
    "a forked child with as much of its own":
        ("child = os.fork(); block = hold(); ready(); signal.pause()", 2, 2 * HELD, 2, 2),
    "three who map the same pages":
        (f"block = mmap.mmap(-1, {HELD}); block.write(b'x' * {HELD})\n"
         "for _ in '12': os.fork() or (sum(block[::4096]), ready(), signal.pause())\nsignal.pause()", 2, HELD, 3, 3),
    "a spawned child that has not come to its program":
        ("block = hold(); ready()\nos.posix_spawn('/bin/true', ['true'], {}, "
         "file_actions=[(os.POSIX_SPAWN_OPEN, 0, sys.argv[1], os.O_RDONLY, 0)])", 1, HELD, 2, 1),
}


class Tree:
    """A program and what it forks, in a group of their own."""

    def __init__(self, within, program, directory):
        pipe = os.path.join(directory, "pipe")
        os.mkfifo(pipe)
        self.group = within
        self.process = subprocess.Popen(within.command(sys.executable, "-c", BEGIN + program, pipe),
                                        stdout=subprocess.PIPE)

    def wait_for(self, reports, processes):
        for _ in range(reports):
            self.process.stdout.readline()
        deadline = time.monotonic() + SECONDS
        while len(self.group.processes()) < processes and time.monotonic() < deadline:
            time.sleep(0.01)

    def resident(self):
        """Where something keeps them from being stopped, they are looked at again."""
        deadline = time.monotonic() + SECONDS
        while (found := group.resident(self.group, None)) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return found

    def end(self):
        self.group.kill_all()
        self.process.stdout.close()
        self.process.wait()


def faults(program, reports, held, processes, spaces):
    """What is wrong with what is counted, in words."""
    with tempfile.TemporaryDirectory(prefix="trees-") as directory, Group(1 << 30) as within:
        tree = Tree(within, program, directory)
        tree.wait_for(reports, processes)
        found, members = tree.resident(), within.processes()
        found_spaces = len(group.address_spaces(members, []))
        tree.end()
    if found is None or not held <= found < held + SLACK:
        yield f"expected {held / MIB} MiB and its interpreters, got {found and found / MIB} MiB"
    if (len(members), found_spaces) != (processes, spaces):
        yield f"expected {processes} processes, {spaces} address spaces, got {len(members)}, {found_spaces}"


def judge(name):
    """Whether a tree is counted right."""
    found = list(faults(*TREES[name]))
    for fault in found:
        print(f"FAIL {name}: {fault}")
    return not found


def can_be_counted(name):
    *_, processes, spaces = TREES[name]
    return processes == spaces or group.knows_address_spaces()


def main():
    parser = argparse.ArgumentParser(description="how the memory of a tree of processes is counted")
    parser.add_argument("--build", help="nothing of it is used")
    parser.parse_args()
    try:
        results = [judge(name) for name in TREES if can_be_counted(name)]
    except Unavailable as problem:
        print(f"skipped: {problem}")
        return
    if len(results) < len(TREES):
        print("skipped: those with fewer address spaces than processes, which this kernel does not compare")
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
