/* measure COMMAND...: runs the command with its output thrown away and prints one line: CPU microseconds and wall
   microseconds of it and its children, and the peak memory in KiB of the largest of them. */
#define _DEFAULT_SOURCE

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long microseconds(struct timeval t)
{
    return t.tv_sec * 1000000LL + t.tv_usec;
}

int main(int argc, char **argv)
{
    struct timespec start, end;
    struct rusage usage;
    int status = 0;
    pid_t child;
    if (argc < 2) {
        fputs("measure: which command?\n", stderr);
        return 2;
    }
    clock_gettime(CLOCK_MONOTONIC, &start);
    child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDOUT_FILENO);
        execvp(argv[1], argv + 1);
        perror(argv[1]);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child || status != 0) {
        fprintf(stderr, "measure: %s failed\n", argv[1]);
        return 1;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%lld %lld %ld\n", microseconds(usage.ru_utime) + microseconds(usage.ru_stime),
           (end.tv_sec - start.tv_sec) * 1000000LL + (end.tv_nsec - start.tv_nsec) / 1000, usage.ru_maxrss);
    return 0;
}
