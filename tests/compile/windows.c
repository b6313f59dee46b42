/* The header beside windows.h: the macros say what comes before it, in this order. */
#ifdef WITH_WINSOCK2
#include <winsock2.h>
#endif
#ifdef WITH_WINDOWS
#include <windows.h>
#endif
#ifdef WITH_MACROS /* what windows.h leaves behind, with one or another header of its own */
#undef near
#undef far
#undef small
#undef hyper
#undef interface
#undef pascal
#undef cdecl
#undef min
#undef max
#undef IN
#undef OUT
#undef OPTIONAL
#undef CONST
#undef VOID
#undef ERROR
#undef NO_ERROR
#undef DELETE
#undef TRUE
#undef FALSE
#undef THIS
#undef PURE
#define near
#define far
#define small     char
#define hyper     double
#define interface struct
#define pascal
#define cdecl
#define min(a, b) (((a) < (b)) ? (a) : (b))
#define max(a, b) (((a) > (b)) ? (a) : (b))
#define IN
#define OUT
#define OPTIONAL
#define CONST    const
#define VOID     void
#define ERROR    0
#define NO_ERROR 0L
#define DELETE   (0x00010000L)
#define TRUE     1
#define FALSE    0
#define THIS
#define PURE
#endif

#ifdef IMPLEMENT
#define HATHORA_TOKENS_IMPLEMENTATION
#endif
#include "hathora_tokens.h"

/* What the header defines for its own includes is gone, unless it was there before. libstdc++ has NOMINMAX too. */
#if defined(IMPLEMENT) && !defined(WITH_WINDOWS)
#ifdef WIN32_LEAN_AND_MEAN
#error "WIN32_LEAN_AND_MEAN was left behind"
#endif
#if defined(NOMINMAX) && !defined(__cplusplus)
#error "NOMINMAX was left behind"
#endif
#endif

#include <windows.h>
#include "hathora_tokens.h"

const char *name_of(htok_kind kind);
const char *name_of(htok_kind kind)
{
    return htok_kind_name(kind);
}
