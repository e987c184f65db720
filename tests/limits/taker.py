"""taker.py: takes memory as it is told, line by line, and answers each with how many MiB it holds.

    take N       writes N MiB more, or as many as it gets         fill     takes until it is denied
    reserve N    has N MiB more that it does not touch yet        touch    writes to all that it has
    give         gives all back                                   burst    takes until it ends of it"""

import ctypes
import sys

MIB = 1 << 20
kept = []
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p


def take(blocks):
    for _ in blocks:
        kept.append(bytearray(b"x") * MIB)


def burst():
    while True:
        kept.append(bytearray(b"x") * MIB)


def reserve(size):
    start = libc.malloc(ctypes.c_size_t(size))
    if start is None:
        raise MemoryError
    kept.append((ctypes.c_char * size).from_address(start))


def touch():
    for block in kept:
        ctypes.memset((ctypes.c_char * len(block)).from_buffer(block), 1, len(block))


def held():
    return sum(map(len, kept)) // MIB


def obey(word, count=0):
    if word == "take":
        take(range(int(count)))
    elif word == "fill":
        burst()
    elif word == "reserve":
        reserve(int(count) * MIB)
    elif word == "touch":
        touch()
    elif word == "give":
        kept.clear()


for line in sys.stdin:
    if line.strip() == "burst":
        burst()
    try:
        obey(*line.split())
    except MemoryError:
        del kept[-1:]  # which leaves room to answer with
    print(held(), flush=True)
