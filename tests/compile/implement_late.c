/* The implementation where the declarations were seen before, as through a header of the user's. */
#include "hathora_tokens.h"
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
