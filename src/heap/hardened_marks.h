/* hardened_marks.h: what the checked way writes into memory to see later whether somebody else has: canary bytes behind
 * blocks, and the pattern of freed ones. */
#ifndef RATION_HEAP_HARDENED_MARKS_H
#define RATION_HEAP_HARDENED_MARKS_H

#include "hardened.h"

#pragma GCC visibility push(hidden)

extern uint64_t hardened_secret;

#define EVERY_BYTE 0x0101010101010101u
static const uint64_t FILL = 0xdf * EVERY_BYTE;

static inline uint64_t mix(uint64_t x) {
    x *= 0x9e3779b97f4a7c15u;
    return x ^ x >> 32;
}

static inline span *span_of_block(const void *block) {
    return span_of_id(page_map_entry(block)->span);
}

static COLD _Noreturn __attribute__((unused)) void misuse_of_freed(const void *block) {
    misuse(block, "written to after it was freed");
}

/* --- words ---------------------------------------------------------------------------------------------------- */

/* Stretches of whole words. Calls of memset cost more than most have to fill, and so does a loop whose end the
 * processor guesses wrong: pieces overlap instead. */
typedef uint64_t word __attribute__((may_alias));
typedef uint64_t two_words __attribute__((vector_size(16), aligned(8), may_alias));

enum { PIECE = 16, PIECES = 5, SHORT = PIECE * PIECES /* bytes */ };

/* Where the piece with a number begins in a stretch that is not longer than SHORT. */
static inline size_t piece(unsigned number, size_t last) {
    return number * (size_t)PIECE < last ? number * (size_t)PIECE : last;
}

static inline void set_pieces(char *at, size_t last, uint64_t value) {
#pragma GCC unroll 5
    for (unsigned i = 0; i < PIECES; i++)
        *(two_words *)(at + piece(i, last)) = (two_words){value, value};
}

/* All bits are zero where every piece is as it should be. */
static inline two_words wrong_in_pieces(const char *at, size_t last, uint64_t value) {
    two_words wrong = {0, 0};
#pragma GCC unroll 5
    for (unsigned i = 0; i < PIECES; i++)
        wrong |= *(const two_words *)(at + piece(i, last)) ^ (two_words) { value, value };
    return wrong;
}

static inline void set_words(char *at, size_t bytes, uint64_t value) {
    if (bytes < PIECE) {
        if (bytes != 0)
            *(word *)at = value;
        return;
    }
    for (; bytes > SHORT; at += SHORT, bytes -= SHORT)
        set_pieces(at, SHORT - PIECE, value);
    if (bytes < PIECE) {
        at -= PIECE;
        bytes += PIECE;
    }
    set_pieces(at, bytes - PIECE, value);
}

static inline bool words_are(const char *at, size_t bytes, uint64_t value) {
    if (bytes < PIECE)
        return bytes == 0 || *(const word *)at == value;
    two_words wrong = {0, 0};
    for (; bytes > SHORT; at += SHORT, bytes -= SHORT)
        wrong |= wrong_in_pieces(at, SHORT - PIECE, value);
    if (bytes < PIECE) {
        at -= PIECE;
        bytes += PIECE;
    }
    wrong |= wrong_in_pieces(at, bytes - PIECE, value);
    return (wrong[0] | wrong[1]) == 0;
}

/* --- what lies behind a block --------------------------------------------------------------------------------- */

static inline uint64_t canary_of(const void *block) {
    return (mix((uintptr_t)block ^ hardened_secret) >> 24 & 0xff) * EVERY_BYTE | EVERY_BYTE;
}

/* From what was asked for to the seal; and some of the last bytes asked for, which hold nothing yet. */
static inline void set_canary(char *block, size_t size, size_t room) {
    size_t from = size & ~(size_t)7, last = room - PIECE;
    uint64_t canary = canary_of(block);
    if (LIKELY(room >= PIECE && from >= last))
        *(two_words *)(block + last) = (two_words){canary, canary};
    else
        set_words(block + from, room - from, canary);
}

/* Whether the last bytes of a piece, fewer than all, are as they should be. */
static inline bool tail_holds(const char *at, size_t bytes, uint64_t canary) {
    two_words read = *(const two_words *)at;
    unsigned __int128 wrong = (unsigned __int128)(read[1] ^ canary) << 64 | (read[0] ^ canary);
    return wrong >> 1 >> (127 - 8 * bytes) == 0;
}

static inline bool canary_holds(const char *block, size_t size, size_t room) {
    size_t from = size & ~(size_t)7;
    uint64_t canary = canary_of(block);
    if (LIKELY(room >= PIECE && room - size < PIECE))
        return tail_holds(block + room - PIECE, room - size, canary);
    if (from >= room)
        return size == room;
    uint64_t first = (*(const word *)(block + from) ^ canary) >> size % 8 * 8;
    return first == 0 && words_are(block + from + 8, room - from - 8, canary);
}

#pragma GCC visibility pop

#endif
