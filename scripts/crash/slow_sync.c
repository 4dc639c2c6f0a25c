/* LD_PRELOAD: every fsync and fdatasync takes as long as a file says, in microseconds. CRASH_TEST_SYNC_DELAY names the file. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void wait_as_told(void) {
    const char *name = getenv("CRASH_TEST_SYNC_DELAY");
    char text[16];
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) return;
    text[length] = 0;
    usleep((useconds_t)strtoul(text, NULL, 10));
}

int fsync(int file) {
    wait_as_told();
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    wait_as_told();
    return (int)syscall(SYS_fdatasync, file);
}
