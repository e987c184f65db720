/* buffers: many text buffers and vectors grow side by side by realloc, are trimmed to size, and are dropped.
 *
 * Most end below a kilobyte; one in 64 grows to megabytes. The contents are written and summed once each. */
#include "workload.h"

enum { OPEN = 256, APPENDS = 12000000, PIECE = 48, COMMON_END = 1000, LARGE_END = 3 << 20 };

typedef struct buffer {
    unsigned char *bytes;
    size_t length, room, end;
} buffer;

static uint64_t buffer_sum(const buffer *self) {
    uint64_t sum = 0;
    for (size_t i = 0; i < self->length; i += 64)
        sum = sum * 31 + self->bytes[i];
    return sum;
}

static void buffer_open(buffer *self, random_source *random) {
    size_t most = random_below(random, 4096) == 0 ? LARGE_END : COMMON_END;
    *self = (buffer){.end = random_between(random, most / 4, most)};
}

static void buffer_append(buffer *self, random_source *random) {
    size_t more = random_between(random, 1, PIECE) + self->length / 8;
    if (self->length + more > self->room) {
        self->room = (self->length + more) + self->room / 2;
        self->bytes = must_realloc(self->bytes, self->room);
    }
    memset(self->bytes + self->length, (int)(more & 0xff), more);
    self->length += more;
}

static uint64_t buffer_close(buffer *self) {
    self->bytes = must_realloc(self->bytes, self->length);
    uint64_t sum = buffer_sum(self);
    free(self->bytes);
    return sum;
}

int main(void) {
    static buffer buffers[OPEN];
    random_source random = random_of(5);
    uint64_t sum = 0;
    for (size_t i = 0; i < OPEN; i++)
        buffer_open(&buffers[i], &random);
    for (size_t i = 0; i < APPENDS; i++) {
        buffer *chosen = &buffers[random_below(&random, OPEN)];
        buffer_append(chosen, &random);
        if (chosen->length >= chosen->end) {
            sum += buffer_close(chosen);
            buffer_open(chosen, &random);
        }
    }
    for (size_t i = 0; i < OPEN; i++)
        if (buffers[i].length)
            sum += buffer_close(&buffers[i]);
    return finish(sum);
}
