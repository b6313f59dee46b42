/* lwIP as a small device without an operating system has it: one loop, pools of fixed size, no heap of the system's. The
   loopback interface is the only one. */
#ifndef LWIPOPTS_H
#define LWIPOPTS_H

#define NO_SYS                  1
#define SYS_LIGHTWEIGHT_PROT    0
#define LWIP_IPV4               1
#define LWIP_IPV6               0
#define LWIP_RAW                0
#define LWIP_SOCKET             0
#define LWIP_NETCONN            0
#define LWIP_ARP                0
#define LWIP_ETHERNET           0
#define LWIP_DNS                1
#define LWIP_HAVE_LOOPIF        1
#define LWIP_NETIF_LOOPBACK     1
#define LWIP_LOOPBACK_MAX_PBUFS 16

#define MEM_ALIGNMENT   8
#define MEM_SIZE        (32 * 1024)
#define TCP_MSS         536
#define TCP_WND         (4 * TCP_MSS)
#define TCP_SND_BUF     (4 * TCP_MSS)
#define DNS_MAX_RETRIES 2

/* What is in use at the end is counted. */
#define LWIP_STATS 1
#define MEMP_STATS 1
#define MEM_STATS  1

#endif
