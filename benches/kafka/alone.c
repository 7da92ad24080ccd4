/* What librdkafka alone delivers: joins a group, takes N messages in batches, drops them, and prints seconds and
 * CPU-seconds. Built by measure.py against the library of the Python client; hence no header of it here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>

typedef struct { int err; void *rkt; int partition; void *payload; size_t len; void *key; size_t key_len; long offset; void *opaque; } message_t;
void *rd_kafka_conf_new(void);
int rd_kafka_conf_set(void *, const char *, const char *, char *, size_t);
void *rd_kafka_new(int, void *, char *, size_t);
int rd_kafka_poll_set_consumer(void *);
void *rd_kafka_topic_partition_list_new(int);
void *rd_kafka_topic_partition_list_add(void *, const char *, int);
int rd_kafka_subscribe(void *, const void *);
void *rd_kafka_queue_get_consumer(void *);
long rd_kafka_consume_batch_queue(void *, int, message_t **, size_t);
void rd_kafka_message_destroy(message_t *);

static double now(void) { struct timeval t; gettimeofday(&t, 0); return t.tv_sec + t.tv_usec / 1e6; }
static double cpu(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_utime.tv_usec / 1e6 + u.ru_stime.tv_sec + u.ru_stime.tv_usec / 1e6;
}

int main(int argc, char **argv) {
    char error[512], group[64];
    long wanted = atol(argv[3]), taken = 0, bytes = 0;
    static message_t *batch[10000];
    void *conf = rd_kafka_conf_new();
    (void)argc;
    snprintf(group, sizeof group, "alone%f", now());
    const char *pairs[][2] = {{"bootstrap.servers", argv[1]}, {"group.id", group}, {"auto.offset.reset", "earliest"},
        {"enable.auto.commit", "false"}, {"queued.min.messages", "1000000"}, {"fetch.message.max.bytes", "8000000"}, {"check.crcs", argv[4]}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (rd_kafka_conf_set(conf, pairs[i][0], pairs[i][1], error, sizeof error)) return puts(error), 1;
    void *client = rd_kafka_new(1, conf, error, sizeof error);
    if (!client) return puts(error), 1;
    rd_kafka_poll_set_consumer(client);
    void *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, argv[2], -1);
    double began = now(), used = cpu();
    rd_kafka_subscribe(client, topics);
    void *queue = rd_kafka_queue_get_consumer(client);
    while (taken < wanted) {
        long n = rd_kafka_consume_batch_queue(queue, 200, batch, 10000);
        if (taken == 0 && n > 0) began = now();
        for (long i = 0; i < n; i++) {
            if (!batch[i]->err) taken++, bytes += batch[i]->len;
            rd_kafka_message_destroy(batch[i]);
        }
    }
    printf("{\"seconds\": %f, \"cpu\": %f, \"bytes\": %ld}\n", now() - began, cpu() - used, bytes);
    fflush(stdout);
    _Exit(0);
}
