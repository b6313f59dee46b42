/* A worker thread owns the client and may wait; the main thread draws frames and takes the results from a queue. For
   machines on which a handshake's longest step is too long for a frame.

   cc -I. examples/worker_thread.c -lbearssl -pthread -o worker_thread

   The environment is that of list_tokens.c. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* What both threads see, under the lock. Texts are copied: the client's own are gone with its next step. */
typedef struct queue {
    pthread_mutex_t lock;
    pthread_cond_t room;
    char names[16][256];
    unsigned begin, count;
    bool stop, ended, failed;
    char error[512];
} queue;

/* Runs on the worker. Returning false cancels the list. */
static bool put_token(void *context, const htok_org_token *token)
{
    queue *q = (queue *)context;
    bool stop;
    pthread_mutex_lock(&q->lock);
    while (q->count == 16 && !q->stop) {
        pthread_cond_wait(&q->room, &q->lock);
    }
    stop = q->stop;
    if (!stop) {
        htok_printable(token->name, q->names[(q->begin + q->count++) % 16], sizeof q->names[0]);
    }
    pthread_mutex_unlock(&q->lock);
    return !stop;
}

static void *work(void *context)
{
    queue *q = (queue *)context;
    htok_client *client;
    htok_client_options options = {0};
    htok_error error;
    options.org_id = getenv("HATHORA_ORG_ID");
    options.token = getenv("HATHORA_TOKEN");
    options.server_url = getenv("HATHORA_CLOUD_ENDPOINT");
    options.trust_file = getenv("SSL_CERT_FILE");
    if (htok_client_create(&client, &options, &error) == HTOK_OK) {
        htok_get_org_tokens(client, NULL, put_token, q);
        error = *htok_client_error(client);
    }
    pthread_mutex_lock(&q->lock);
    q->ended = true;
    q->failed = error.kind != HTOK_OK;
    htok_error_format(&error, q->error, sizeof q->error); /* before close: the record refers to the client */
    pthread_mutex_unlock(&q->lock);
    htok_client_close(client);
    return NULL;
}

/* The main thread's share of a frame. False once there is no more to come. */
static bool take_tokens(queue *q)
{
    bool more;
    pthread_mutex_lock(&q->lock);
    while (q->count != 0) {
        printf("%s\n", q->names[q->begin]);
        q->begin = (q->begin + 1) % 16;
        q->count--;
    }
    more = !q->ended;
    pthread_cond_signal(&q->room);
    pthread_mutex_unlock(&q->lock);
    return more;
}

int main(void)
{
    static queue q = {.lock = PTHREAD_MUTEX_INITIALIZER, .room = PTHREAD_COND_INITIALIZER};
    const struct timespec frame = {0, 16666667};
    pthread_t worker;
    if (pthread_create(&worker, NULL, work, &q) != 0) {
        fprintf(stderr, "worker_thread: no thread can be started\n");
        return 1;
    }
    while (take_tokens(&q)) {
        nanosleep(&frame, NULL); /* stands for a game's own frame; to quit early, set stop and signal room */
    }
    pthread_join(worker, NULL);
    if (q.failed) {
        fprintf(stderr, "worker_thread: %s\n", q.error);
    }
    return q.failed;
}
