/* The same with less of BearSSL. */
#define HATHORA_TOKENS_SMALL
#include "test_tls.c"
