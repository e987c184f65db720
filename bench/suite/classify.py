"""Finds out which rows are sensitive: malloc takes at least a tenth of their CPU under glibc. Start at classify().

Each row runs once under `perf record` on glibc with libc's debug symbols (package libc6-dbg). A sample belongs to
malloc if the innermost frame of the program is in a function of glibc's malloc.c, or the kernel is in brk or mremap; in
the suite's own workloads, which map nothing themselves, also if it is in munmap, madvise or mprotect. Page faults are
malloc's only where malloc itself touches the page, so the shares are lower bounds."""
import os
import re
import subprocess

THRESHOLD = 0.10
FEWEST_SAMPLES = 200
METHOD = ("share of CPU samples under glibc (perf record -e cpu-clock, libc6-dbg) in malloc.c's functions and in the "
          "system calls they make")

MALLOC_FUNCTION = re.compile(
    r"(_*(libc_)?(malloc|free|cfree|calloc|realloc|memalign|valloc|pvalloc|aligned_alloc|posix_memalign)"
    r"|malloc_(trim|usable_size|consolidate|printerr)|_int_(malloc|free|realloc|memalign|new_arena)|_?mid_memalign"
    r"|unlink_chunk|sysmalloc\w*|systrim|sysmadvise_thp|tcache_\w+|ptmalloc_init|arena_get2|get_free_list|detach_arena"
    r"|reused_arena|heap_trim|(new|grow|shrink|delete|alloc_new)_heap|(mremap|munmap)_chunk|mem2\w+"
    r"|__malloc_\w+|__glibc_morecore|_*sbrk|_*brk|__lll_lock_(wait|wake)_private)(\.\w+)*(@.*)?")
KERNEL_CALLS = re.compile(r"__(x64_|arm64_|do_|se_)sys_(brk|mremap)\b")
KERNEL_CALLS_OF_WORKLOADS = re.compile(r"__(x64_|arm64_|do_|se_)sys_(brk|mremap|munmap|madvise|mprotect)\b")
FRAME = re.compile(r"\s+[0-9a-f]+ (?P<symbol>.*) \((?P<object>[^()]*(\([^()]*\))?)\)$")


def samples(script):
    """Call chains, innermost frame first, as lists of (symbol, object)."""
    chain = []
    for line in script.splitlines():
        frame = FRAME.match(line)
        if frame:
            chain.append((frame["symbol"], frame["object"]))
        elif chain:
            yield chain
            chain = []
    if chain:
        yield chain


def is_kernel(shared_object):
    return "kernel" in shared_object or shared_object.endswith(".ko")


def belongs_to_malloc(chain, kernel_calls):
    kernel = [symbol for symbol, shared_object in chain if is_kernel(shared_object)]
    if any(kernel_calls.match(symbol) for symbol in kernel):
        return True
    if len(kernel) == len(chain):
        return False
    symbol, shared_object = chain[len(kernel)]
    return "libc" in os.path.basename(shared_object) and bool(MALLOC_FUNCTION.fullmatch(symbol))


def record(runner, row, glibc, scratch, options):
    """Call chains of one run of the row under perf."""
    data = scratch / "perf.data"
    command = ["perf", "record", "-q", "-g", "-e", "cpu-clock", "-F", "1999", *options, "-o", str(data), *row.command]
    with open(row.stdin or os.devnull, "rb") as stdin:
        subprocess.run(command, env=runner.environment(row, glibc), stdin=stdin, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True, cwd=scratch)
    only = ["--comms", os.path.basename(row.command[0])[:15]] if "-a" in options else []
    script = subprocess.run(["perf", "script", "-i", str(data), "-F", "comm,ip,sym,dso", *only], capture_output=True,
                            text=True, errors="replace", check=True).stdout
    return list(samples(script))


def share(runner, row, glibc, scratch):
    """The share of malloc in one run of the row, from 0 to 1, and the number of samples."""
    chains = record(runner, row, glibc, scratch, [])
    if len(chains) < FEWEST_SAMPLES:
        # A thread that lives shorter than the sampling period is never met by a timer of its own: sample the machine.
        chains = record(runner, row, glibc, scratch, ["-a"])
    if len(chains) < FEWEST_SAMPLES:
        raise SystemExit(f"perf took only {len(chains)} samples of {row.name}")
    kernel_calls = KERNEL_CALLS_OF_WORKLOADS if row.group == "workloads" else KERNEL_CALLS
    return sum(belongs_to_malloc(chain, kernel_calls) for chain in chains) / len(chains), len(chains)


def classify(runner, suite, glibc, scratch, target, say):
    """Measures these rows anew; the lines of other rows stay as they are."""
    found = read_lines(target)
    for row in suite:
        portion, count = share(runner, row, glibc, scratch)
        say(f"{row.name:16} {portion:6.1%} of {count} samples")
        found.pop(row.name, None)  # so that the order is that of measuring
        found[row.name] = f"{row.name} {portion:.3f} {count}"
    head = f"# {METHOD}; sensitive from {THRESHOLD:.0%} on.\n# row, share, samples. Written by bench/run --classify.\n"
    target.write_text(head + "\n".join(found.values()) + "\n")


def read_lines(path):
    text = path.read_text() if path.exists() else ""
    return {line.split()[0]: line for line in text.splitlines() if line and not line.startswith("#")}


def read_shares(path):
    """{row name: share}; empty if the rows were never classified."""
    return {name: float(line.split()[1]) for name, line in read_lines(path).items()}
