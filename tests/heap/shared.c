/* shared.c: one limit for several processes: what they take and give back, slots, joining, forks, and deaths; each member is a
 * process of its own, and the run that they join is the command's.
 *
 * Members hold nothing: they tell the footprints that they claim to have. Start at begin_run and join. */
#include "apart.h"

#include "heap/mapped.h"
#include "heap/shared.h"
#include "offer.h"

#include <poll.h>
#include <pthread.h>
#include <ration/ration.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum {
    MIB = 1 << 20,
    LIMIT = 16 * MIB,
    AHEAD = MIB, /* what a process may have taken beyond its footprint */
    SECONDS = 120,
};

/* --- runs, and their members ------------------------------------------------------------------------------------ */

/* What all processes of a test see. */
static struct common {
    uint32_t turn, arrived;
    int winners;
    uint64_t held;
    pid_t member;
    pthread_barrier_t barrier;
} * common;

static void wait_until(const uint32_t *word, uint32_t value) {
    for (uint32_t now; (now = __atomic_load_n(word, __ATOMIC_ACQUIRE)) < value;)
        os_wait_shared(word, now, SECONDS * 1000000);
}

static void wait_for(uint32_t turn) {
    wait_until(&common->turn, turn);
}

static void say(uint32_t turn) {
    __atomic_store_n(&common->turn, turn, __ATOMIC_RELEASE);
    os_wake_shared(&common->turn);
}

static void *serve(void *run) {
    for (;;) {
        struct pollfd files[] = {{.fd = ((offer *)run)->socket, .events = POLLIN},
                                 {.fd = ((offer *)run)->path_socket, .events = POLLIN}};
        poll(files, 2, -1);
        offer_serve(run);
    }
    return NULL;
}

static void begin_common(void) {
    common = mmap(NULL, sizeof *common, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(common != MAP_FAILED);
}

static void begin_serving(offer *run) {
    pthread_t server;
    REQUIRE(pthread_create(&server, NULL, serve, run) == 0);
    pthread_detach(server);
}

static void begin_offer(offer *run, enum shared_children children) {
    REQUIRE(offer_open(run, LIMIT, children) == 0);
    begin_serving(run);
}

static void begin_run(offer *run, enum shared_children children) {
    begin_common();
    begin_offer(run, children);
}

__attribute__((noreturn)) static void end_member(void) {
    fflush(stdout);
    _exit(__atomic_load_n(&check.failures, __ATOMIC_RELAXED) != 0);
}

/* A process in which the function runs, and whose end tells whether all checks held. */
static pid_t begin_process(void (*function)(void)) {
    fflush(stdout);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child > 0)
        return child;
    alarm(SECONDS);
    start_once();
    function();
    end_member();
}

/* The same as a member of the run. */
static offer *joined_run;
static void (*joined_function)(void);

static void join_and_go_on(void) {
    CHECK(shared_join(joined_run->names));
    if (shared != NULL)
        joined_function();
}

static pid_t join(offer *run, void (*function)(void)) {
    joined_run = run;
    joined_function = function;
    return begin_process(join_and_go_on);
}

static void kill_and_reap(pid_t process) {
    kill(process, SIGKILL);
    waitpid(process, NULL, 0);
}

static uint64_t used(void) {
    return shared_read(&shared->used);
}

static bool in_use(const shared_slot *slot) {
    return __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == SHARED_USED;
}

static unsigned slots_in_use(const shared_page *page) {
    unsigned count = 0;
    for (unsigned i = 0; i < SHARED_SLOTS; i++)
        count += in_use(&page->slots[i]);
    return count;
}

static uint64_t taken_by_all(const shared_page *page) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < SHARED_SLOTS; i++)
        sum += shared_read(&page->slots[i].taken);
    return sum;
}

