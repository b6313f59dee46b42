#include "network.h"
#include "examples/board.h"

#include <lwip/dns.h>
#include <lwip/init.h>
#include <lwip/netif.h>
#include <lwip/stats.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>
#include <lwip/udp.h>

#include <string.h>

network_faults network;
unsigned network_packets, network_connections, network_lookups;

static u32_t milliseconds;
static struct tcp_pcb *listener, *served;
static struct udp_pcb *names;
static netif_output_fn deliver;
static size_t taken, in_use_at_start;

u32_t sys_now(void)
{
    return milliseconds;
}

unsigned network_random(void)
{
    static unsigned state = 1;
    state = state * 1103515245u + 12345u;
    return state >> 8;
}

static err_t deliver_most(struct netif *interface, struct pbuf *packet, const ip4_addr_t *to)
{
    network_packets++;
    return network.lose != 0 && network_packets % network.lose == 0 ? ERR_OK : deliver(interface, packet, to);
}

/* RFC 1035 section 4: the question back, and 127.0.0.1 if it is for the one name, or else that there is none. */
static void answer_name(void *unused, struct udp_pcb *pcb, struct pbuf *query, const ip_addr_t *from,
                        u16_t port)
{
    static const char known[] = "\6tokens\7example\4test";
    static const unsigned char address[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1};
    unsigned char text[512];
    u16_t len = pbuf_copy_partial(query, text, sizeof text - sizeof address, 0);
    struct pbuf *answer;
    bool found = len >= 12 + sizeof known + 4 && memcmp(text + 12, known, sizeof known) == 0;
    (void)unused;
    pbuf_free(query);
    network_lookups++;
    if (network.silent_names || len < 12) {
        return;
    }
    text[2] |= 0x80;
    text[3] = found ? 0x80 : 0x83;
    text[7] = found;
    if (found) {
        memcpy(text + len, address, sizeof address);
        len = (u16_t)(len + sizeof address);
    }
    answer = pbuf_alloc(PBUF_TRANSPORT, len, PBUF_RAM);
    if (answer) {
        pbuf_take(answer, text, len);
        udp_sendto(pcb, answer, from, port);
        pbuf_free(answer);
    }
}

static void stop_serving(void)
{
    tcp_arg(served, NULL);
    tcp_recv(served, NULL);
    tcp_err(served, NULL);
    served = NULL;
}

static void served_failed(void *unused, err_t error)
{
    (void)unused, (void)error;
    served = NULL;
}

static err_t serve_bytes(void *unused, struct tcp_pcb *pcb, struct pbuf *data, err_t error)
{
    htok_io_detail detail;
    struct pbuf *at;
    (void)unused, (void)error;
    if (!data) {
        stop_serving();
        return tcp_close(pcb);
    }
    taken += data->tot_len;
    if (network.reset_after != 0 && taken >= network.reset_after) {
        pbuf_free(data);
        stop_serving();
        tcp_abort(pcb);
        return ERR_ABRT;
    }
    tcp_recved(pcb, data->tot_len);
    if (network.close_after != 0 && taken >= network.close_after) {
        pbuf_free(data);
        stop_serving();
        return tcp_close(pcb);
    }
    for (at = data; at; at = at->next) {
        u16_t sent = 0;
        while (sent < at->len) {
            memset(&detail, 0, sizeof detail);
            if (board_send(NULL, (const char *)at->payload + sent, (size_t)(at->len - sent), &detail) !=
                HTOK_IO_OK) {
                LWIP_PLATFORM_ASSERT("the server takes what the client sends");
            }
            sent = (u16_t)(sent + detail.moved);
        }
    }
    pbuf_free(data);
    return ERR_OK;
}

static err_t serve(void *unused, struct tcp_pcb *pcb, err_t error)
{
    htok_io_detail detail;
    (void)unused;
    network_connections++;
    taken = 0;
    served = pcb;
    tcp_recv(pcb, serve_bytes);
    tcp_err(pcb, served_failed);
    return board_open(NULL, "tokens.example.test", 443, &detail) == HTOK_IO_AGAIN ? error : ERR_VAL;
}

static void listen_where_needed(void)
{
    if (network.no_listener && listener) {
        tcp_close(listener);
        listener = NULL;
    } else if (!network.no_listener && !listener) {
        struct tcp_pcb *pcb = tcp_new();
        tcp_bind(pcb, IP_ADDR_ANY, 443);
        listener = tcp_listen(pcb);
        tcp_accept(listener, serve);
    }
}

static void send_answers(void)
{
    char bytes[TCP_MSS];
    htok_io_detail detail;
    size_t most = network.small_pieces ? 3 : sizeof bytes;
    while (served && tcp_sndbuf(served) >= sizeof bytes && tcp_sndqueuelen(served) < TCP_SND_QUEUELEN / 2) {
        memset(&detail, 0, sizeof detail);
        if (board_receive(NULL, bytes, most, &detail) != HTOK_IO_OK) {
            break;
        }
        if (tcp_write(served, bytes, (u16_t)detail.moved, TCP_WRITE_FLAG_COPY) != ERR_OK) {
            LWIP_PLATFORM_ASSERT("lwIP takes what there is room for");
        }
        tcp_output(served);
        if (network.small_pieces) {
            break;
        }
    }
}

void board_network_start(void)
{
    ip_addr_t here;
    lwip_init();
    deliver = netif_list->output;
    netif_list->output = deliver_most;
    IP_ADDR4(&here, 127, 0, 0, 1);
    dns_setserver(0, &here);
    names = udp_new();
    udp_bind(names, IP_ADDR_ANY, 53);
    udp_recv(names, answer_name, NULL);
    listen_where_needed();
    in_use_at_start = network_in_use();
}

void board_network(void)
{
    milliseconds++;
    listen_where_needed();
    netif_poll_all();
    if (served) {
        send_answers();
    }
    sys_check_timeouts();
}

size_t network_in_use(void)
{
    static const memp_t pools[] = {MEMP_PBUF, MEMP_PBUF_POOL, MEMP_TCP_SEG, MEMP_TCP_PCB};
    size_t i, sum = (size_t)lwip_stats.mem.used;
    for (i = 0; i < sizeof pools / sizeof pools[0]; i++) {
        sum += (size_t)lwip_stats.memp[pools[i]]->used;
    }
    return sum - in_use_at_start;
}
