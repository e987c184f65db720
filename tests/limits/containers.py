#!/usr/bin/python3
"""Runs programs under `ration run --limit auto` in containers that have a limit of memory, made by runc.

    tests/limits/containers.py [--build DIRECTORY] [NAME...]

Ration is the container's first process, as docs/guide/containers.md has it; taker.py is the program. Each scene is a function
below; all are skipped where there is no runc, or it can't make a container with a limit. Start reading at main(), then
container.py."""

import argparse
import json
import os
import shutil
import sys
import time

sys.dont_write_bytecode = True

import group
from container import SECONDS, TAKER, Pod, runc
from group import MIB, Unavailable

LIMIT = 256 * MIB
PART = 0.95
SLACK = 16 * MIB  # the interpreter, the kernel's memory for the container, and what its figures lag by
KILLED = 128 + 9


class Tally:
    def __init__(self):
        self.passed = self.failed = 0

    def claim(self, text, holds, got):
        self.passed += bool(holds)
        self.failed += not holds
        if not holds:
            print(f"FAIL {text}: {got}", flush=True)

    def same(self, text, expected, got):
        self.claim(text, expected == got, f"expected {expected}, got {got}")

    def about(self, text, expected, got):
        """At most what is expected, and not much less."""
        self.claim(text, got is not None and expected - SLACK <= got <= expected,
                   f"expected at most {expected / MIB:.1f} MiB, got {got and got / MIB} MiB")


