/* Runs a function on a stack of the test's own, to see what it leaves there. Include it after hathora_tokens.h with its
   implementation. */
#ifndef UNIT_STACK_H
#define UNIT_STACK_H

#if defined(__unix__) || defined(__APPLE__)
#define UNIT_STACK /* not elsewhere: it takes POSIX threads */

#include <pthread.h>
#include "unit.h"

enum { UNIT_STACK_BYTES = 1 << 20 };

/* Calls step(argument) on another thread and waits for it. Free the stack that it used. */
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

static inline bool unit_stack_holds(const char *stack, const void *bytes, size_t len)
{
    size_t at;
    for (at = 0; at + len <= UNIT_STACK_BYTES; at++) {
        if (stack[at] == *(const char *)bytes && memcmp(stack + at, bytes, len) == 0) {
            return true;
        }
    }
    return false;
}

#endif
#endif
