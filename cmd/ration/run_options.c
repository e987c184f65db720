/* run_options.c: the command line of `ration run`. Start at run_options_read(). */
#include "run.h"

#include "around.h"
#include "cgroup.h"
#include "command.h"
#include "sizes.h"
#include "statistics.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char verb[] = "run";

enum {
    OPTION_LIMIT = 1,
    OPTION_SOFT,
    OPTION_ON_LIMIT,
    OPTION_RESERVE,
    OPTION_HARDEN,
    OPTION_CHILDREN,
    OPTION_STATS,
    OPTION_QUIET,
    OPTION_AUTOPSY
};

static const struct option long_options[] = {
    {"limit", required_argument, NULL, OPTION_LIMIT},
    {"soft", required_argument, NULL, OPTION_SOFT},
    {"on-limit", required_argument, NULL, OPTION_ON_LIMIT},
    {"reserve", required_argument, NULL, OPTION_RESERVE},
    {"harden", no_argument, NULL, OPTION_HARDEN},
    {"children", required_argument, NULL, OPTION_CHILDREN},
    {"stats", required_argument, NULL, OPTION_STATS},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"autopsy", required_argument, NULL, OPTION_AUTOPSY},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int refuse(const char *option, const char *value, const char *takes) {
    command_complain(verb, "%s '%s': takes %s", option, value, takes);
    return COMMAND_MISUSED;
}

/* "40%" of the machine's memory. */
static bool percent_parse(const char *text, uint64_t *bytes) {
    char *end;
    unsigned long percent = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || strcmp(end, "%") != 0 || percent == 0 || percent > 100)
        return false;
    *bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 100 * percent;
    return true;
}

static int auto_limit(run_options *options) {
    cgroup_room_facts facts;

    if (!cgroup_room(0, &facts)) {
        command_complain(verb, "--limit auto: no cgroup limits this process's memory; give a size, as --limit 500M");
        return COMMAND_MISUSED;
    }
    options->limit = cgroup_auto_limit(&facts);
    options->limit_auto = true;
    return 0;
}

static int set_limit(run_options *options, const char *value) {
    char least[SIZE_TEXT];
    int failure = 0;

    options->limit_text = value;
    if (strcmp(value, "auto") == 0)
        failure = auto_limit(options);
    else if (!size_parse(value, &options->limit) && !percent_parse(value, &options->limit))
        return refuse("--limit", value,
                      "a size with its unit, as 500M, a percentage of the machine's memory, as 40%, or auto");
    if (failure == 0 && options->limit < RUN_LIMIT_MIN) {
        command_complain(verb, "--limit %s: a program needs more to start; give %s or more", value,
                         size_text(RUN_LIMIT_MIN, least));
        failure = COMMAND_MISUSED;
    }
    return failure;
}

static int set_size(const char *option, const char *value, uint64_t *bytes) {
    return size_parse(value, bytes) ? 0 : refuse(option, value, "a size with its unit, as 500M or 64KiB");
}

static int set_reserve(run_options *options, const char *value) {
    options->reserve_given = true;
    options->reserve = 0;
    return strcmp(value, "0") == 0 ? 0 : set_size("--reserve", value, &options->reserve);
}

static int set_on_limit(run_options *options, const char *value) {
    uint64_t ms;
    char *end;
    unsigned long code;

    if (strcmp(value, "deny") == 0 || strcmp(value, "abort") == 0) {
        (void)snprintf(options->on_limit, sizeof(options->on_limit), "%s", value);
        return 0;
    }
    if (strncmp(value, "wait:", 5) == 0 && time_parse(value + 5, &ms)) {
        (void)snprintf(options->on_limit, sizeof(options->on_limit), "wait:%llums", (unsigned long long)ms);
        return 0;
    }
    code = strncmp(value, "exit:", 5) == 0 && value[5] >= '0' && value[5] <= '9' ? strtoul(value + 5, &end, 10) : 256;
    if (code > 255 || *end != 0)
        return refuse("--on-limit", value, "deny, wait:TIME as wait:2s, abort, or exit:CODE with a code below 256");
    (void)snprintf(options->on_limit, sizeof(options->on_limit), "exit:%lu", code);
    return 0;
}

