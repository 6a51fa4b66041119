/* A load generator that replays pre-encoded Kafka requests and times their answers.
 *
 *   load PORT FRAMES CONNECTIONS IN_FLIGHT SECONDS RATE ERROR_AT
 *
 * FRAMES is a file of whole frames, each with its length prefix; connection i repeats frame i modulo their number,
 * with a fresh correlation id each time. Every connection keeps IN_FLIGHT requests unanswered; with a RATE above
 * zero, requests are instead sent at fixed moments, RATE a second in all, and timed from the moment they were due,
 * so that a stall is seen by each request that it delays. Answers come in order, as Kafka answers. ERROR_AT is where
 * an answer, after its length, holds an int16 error code that must be zero; below zero, nothing is checked.
 * The first tenth of the time warms up and is not counted. The result is one line of JSON; times in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 256, MAX_IN_FLIGHT = 4096, RECEIVE = 1 << 20, KEPT = 1024, BUCKETS = 2000000 };

struct connection {
    int fd;
    char *out;             /* copies of the frame, ready to send */
    size_t frame, copies;  /* length of one frame; how many stand in `out` */
    size_t sent, queued;   /* bytes of `out` already sent, and in all to be sent */
    uint32_t correlation;
    double due[MAX_IN_FLIGHT]; /* when each unanswered request was due; a ring */
    unsigned first, waiting;
    unsigned char head[4], body[KEPT]; /* of the answer being read */
    size_t have;
    uint32_t length;
    int writable;
};

static struct connection connections[MAX_CONNECTIONS];
static uint32_t histogram[BUCKETS + 1];
static unsigned char received[RECEIVE];
static uint64_t counted, errors, bytes;
static double max_us, counting_from;
static int error_at, epoll_fd;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static void open_connection(struct connection *c, int port, const char *frame, size_t length, unsigned in_flight) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int yes = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->frame = length;
    c->copies = length < 16384 ? in_flight : 1;
    c->out = malloc(length * c->copies);
    for (size_t copy = 0; copy < c->copies; copy++) memcpy(c->out + copy * length, frame, length);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0) fail("epoll_ctl");
    c->writable = 1;
}

static void push(struct connection *c) {
    while (c->writable && c->sent < c->queued) {
        ssize_t sent = send(c->fd, c->out + c->sent, c->queued - c->sent, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) fail("send");
            c->writable = 0;
        } else {
            c->sent += sent;
        }
    }
}

/* Send up to `wanted` more requests, due at the same moment; returns how many were begun. */
static unsigned begin(struct connection *c, unsigned wanted, double due) {
    if (c->sent < c->queued) return 0;
    unsigned count = wanted < c->copies ? wanted : c->copies;
    for (unsigned copy = 0; copy < count; copy++) {
        uint32_t id = htonl(++c->correlation);
        memcpy(c->out + copy * c->frame + 8, &id, 4);
        c->due[(c->first + c->waiting++) % MAX_IN_FLIGHT] = due;
    }
    c->sent = 0;
    c->queued = count * c->frame;
    push(c);
    return count;
}

static void answered(struct connection *c, double at) {
    double due = c->due[c->first];
    if (c->waiting == 0) {
        fprintf(stderr, "an answer that nothing asked for\n");
        exit(1);
    }
    c->first = (c->first + 1) % MAX_IN_FLIGHT;
    c->waiting--;
    if (error_at >= 0 && (c->length < (uint32_t)error_at + 2 || c->body[error_at] || c->body[error_at + 1])) errors++;
    if (due < counting_from) return;
    double us = (at - due) * 1e6;
    histogram[us < BUCKETS ? (uint32_t)us : BUCKETS]++;
    if (us > max_us) max_us = us;
    counted++;
    bytes += c->frame;
}

