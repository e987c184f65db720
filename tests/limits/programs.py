#!/usr/bin/python3
"""Runs unmodified Debian programs at limits that are too low for what they are asked to do.

    tests/limits/programs.py [--without-command] [--address-space] [--build DIRECTORY] [--list] [NAME...]

Each must say that it is out of memory in its own words, or go on with less and do its work right. None may hang, end by
the kernel's hand, or leave damaged data. --address-space runs them on libc's malloc under `ulimit -v` instead, which
shows that the checks themselves work; programs that reserve more than they use can't run there. The packages are those
of the group `programs` of packages.list. Start reading at main(); a program is a function of this file."""

import argparse
import os
import re
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "programs"))

import limited
from place import Failure, Place
from servers import POSTGRES, ready, serve_nginx

SECONDS = 600
KILLED = (-9, 137)


class Outcome:
    def __init__(self, status, output, errors):
        self.status, self.output, self.errors = status, output, errors

    def words(self):
        lines = (self.errors + self.output).splitlines()[-6:]
        return f"status {self.status}: " + " / ".join(line[:150] for line in lines)


class Bounded(Place):
    """A place where programs run under a limit."""

    def __init__(self, prefix):
        super().__init__("", SECONDS)
        self.prefix = prefix

    def under(self, mebibytes, *command):
        """The command, to be run under the limit."""
        return (*self.prefix(mebibytes, self.directory), *command)

    def was_denied(self):
        """Whether anything has left an autopsy here."""
        return any(name.endswith(".autopsy") for name in os.listdir(self.directory))

    def attempt(self, mebibytes, *command, text=""):
        """Runs a command to whatever end."""
        try:
            done = subprocess.run(self.under(mebibytes, *command), cwd=self.directory, env=self.environment(),
                                  input=text.encode(), capture_output=True, timeout=self.left(), check=False)
        except subprocess.TimeoutExpired:
            raise Failure(f"{command[0]} hung") from None
        outcome = Outcome(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        if outcome.status in KILLED:
            raise Failure(f"{command[0]} was killed: {outcome.words()}")
        return outcome

    def denied(self, mebibytes, *command, says, text=""):
        """Runs a command that needs more: it must say so, in words of its own, and fail."""
        outcome = self.attempt(mebibytes, *command, text=text)
        if outcome.status == 0:
            raise Failure(f"{command[0]} was expected to run out of memory: {outcome.words()}")
        return expect_words(outcome, says)


def expect_words(outcome, says):
    """The line in which the program says it."""
    for line in (outcome.errors + outcome.output).splitlines():
        if re.search(says, line) and not line.startswith("ration:"):
            return line.strip()[:100]
    raise Failure(f"it did not say /{says}/: {outcome.words()}")


def python(place):
    script = ("kept = []\ntry:\n  while True: kept.append(bytearray(len(kept) * 100 + 10))\nexcept MemoryError:\n"
              "  n = len(kept); del kept\n  print('goes on', n > 100, sum(i * i for i in range(100000)))\n")
    outcome = place.attempt(64, "/usr/bin/python3", "-c", script)
    if outcome.status != 0 or "goes on True 333328333350000" not in outcome.output:
        raise Failure(outcome.words())
    return place.denied(64, "/usr/bin/python3", "-c", "l = []\nwhile True: l.append(str(len(l)) * 50)",
                        says="MemoryError")


def perl(place):
    return place.denied(64, "/usr/bin/perl", "-e", "my @a; while (1) { push @a, 'x' x 1000; }", says="Out of memory")


def ruby(place):
    return place.denied(96, "/usr/bin/ruby", "--disable-gems", "-e", "a = []; loop { a << 'x' * 10000 }",
                        says="NoMemoryError|failed to allocate memory")


def lua(place):
    return place.denied(32, "/usr/bin/lua5.4", "-e", "local t = {} while true do t[#t + 1] = tostring(#t) end",
                        says="not enough memory")


def jq(place):
    return place.denied(48, "/usr/bin/jq", "-n", "[range(50000000)] | length", says="annot allocate memory")


V8_CRASHES = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGTRAP, -signal.SIGILL}


def node(place):
    """Without --max-old-space-size, so that it is the limit that stops it. V8 does not look at every answer of malloc's: a
    crash is its way, on libc's malloc, too."""
    outcome = place.attempt(256, "/usr/bin/node", "-e",
                            "const a = []; while (true) a.push(new Array(1000).fill(a.length))")
    if outcome.status in V8_CRASHES:
        if not place.was_denied():
            raise Failure(f"node crashed before it was denied anything: {outcome.words()}")
        return f"crashed by itself: {outcome.words()}"[:100]
    if outcome.status == 0:
        raise Failure("node was expected to run out of memory")
    return expect_words(outcome, "[Oo]ut of memory|heap limit|bad_alloc|allocation failed|RangeError")


