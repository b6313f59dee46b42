/* What lwIP asks of a compiler, beyond its defaults. */
#ifndef LWIP_ARCH_CC_H
#define LWIP_ARCH_CC_H

#include <stdio.h>
#include <stdlib.h>

#define LWIP_PLATFORM_DIAG(x) printf x
#define LWIP_PLATFORM_ASSERT(x)                       \
    do {                                              \
        fprintf(stderr, "lwIP's assertion: %s\n", x); \
        abort();                                      \
    } while (0)
#define LWIP_RAND() network_random()

unsigned network_random(void);

#endif
