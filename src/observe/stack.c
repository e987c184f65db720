/* stack.c: the calls that led to an autopsy.
 *
 * Few programs keep frame pointers, and who reads unwind tables takes the loader's lock. So every word of the stack is looked at
 * that may be a return address: one into code, right behind an instruction that calls. Start with tell_stack. */
#include "parts.h"

#include "lines.h"
#include "paper.h"

#include <string.h>

enum {
    MODULES = 256,
    MODULE_NAME = 48,
    CALLS = 40,
    WORDS = 512,
    STACK_MAX = 256 << 10,
    CALL_BYTES = 7,
    NAME_COLUMN = 20
};

/* Code, as it is mapped. */
typedef struct module {
    uintptr_t start, end;
    uintptr_t base; /* where its file begins */
    char name[MODULE_NAME];
} module;

static module modules[MODULES];
static unsigned module_count;
static uintptr_t words[WORDS];

/* --- code ----------------------------------------------------------------------------------------------------- */

static void note_module(const mapping *m, uintptr_t base) {
    if (module_count == MODULES)
        return;
    module *noted = &modules[module_count++];
    *noted = (module){.start = m->start, .end = m->end, .base = base};
    strncpy(noted->name, last_part(m->name), MODULE_NAME - 1);
}

/* Notes all code, in order. Gives where the stack that lies around an address ends; 0 if that can't be known. */
static uintptr_t read_map(uintptr_t on_stack) {
    uintptr_t base = 0, stack_end = 0;
    mapping m;
    module_count = 0;
    if (!lines_open("/proc/self/maps"))
        return 0;
    for (const char *line; (line = lines_next()) != NULL;) {
        if (!mapping_read(line, &m))
            continue;
        if (m.offset == 0)
            base = m.start;
        if (m.permissions[2] == 'x')
            note_module(&m, base);
        if (on_stack >= m.start && on_stack < m.end)
            stack_end = m.end;
    }
    lines_close();
    return stack_end;
}

static const module *module_at(uintptr_t address) {
    unsigned low = 0, high = module_count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (address < modules[middle].start)
            high = middle;
        else if (address >= modules[middle].end)
            low = middle + 1;
        else
            return &modules[middle];
    }
    return NULL;
}

/* --- calls ---------------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)

/* call rel32 has five bytes, the calls by register or memory (ff /2) two to seven. */
static bool follows_call(uintptr_t address) {
    uint8_t before[CALL_BYTES];
    if (!os_peek(address - CALL_BYTES, before, CALL_BYTES))
        return false;
    if (before[CALL_BYTES - 5] == 0xe8)
        return true;
    for (unsigned i = 0; i < CALL_BYTES - 1; i++)
        if (before[i] == 0xff && (before[i + 1] & 0x38) == 0x10)
            return true;
    return false;
}

static uintptr_t code_address(uintptr_t word) {
    return word;
}

#else

/* bl and blr, with or without authentication. */
static bool follows_call(uintptr_t address) {
    uint32_t before = 0;
    if ((address & 3) != 0 || !os_peek(address - 4, &before, sizeof before))
        return false;
    return (before & 0xfc000000) == 0x94000000 || (before & 0xfefff000) == 0xd63f0000;
}

/* Without its signature. */
static uintptr_t code_address(uintptr_t word) {
    return word & 0x0000ffffffffffffu;
}

#endif

static bool is_ours(const module *m) {
    return strncmp(m->name, "libration", sizeof "libration" - 1) == 0;
}

static bool tell_call(uintptr_t address) {
    const module *m = module_at(address);
    if (m == NULL || is_ours(m) || !follows_call(address))
        return false;
    paper_hex(address);
    paper_column(NAME_COLUMN);
    paper_name(m->name[0] == 0 ? "(code without a file)" : m->name, MODULE_NAME);
    if (m->name[0] != 0) {
        paper_text("+");
        paper_hex(address - m->base);
    }
    paper_line();
    return true;
}

/* Copied before it is looked at: there may be guards in what is mapped as one. */
static unsigned tell_calls(uintptr_t from, uintptr_t end) {
    unsigned told = 0;
    for (uintptr_t next; from < end && told < CALLS; from = next) {
        next = (from + sizeof words) & ~(sizeof words - 1);
        size_t bytes = (next < end ? next : end) - from;
        if (!os_peek(from, words, bytes))
            break;
        for (size_t i = 0; i < bytes / sizeof *words && told < CALLS; i++)
            told += tell_call(code_address(words[i]));
    }
    return told;
}

void tell_stack(void) {
    paper_title("The stack of the thread that asked");
    uintptr_t here = (uintptr_t)__builtin_frame_address(0) & ~(sizeof *words - 1), end = read_map(here);
    if (end == 0) {
        paper_text("Missing: /proc/self/maps can't be read.\n");
        return;
    }
    paper_text("Return addresses found on it, the latest call first; some may be left over from\n"
               "calls that are over. `addr2line -fe FILE OFFSET` names the line.\n");
    if (tell_calls(here, end - here < STACK_MAX ? end : here + STACK_MAX) == 0)
        paper_text("Missing: it can't be read.\n");
    if (module_count == MODULES)
        paper_text("Code in more mappings than are looked at is left out.\n");
}
