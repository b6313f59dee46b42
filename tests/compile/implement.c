/* The implementation, first in the file. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
