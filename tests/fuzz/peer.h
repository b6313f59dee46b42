/* A TLS server in memory for the fuzz targets, the same in every run. Include it after fuzz.h. */
#ifndef FUZZ_PEER_H
#define FUZZ_PEER_H

#include "tests/unit/peer_cert.h"

/* BearSSL's own seeding: without it nothing in a handshake differs between two runs. */
br_prng_seeder br_prng_seeder_system(const char **name)
{
    if (name) {
        *name = "none";
    }
    return 0;
}

#endif
