"""What is measured: one Row for each line of the tables. Start at suite_rows()."""
import dataclasses


@dataclasses.dataclass
class Row:
    name: str
    group: str  # workloads, programs, hot, or a group of contests.py
    command: list
    stdin: str = ""
    environment: dict = dataclasses.field(default_factory=dict)
    timeout: float = 60.0


WORKLOADS = {
    "larson": ["larson"], "crossing": ["crossing"], "batches": ["batches"], "replace-small": ["replace", "small"],
    "replace-medium": ["replace", "medium"], "replace-large": ["replace", "large"], "trees": ["trees"],
    "buffers": ["buffers"], "large-blocks": ["blocks", "large"], "huge-blocks": ["blocks", "huge"],
    "thread-churn": ["thread_churn"], "hand-over": ["hand_over"], "refill": ["refill"], "string-map": ["string_map"],
    "syntax-tree": ["syntax_tree"], "server": ["server"],
}

HOT = ["batch-reverse", "pair", "fifo", "replace-small", "replace-medium", "replace-large", "cross-thread", "aligned",
       "realloc", "realloc-again", "huge", "thread-start"]

ROOM_SIZES = [64, 1000, 40000, 1 << 20]


def workload_rows(binaries):
    return [Row(name, "workloads", [str(binaries / command[0]), *command[1:]]) for name, command in WORKLOADS.items()]


def program_rows(programs, inputs):
    """Real programs of Debian's. What each prints depends on its work and is compared between allocators."""
    python = {"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    gs = ["gs", "-q", "-dNOPAUSE", "-dBATCH", "-sDEVICE=pdfwrite", "-sOutputFile=/dev/null"]
    git = ["git", f"--git-dir={inputs}/history.git", "log", "-p", "-M", "--stat", "main"]
    return [
        Row("python3", "programs", ["/usr/bin/python3", f"{programs}/orders.py"], environment=python),
        Row("perl", "programs", ["perl", f"{programs}/words.pl"], environment={"PERL_HASH_SEED": "0"}),
        Row("lua", "programs", ["lua5.4", f"{programs}/scene.lua"]),
        Row("ruby", "programs", ["/usr/bin/ruby", f"{programs}/report.rb"]),
        Row("sqlite3", "programs", ["sqlite3", "-batch", ":memory:"], stdin=f"{programs}/ledger.sql"),
        Row("cc1", "programs", ["gcc", "-w", "-O1", "-S", "-o", "-", f"{inputs}/unit.c"]),
        Row("gs", "programs", [*gs, f"{inputs}/document.ps"]),
        Row("z3", "programs", ["z3", f"{inputs}/puzzle.smt2"]),
        Row("git", "programs", git, environment={"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_PAGER": "cat"}),
        Row("node", "programs", ["node", f"{programs}/bundle.js"]),
    ]


def hot_rows(binaries):
    return [Row("hot:" + name, "hot", [str(binaries / "hot"), name]) for name in HOT]


def suite_rows(bench, binaries, inputs):
    return workload_rows(binaries) + program_rows(bench / "programs", inputs)


def matches(row_name, group, wanted):
    return not wanted or any(one in (row_name, group) for one in wanted)
