/* The user's jsmn before or after the implementation: it keeps its settings and works.
   WANT_LINKS, WANT_STRICT, WANT_STATIC and WANT_HEADER say which settings the user has. */
#ifdef WANT_LINKS
#define JSMN_PARENT_LINKS
#endif
#ifdef WANT_STRICT
#define JSMN_STRICT
#endif
#ifdef WANT_STATIC
#define JSMN_STATIC
#endif
#ifdef WANT_HEADER
#define JSMN_HEADER
#endif

#ifdef JSMN_BEFORE
#include <jsmn.h>
#endif
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#ifdef JSMN_AFTER
#include <jsmn.h>
#endif

#if defined(WANT_LINKS) != defined(JSMN_PARENT_LINKS) || defined(WANT_STRICT) != defined(JSMN_STRICT) || \
    defined(WANT_STATIC) != defined(JSMN_STATIC) || defined(WANT_HEADER) != defined(JSMN_HEADER)
#error "the user's settings of jsmn changed"
#endif

#include "use.h"

static int parse(const char *text, size_t len, jsmntok_t *tokens, unsigned capacity)
{
    jsmn_parser parser;
    jsmn_init(&parser);
    return jsmn_parse(&parser, text, len, tokens, capacity);
}

int main(void)
{
    jsmntok_t tokens[8];
    if (parse("{\"a\":[1,2]}", 11, tokens, 8) != 5) {
        return 11;
    }
    if (tokens[0].type != JSMN_OBJECT || tokens[1].type != JSMN_STRING || tokens[2].type != JSMN_ARRAY ||
        tokens[3].type != JSMN_PRIMITIVE || tokens[2].size != 2 || tokens[4].start != 8) {
        return 12;
    }
    if (parse("[1,2,3]", 7, tokens, 2) != JSMN_ERROR_NOMEM) {
        return 13;
    }
#ifdef WANT_STRICT
    if (parse("[a]", 3, tokens, 8) != JSMN_ERROR_INVAL) {
        return 14;
    }
#else
    if (parse("[a]", 3, tokens, 8) != 2) {
        return 14;
    }
#endif
#ifdef WANT_LINKS
    if (parse("[[1]]", 5, tokens, 8) != 3 || tokens[2].parent != 1) {
        return 15;
    }
#else
    if (sizeof(jsmntok_t) != 4 * sizeof(int)) {
        return 15;
    }
#endif
    return use_client();
}
