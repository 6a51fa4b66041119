/* Watches files grow, and says when.
 *
 *   watch SECONDS FILE...
 *
 * Looks at the size of each file some ten thousand times a second, and prints a line for each growth that it sees: the
 * nanoseconds of the monotonic clock, which file (from 0), how long it is.  The last line, of file -1, says when it ended.
 *
 * Everything is printed at the end: a pipe that nobody reads meanwhile is full after some three thousand lines, and
 * whoever waits for that sees nothing.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

enum { MAX_FILES = 16, PAUSE_NS = 50000, ROOM = 1 << 26 };

static char room[ROOM];

static int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int count, char **arguments) {
    int files[MAX_FILES], number = count - 2;
    off_t sizes[MAX_FILES] = {0};
    if (number < 1 || number > MAX_FILES) {
        fprintf(stderr, "usage: watch SECONDS FILE...\n");
        return 2;
    }
    for (int i = 0; i < number; i++) {
        files[i] = open(arguments[i + 2], O_RDONLY);
        if (files[i] < 0) {
            perror(arguments[i + 2]);
            return 1;
        }
    }
    setvbuf(stdout, room, _IOFBF, ROOM);
    prctl(PR_SET_TIMERSLACK, 1000UL);
    int64_t end = now_ns() + (int64_t)(atof(arguments[1]) * 1e9);
    struct timespec pause = {0, PAUSE_NS};
    for (int64_t at = now_ns(); at < end; at = now_ns()) {
        for (int i = 0; i < number; i++) {
            struct stat seen;
            if (fstat(files[i], &seen) == 0 && seen.st_size != sizes[i]) {
                sizes[i] = seen.st_size;
                printf("%lld %d %lld\n", (long long)now_ns(), i, (long long)sizes[i]);
            }
        }
        nanosleep(&pause, NULL);
    }
    printf("%lld -1 0\n", (long long)now_ns());
    return 0;
}
