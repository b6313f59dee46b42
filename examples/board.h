/* What a board without an operating system gives bare_metal.c: a stream to the server, time, random bytes, trusted
   certificates, a line of output. Yours to write, over a modem, an Ethernet chip or a network stack's callbacks. None of
   these may wait. */
#ifndef BOARD_H
#define BOARD_H

#include "hathora_tokens.h"

htok_io board_open(void *board, const char *host, uint16_t port, htok_io_detail *detail);
htok_io board_connect(void *board, uint64_t now_ms, htok_io_detail *detail);
htok_io board_send(void *board, const void *bytes, size_t len, htok_io_detail *detail);
htok_io board_receive(void *board, void *bytes, size_t size, htok_io_detail *detail);
void board_close(void *board);

uint64_t board_milliseconds(void *board);                /* since the start; never goes back */
bool board_unix_seconds(void *board, int64_t *seconds);  /* from a clock chip, or the network */
bool board_random(void *board, void *bytes, size_t len); /* from a hardware generator, nothing less */
htok_view board_roots(void);                             /* DER, as build/mkanchors writes them */
void board_print(const char *before, htok_view text);

#endif
