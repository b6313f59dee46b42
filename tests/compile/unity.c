/* A program of several files, as one: declarations, the implementation, declarations again. */
#include "use_b.c"
#include "implement.c"
#include "use_a.c"
