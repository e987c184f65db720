"""languages.py: interpreters and small tools, each with a script from inputs/ or a few lines of its own. Every function
takes a Place and gives the bytes that must be the same on every manager."""

import re

from place import Failure


def python_suite(place, *modules):
    """Python's own tests, of which all must pass; only their number is compared, the rest is times."""
    output = place.run("/usr/bin/python3", "-m", "test", "--timeout", "150", *modules, expect=None,
                       variables={"PYTHONMALLOC": "malloc", "PYTHONHASHSEED": "1"}).decode(errors="replace")
    if "Tests result: SUCCESS" not in output:
        raise Failure("python: " + " / ".join(output.splitlines()[-12:]))
    return "\n".join(re.findall(r"^All \d+ tests OK.$|^\d+ tests? (?:OK|skipped|failed).*$", output, re.M)).encode()


def python_containers(place):
    return python_suite(place, "test_dict", "test_list", "test_set", "test_deque", "test_tuple", "test_sort", "test_bytes",
                        "test_gc", "test_memoryview", "test_array", "test_collections", "test_itertools",
                        "test_weakref")


def python_text(place):
    return python_suite(place, "test_json", "test_re", "test_csv", "test_struct", "test_pickle", "test_xml_etree",
                        "test_unicode", "test_email", "test_decimal", "test_long", "test_ctypes")


def python_threads(place):
    return python_suite(place, "test_thread", "test_threading", "test_threading_local", "test_queue", "test_fork1",
                        "test_zlib")


def python_script(place):
    return place.run("/usr/bin/python3", place.input("work.py"), variables={"PYTHONMALLOC": "malloc"})


def perl(place):
    return place.run("perl", place.input("work.pl"), variables={"PERL_HASH_SEED": "0"})


def ruby(place):
    return place.run("ruby", place.input("work.rb"))


def lua(place):
    return place.run("lua5.4", place.input("work.lua"))


def tcl(place):
    return place.run("tclsh", place.input("work.tcl"))


def node(place):
    return place.run("node", place.input("work.js"))


def php(place):
    return place.run("php", "-n", place.input("work.php"))


def bash(place):
    return place.run("bash", place.input("work.bash"))


def gawk(place):
    return place.run("gawk", "-f", place.input("work.awk"))


def emacs(place):
    return place.run("emacs", "--batch", "-Q", "-l", place.input("work.el"))


def vim(place):
    place.write("text.txt", "".join(f"line {i} with some words to change\n" for i in range(20000)))
    place.run("vim", "-u", "NONE", "-i", "NONE", "-n", "-es", "-S", place.input("work.vim"), "text.txt")
    return place.hash("text.txt")


def sqlite3(place):
    return place.run("sqlite3", "work.db", f".read {place.input('work.sql')}")


def bc(place):
    return place.run("bc", "-lq", text="scale=600\n4*a(1)\ne(3)\nl(7)\n2^9999 % 1000000007\n",
                     variables={"BC_LINE_LENGTH": "0"})


def z3(place):
    return place.run("z3", "-smt2", place.input("pigeons.smt2")) + place.run("z3", "-smt2", place.input("work.smt2"))


def jq(place):
    records = ",".join(f'{{"id":{i},"name":"n{i * 7919 % 1000}","tags":["a{i % 7}","b{i % 11}"],"value":{i * 1.5}}}'
                       for i in range(60000))
    place.write("records.json", f"[{records}]")
    query = "group_by(.tags[0]) | map({tag: .[0].tags[0], n: length, sum: (map(.value) | add), last: (.[-5:] | map(.name))})"
    return place.run("jq", query, "records.json") + place.run("jq", "-c", ".[] | select(.id % 1000 == 7)", "records.json")
