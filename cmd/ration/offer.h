/* offer.h: the memory that `ration run` shares with the processes it started: made here, offered on a socket, and kept in
 * order as processes die. src/heap/shared_page.h says what is in it. */
#ifndef RATION_CMD_OFFER_H
#define RATION_CMD_OFFER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../src/heap/shared_page.h"

#define OFFER_MEMORY_NAME "ration"
#define OFFER_NAME_SIZE 64
#define OFFER_PATH_SIZE 108 /* unix(7) */

/* What processes that are gone had told, and that one of them was the program. */
typedef struct offer_totals {
    uint64_t denied, pressure_us;
    uint64_t highest_peak; /* of any one */
    unsigned processes, denied_processes;
    unsigned autopsy_pid, autopsy_number; /* of an autopsy that one of them has left, as in a slot */
} offer_totals;

typedef struct offer {
    shared_page *page;
    int memory, socket, path_socket;               /* the last is -1 where there is none */
    char names[OFFER_NAME_SIZE + OFFER_PATH_SIZE]; /* as the library takes them */
    char path[OFFER_PATH_SIZE];
    pid_t program;    /* whose last figures are kept */
    shared_slot last; /* them */
    offer_totals totals;
} offer;

/* Makes the memory and the socket, and starts the thread that answers processes that ask about the dead. 0, or -1 with errno. */
int offer_open(offer *o, uint64_t limit, enum shared_children children);
/* Makes the offer known to those in other network namespaces, too, where there is a place for that. */
void offer_add_path(offer *o);
/* Lets one process in, if one is waiting. Gives its number, or 0. */
pid_t offer_serve(offer *o);
/* Takes back what processes had taken that are gone, or have become other programs. */
void offer_sweep(offer *o);
/* Measures what processes hold that share pages since a fork. */
void offer_measure(offer *o);
/* How much of what they have taken is in use, so that the kernel charges it to their cgroup. */
uint64_t offer_charged(offer *o);
/* Whether a process has joined. */
bool offer_knows(const offer *o, pid_t pid);
/* Adds those that are still there to the totals, and lets nobody in any more; nothing is called afterwards. */
void offer_close(offer *o);

#endif