static int set_children(run_options *options, const char *value) {
    static const char *const names[] = {
        [SHARED_CHILDREN_SHARE] = "share", [SHARED_CHILDREN_EACH] = "each", [SHARED_CHILDREN_NONE] = "none"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(value, names[i]) == 0) {
            options->children = (enum shared_children)i;
            return 0;
        }
    return refuse("--children", value, "share, each or none");
}

static int set_autopsy(run_options *options, const char *value) {
    struct stat status;

    if (stat(value, &status) != 0 || !S_ISDIR(status.st_mode))
        return refuse("--autopsy", value, "a directory");
    options->autopsy = value;
    return 0;
}

static int set_statistics(run_options *options, const char *option, const char *value) {
    if (statistics_name(value, options->statistics) == 0)
        return 0;
    command_complain(verb, "%s '%s': takes a file that can be written: %s", option, value, strerror(errno));
    return COMMAND_MISUSED;
}

static int set_option(run_options *options, int option) {
    switch (option) {
    case OPTION_LIMIT:
        return set_limit(options, optarg);
    case OPTION_SOFT:
        options->soft_text = optarg;
        return set_size("--soft", optarg, &options->soft);
    case OPTION_ON_LIMIT:
        return set_on_limit(options, optarg);
    case OPTION_RESERVE:
        return set_reserve(options, optarg);
    case OPTION_HARDEN:
        options->harden = true;
        return 0;
    case OPTION_CHILDREN:
        return set_children(options, optarg);
    case OPTION_STATS:
        return set_statistics(options, "--stats", optarg);
    case OPTION_QUIET:
        options->quiet = true;
        return 0;
    case OPTION_AUTOPSY:
        return set_autopsy(options, optarg);
    default:
        return RUN_HELP;
    }
}

/* One that follows the container may come to be more. */
static bool is_soft_too_large(const run_options *options) {
    return options->limit != 0 && !options->limit_auto && options->soft > options->limit;
}

/* By the option, a variable, or a run around this one. */
static bool is_limited(const run_options *options) {
    return options->limit != 0 || getenv("RATION_LIMIT") != NULL || around_limit() != 0;
}

static int check(const run_options *options) {
    const char *without = options->on_limit[0] != 0  ? "--on-limit"
                          : options->reserve_given   ? "--reserve"
                          : options->autopsy != NULL ? "--autopsy"
                                                     : NULL;

    if (without != NULL && !is_limited(options)) {
        command_complain(verb, "%s means nothing without --limit", without);
        return COMMAND_MISUSED;
    }
    if (is_soft_too_large(options)) {
        command_complain(verb, "--soft %s is more than --limit %s, which is met first", options->soft_text,
                         options->limit_text);
        return COMMAND_MISUSED;
    }
    if (options->program[0] == NULL) {
        command_complain(verb, "no program named; see 'ration run --help'");
        return COMMAND_MISUSED;
    }
    return 0;
}

/* What a variable says holds where no option says otherwise. */
static int read_environment(run_options *options) {
    const char *statistics = statistics_in_environment();

    if (statistics == NULL || options->statistics[0] != 0)
        return 0;
    return set_statistics(options, "RATION_STATS", statistics);
}

int run_options_read(int argc, char **argv, run_options *options) {
    int option, at, failure = 0;

    *options = (run_options){.autopsy = NULL};
    optind = 1;
    opterr = 0;
    /* Within a group of short ones, -xy, getopt has not gone on yet. */
    while (at = optind, failure == 0 && (option = getopt_long(argc, argv, "+:h", long_options, NULL)) != -1) {
        if (option == ':') {
            command_complain(verb, "%s takes a value; see 'ration run --help'", argv[at]);
            return COMMAND_MISUSED;
        }
        failure = option == '?' ? command_unknown(verb, argv[at]) : set_option(options, option);
    }
    options->program = argv + optind;
    if (failure == 0)
        failure = check(options);
    return failure != 0 ? failure : read_environment(options);
}