static shared_slot *slot_of(shared_page *page, pid_t pid) {
    for (unsigned i = 0; i < SHARED_SLOTS; i++)
        if (in_use(&page->slots[i]) && page->slots[i].pid == pid)
            return &page->slots[i];
    return NULL;
}

static shared_slot *own_slot(void) {
    shared_slot *slot = slot_of(shared, (pid_t)syscall(SYS_getpid));
    CHECK(slot != NULL);
    return slot;
}

/* --- taking and giving ------------------------------------------------------------------------------------------ */

static void take_and_give(void) {
    CHECK(shared_cover(3 * MIB, 0));
    shared_note_had();
    CHECK(used() >= 3 * MIB && used() <= 3 * MIB + AHEAD);
    CHECK_EQ(used(), taken_by_all(shared));
    shared_settle(2 * MIB);
    CHECK(used() >= 2 * MIB && used() <= 2 * MIB + AHEAD);
    shared_settle(0);
    CHECK(used() <= AHEAD);
    CHECK_EQ(used(), taken_by_all(shared));
    CHECK(shared_read(&shared->peak) >= 3 * MIB && shared_read(&shared->peak) <= 3 * MIB + AHEAD);
}

static void what_is_taken_covers_the_footprint_and_little_more(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    CHECK(ended_well(join(&run, take_and_give)));
}

/* What was taken of it stays taken for a while. */
static void give_some_of_the_reserve_back(void) {
    enum { WITHHELD = 64 << 10 };
    CHECK(shared_cover(LIMIT, 0));
    shared_settle(LIMIT - MIB / 2);
    CHECK_EQ(LIMIT, used());
    CHECK(shared_has_room(LIMIT - WITHHELD, WITHHELD));
    CHECK(!shared_has_room(LIMIT - WITHHELD + 1, WITHHELD));
    CHECK(shared_has_room(LIMIT, 0));
}

static void what_was_taken_of_the_reserve_is_for_no_other_thread(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    CHECK(ended_well(join(&run, give_some_of_the_reserve_back)));
}

static void map_what_is_refused_and_then_some(void) {
    enum { SIZE = 4 * MIB };
    CHECK(mapped_reserve(SIZE));
    mapped_end(mapped_begin(), SIZE);
    CHECK(shared_read(&own_slot()->peak) < SIZE);
    CHECK(used() < SIZE);
    rn_free(rn_malloc(MIB));
    CHECK(shared_read(&shared->peak) < SIZE);
    CHECK(mapped_reserve(SIZE));
    bool begun = mapped_begin();
    mapped_note((uintptr_t)SIZE, SIZE, INTERVAL_WRITABLE, SIZE);
    mapped_end(begun, SIZE);
    CHECK(shared_read(&own_slot()->peak) >= SIZE);
    CHECK(shared_read(&shared->peak) >= SIZE);
}

static void a_mapping_that_the_system_refuses_is_not_told_of(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    CHECK(ended_well(join(&run, map_what_is_refused_and_then_some)));
}

static void take_all(void) {
    CHECK(shared_cover(LIMIT - 1, 0));
    CHECK(shared_cover(LIMIT, 0));
    CHECK_EQ((uint64_t)LIMIT, used());
    CHECK(!shared_cover(LIMIT + 1, 0));
    CHECK(!shared_has_room(LIMIT + 1, 0));
    CHECK(shared_cover(LIMIT, 0));
    CHECK_EQ((uint64_t)LIMIT, used());
}

static void the_limit_can_be_taken_to_its_last_byte_and_not_beyond(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    CHECK(ended_well(join(&run, take_all)));
}

static void ask_beside_what_is_withheld(void) {
    CHECK(!shared_has_room(LIMIT - MIB + 1, MIB));
    CHECK(!shared_cover(LIMIT - MIB + 1, MIB));
    CHECK(shared_has_room(LIMIT - MIB, MIB));
    CHECK_EQ((uint64_t)0, used());
    CHECK(shared_cover(LIMIT - MIB, MIB));
    CHECK_EQ((uint64_t)LIMIT - MIB, used());
}

