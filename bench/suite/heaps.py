"""The rows about heaps: Ration's beside talloc's contexts, APR's pools, and malloc with a free for each block.

Each contender is a program of its own, linked with its library (heaps/). Start at Heaps.run_round()."""
import dataclasses
import os
import re

from .allocators import Allocator
from .measure import order_of, say
from .rows import Row

SUBJECT = "ration"
PEERS = ("talloc", "apr", "malloc")
DENY = "heaps:deny"


@dataclasses.dataclass
class Contender:
    name: str
    source: str  # heaps/SOURCE.c
    header: str = ""  # what must be there to build it
    package: str = ""  # what brings that
    options: tuple = ()
    cases: str = ".*"


# talloc and APR lie where Debian puts them.
CONTENDERS = [
    Contender(SUBJECT, "ration"),
    Contender("ration-named", "ration_named", cases="create-destroy.*|destroy-million.*|thousands.*"),
    Contender("talloc", "talloc", "/usr/include/talloc.h", "libtalloc-dev", ("-ltalloc",)),
    Contender("apr", "apr", "/usr/include/apr-1.0/apr_pools.h", "libapr1-dev",
              ("-isystem", "/usr/include/apr-1.0", "-lapr-1"), "create-destroy.*|destroy-million.*|thousands.*"),
    Contender("malloc", "plain", cases="charge-.*|create-destroy-100|destroy-million.*|thousands.*"),
]
ONLY_RATION = Contender(SUBJECT, "ration_only")

CASES = {  # name: unit
    "charge-1": "ns", "charge-4": "ns", "charge-16": "ns", "create-destroy": "ns", "create-destroy-100": "ns",
    "destroy-million": "ms", "destroy-million-again": "ms", "thousands": "ns a heap", "thousands-mixed": "ns a heap",
    "thousands-bytes": "bytes a heap", "thousands-mixed-bytes": "bytes a heap",
}
CASES_OF_RATION = {
    "push-pop": "ns", "pushed": "ns", "deny": "ms", "soft-median": "us", "soft-p99": "us", "soft-max": "us",
}
UNITS = {"heaps:" + name: unit for name, unit in {**CASES, **CASES_OF_RATION}.items()}


def program(contender):
    return "heaps-" + contender.source


def is_ours(contender):
    return contender.name.startswith(SUBJECT)


def link_options(contender, include, library):
    ours = ["-I", str(include), str(library), f"-Wl,-rpath,{library.parent}"]
    return ours if is_ours(contender) else list(contender.options)


class Heaps:
    """Those of the contenders that can be built, and the rows that are wanted."""

    def __init__(self, library, names, missing):
        self.library = library
        self.names = names
        self.contenders = []
        for contender in CONTENDERS + [ONLY_RATION]:
            needed, remedy = (library, "it is not built") if is_ours(contender) else (
                contender.header, f"install {contender.package}")
            if not names or not needed or os.path.exists(needed):
                self.contenders.append(contender)
            elif contender is not ONLY_RATION:
                missing.append(f"heaps under {contender.name}: {needed}: {remedy}")

    def build(self, bench, target, compile_one):
        for contender in self.contenders if self.names else []:
            options = link_options(contender, bench.parent / "include", self.library)
            depends = (bench.parent / "include" / "ration").glob("*.h") if is_ours(contender) else ()
            compile_one(bench / "heaps" / f"{contender.source}.c", target / program(contender), options, depends)

    def run_round(self, runner, results, turn, where):
        for name in self.names:
            say(f"{where}: {name}")
            for contender in order_of(self.contenders, turn):
                if runs(contender, name.removeprefix("heaps:")):
                    self.run_one(runner, results, name, contender)

    def run_one(self, runner, results, name, contender):
        command = [f"{runner.binaries}/{program(contender)}", name.removeprefix("heaps:")]
        run = runner.run(Row(name, "heaps", command), Allocator(contender.name))
        if run.trouble:
            results.add_trouble(name, contender.name, run.trouble)
        results.add("heaps", name, contender.name, None if run.trouble else float(run.output))


def runs(contender, case):
    if contender is ONLY_RATION:
        return case in CASES_OF_RATION
    return case in CASES and re.fullmatch(contender.cases, case) is not None


def wanted(only):
    return [name for name in UNITS if not only or name in only or "heaps" in only]
