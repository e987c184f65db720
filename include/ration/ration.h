/* ration.h: the whole public face. One header per capability; include only what you use, or this. */
#ifndef RATION_RATION_H
#define RATION_RATION_H

#include <ration/arena.h>
#include <ration/base.h>
#include <ration/heap.h>

#endif
