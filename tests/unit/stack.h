/* Runs a function on a stack of the test's own, to see what it leaves there. Include it after hathora_tokens.h with its
   implementation. */
#ifndef UNIT_STACK_H
#define UNIT_STACK_H

#if defined(_WIN32)
#include <windows.h>
#elif defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#include "unit.h"

enum { UNIT_STACK_BYTES = 1 << 20 };

/* Whether what is left of a whole call counts: without optimization gcc keeps copies in places of its own. */
#if defined(__GNUC__) && !defined(__OPTIMIZE__) && !defined(__TINYC__)
enum { UNIT_STACK_COUNTS = 0 };
#else
enum { UNIT_STACK_COUNTS = 1 };
#endif

/* unit_on_stack(step, argument) calls step(argument), on another thread where there are threads, and waits for it. Free
   the stack that it used. */
#if defined(__unix__) || defined(__APPLE__)

static inline char *unit_on_stack(void *(*step)(void *argument), void *argument)
{
    pthread_attr_t attributes;
    pthread_t thread;
    void *stack = NULL;
    assert_int_equal(posix_memalign(&stack, 4096, UNIT_STACK_BYTES), 0);
    memset(stack, 0, UNIT_STACK_BYTES);
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, UNIT_STACK_BYTES), 0);
    assert_int_equal(pthread_create(&thread, &attributes, step, argument), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(pthread_attr_destroy(&attributes), 0);
    return (char *)stack;
}

#else

struct unit_stack_call {
    void *(*step)(void *argument);
    void *argument;
    char *copy;
};

enum { UNIT_STACK_SEEN = UNIT_STACK_BYTES - 65536 }; /* the rest is for what begins and ends a thread */

/* So much of the stack can be read from now on, and is zero. */
__attribute__((noinline)) static void unit_stack_clear(void)
{
    volatile char room[UNIT_STACK_SEEN];
    size_t i;
    for (i = 0; i < sizeof room; i++) {
        room[i] = 0;
    }
}

/* Nobody chooses a stack here, so what step() left below this frame is copied, by no function that would write over it.
   Without threads the program's own stack must be as large. */
__attribute__((noinline)) static void unit_stack_run(struct unit_stack_call *call)
{
    volatile char mark = 0;
    volatile char *at = &mark, *to = call->copy + UNIT_STACK_BYTES;
    unit_stack_clear();
    call->step(call->argument);
    while (to != call->copy + (UNIT_STACK_BYTES - UNIT_STACK_SEEN)) {
        *--to = *--at;
    }
}

#ifdef _WIN32
static DWORD WINAPI unit_stack_thread(void *context)
{
    unit_stack_run((struct unit_stack_call *)context);
    return 0;
}
#endif

static inline char *unit_on_stack(void *(*step)(void *argument), void *argument)
{
    struct unit_stack_call call;
#ifdef _WIN32
    HANDLE thread;
#endif
    call.step = step;
    call.argument = argument;
    call.copy = (char *)calloc(1, UNIT_STACK_BYTES);
    assert_non_null(call.copy);
#ifdef _WIN32
    thread = CreateThread(NULL, UNIT_STACK_BYTES + 65536, unit_stack_thread, &call,
                          STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    assert_non_null(thread);
    assert_int_equal(WaitForSingleObject(thread, INFINITE), WAIT_OBJECT_0);
    assert_true(CloseHandle(thread));
#else
    unit_stack_run(&call);
#endif
    return call.copy;
}

#endif

#if defined(__clang__)
#define UNIT_UNCHECKED __attribute__((no_sanitize("address", "memory", "undefined"), noinline, unused))
#elif defined(__GNUC__)
#define UNIT_UNCHECKED __attribute__((no_sanitize_address, noinline, unused))
#else
#define UNIT_UNCHECKED
#endif

/* Byte by byte, and not by memcmp(): the sanitizers know that what is looked at is no more in use. */
UNIT_UNCHECKED static bool unit_memory_holds(const void *memory, size_t bytes, const void *wanted, size_t len)
{
    const volatile char *at = (const volatile char *)memory;
    const char *text = (const char *)wanted;
    size_t i, n;
    for (i = 0; i + len <= bytes; i++) {
        for (n = 0; n < len && at[i + n] == text[n]; n++) {}
        if (n == len) {
            return true;
        }
    }
    return false;
}

/* Where the part that was used begins: above as many zeros as no function skips. */
UNIT_UNCHECKED static size_t unit_stack_begin(const char *stack)
{
    const volatile char *at = (const volatile char *)stack;
    size_t begin = UNIT_STACK_BYTES, i = UNIT_STACK_BYTES;
    while (i != 0 && begin - i < 65536) {
        i--;
        begin = at[i] != 0 ? i : begin;
    }
    return begin;
}

static inline bool unit_stack_holds(const char *stack, const void *bytes, size_t len)
{
    size_t begin = unit_stack_begin(stack);
    return unit_memory_holds(stack + begin, UNIT_STACK_BYTES - begin, bytes, len);
}

#endif
