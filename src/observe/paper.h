/* paper.h: text in columns, into a file that is open, without libc and without memory: one writer at a time. */
#ifndef RATION_OBSERVE_PAPER_H
#define RATION_OBSERVE_PAPER_H

#include "../os/os.h"

#pragma GCC visibility push(hidden)

void paper_begin(int file);
/* Writes what is left. False if anything could not be written. */
bool paper_end(void);

void paper_text(const char *);
/* Of up to so many bytes, which need not be fit to print. */
void paper_name(const char *, size_t most);
/* Spaces up to a column, one at least, counted from 0; a new line first where the text is there already. */
void paper_column(unsigned column);
void paper_line(void);
/* A title, underlined, with an empty line before it. */
void paper_title(const char *);
/* Numbers, right-aligned in a width: whole, as 12.3M, in base 16. */
void paper_number(uint64_t number, unsigned width);
void paper_size(uint64_t bytes, unsigned width);
void paper_hex(uint64_t number);
/* The decimal digits, at the end of room for them. */
enum { DIGITS = 21 };
const char *decimal(uint64_t number, char room[DIGITS]);

#pragma GCC visibility pop

#endif
