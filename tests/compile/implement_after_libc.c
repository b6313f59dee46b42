/* The implementation after the C library's headers, as in most programs. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
