/* The user's jsmn in a file of its own. */
#include <jsmn.h>