def xz(place):
    """-9 takes 674 MiB."""
    place.write("text", "a line of text\n" * 100000)
    line = place.denied(128, "/usr/bin/xz", "-9", "-k", "-T1", "text", says="annot allocate memory|emory")
    if os.path.exists(place.path("text.xz")):
        raise Failure("an unfinished file was left")
    return line


def gcc(place):
    """A translation unit that takes cc1plus far more than the limit."""
    head = "#include <map>\n#include <string>\n#include <vector>\n#include <regex>\n"
    body = "".join(f"struct t{i} {{}}; std::map<std::string, std::vector<t{i}>> m{i}; int f{i}() {{ m{i}[\"a\"].resize({i});"
                   f" return (int)m{i}.size(); }}\n" for i in range(300))
    place.write("large.cc", head + body)
    return place.denied(128, "/usr/bin/g++", "-O1", "-c", "large.cc", "-o", "large.o",
                        says="out of memory|virtual memory exhausted|annot allocate memory|bad_alloc")


def git(place):
    """A commit of a file larger than the limit fails or streams; the repository stays whole, and works."""
    place.run("git", "init", "-q", "r")
    identity = ("git", "-C", "r", "-c", "user.name=n", "-c", "user.email=e")
    place.write("r/small", "small\n")
    place.run(*identity, "add", "small")
    place.run(*identity, "commit", "-q", "-m", "small")
    place.write("r/large", os.urandom(1 << 20) * 100)
    outcome = place.attempt(64, *identity, "-c", "core.bigFileThreshold=1g", "add", "large")
    said = "went on" if outcome.status == 0 else expect_words(outcome, "[Oo]ut of memory|annot allocate|mmap failed")
    place.run(*identity, "fsck", "--strict")
    place.run(*identity, "add", "large")
    place.run(*identity, "commit", "-q", "-m", "large")
    place.run(*identity, "fsck", "--strict")
    return said


def sqlite3(place):
    """A sort in memory within a transaction is denied; the file is whole and holds what it held."""
    place.run("/usr/bin/sqlite3", "file.db", "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t SELECT value, "
              "hex(value) FROM generate_series(1, 20000); CREATE INDEX i ON t(b);")
    before = place.run("/usr/bin/sqlite3", "file.db", ".dump")
    said = place.denied(32, "/usr/bin/sqlite3", "-bail", "file.db", "PRAGMA temp_store = memory; PRAGMA cache_size = "
                        "1000000; BEGIN; INSERT INTO t SELECT value + 20000, hex(randomblob(200)) FROM "
                        "generate_series(1, 400000) ORDER BY 2; COMMIT;", says="out of memory")
    if place.run("/usr/bin/sqlite3", "file.db", "PRAGMA integrity_check") != b"ok\n":
        raise Failure("the file is damaged")
    if place.run("/usr/bin/sqlite3", "file.db", ".dump") != before:
        raise Failure("the file holds something else than before")
    return said