static void what_is_withheld_is_not_taken_and_asking_takes_nothing(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    CHECK(ended_well(join(&run, ask_beside_what_is_withheld)));
}

/* --- several ---------------------------------------------------------------------------------------------------- */

static void hold_most(void) {
    CHECK(shared_cover(LIMIT - 4 * MIB, 0));
    say(1);
    wait_for(2);
    shared_settle(MIB);
    say(3);
    wait_for(4);
}

static void take_what_is_left(void) {
    wait_for(1);
    CHECK(shared_cover(2 * MIB, 0));
    CHECK(!shared_cover(8 * MIB, 0));
    say(2);
    wait_for(3);
    CHECK(shared_cover(8 * MIB, 0));
    CHECK_EQ(used(), taken_by_all(shared));
    say(4);
}

static void what_one_gives_back_another_can_take(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    pid_t one = join(&run, hold_most), other = join(&run, take_what_is_left);
    CHECK(ended_well(one));
    CHECK(ended_well(other));
}

static void be_beyond_together(void) {
    rn_stats stats;
    rn_heap_set_soft_limit(rn_heap_root(), 4 * MIB);
    CHECK_EQ((size_t)0, heap_soft_excess(&root_heap));
    say(1);
    wait_for(2);
    CHECK(heap_soft_excess(&root_heap) >= 4 * MIB);
    rn_heap_stats(rn_heap_root(), &stats);
    CHECK_EQ((size_t)LIMIT, stats.limit);
    say(3);
}

static void hold_half(void) {
    wait_for(1);
    CHECK(shared_cover(8 * MIB, 0));
    say(2);
    wait_for(3);
}

static void what_all_hold_passes_a_soft_limit(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    pid_t one = join(&run, be_beyond_together), other = join(&run, hold_half);
    CHECK(ended_well(one));
    CHECK(ended_well(other));
}

enum { RACERS = 2, ROUNDS = 200 };

static void race(void) {
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&common->barrier);
        if (shared_cover(LIMIT / 2 + MIB, 0))
            __atomic_fetch_add(&common->winners, 1, __ATOMIC_RELAXED);
        pthread_barrier_wait(&common->barrier);
        CHECK_EQ(i + 1, __atomic_load_n(&common->winners, __ATOMIC_RELAXED));
        shared_settle(0);
        pthread_barrier_wait(&common->barrier);
    }
}

static void of_two_that_race_for_the_last_room_one_gets_it(void) {
    static offer run;
    pthread_barrierattr_t between_processes;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    pthread_barrierattr_init(&between_processes);
    pthread_barrierattr_setpshared(&between_processes, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&common->barrier, &between_processes, RACERS);
    pid_t racers[RACERS];
    for (int i = 0; i < RACERS; i++)
        racers[i] = join(&run, race);
    for (int i = 0; i < RACERS; i++)
        CHECK(ended_well(racers[i]));
}

/* What is held is added once it is covered, and subtracted before it is given back: so the sum is never too large. */
static void take_at_random(void) {
    unsigned seed = (unsigned)getpid();
    bool within = true;
    for (int i = 0; i < 200000; i++) {
        size_t footprint = (size_t)rand_r(&seed) % (LIMIT * 3 / 4);
        if (!shared_cover(footprint, 0))
            continue;
        within &= __atomic_add_fetch(&common->held, footprint, __ATOMIC_SEQ_CST) <= LIMIT;
        __atomic_sub_fetch(&common->held, footprint, __ATOMIC_SEQ_CST);
        shared_settle(0);
    }
    CHECK(within);
}

static void what_is_taken_at_once_is_never_beyond_the_limit(void) {
    static offer run;
    pid_t members[4];
    begin_run(&run, SHARED_CHILDREN_SHARE);
    for (int i = 0; i < 4; i++)
        members[i] = join(&run, take_at_random);
    for (int i = 0; i < 4; i++)
        CHECK(ended_well(members[i]));
    CHECK_EQ(taken_by_all(run.page), shared_read(&run.page->used));
    CHECK(shared_read(&run.page->peak) <= LIMIT);
}

