/* The implementation asked for twice. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "hathora_tokens.h"
