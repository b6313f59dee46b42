/* The implementation with the user's own assertion. */
#include <assert.h>
#define HATHORA_TOKENS_ASSERT(condition) assert(condition)
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
