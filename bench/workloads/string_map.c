/* string_map: a chained hash map from strings to strings takes inserts, overwrites, look-ups and removals.
 *
 * Keys, values and entries are blocks of their own; the table doubles as it fills. */
#include "workload.h"

enum { OPERATIONS = 3500000, KEYS = 30000, FIRST_BUCKETS = 64 };

typedef struct entry {
    struct entry *next;
    char *key, *value;
    uint64_t hash;
} entry;

typedef struct map {
    entry **buckets;
    size_t bucket_count, entry_count;
} map;

/* FNV-1a. */
static uint64_t hash_string(const char *text) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return hash;
}

static char *copy_string(const char *text) {
    size_t size = strlen(text) + 1;
    return memcpy(must_malloc(size), text, size);
}

static entry **map_find(const map *self, const char *key, uint64_t hash) {
    entry **link = &self->buckets[hash & (self->bucket_count - 1)];
    while (*link && ((*link)->hash != hash || strcmp((*link)->key, key) != 0))
        link = &(*link)->next;
    return link;
}

static void map_double(map *self) {
    map larger = {.bucket_count = self->bucket_count * 2, .entry_count = self->entry_count};
    larger.buckets = must_calloc(larger.bucket_count, sizeof(void *));
    for (size_t i = 0; i < self->bucket_count; i++) {
        for (entry *here = self->buckets[i], *next; here; here = next) {
            entry **bucket = &larger.buckets[here->hash & (larger.bucket_count - 1)];
            next = here->next;
            here->next = *bucket;
            *bucket = here;
        }
    }
    free(self->buckets);
    *self = larger;
}

static void map_set(map *self, const char *key, const char *value) {
    uint64_t hash = hash_string(key);
    entry **link = map_find(self, key, hash);
    if (*link) {
        free((*link)->value);
        (*link)->value = copy_string(value);
        return;
    }
    entry *fresh = must_malloc(sizeof *fresh);
    *fresh = (entry){.key = copy_string(key), .value = copy_string(value), .hash = hash};
    *link = fresh;
    if (++self->entry_count > self->bucket_count)
        map_double(self);
}

static void entry_free(entry *old) {
    free(old->key);
    free(old->value);
    free(old);
}

static void map_remove(map *self, const char *key) {
    entry **link = map_find(self, key, hash_string(key));
    entry *old = *link;
    if (!old)
        return;
    *link = old->next;
    entry_free(old);
    self->entry_count--;
}

static uint64_t map_look_up(const map *self, const char *key) {
    const entry *found = *map_find(self, key, hash_string(key));
    return found ? found->hash + strlen(found->value) : 1;
}

static char *write_number(char *out, size_t number) {
    char digits[24];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while (number /= 10);
    while (count)
        *out++ = digits[--count];
    return out;
}

/* Text of the kind that configuration and caches hold: a path as the key, one to two hundred characters as the value.
 * Not written by snprintf, which would cost more than the map. */
static void make_key(char *key, size_t number) {
    key = write_number(stpcpy(key, "users/"), number % 977);
    key = write_number(stpcpy(key, "/profile-"), number);
    *key = '\0';
}

static void make_value(char *value, random_source *random) {
    size_t length = random_size_skewed(random, 3, 7);
    memset(value, (int)('a' + length % 26), length);
    value[length] = '\0';
}

static uint64_t map_destroy(map *self) {
    uint64_t sum = self->entry_count;
    for (size_t i = 0; i < self->bucket_count; i++) {
        for (entry *here = self->buckets[i], *next; here; here = next) {
            next = here->next;
            sum += here->hash;
            entry_free(here);
        }
    }
    free(self->buckets);
    return sum;
}

int main(void) {
    random_source random = random_of(9);
    map strings = {.buckets = must_calloc(FIRST_BUCKETS, sizeof(void *)), .bucket_count = FIRST_BUCKETS};
    char key[64], value[256];
    uint64_t sum = 0;
    for (int i = 0; i < OPERATIONS; i++) {
        size_t choice = random_below(&random, 8);
        make_key(key, random_below(&random, KEYS));
        if (choice < 4) {
            make_value(value, &random);
            map_set(&strings, key, value);
        } else if (choice < 6) {
            map_remove(&strings, key);
        } else {
            sum += map_look_up(&strings, key);
        }
    }
    return finish(sum + map_destroy(&strings));
}
