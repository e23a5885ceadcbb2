/* Preloaded into a process whose instructions are counted: its monotonic clock runs a hundred times slower.
 *
 * Counting makes a process some fifty times slower. By an unchanged clock it would meet timeouts that it does not meet
 * otherwise, and the counted instructions would be those of other code. The time of day is not changed: requests are signed
 * with it.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SLOWER 100
#define SECOND INT64_C(1000000000)

int clock_gettime(clockid_t clock, struct timespec *time) {
    static _Atomic int64_t origin;
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result != 0 || clock != CLOCK_MONOTONIC) return result;
    int64_t now = time->tv_sec * SECOND + time->tv_nsec, first = 0;
    if (atomic_compare_exchange_strong(&origin, &first, now)) first = now;
    now = first + (now - first) / SLOWER;
    time->tv_sec = now / SECOND;
    time->tv_nsec = now % SECOND;
    return 0;
}