static void *cover_and_settle(void *argument) {
    unsigned seed = (unsigned)(uintptr_t)argument;
    for (int i = 0; i < 100000; i++) {
        shared_cover((size_t)rand_r(&seed) % (LIMIT * 3 / 4), 0);
        shared_settle((size_t)rand_r(&seed) % LIMIT);
    }
    return NULL;
}

static void take_by_threads(void) {
    pthread_t threads[4];
    for (uintptr_t i = 0; i < 4; i++)
        REQUIRE(pthread_create(&threads[i], NULL, cover_and_settle, (void *)i) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(used(), taken_by_all(shared));
    CHECK(shared_read(&shared->peak) <= LIMIT);
}

static void threads_take_and_give_for_one_slot(void) {
#if defined(__SANITIZE_ADDRESS__)
    (void)take_by_threads;
    printf("skipped: %s: gcc 12's ASan may fork with its own allocator locked, which then blocks a thread's start\n",
           check.test);
#else
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    CHECK(ended_well(join(&run, take_by_threads)));
#endif
}

/* --- slots ------------------------------------------------------------------------------------------------------ */

/* Of nobody that the command knows. */
static void fill_slots(shared_page *page) {
    for (shared_slot *slot; (slot = shared_claim(page)) != NULL;) {
        slot->pid = 0;
        __atomic_store_n(&slot->state, SHARED_USED, __ATOMIC_RELEASE);
    }
}

static void every_slot_can_be_claimed_once_and_again_when_it_is_free(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    shared_page *page = run.page;
    for (unsigned i = 0; i < SHARED_SLOTS; i++)
        REQUIRE(shared_claim(page) == &page->slots[i]);
    CHECK_EQ((unsigned)SHARED_SLOTS, page->slots_ever);
    CHECK(shared_claim(page) == NULL);
    __atomic_store_n(&page->slots[4711].state, SHARED_FREE, __ATOMIC_RELEASE);
    CHECK(shared_claim(page) == &page->slots[4711]);
    CHECK(shared_claim(page) == NULL);
}

static void claim_all(void) {
    uint32_t count = 0;
    wait_for(1);
    while (shared_claim(joined_run->page) != NULL)
        count++;
    __atomic_add_fetch(&common->arrived, count, __ATOMIC_RELAXED);
}

static void claims_at_once_get_different_slots(void) {
    static offer run;
    pid_t claimers[4];
    begin_run(&run, SHARED_CHILDREN_SHARE);
    joined_run = &run;
    for (int i = 0; i < 4; i++)
        claimers[i] = begin_process(claim_all);
    say(1);
    for (int i = 0; i < 4; i++)
        CHECK(ended_well(claimers[i]));
    CHECK_EQ((unsigned)SHARED_SLOTS, common->arrived);
}

static void nothing_more(void) {}

static void be_refused(void) {
    CHECK(!shared_join(joined_run->names));
}

static void who_finds_every_slot_taken_is_not_let_in(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    fill_slots(run.page);
    joined_run = &run;
    CHECK(ended_well(begin_process(be_refused)));
    __atomic_store_n(&run.page->slots[SHARED_SLOTS - 1].state, SHARED_FREE, __ATOMIC_RELEASE);
    CHECK(ended_well(join(&run, nothing_more)));
}

static void fork_without_a_slot_to_be_had(void) {
    rn_free(rn_malloc(1));
    fill_slots(shared);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        rn_free(rn_malloc(1));
        CHECK(shared == NULL);
        CHECK(root_heap.limit > 0 && root_heap.limit <= LIMIT);
        CHECK(rn_malloc(LIMIT) == NULL);
        end_member();
    }
    CHECK(ended_well(child));
}

