/* The tests of test_faults.c where socket() takes no flags and the system has no call for random bytes. */
#define FAULTS_PORTABLE
#include "test_faults.c"
