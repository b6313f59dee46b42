/* The declarations and nothing else, not one use. */
#include "hathora_tokens.h"
