/* regret.c: how much free memory may wait for its next use. The figures are hints: races cost a wrong guess only. */
#include "span.h"

enum { ALLOWANCE_MIN = 512 << 10, ALLOWANCE_PERCENT = 6, SOON_MS = 1000, REGRET_MAX = 256 << 20 };

size_t span_live_bytes OWN_LINE;

void regret_purged(regret *r) {
    __atomic_store_n(&r->purged_at, os_clock_ms(), __ATOMIC_RELAXED);
}

static size_t faded(regret *r) {
    size_t bytes = __atomic_load_n(&r->bytes, __ATOMIC_RELAXED);
    if (LIKELY(bytes == 0))
        return 0;
    uint64_t since = os_clock_ms() - __atomic_load_n(&r->halved_at, __ATOMIC_RELAXED);
    if (since < SOON_MS)
        return bytes;
    uint64_t halvings = since / SOON_MS;
    bytes = halvings >= 30 ? 0 : bytes >> halvings;
    __atomic_store_n(&r->bytes, bytes, __ATOMIC_RELAXED);
    __atomic_fetch_add(&r->halved_at, halvings * SOON_MS, __ATOMIC_RELAXED);
    return bytes;
}

void regret_add(regret *r, size_t bytes) {
    uint64_t purged_at = __atomic_load_n(&r->purged_at, __ATOMIC_RELAXED);
    if (bytes == 0 || purged_at == 0)
        return;
    uint64_t now = os_clock_ms();
    if (now - purged_at > SOON_MS)
        return;
    size_t sum = faded(r) + bytes;
    if (sum == bytes)
        __atomic_store_n(&r->halved_at, now, __ATOMIC_RELAXED);
    __atomic_store_n(&r->bytes, sum < REGRET_MAX ? sum : REGRET_MAX, __ATOMIC_RELAXED);
}

size_t idle_allowance(regret *r) {
    size_t live = __atomic_load_n(&span_live_bytes, __ATOMIC_RELAXED);
    size_t share = live / 100 * ALLOWANCE_PERCENT;
    size_t usual = share > ALLOWANCE_MIN ? share : ALLOWANCE_MIN;
    size_t regretted = faded(r), most = usual * r->most;
    return usual + (r->most == 0 || regretted < most ? regretted : most);
}
