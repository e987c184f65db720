/* regret.c: how much free memory may wait for its next use. The figures are hints: races cost a wrong guess only. */
#include "span.h"

enum {
    ALLOWANCE_MIN = 512 << 10,
    ALLOWANCE_PERCENT = 6,
    SOON_MS = 1000,
    REGRET_MAX = 256 << 20,
    REGRET_FACTOR = 4, /* a page that was purged too early stands for others that would be */
};

struct live_bytes live_bytes OWN_LINE;

static struct {
    size_t bytes;
    uint64_t halved_at, purged_at; /* ms */
    bool faded;
} regret OWN_LINE;

void regret_purged(void) {
    __atomic_store_n(&regret.purged_at, os_clock_ms(), __ATOMIC_RELAXED);
}

bool regret_possible(void) {
    return __atomic_load_n(&regret.purged_at, __ATOMIC_RELAXED) != 0;
}

static size_t regretted(void) {
    size_t bytes = __atomic_load_n(&regret.bytes, __ATOMIC_RELAXED);
    if (LIKELY(bytes == 0))
        return 0;
    uint64_t halved_at = __atomic_load_n(&regret.halved_at, __ATOMIC_RELAXED), now = os_clock_ms();
    if (now < halved_at + SOON_MS)
        return bytes;
    uint64_t halvings = (now - halved_at) / SOON_MS;
    /* One thread halves; were halved_at moved on twice, all would be forgotten. */
    if (!__atomic_compare_exchange_n(&regret.halved_at, &halved_at, halved_at + halvings * SOON_MS, false,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return bytes;
    bytes = halvings >= 30 ? 0 : bytes >> halvings;
    __atomic_store_n(&regret.bytes, bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&regret.faded, true, __ATOMIC_RELAXED);
    return bytes;
}

bool regret_has_faded(void) {
    return __atomic_load_n(&regret.faded, __ATOMIC_RELAXED) &&
           __atomic_exchange_n(&regret.faded, false, __ATOMIC_RELAXED);
}

void regret_revived(size_t bytes) {
    uint64_t purged_at = __atomic_load_n(&regret.purged_at, __ATOMIC_RELAXED);
    if (bytes == 0 || purged_at == 0)
        return;
    uint64_t now = os_clock_ms();
    if (now - purged_at > SOON_MS)
        return;
    size_t before = regretted(), sum = before + REGRET_FACTOR * bytes;
    if (before == 0)
        __atomic_store_n(&regret.halved_at, now, __ATOMIC_RELAXED);
    __atomic_store_n(&regret.bytes, sum < REGRET_MAX ? sum : REGRET_MAX, __ATOMIC_RELAXED);
}

static size_t usual_allowance(void) {
    size_t share = live_bytes_now() / 100 * ALLOWANCE_PERCENT;
    return share > ALLOWANCE_MIN ? share : ALLOWANCE_MIN;
}

size_t free_allowance(void) {
    return usual_allowance() + regretted();
}
