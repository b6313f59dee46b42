#ifdef MAIN_STATIC
#define HATHORA_TOKENS_STATIC
#define HATHORA_TOKENS_IMPLEMENTATION
#endif
#include "hathora_tokens.h"
#include "use.h"

int use_elsewhere(void)
{
    return use_client();
}