class Scenes:
    def __init__(self, build):
        self.build = build
        self.ration = os.path.join(build, "bin", "ration")
        self.tally = Tally()

    def pod(self, limit=4 * LIMIT):
        return Pod(self.build, limit)

    def why_not(self):
        """Why no container can be made, or None."""
        if shutil.which("runc") is None:
            return "runc is not installed"
        try:
            with self.pod() as pod:
                pod.container("/bin/cat", limit=LIMIT).end()
        except (Unavailable, RuntimeError) as problem:
            return str(problem)
        return None

    def start(self, pod, **settings):
        """A program under Ration."""
        command = [self.ration, "run", "--limit", "auto", "--autopsy", "/tmp", "--", *TAKER]
        return pod.container(*command, **{"limit": LIMIT, **settings})

    def usage(self, container):
        """What its group uses, but for pages of files."""
        used = int(container.figure("memory.usage_in_bytes", "memory.current"))
        prefix = "total_" if container.pod.group.version == 1 else ""
        stat = container.figure("memory.stat", "memory.stat")
        return used - group.field(stat, f"{prefix}inactive_file") - group.field(stat, f"{prefix}active_file")

    def filled(self, container, expected):
        """What it holds once it has been denied more; it is told again until its limit has been followed so far."""
        deadline = time.monotonic() + 60
        while True:
            held = container.ask("fill")
            if held is None or held >= expected - SLACK or time.monotonic() > deadline:
                return held
            time.sleep(0.2)

    def unharmed(self, container):
        self.tally.same("the kernel killed nothing", 0, container.oom_kills())
        self.tally.same("and it goes on to its end", 0, container.end())

    def found(self):
        """Files in memory and a neighbour are taken off; pages of other files are not."""
        for own_view in (True, False):
            with self.pod() as pod:
                container = self.start(pod, own_view=own_view)
                container.run("/bin/sh", "-c", f"head -c {32 * MIB} /dev/zero >/dev/shm/file; head -c {64 * MIB} /dev/zero "
                              ">/tmp/file; cat /tmp/file >/dev/null")
                self.tally.same("a neighbour holds memory", 48 * MIB, container.neighbour().ask("take", 48))
                found = json.loads(container.run(self.ration, "doctor", "--json"))
                self.tally.same("the limit of the configuration is seen", LIMIT, found["cgroup_limit"])
                self.tally.about("95 % of what is left is found", PART * (LIMIT - 80 * MIB), found["auto_limit"])
                left = LIMIT - self.usage(container)
                self.tally.claim("the kernel's figures say the same", abs(found["auto_limit"] - PART * left) < 4 * MIB,
                                 f"{found['auto_limit'] / MIB} MiB of {left / MIB}")
                self.unharmed(container)

    def hungry(self):
        """One that takes all that it gets ends by itself; without Ration it is killed."""
        with self.pod() as pod:
            container = self.start(pod)
            container.ask("burst")
            self.tally.same("a program ends by what it is denied", 1, container.end())
            self.tally.claim("in its own words", "\nMemoryError" in container.said(), container.said())
            self.tally.same("and the kernel killed nothing", 0, container.oom_kills())
            other = pod.container(*TAKER, limit=LIMIT)
            other.ask("burst")
            self.tally.same("without Ration it is killed", KILLED, other.end())
            self.tally.claim("by the kernel", other.oom_kills() > 0, other.oom_kills())

    def ended(self):
        """The first process of a container has no signal of its own accord: it passes them on."""
        with self.pod() as pod:
            container = self.start(pod)
            container.ask("take", 1)
            runc("kill", container.id, "TERM")
            self.tally.same("what stops a container ends the program", 128 + 15, container.process.wait(SECONDS))

    def changed(self):
        with self.pod() as pod:
            container = self.start(pod)
            self.tally.about("the limit is met", PART * LIMIT, container.ask("fill"))
            container.set_limit(2 * LIMIT)
            self.tally.about("a limit that was raised is followed", PART * 2 * LIMIT,
                             self.filled(container, PART * 2 * LIMIT))
            container.ask("give")
            container.set_limit(LIMIT // 2)
            container.wait_for_looks()
            self.tally.about("and one that was lowered", PART * LIMIT // 2, container.ask("fill"))
            self.unharmed(container)

    def neighbour(self):
        with self.pod() as pod:
            container = self.start(pod)
            container.ask("take", 32)
            other = container.neighbour()
            self.tally.same("a neighbour takes memory", 96 * MIB, other.ask("take", 96))
            container.wait_for_looks()
            self.tally.about("what it has can't be had", PART * (LIMIT - 96 * MIB), container.ask("fill"))
            self.tally.same("the neighbour is there", 96 * MIB, other.ask("touch"))
            self.tally.same("and goes", 0, other.end())
            self.tally.about("what it had can be had", PART * LIMIT, self.filled(container, PART * LIMIT))
            self.unharmed(container)

    def untouched(self):
        """What a program has not touched yet is its own all the same: a neighbour's memory does not hide behind it."""
        with self.pod() as pod:
            container = self.start(pod)
            self.tally.same("memory is kept for later", 96 * MIB, container.ask("reserve", 96))
            other = container.neighbour()
            self.tally.same("a neighbour takes memory", 96 * MIB, other.ask("take", 96))
            container.wait_for_looks()
            self.tally.about("what both have can't be had", PART * (LIMIT - 96 * MIB), container.ask("fill"))
            self.tally.claim("all can be written to", container.ask("touch"), "it has ended")
            self.unharmed(container)

    def pods(self):
        """A limit above the container's, of which it can see the limit only (version 1), or the group (version 2, from the
        host's view; in a namespace of its own it sees neither)."""
        with self.pod(limit=LIMIT // 2) as pod:
            seen = pod.group.version == 2
            for own_view in (False,) if seen else (False, True):
                container = self.start(pod, own_view=own_view)
                others = 32 * MIB if seen else 0
                if others:
                    pod.container(*TAKER, limit=LIMIT).ask("take", 32)
                    container.wait_for_looks()
                self.tally.about("a limit above the container's", PART * (LIMIT // 2 - others), container.ask("fill"))
                self.unharmed(container)

    def nested(self):
        """A group within the container's: of the two the one that leaves less counts."""
        with self.pod() as pod:
            container = self.start(pod)
            container.ask("take", 1)
            container.move_into("inner")
            other = container.neighbour()
            other.ask("take", 1)
            container.move_into("beside")
            container.share_out()
            container.set_limit(LIMIT // 2, "inner")
            self.tally.same("a neighbour takes memory", 160 * MIB, other.ask("take", 159))
            container.wait_for_looks()
            self.tally.about("what the outer group leaves", PART * (LIMIT - 160 * MIB), container.ask("fill"))
            other.end()
            self.tally.about("what the inner group leaves", PART * LIMIT // 2, self.filled(container, PART * LIMIT // 2))
            self.unharmed(container)

    def crowded(self):
        """A neighbour is beyond memory.high by itself."""
        with self.pod() as pod:
            container = self.start(pod)
            if pod.group.version == 1:
                return
            container.ask("take", 1)
            other = container.neighbour()
            self.tally.same("a neighbour takes memory", 96 * MIB, other.ask("take", 96))
            group.write(32 * MIB, container.memory, "memory.high")
            container.wait_for_looks()
            self.tally.claim("where there is no room, nothing is had", container.ask("take", 4) in (0, MIB), "it got more")
            group.write("max", container.memory, "memory.high")
            self.unharmed(container)


SCENES = ("found", "hungry", "ended", "changed", "neighbour", "untouched", "pods", "nested", "crowded")


def main():
    parser = argparse.ArgumentParser(description="programs at the limit of a container")
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--build", default=os.path.join(here, "..", "..", "build"), help="the build directory")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*SCENES, []])
    options = parser.parse_args()
    scenes = Scenes(os.path.abspath(options.build))
    reason = scenes.why_not()
    if reason:
        print(f"skipped: {reason}")
        return
    for name in options.names or SCENES:
        getattr(scenes, name)()
    print(f"{scenes.tally.passed} passed, {scenes.tally.failed} failed")
    sys.exit(scenes.tally.failed > 0)


if __name__ == "__main__":
    main()
