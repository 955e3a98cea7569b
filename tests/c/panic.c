/* A fault inside of the library does not leave it: the call says so and the next one works. A
   library that was built to abort ends the process instead. The argument says which it is. The
   function is in neither header nor library unless that was built for this test. */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

int32_t slotwise_panic_test(void);

static void stays_inside(void) {
    slotwise_engine_t engine = engine_new();
    for (int k = 0; k < 3; k++) {
        CHECK_STATUS(slotwise_panic_test(), SLOTWISE_PANIC);
        SIZED(slotwise_error_t, error);
        OK(slotwise_last_error(&error));
        CHECK(error.status == SLOTWISE_PANIC);
        char id[2] = {(char)('a' + k), 0};
        worker(engine, id, 1, 1);
    }
    finish(engine, 0);
}

static void ends_the_process(void) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        slotwise_panic_test();
        _exit(0);
    }
    int how = 0;
    CHECK(waitpid(child, &how, 0) == child);
    CHECK(WIFSIGNALED(how) && WTERMSIG(how) == SIGABRT);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    if (strcmp(arguments[1], "unwind") == 0) {
        const test_t tests[] = {TEST(stays_inside)};
        return RUN(tests);
    }
    CHECK(strcmp(arguments[1], "abort") == 0);
    const test_t tests[] = {TEST(ends_the_process)};
    return RUN(tests);
}