static void a_child_that_finds_every_slot_taken_has_what_is_left_for_itself(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    CHECK(ended_well(join(&run, fork_without_a_slot_to_be_had)));
}

static void all_slots_of_the_dead_come_back(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    for (shared_slot *slot; (slot = shared_claim(run.page)) != NULL;) {
        slot->pid = getpid();
        slot->started = 1; /* so it was another process */
        slot->taken = 4096;
        run.page->used += slot->taken;
        __atomic_store_n(&slot->state, SHARED_USED, __ATOMIC_RELEASE);
    }
    offer_sweep(&run);
    CHECK_EQ(0U, slots_in_use(run.page));
    CHECK_EQ((uint64_t)0, shared_read(&run.page->used));
    CHECK_EQ((unsigned)SHARED_SLOTS, run.totals.processes);
    CHECK(shared_claim(run.page) == &run.page->slots[0]);
}

/* --- joining ---------------------------------------------------------------------------------------------------- */

enum { JOINERS = 300 };

static void join_with_all(void) {
    wait_for(1);
    bool joined = shared_join(joined_run->names);
    if (joined && shared_cover(MIB / 8, 0))
        __atomic_add_fetch(&common->held, MIB / 8, __ATOMIC_RELAXED);
    __atomic_add_fetch(&common->arrived, 1, __ATOMIC_RELEASE);
    os_wake_shared(&common->arrived);
    wait_for(2);
    CHECK(joined);
}

static void three_hundred_can_join_at_once(void) {
    static offer run;
    pid_t joiners[JOINERS];
    begin_run(&run, SHARED_CHILDREN_SHARE);
    joined_run = &run;
    for (int i = 0; i < JOINERS; i++)
        joiners[i] = begin_process(join_with_all);
    say(1);
    wait_until(&common->arrived, JOINERS);
    CHECK_EQ((unsigned)JOINERS, slots_in_use(run.page));
    CHECK_EQ(taken_by_all(run.page), shared_read(&run.page->used));
    CHECK(common->held <= LIMIT && common->held > LIMIT / 4);
    CHECK(shared_read(&run.page->peak) <= LIMIT);
    say(2);
    int ended = 0;
    for (int i = 0; i < JOINERS; i++)
        ended += ended_well(joiners[i]);
    CHECK_EQ((int)JOINERS, ended);
    offer_sweep(&run);
    CHECK_EQ(0U, slots_in_use(run.page));
    CHECK_EQ((uint64_t)0, shared_read(&run.page->used));
}

static void join_again(void) {
    shared_slot *before = own_slot();
    CHECK(shared_cover(2 * MIB, 0));
    long place = before - shared->slots;
    CHECK(shared_join(joined_run->names));
    CHECK_EQ(place, own_slot() - shared->slots);
    CHECK_EQ(1U, slots_in_use(shared));
    CHECK_EQ((uint64_t)0, used());
}

static void a_process_that_joins_again_as_another_program_holds_nothing_yet(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    CHECK(ended_well(join(&run, join_again)));
}

static void join_by_path(void) {
    char names[sizeof joined_run->names];
    snprintf(names, sizeof names, "no-such-run:%s", joined_run->path);
    CHECK(shared_join(names));
    CHECK_EQ(1U, slots_in_use(shared));
}

static void a_run_is_joined_by_its_path_where_its_name_is_not_known(void) {
    static offer run;
    char path[sizeof run.path];
    REQUIRE(offer_open(&run, LIMIT, SHARED_CHILDREN_SHARE) == 0);
    offer_add_path(&run);
    memcpy(path, run.path, sizeof path);
    begin_serving(&run);
    joined_run = &run;
    CHECK(ended_well(begin_process(join_by_path)));
    offer_close(&run);
    CHECK(access(path, F_OK) != 0);
    *strrchr(path, '/') = 0;
    CHECK(access(path, F_OK) != 0);
}

