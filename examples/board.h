/* What a board without an operating system gives bare_metal.c and lwip_loop.c: a stream to the server, or lwIP's driver;
   time, random bytes, trusted certificates, a line of output. Yours to write. None of these may wait. */
#ifndef BOARD_H
#define BOARD_H

#include "hathora_tokens.h"

/* bare_metal.c: a stream to the server, over a modem or a network stack; lwip_transport.h is one. */
htok_io board_open(void *board, const char *host, uint16_t port, htok_io_detail *detail);
htok_io board_connect(void *board, uint64_t now_ms, htok_io_detail *detail);
htok_io board_send(void *board, const void *bytes, size_t len, htok_io_detail *detail);
htok_io board_receive(void *board, void *bytes, size_t size, htok_io_detail *detail);
void board_close(void *board);

uint64_t board_milliseconds(void *board); /* since the start; never goes back */

/* lwip_loop.c: lwip_init(), the interface and its DNS server; then, in each pass of the loop, the frames that came, and
   sys_check_timeouts(). */
void board_network_start(void);
void board_network(void);

bool board_unix_seconds(void *board, int64_t *seconds);  /* from a clock chip, or the network */
bool board_random(void *board, void *bytes, size_t len); /* from a hardware generator, nothing less */
htok_view board_roots(void);                             /* DER, as build/mkanchors writes them */
void board_print(const char *before, htok_view text);

#endif
