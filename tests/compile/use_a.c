/* Two files that use the library; MAIN_STATIC: each has a copy of its own. */
#ifdef MAIN_STATIC
#define HATHORA_TOKENS_STATIC
#define HATHORA_TOKENS_IMPLEMENTATION
#endif
#include "hathora_tokens.h"
#include "use.h"

int main(void)
{
    int result = use_client();
    return result != 0 ? result : use_elsewhere();
}