static void fail_to_join(void) {
    CHECK(!shared_join("no-such-run"));
    CHECK(!shared_join("no-such-run 16777216B"));
    CHECK(!shared_join("no-such-run:/no/such/socket 16777216B"));
    CHECK(!shared_join("no-such-run:"));
    CHECK(!shared_join(""));
    CHECK(shared == NULL);
}

static void a_run_that_is_not_there_is_not_joined(void) {
    CHECK(ended_well(begin_process(fail_to_join)));
}

/* --- forks ------------------------------------------------------------------------------------------------------ */

enum { INHERITED = MIB, NEW = 4 * MIB };

static void grow_in_child(void) {
    shared_slot *slot = own_slot();
    if (slot == NULL)
        return;
    CHECK(slot->entangled);
    CHECK(shared_cover(INHERITED, 0));
    CHECK(slot->taken < INHERITED);
    CHECK(shared_cover(INHERITED + NEW, 0));
    CHECK(slot->taken >= NEW && slot->taken < INHERITED + NEW);
}

static void fork_with_memory(void) {
    rn_free(rn_malloc(1));
    CHECK(shared_cover(INHERITED, 0));
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        grow_in_child();
        end_member();
    }
    CHECK(ended_well(child));
    CHECK(own_slot()->entangled);
    CHECK(own_slot()->pid != child);
    CHECK_EQ(shared->forks, shared->forks_claimed);
    CHECK_EQ(used(), taken_by_all(shared));
}

static void a_forked_child_counts_for_what_it_takes_into_use(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    CHECK(ended_well(join(&run, fork_with_memory)));
    offer_sweep(&run);
    CHECK_EQ((uint64_t)0, shared_read(&run.page->used));
}

/* What common's member has taken once all are measured. */
static uint64_t taken_when_measured(offer *run) {
    offer_measure(run);
    shared_slot *slot = slot_of(run->page, common->member);
    REQUIRE(slot != NULL);
    return shared_read(&slot->taken);
}

static void write_to(char *memory, size_t size) {
    for (size_t at = 0; at < size; at += PAGE)
        memory[at] = 1;
}

static const size_t PIECE = 3 * MIB, TELLING = 2 * MIB; /* what is smaller may be what every process has */

/* What it holds is written to, and shared with a child; then it is handed a piece more. */
static void hold_what_nobody_wrote_to(void) {
    char *held = rn_malloc(PIECE);
    REQUIRE(held != NULL);
    write_to(held, PIECE);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        wait_for(2);
        end_member();
    }
    common->member = getpid();
    CHECK(rn_malloc(PIECE) != NULL);
    say(1);
    wait_for(2);
    CHECK(ended_well(child));
}

static void what_was_handed_out_counts_before_it_is_written_to(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    pid_t member = join(&run, hold_what_nobody_wrote_to);
    wait_for(1);
    CHECK(taken_when_measured(&run) >= PIECE + PIECE / 2);
    say(2);
    CHECK(ended_well(member));
}

/* A child inherits a piece that nobody wrote to; then it is handed one itself. */
static void inherit_what_nobody_wrote_to(void) {
    CHECK(rn_malloc(PIECE) != NULL);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child > 0) {
        CHECK(ended_well(child));
        return;
    }
    common->member = getpid();
    say(1);
    wait_for(2);
    CHECK(rn_malloc(PIECE) != NULL);
    say(3);
    wait_for(4);
    end_member();
}

static void what_nobody_wrote_to_counts_for_whom_it_was_handed_out_to(void) {
    if (SANITIZED || emulated())
        return; /* those write to much themselves, in each process */
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    pid_t member = join(&run, inherit_what_nobody_wrote_to);
    wait_for(1);
    CHECK(taken_when_measured(&run) < TELLING);
    say(2);
    wait_for(3);
    CHECK(taken_when_measured(&run) >= PIECE);
    say(4);
    CHECK(ended_well(member));
}

