/* lwIP's raw API as the client's transport: its callbacks note what happened, and the client's steps, which never wait,
   find it there. Consoles and real-time systems with sockets of this kind need the same five functions.

   With NO_SYS all runs in one loop (lwip_loop.c). With lwIP on a thread of its own, hold LOCK_TCPIP_CORE() around each
   function that is given the client: a start or an import of a session may close a connection as well. A look-up cannot
   be taken back, so the struct must live as long as lwIP does. */
#ifndef LWIP_TRANSPORT_H
#define LWIP_TRANSPORT_H

#include "hathora_tokens.h"

#include <lwip/dns.h>
#include <lwip/pbuf.h>
#include <lwip/tcp.h>

#include <string.h>

typedef enum lwip_state {
    LWIP_IDLE,
    LWIP_LOOKING_UP,
    LWIP_NOT_FOUND,
    LWIP_FOUND,
    LWIP_CONNECTING,
    LWIP_CONNECTED
} lwip_state;

typedef struct lwip_stream {
    lwip_state state;
    char host[DNS_MAX_NAME_LENGTH];
    ip_addr_t address;
    uint16_t port;
    struct tcp_pcb *pcb;   /* NULL: none, or lwIP has freed it */
    struct pbuf *received; /* not read yet: at most a window of it, for it is acknowledged by what is read */
    bool ended;            /* the server sent its FIN */
    err_t error;           /* why lwIP freed the pcb */
} lwip_stream;

/* The answer for a look-up that was given up comes all the same; it is told apart by its name. */
static void lwip_on_found(const char *name, const ip_addr_t *address, void *context)
{
    lwip_stream *s = (lwip_stream *)context;
    if (s->state == LWIP_LOOKING_UP && strcmp(name, s->host) == 0) {
        s->state = address ? LWIP_FOUND : LWIP_NOT_FOUND;
        if (address) {
            s->address = *address;
        }
    }
}

static err_t lwip_on_connected(void *context, struct tcp_pcb *pcb, err_t error)
{
    (void)pcb;
    ((lwip_stream *)context)->state = LWIP_CONNECTED;
    return error;
}

static err_t lwip_on_received(void *context, struct tcp_pcb *pcb, struct pbuf *data, err_t error)
{
    lwip_stream *s = (lwip_stream *)context;
    (void)pcb, (void)error;
    if (!data) {
        s->ended = true;
    } else if (!s->received) {
        s->received = data;
    } else if (data->tot_len > 0xffffu - s->received->tot_len) {
        return ERR_MEM; /* a chain cannot be longer, with scaled windows; lwIP keeps it and asks again */
    } else {
        pbuf_cat(s->received, data);
    }
    return ERR_OK;
}

static void lwip_on_error(void *context, err_t error)
{
    lwip_stream *s = (lwip_stream *)context;
    s->pcb = NULL;
    s->error = error;
}

static htok_io lwip_failed(err_t error, htok_io_detail *detail)
{
    detail->os_error = error;
    return HTOK_IO_FAILED;
}

static htok_io lwip_open(void *context, const char *host, uint16_t port, htok_io_detail *detail)
{
    lwip_stream *s = (lwip_stream *)context;
    err_t error = ERR_ARG;
    size_t len = strlen(host);
    s->state = LWIP_IDLE;
    s->port = port;
    s->ended = false;
    s->error = ERR_OK;
    detail->phase = HTOK_PHASE_LOOKUP;
    if (len < sizeof s->host) {
        memcpy(s->host, host, len + 1);
        s->state = LWIP_LOOKING_UP;
        error = dns_gethostbyname(s->host, &s->address, lwip_on_found, s);
    }
    if (error == ERR_OK) {
        s->state = LWIP_FOUND; /* in the cache, or a numeric address */
    }
    return error == ERR_OK || error == ERR_INPROGRESS ? HTOK_IO_AGAIN : lwip_failed(error, detail);
}

static htok_io lwip_connect(void *context, uint64_t now_ms, htok_io_detail *detail)
{
    lwip_stream *s = (lwip_stream *)context;
    err_t error;
    (void)now_ms;
    if (s->state == LWIP_LOOKING_UP || s->state == LWIP_NOT_FOUND) {
        detail->phase = HTOK_PHASE_LOOKUP;
        return s->state == LWIP_LOOKING_UP ? HTOK_IO_AGAIN : HTOK_IO_FAILED;
    }
    if (s->state == LWIP_FOUND) {
        s->pcb = tcp_new_ip_type(IP_GET_TYPE(&s->address));
        if (!s->pcb) {
            return lwip_failed(ERR_MEM, detail);
        }
        s->state = LWIP_CONNECTING;
        tcp_arg(s->pcb, s);
        tcp_recv(s->pcb, lwip_on_received);
        tcp_err(s->pcb, lwip_on_error);
        error = tcp_connect(s->pcb, &s->address, s->port, lwip_on_connected);
        if (error != ERR_OK) {
            return lwip_failed(error, detail);
        }
    }
    if (!s->pcb) {
        return lwip_failed(s->error, detail);
    }
    return s->state == LWIP_CONNECTED ? HTOK_IO_OK : HTOK_IO_AGAIN;
}

/* No tcp_sent() callback: the next poll looks at the room in the send buffer anyway. */
static htok_io lwip_send(void *context, const void *bytes, size_t len, htok_io_detail *detail)
{
    lwip_stream *s = (lwip_stream *)context;
    err_t error = ERR_MEM;
    if (!s->pcb) {
        return lwip_failed(s->error, detail);
    }
    if (len > tcp_sndbuf(s->pcb)) {
        len = tcp_sndbuf(s->pcb);
    }
    if (len > 0xffff) {
        len = 0xffff;
    }
    if (len != 0) {
        error = tcp_write(s->pcb, bytes, (u16_t)len, TCP_WRITE_FLAG_COPY);
    }
    if (error != ERR_OK) {
        return error == ERR_MEM ? HTOK_IO_AGAIN : lwip_failed(error, detail);
    }
    tcp_output(s->pcb);
    detail->moved = len;
    return HTOK_IO_OK;
}

/* What came before a reset or the end is read first. */
static htok_io lwip_receive(void *context, void *bytes, size_t size, htok_io_detail *detail)
{
    lwip_stream *s = (lwip_stream *)context;
    if (s->received) {
        u16_t len = pbuf_copy_partial(s->received, bytes, (u16_t)(size < 0xffff ? size : 0xffff), 0);
        s->received = pbuf_free_header(s->received, len);
        if (s->pcb) {
            tcp_recved(s->pcb, len);
        }
        detail->moved = len;
        return HTOK_IO_OK;
    }
    if (s->ended) {
        return HTOK_IO_CLOSED;
    }
    return s->pcb ? HTOK_IO_AGAIN : lwip_failed(s->error, detail);
}

static void lwip_close(void *context)
{
    lwip_stream *s = (lwip_stream *)context;
    if (s->pcb) {
        tcp_arg(s->pcb, NULL);
        tcp_recv(s->pcb, NULL);
        tcp_err(s->pcb, NULL);
        if (tcp_close(s->pcb) != ERR_OK) {
            tcp_abort(s->pcb);
        }
    }
    if (s->received) {
        pbuf_free(s->received);
    }
    s->pcb = NULL;
    s->received = NULL;
    s->state = LWIP_IDLE;
}

static inline htok_transport lwip_transport(lwip_stream *s)
{
    htok_transport transport = {false,     NULL,         lwip_open,  lwip_connect,
                                lwip_send, lwip_receive, lwip_close, NULL};
    transport.context = s;
    return transport;
}

#endif
