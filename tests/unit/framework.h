/* cmocka, for C and C++, which its own header is not. */
#ifndef UNIT_FRAMEWORK_H
#define UNIT_FRAMEWORK_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#ifdef __cplusplus
extern "C" {
#endif
#include <cmocka.h>
#ifdef __cplusplus
}
#endif

#endif
