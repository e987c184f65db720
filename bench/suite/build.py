"""Compiles the suite's own programs, when a source is newer than what was built from it. Start at build_all()."""
import pathlib
import shlex
import subprocess

FLAGS = shlex.split("-D_GNU_SOURCE -std=gnu17 -O2 -g -pthread -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes")
# The compiler may not drop a pair of malloc and free, nor join malloc and memset: the row would measure nothing.
FLAGS += ["-fno-builtin-" + name for name in ("malloc", "calloc", "realloc", "free", "aligned_alloc")]


def newest(paths):
    return max(path.stat().st_mtime for path in paths)


def compile_one(source, target, options, depends=()):
    headers = [*source.parent.glob("*.h"), *(source.parent.parent / "workloads").glob("*.h"), *depends]
    if target.exists() and target.stat().st_mtime >= newest([source, *headers]):
        return
    command = ["cc", *FLAGS, str(source), *options, "-o", str(target)]
    if subprocess.run(command).returncode:
        raise SystemExit("could not build: " + shlex.join(command))


def build_all(bench, target):
    """Builds into the directory `target`: a program for each C file, and the empty library."""
    target.mkdir(parents=True, exist_ok=True)
    sources = [*(bench / "workloads").glob("*.c"), *(bench / "hot").glob("*.c"), *(bench / "footprint").glob("*.c")]
    for source in sources:
        if source.stem == "empty":
            compile_one(source, target / "libempty.so", ["-shared", "-fPIC"])
        else:
            compile_one(source, target / source.stem, [])
    compile_one(bench / "suite" / "launch.c", target / "launch", ["-static"])


def generate_inputs(bench, directory):
    generator = bench / "programs" / "generate.py"
    subprocess.run(["/usr/bin/python3", str(generator), str(directory)], check=True, stdin=subprocess.DEVNULL)
    return pathlib.Path(directory)