/* Beside one that has its pages, too, and no slot: as a child that has ended, whose memory somebody still looks at. */
static void hold_beside_one_that_is_not_known(void) {
    char *held = rn_malloc(PIECE);
    REQUIRE(held != NULL);
    write_to(held, PIECE);
    shared_before_fork();
    __atomic_fetch_add(&shared->forks_claimed, 1, __ATOMIC_RELEASE);
    long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    REQUIRE(child >= 0);
    if (child == 0) {
        wait_for(2);
        _exit(0);
    }
    common->member = getpid();
    say(1);
    wait_for(2);
    CHECK(ended_well((pid_t)child));
}

static void a_share_of_one_that_is_not_measured_counts_for_those_who_are(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    pid_t member = join(&run, hold_beside_one_that_is_not_known);
    wait_for(1);
    CHECK(taken_when_measured(&run) >= PIECE);
    say(2);
    CHECK(ended_well(member));
}

/* As programs fork that go round libc, whose fork handlers then do not run. */
static void fork_by_the_kernel(void) {
    CHECK(shared_cover(MIB, 0));
    long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    REQUIRE(child >= 0);
    if (child == 0) {
        CHECK(shared_cover(MIB, 0));
        CHECK_EQ(2U, slots_in_use(shared));
        CHECK(own_slot() != NULL);
        _exit(check.failures != 0);
    }
    CHECK(ended_well((pid_t)child));
}

static void a_child_that_libc_knows_nothing_of_has_a_slot_too(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    CHECK(ended_well(join(&run, fork_by_the_kernel)));
}

static void fork_out_of_the_run(void) {
    CHECK(shared_excludes_children());
    CHECK(shared_cover(LIMIT, 0));
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        CHECK(shared_cover(LIMIT, 0));
        CHECK(shared == NULL);
        end_member();
    }
    CHECK(ended_well(child));
    CHECK_EQ(1U, slots_in_use(shared));
    CHECK(!shared_cover(LIMIT + 1, 0));
}

static void a_child_of_a_run_without_children_is_not_in_it(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_NONE);
    CHECK(ended_well(join(&run, fork_out_of_the_run)));
}

/* --- deaths ----------------------------------------------------------------------------------------------------- */

static void hold_until_killed(void) {
    CHECK(shared_cover(LIMIT - 4 * MIB, 0));
    say(1);
    wait_for(UINT32_MAX);
}

static void a_dead_process_gives_back_its_slot_and_what_it_took(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    pid_t member = join(&run, hold_until_killed);
    wait_for(1);
    offer_sweep(&run);
    CHECK_EQ(1U, slots_in_use(run.page));
    CHECK(offer_knows(&run, member));
    kill_and_reap(member);
    offer_sweep(&run);
    CHECK_EQ(0U, slots_in_use(run.page));
    CHECK(!offer_knows(&run, member));
    CHECK_EQ((uint64_t)0, shared_read(&run.page->used));
    CHECK_EQ(1U, run.totals.processes);
}

static void a_number_that_another_process_has_now_is_a_dead_ones(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    pid_t member = join(&run, hold_until_killed);
    wait_for(1);
    shared_slot *slot = slot_of(run.page, member);
    REQUIRE(slot != NULL);
    slot->started--;
    offer_sweep(&run);
    CHECK_EQ(0U, slots_in_use(run.page));
    kill_and_reap(member);
}

static void one_whose_number_nobody_knows_keeps_its_slot(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    shared_slot *slot = shared_claim(run.page);
    __atomic_store_n(&slot->state, SHARED_USED, __ATOMIC_RELEASE);
    offer_sweep(&run);
    CHECK_EQ(1U, slots_in_use(run.page));
}

static void ask_until_there_is_room(void) {
    wait_for(1);
    CHECK(!shared_cover(8 * MIB, 0));
    say(2);
    wait_for(3);
    while (!shared_cover(8 * MIB, 0))
        (void)shared_sweep();
}

