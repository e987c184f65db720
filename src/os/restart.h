/* restart.h: what os_start asks of restart.c. */
#ifndef RATION_OS_RESTART_H
#define RATION_OS_RESTART_H

/* Finds out how threads can be made to pass a barrier and restart their sequences. */
void os_restart_start(void);

#endif