static void digest(struct connection *c, size_t size, double at) {
    size_t read = 0;
    while (read < size) {
        if (c->have < 4) {
            c->head[c->have++] = received[read++];
            if (c->have == 4) {
                memcpy(&c->length, c->head, 4);
                c->length = ntohl(c->length);
            }
            continue;
        }
        size_t at_body = c->have - 4, left = c->length - at_body;
        size_t part = left < size - read ? left : size - read;
        if (at_body < KEPT) memcpy(c->body + at_body, received + read, part < KEPT - at_body ? part : KEPT - at_body);
        c->have += part;
        read += part;
        if (c->have - 4 == c->length) {
            answered(c, at);
            c->have = 0;
        }
    }
}

static void pull(struct connection *c) {
    for (;;) {
        ssize_t size = recv(c->fd, received, RECEIVE, 0);
        if (size > 0) {
            digest(c, size, now());
        } else if (size == 0) {
            fprintf(stderr, "the broker closed a connection\n");
            exit(1);
        } else if (errno == EAGAIN) {
            return;
        } else {
            fail("recv");
        }
    }
}

static double percentile(double share) {
    uint64_t wanted = counted * share, seen = 0;
    for (uint32_t bucket = 0; bucket <= BUCKETS; bucket++) {
        seen += histogram[bucket];
        if (seen > wanted) return bucket < BUCKETS ? bucket + 0.5 : max_us;
    }
    return max_us;
}

static void run(unsigned count, unsigned in_flight, double seconds, double rate) {
    struct epoll_event events[MAX_CONNECTIONS];
    double start = now(), end = start + seconds, next = start, at;
    unsigned turn = 0;
    counting_from = start + seconds / 10;
    while ((at = now()) < end) {
        struct timespec wait = {.tv_nsec = 100000000};
        if (rate > 0) {
            while (next <= at && begin(&connections[turn % count], 1, next)) {
                next += 1 / rate;
                turn++;
            }
            double left = next - now();
            wait.tv_nsec = left <= 0 ? 0 : left < 0.1 ? (long)(left * 1e9) : 100000000;
        } else {
            for (unsigned i = 0; i < count; i++) {
                struct connection *c = &connections[i];
                while (c->waiting < in_flight && begin(c, in_flight - c->waiting, now())) continue;
            }
        }
        int ready = epoll_pwait2(epoll_fd, events, MAX_CONNECTIONS, &wait, NULL);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) {
                c->writable = 1;
                push(c);
            }
            if (events[i].events & ~EPOLLOUT) pull(c);
        }
    }
    double counted_s = now() - counting_from;
    printf("{\"requests\": %lu, \"errors\": %lu, \"requests_per_s\": %.1f, \"mb_per_s\": %.3f, ", counted, errors,
           counted / counted_s, bytes / counted_s / 1e6);
    printf("\"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f}\n", percentile(0.5),
           percentile(0.99), percentile(0.999), max_us);
}

int main(int argc, char **argv) {
    if (argc != 8) {
        fprintf(stderr, "usage: load PORT FRAMES CONNECTIONS IN_FLIGHT SECONDS RATE ERROR_AT\n");
        return 2;
    }
    unsigned count = atoi(argv[3]), in_flight = atoi(argv[4]);
    error_at = atoi(argv[7]);
    if (count < 1 || count > MAX_CONNECTIONS || in_flight < 1 || in_flight > MAX_IN_FLIGHT || error_at > KEPT - 2) {
        fprintf(stderr, "a number is out of range\n");
        return 2;
    }
    FILE *file = fopen(argv[2], "rb");
    if (!file) fail(argv[2]);
    fseek(file, 0, SEEK_END);
    size_t size = ftell(file), place = 0;
    rewind(file);
    char *frames = malloc(size);
    if (fread(frames, 1, size, file) != size) fail(argv[2]);
    epoll_fd = epoll_create1(0);
    for (unsigned i = 0; i < count; i++) {
        uint32_t length;
        if (place >= size) place = 0;
        memcpy(&length, frames + place, 4);
        open_connection(&connections[i], atoi(argv[1]), frames + place, ntohl(length) + 4, in_flight);
        place += ntohl(length) + 4;
    }
    run(count, in_flight, atof(argv[5]), atof(argv[6]));
    return errors ? 1 : 0;
}