static void who_is_denied_gets_what_one_had_that_is_dead_and_not_yet_waited_for(void) {
    static offer run;
    begin_run(&run, SHARED_CHILDREN_SHARE);
    pid_t holder = join(&run, hold_until_killed), other = join(&run, ask_until_there_is_room);
    wait_for(2);
    kill(holder, SIGKILL);
    say(3);
    CHECK(ended_well(other));
    waitpid(holder, NULL, 0);
}

static void go_on_without_command(void) {
    close(joined_run->socket); /* as one that is executed has done */
    CHECK(shared_cover(MIB, 0));
    common->member = getpid();
    say(1);
    wait_for(2);
    CHECK_EQ((size_t)0, shared_sweep());
    CHECK(shared_cover(LIMIT, 0));
    CHECK(!shared_cover(LIMIT + 1, 0));
    rn_free(rn_malloc(1));
    shared_settle(0);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        CHECK(own_slot() != NULL);
        CHECK(!shared_cover(2 * LIMIT, 0));
        end_member();
    }
    CHECK(ended_well(child));
    CHECK(ended_well(begin_process(be_refused)));
}

/* A command that serves one member until it is killed. */
static void serve_one(void) {
    static offer run;
    begin_offer(&run, SHARED_CHILDREN_SHARE);
    (void)join(&run, go_on_without_command);
    wait_for(UINT32_MAX);
}

static void when_the_command_is_killed_its_processes_go_on_within_the_limit(void) {
    begin_common();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t command = begin_process(serve_one);
    wait_for(1);
    kill_and_reap(command);
    say(2);
    CHECK(ended_well(common->member));
}

TESTS(TEST(what_is_taken_covers_the_footprint_and_little_more),
      TEST(what_was_taken_of_the_reserve_is_for_no_other_thread),
      TEST(a_mapping_that_the_system_refuses_is_not_told_of),
      TEST(the_limit_can_be_taken_to_its_last_byte_and_not_beyond),
      TEST(what_is_withheld_is_not_taken_and_asking_takes_nothing), TEST(what_one_gives_back_another_can_take),
      TEST(what_all_hold_passes_a_soft_limit), TEST(of_two_that_race_for_the_last_room_one_gets_it),
      TEST(what_is_taken_at_once_is_never_beyond_the_limit), TEST(threads_take_and_give_for_one_slot),
      TEST(every_slot_can_be_claimed_once_and_again_when_it_is_free), TEST(claims_at_once_get_different_slots),
      TEST(who_finds_every_slot_taken_is_not_let_in),
      TEST(a_child_that_finds_every_slot_taken_has_what_is_left_for_itself), TEST(all_slots_of_the_dead_come_back),
      TEST(three_hundred_can_join_at_once), TEST(a_process_that_joins_again_as_another_program_holds_nothing_yet),
      TEST(a_run_is_joined_by_its_path_where_its_name_is_not_known), TEST(a_run_that_is_not_there_is_not_joined),
      TEST(a_forked_child_counts_for_what_it_takes_into_use), TEST(a_child_that_libc_knows_nothing_of_has_a_slot_too),
      TEST(what_was_handed_out_counts_before_it_is_written_to),
      TEST(what_nobody_wrote_to_counts_for_whom_it_was_handed_out_to),
      TEST(a_share_of_one_that_is_not_measured_counts_for_those_who_are),
      TEST(a_child_of_a_run_without_children_is_not_in_it), TEST(a_dead_process_gives_back_its_slot_and_what_it_took),
      TEST(a_number_that_another_process_has_now_is_a_dead_ones), TEST(one_whose_number_nobody_knows_keeps_its_slot),
      TEST(who_is_denied_gets_what_one_had_that_is_dead_and_not_yet_waited_for),
      TEST(when_the_command_is_killed_its_processes_go_on_within_the_limit))