def postgresql(place):
    """The server as one tree under one limit. A backend's query that needs more fails alone; the rest goes on."""
    user = place.give_to("postgres")

    def run(program, *arguments, **options):
        return place.run(f"{POSTGRES}/{program}", *arguments, user=user, **options)
    data, port = place.path("data"), "5432"
    initialised = subprocess.run(place.under(160, f"{POSTGRES}/initdb", "-D", data, "-U", "postgres", "-A", "trust",
                                             "--no-sync", "-E", "UTF8"), cwd=place.directory, user=user,
                                 env=place.environment(), capture_output=True, timeout=place.left(), check=False)
    if initialised.returncode != 0:
        raise Failure(f"initdb: {initialised.stderr.decode(errors='replace')[-400:]}")
    reach = ("-h", place.directory, "-p", port, "-U", "postgres")
    server = place.serve(*place.under(160, f"{POSTGRES}/postgres", "-D", data, "-p", port, "-k", place.directory, "-c",
                                      "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"), user=user,
                         ready=lambda: os.path.exists(place.path(f".s.PGSQL.{port}")))
    while run("pg_isready", *reach, "-q", expect=None) or not ready(run, reach):
        if time.monotonic() > place.deadline or server.process.poll() is not None:
            raise Failure(f"the server did not come up: {server.log()[-400:].decode(errors='replace')}")
        time.sleep(0.1)
    run("pgbench", *reach, "-i", "-q", "-s", "2", "postgres")

    def dump():
        """Newer versions add lines with a random word."""
        lines = run("pg_dump", *reach, "postgres").splitlines()
        return [line for line in lines if not line.startswith((b"\\restrict", b"\\unrestrict"))]
    before = dump()
    query = ("SET work_mem = '1GB'; SET hash_mem_multiplier = 4; "
             "SELECT count(*) FROM (SELECT n, md5(n::text) FROM generate_series(1, 3000000) n GROUP BY 1, 2) g")
    command = [f"{POSTGRES}/psql", *reach, "-At", "-v", "ON_ERROR_STOP=1", "-c", query, "postgres"]
    asked = subprocess.run(command, env=place.environment(), user=user, capture_output=True, timeout=place.left(),
                           check=False)
    said = expect_words(Outcome(asked.returncode, "", asked.stderr.decode(errors="replace")), "out of memory")
    run("pgbench", *reach, "-c", "2", "-t", "100", "-S", "postgres")
    if dump() != before:
        raise Failure("the database holds something else than before")
    run("psql", *reach, "-q", "-v", "ON_ERROR_STOP=1", "-c", "CREATE EXTENSION amcheck; SELECT bt_index_check(c.oid, true) "
        "FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE a.amname = 'btree' AND c.relpersistence = 'p'",
        "-o", "/dev/null", "postgres")
    if b"was terminated by signal" in server.log():
        raise Failure(f"a server process was killed: {server.log()[-400:].decode(errors='replace')}")
    code = server.stop()
    if code != 0:
        raise Failure(f"the server ended with {code}")
    return said


def nginx(place):
    """Under load with less than it wants: what can't be served is refused, and the workers live."""
    server, address = serve_nginx(place, lines=300000, command=place.under(16, "nginx"))
    place.run("wrk", "-t1", "-c150", "-d4s", "--timeout", "20s", "-H", "Accept-Encoding: gzip", f"{address}/large.txt")
    got = place.run("curl", "-sS", "--retry", "5", "--retry-connrefused", f"{address}/small.txt", f"{address}/large.txt")
    if got != place.read("www/small.txt") + place.read("www/large.txt"):
        raise Failure("a file came with other content")
    log = place.read("error.log").decode(errors="replace")
    if re.search("exited on signal", log):
        raise Failure(f"a worker died: {re.search('.*exited on signal.*', log).group()}")
    code = server.stop()
    if code != 0:
        raise Failure(f"ended with {code}")
    found = re.search(r"(malloc|posix_memalign|mmap|deflateInit2)\(.*failed.*", log)
    return found.group()[:90] if found else "went on"


def redis(place):
    """Debian's redis-server is linked with a malloc of its own, so no limit can be kept: it must be refused."""
    outcome = place.attempt(64, "/usr/bin/redis-server", "--version")
    if outcome.status == 0 or "malloc" not in outcome.errors:
        raise Failure(f"it was not refused: {outcome.words()}")
    return outcome.errors.strip().splitlines()[0][:100]


PROGRAMS = {function.__name__: function for function in (python, perl, ruby, lua, jq, node, xz, gcc, git, sqlite3,
                                                          postgresql, nginx, redis)}
NOT_BY_ADDRESS_SPACE = {"node", "redis"}
NOT_WITHOUT_COMMAND = {"redis"}


def run_program(name, prefix):
    place = Bounded(prefix)
    started = time.monotonic()
    try:
        said = PROGRAMS[name](place)
    except (Failure, OSError, subprocess.TimeoutExpired) as problem:
        print(f"FAIL {name}: {problem}", flush=True)
        return False
    finally:
        place.close()
    print(f"ok   {name}: {time.monotonic() - started:.1f} s: {said}", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description="run Debian's programs at limits that bite")
    limited.add_arguments(parser)
    parser.add_argument("--address-space", action="store_true", help="on libc's malloc, under ulimit -v")
    parser.add_argument("--list", action="store_true", help="print the names and do nothing else")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()

    def under_ration(mebibytes, directory):
        return limited.prefix(options, f"{mebibytes}M", directory)

    def under_address_space(mebibytes, _):
        return ("prlimit", f"--as={mebibytes << 20}", "--")
    unknown = [name for name in options.names if name not in PROGRAMS]
    if unknown:
        sys.exit(f"limits: no such program: {', '.join(unknown)}")
    left_out = (NOT_BY_ADDRESS_SPACE if options.address_space else
                NOT_WITHOUT_COMMAND if options.without_command else set())
    names = options.names or [name for name in PROGRAMS if name not in left_out]
    if options.list:
        print("\n".join(names))
        return
    results = [run_program(name, under_address_space if options.address_space else under_ration) for name in names]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
