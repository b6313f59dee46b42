/* A network of one machine in lwIP: its loopback interface, a DNS server that knows one name, and, behind a listener of
   TCP, the server of tests/port/memory_peer.c. Time passes by a millisecond with each pass. */
#ifndef LWIP_NETWORK_H
#define LWIP_NETWORK_H

#include <lwip/opt.h>

#include <stdbool.h>
#include <stddef.h>

/* What goes wrong; all zero is nothing. */
typedef struct network_faults {
    bool silent_names;  /* the DNS server does not answer */
    bool no_listener;   /* nothing listens on port 443 */
    unsigned lose;      /* each so-many-th packet is lost */
    size_t reset_after; /* bytes that the server takes before it resets the connection */
    size_t close_after; /* the same, before it closes it */
    bool small_pieces;  /* the server sends three bytes at a time */
} network_faults;

extern network_faults network;

/* How many packets, connections and look-ups there were. */
extern unsigned network_packets, network_connections, network_lookups;

/* Bytes and pool elements of lwIP's that are in use, but for what the network itself holds. */
size_t network_in_use(void);

#endif
