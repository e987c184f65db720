"""The rows in which libraries compete that are no drop-in mallocs: heaps and arenas of Ration's beside what people use today.

Each contender is a program of its own, linked with its library (heaps/, arenas/). Start at Contest.run_round()."""
import dataclasses
import os
import re

from . import allocators
from .allocators import Allocator
from .measure import order_of, say
from .rows import Row

SUBJECT = "ration"
DENY = "heaps:deny"


@dataclasses.dataclass
class Contender:
    name: str
    source: str  # DIRECTORY/SOURCE.c
    header: str = ""  # what must be there to build it
    package: str = ""  # what brings that
    options: tuple = ()
    cases: str = ".*"
    malloc: str = ""  # which library's malloc is loaded before it


@dataclasses.dataclass
class Group:
    """One directory of contenders."""
    name: str
    contenders: list
    units: dict  # case: unit
    peers: tuple  # to each of which there is a ratio


# talloc and APR lie where Debian puts them.
TALLOC = ("/usr/include/talloc.h", "libtalloc-dev", ("-ltalloc",))
APR = ("/usr/include/apr-1.0/apr_pools.h", "libapr1-dev", ("-isystem", "/usr/include/apr-1.0", "-lapr-1"))
IN_HEAPS = "create-destroy.*|destroy-million.*|thousands.*"

HEAPS = Group("heaps", [
    Contender(SUBJECT, "ration", cases="charge-.*|" + IN_HEAPS),
    Contender(SUBJECT, "ration_only", cases="push.*|deny|soft-.*"),
    Contender("ration-named", "ration_named", cases=IN_HEAPS),
    Contender("talloc", "talloc", *TALLOC, cases="charge-.*|" + IN_HEAPS),
    Contender("apr", "apr", *APR, cases=IN_HEAPS),
    Contender("malloc", "plain", cases="charge-.*|create-destroy-100|destroy-million.*|thousands.*"),
], {
    "charge-1": "ns", "charge-4": "ns", "charge-16": "ns", "create-destroy": "ns", "create-destroy-100": "ns",
    "destroy-million": "ms", "destroy-million-again": "ms", "thousands": "ns a heap", "thousands-mixed": "ns a heap",
    "thousands-bytes": "bytes a heap", "thousands-mixed-bytes": "bytes a heap",
    "push-pop": "ns", "pushed": "ns", "deny": "ms", "soft-median": "us", "soft-p99": "us", "soft-max": "us",
}, ("talloc", "apr", "malloc"))

ARENAS = Group("arenas", [
    Contender(SUBJECT, "ration"),
    Contender("ration-shared", "ration_shared", cases="pieces-.*|two-threads"),
    Contender("talloc", "talloc", *TALLOC, cases="pieces-.*|tree"),
    Contender("apr", "apr", *APR, cases="pieces-.*|tree|request"),
    Contender("obstack", "obstack", cases="pieces-.*|tree|request"),
    *(Contender(name, "plain", malloc=name) for name in (allocators.SYSTEM, *allocators.DEBIAN)),
    Contender("ration-malloc", "plain", malloc=SUBJECT),
], {
    "pieces-16": "ns", "pieces-32": "ns", "pieces-64": "ns", "pieces-mixed": "ns", "tree": "ns a node", "request": "us",
    "two-threads": "ns",
}, ("apr", "obstack", *allocators.DEBIAN, allocators.SYSTEM))

GROUPS = {group.name: group for group in (HEAPS, ARENAS)}
UNITS = {f"{group.name}:{case}": unit for group in GROUPS.values() for case, unit in group.units.items()}


def contender_names(group):
    return list(dict.fromkeys(contender.name for contender in group.contenders))


def wanted(group, only):
    names = [f"{group.name}:{case}" for case in group.units]
    return [name for name in names if not only or name in only or group.name in only]


class Contest:
    """Those of a group's contenders that can be built, and the rows that are wanted."""

    def __init__(self, group, linked_library, preload_library, names, missing):
        self.group = group
        self.linked_library = linked_library
        self.preload_library = preload_library
        self.names = names
        self.contenders = []
        for contender in group.contenders if names else []:
            trouble = self.trouble_with(contender)
            if trouble is None:
                self.contenders.append(contender)
            else:
                missing.append(f"{group.name} under {contender.name}: {trouble}")

    def is_linked_with_ours(self, contender):
        return contender.source.startswith(SUBJECT)

    def trouble_with(self, contender):
        """Why the contender can't take part; None if it can."""
        if self.is_linked_with_ours(contender) and not os.path.exists(self.linked_library):
            return f"{self.linked_library}: it is not built"
        if contender.header and not os.path.exists(contender.header):
            return f"{contender.header}: install {contender.package}"
        if contender.malloc and self.malloc_of(contender) is None:
            return f"its malloc is not installed: {contender.malloc}"
        return None

    def malloc_of(self, contender):
        """The library that is loaded before it; "" for none, None if it is not there."""
        if contender.malloc in ("", allocators.SYSTEM):
            return ""
        if contender.malloc == SUBJECT:
            return str(self.preload_library) if os.path.exists(self.preload_library) else None
        return allocators.find_debian(allocators.DEBIAN[contender.malloc][1])

    def program(self, contender):
        return f"{self.group.name}-{contender.source}"

    def link_options(self, contender, include):
        if not self.is_linked_with_ours(contender):
            return list(contender.options)
        return ["-I", str(include), str(self.linked_library), f"-Wl,-rpath,{self.linked_library.parent}"]

    def build(self, bench, target, compile_one):
        include = bench.parent / "include"
        for contender in self.contenders:
            ours = self.is_linked_with_ours(contender)
            depends = [bench / "suite" / "figure.h", *((include / "ration").glob("*.h") if ours else ())]
            compile_one(bench / self.group.name / f"{contender.source}.c", target / self.program(contender),
                        self.link_options(contender, include), depends)

    def run_round(self, runner, results, turn, where):
        for name in self.names:
            say(f"{where}: {name}")
            case = name.split(":")[1]
            for contender in order_of(self.contenders, turn):
                if re.fullmatch(contender.cases, case) is not None:
                    self.run_one(runner, results, name, contender)

    def run_one(self, runner, results, name, contender):
        command = [f"{runner.binaries}/{self.program(contender)}", name.split(":")[1]]
        allocator = Allocator(contender.name, self.malloc_of(contender))
        run = runner.run(Row(name, self.group.name, command), allocator)
        if run.trouble:
            results.add_trouble(name, contender.name, run.trouble)
        results.add(self.group.name, name, contender.name, None if run.trouble else float(run.output))
