#!/usr/bin/env python3
"""Makes the inputs that are too big to keep: C source, a PostScript document, a logic puzzle, a git history.

Usage: generate.py DIRECTORY. Everything comes from fixed seeds, so that two machines measure the same work."""
import pathlib
import random
import subprocess
import sys


def c_function(chance, number):
    fields = ", ".join(f"int p{i}" for i in range(chance.randrange(1, 6)))
    body = [f"    struct item{number % 40} v = {{0}};", "    long t = p0;"]
    for line in range(chance.randrange(6, 24)):
        kind = chance.randrange(5)
        if kind == 0:
            body.append(f"    for (int i = 0; i < p0 + {line}; i++) t += table{number % 40}[i & 63] * {line + 1};")
        elif kind == 1:
            body.append(f"    if (t > {chance.randrange(1000)}) v.a += (int)t; else v.b[{line % 8}] ^= {line};")
        elif kind == 2:
            body.append(f"    t = t * {chance.randrange(2, 99)} + v.a - v.b[{line % 8}];")
        elif kind == 3:
            body.append(f"    switch (t & 3) {{ case 0: t++; break; case 1: t -= {line}; break; default: t ^= v.a; }}")
        else:
            body.append(f"    v.c = t & 1 ? \"text number {number} {line}\" : v.c;")
    body.append("    return t + v.a + (v.c ? v.c[0] : 0);")
    return f"long function{number}({fields}) {{\n" + "\n".join(body) + "\n}\n"


def write_c(directory):
    chance = random.Random(1)
    parts = [f"struct item{i} {{ int a, b[8]; const char *c; }}; static int table{i}[64] = {{{i}}};" for i in range(40)]
    parts += [c_function(chance, number) for number in range(90)]
    (directory / "unit.c").write_text("\n".join(parts))


def write_postscript(directory):
    chance = random.Random(2)
    pages = ["%!PS"]
    for page in range(60):
        for _ in range(260):
            x, y = chance.randrange(50, 500), chance.randrange(50, 750)
            font, size = chance.choice(["Times-Roman", "Helvetica", "Courier"]), chance.randrange(6, 40)
            pages.append(f"/{font} findfont {size} scalefont setfont {x} {y} moveto (figure {page} of {x}) show")
            pages.append(f"newpath {x} {y} moveto {chance.randrange(500)} {chance.randrange(700)} {x} {y + 50} "
                         f"{chance.randrange(500)} {y} curveto {chance.random():.2f} setgray closepath fill")
            pages.append(f"/d 50 dict def d /k{x} [{x} {y} (text)] put {x} string pop")
        pages.append("showpage")
    (directory / "document.ps").write_text("\n".join(pages))


def schedule(chance, jobs=9, machines=6, horizon=90):
    """Job-shop scheduling: each job passes the machines in order, no machine does two jobs at once."""
    length = [[chance.randrange(1, 9) for _ in range(machines)] for _ in range(jobs)]
    for job in range(jobs):
        yield from (f"(declare-const s{job}_{machine} Int)" for machine in range(machines))
        yield f"(assert (>= s{job}_0 0))"
        for machine in range(1, machines):
            yield f"(assert (>= s{job}_{machine} (+ s{job}_{machine - 1} {length[job][machine - 1]})))"
        yield f"(assert (<= (+ s{job}_{machines - 1} {length[job][-1]}) {horizon}))"
    for machine in range(machines):
        for a in range(jobs):
            for b in range(a):
                yield (f"(assert (or (>= s{a}_{machine} (+ s{b}_{machine} {length[b][machine]})) "
                       f"(>= s{b}_{machine} (+ s{a}_{machine} {length[a][machine]}))))")


def equations(chance, unknowns=60):
    """Products, sums and exclusive ors over bit vectors."""
    yield from (f"(declare-const x{i} (_ BitVec 32))" for i in range(unknowns))
    for i in range(0, unknowns, 3):
        yield (f"(assert (= (bvadd (bvmul x{i} #x000000{chance.randrange(16, 255):02x}) x{i + 1}) "
               f"(bvxor x{i + 2} #x{chance.randrange(1 << 32):08x})))")
        yield f"(assert (bvult x{i} x{i + 1}))"


def write_puzzle(directory):
    chance = random.Random(3)
    lines = ["(set-option :smt.random_seed 1)"]
    for _ in range(5):
        for puzzle in (schedule, equations):
            lines += ["(push)", *puzzle(chance), "(check-sat)", "(pop)"]
    (directory / "puzzle.smt2").write_text("\n".join(lines))


def history_commit(chance, files, mark):
    touched = chance.sample(sorted(files), 3)
    for name in touched:
        lines = files[name]
        for _ in range(4):
            value = f"value_{chance.randrange(1000)} = {chance.randrange(10 ** 6)}  # {mark}"
            lines[chance.randrange(len(lines))] = value
        lines.insert(chance.randrange(len(lines)), f"call_{mark}({chance.randrange(100)})")
    message = f"Change {', '.join(touched)}\n"
    yield f"commit refs/heads/main\nmark :{mark}\n"
    yield f"committer Someone <someone@example.org> {1700000000 + mark * 60} +0000\n"
    yield f"data {len(message)}\n{message}"
    for name in files if mark == 1 else touched:
        text = "\n".join(files[name]) + "\n"
        yield f"M 100644 inline {name}\ndata {len(text)}\n{text}\n"


def write_history(directory):
    chance = random.Random(4)
    files = {}
    for i in range(60):
        files[f"part{i % 7}/file{i}.py"] = [f"line_{i}_{j} = {chance.randrange(10 ** 6)}" for j in range(300)]
    stream = "".join(piece for mark in range(1, 1201) for piece in history_commit(chance, files, mark))
    repository = directory / "history.git"
    subprocess.run(["git", "init", "-q", "--bare", str(repository)], check=True)
    subprocess.run(["git", f"--git-dir={repository}", "fast-import", "--quiet"], input=stream.encode(), check=True)


def main():
    directory = pathlib.Path(sys.argv[1])
    for write in (write_c, write_postscript, write_puzzle, write_history):
        write(directory)


if __name__ == "__main__":
    main()
