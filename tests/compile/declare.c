/* The declarations, first in the file and twice. */
#include "hathora_tokens.h"
#include "hathora_tokens.h"

const char *declare_name(htok_kind kind);

const char *declare_name(htok_kind kind)
{
    return htok_kind_name(kind);
}
