/* Runs each case of tests/transcripts: whole, byte by byte and cut in two at each byte, every piece ending at a
   protected page. tests/README.md describes the format. Usage: test_transcripts [TOPIC/CASE, a pattern] */
#define _DEFAULT_SOURCE
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"

#ifndef TRANSCRIPTS_LIST /* a file that names the cases, where folders cannot be read */
#include <dirent.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <sys/mman.h>
#define PROTECTED_PAGE 1
#else
#define PROTECTED_PAGE 0 /* the buffer ends where its block ends */
#endif

enum { CASES_MAX = 1000, LINE_MAX_BYTES = 8192 };

typedef enum stream_end { END_OPEN, END_CLEAN, END_UNCLEAN } stream_end;

typedef struct transcript {
    char name[128], path[512];
    htoki_operation operation;
    htoki_http_limits limits;
    uint32_t error_body_bytes, element_bytes;
    size_t work_bytes;
    char token[128], name_of_token[128];
    bool has_token, has_request;
    stream_end end;
    unit_text request, reply, verdict;
} transcript;

/* ---- Reading a case. ---- */

static void broken(const transcript *t, const char *what, const char *line)
{
    fail_msg("%s: %s: %s", t->path, what, line);
}

static void add_escaped(const transcript *t, unit_text *to, const char *line)
{
    size_t i;
    for (i = 0; line[i]; i++) {
        char c = line[i];
        if (c == '\\') {
            static const char names[] = "rnt\\0", codes[] = "\r\n\t\\";
            size_t where = 0;
            c = line[++i];
            if (c == 'x' && htoki_hex_value(line[i + 1]) >= 0 && htoki_hex_value(line[i + 2]) >= 0) {
                c = (char)(htoki_hex_value(line[i + 1]) << 4 | htoki_hex_value(line[i + 2]));
                i += 2;
            } else if (htoki_in_set(names, c, &where)) {
                c = codes[where]; /* of \0 the terminating NUL */
            } else {
                broken(t, "unknown escape", line);
            }
        }
        unit_add(to, &c, 1);
    }
}

static void read_setting(transcript *t, const char *line)
{
    char key[32], value[128];
    int fields = sscanf(line, "%31s %127[^\n]", key, value);
    unsigned long number = fields == 2 ? strtoul(value, NULL, 10) : 0;
    if (fields == 1 && strcmp(key, "list") == 0) {
        t->operation = HTOKI_GET_ORG_TOKENS;
    } else if (fields == 1 && strcmp(key, "create") == 0) {
        t->operation = HTOKI_CREATE_ORG_TOKEN;
    } else if (fields == 1 && strcmp(key, "revoke") == 0) {
        t->operation = HTOKI_REVOKE_ORG_TOKEN;
    } else if (fields != 2) {
        broken(t, "unknown setting", line);
    } else if (strcmp(key, "token") == 0) {
        t->has_token = true;
        snprintf(t->token, sizeof t->token, "%s", value);
    } else if (strcmp(key, "name") == 0) {
        snprintf(t->name_of_token, sizeof t->name_of_token, "%s", value);
    } else if (strcmp(key, "head_bytes") == 0) {
        t->limits.head_bytes = (uint32_t)number;
    } else if (strcmp(key, "fields") == 0) {
        t->limits.fields = (uint32_t)number;
    } else if (strcmp(key, "interim") == 0) {
        t->limits.interim = (uint32_t)number;
    } else if (strcmp(key, "body_bytes") == 0) {
        t->limits.body_bytes = number;
    } else if (strcmp(key, "error_body_bytes") == 0) {
        t->error_body_bytes = (uint32_t)number;
    } else if (strcmp(key, "element_bytes") == 0) {
        t->element_bytes = (uint32_t)number;
    } else if (strcmp(key, "work_bytes") == 0) {
        t->work_bytes = number;
    } else {
        broken(t, "unknown setting", line);
    }
}

static void read_case(transcript *t)
{
    enum { BEFORE, OPERATION, REQUEST, REPLY, END, VERDICT } section = BEFORE;
    static const char *const sections[] = {"", "operation", "request", "reply", "end", "verdict"};
    char line[LINE_MAX_BYTES];
    FILE *file = fopen(t->path, "rb");
    check(file != NULL, "%s cannot be opened", t->path);
    unit_add_text(&t->request, "");
    unit_add_text(&t->reply, "");
    while (fgets(line, sizeof line, file)) {
        size_t len = strlen(line), i;
        if (len == 0 || line[len - 1] != '\n') {
            broken(t, "a line without an end", line);
        }
        line[len - 1] = '\0';
        if (strncmp(line, "--- ", 4) == 0) {
            for (i = OPERATION; i <= VERDICT && strcmp(line + 4, sections[i]) != 0; i++) {}
            if (i > VERDICT || (int)i <= (int)section) {
                broken(t, "unknown section, or out of order", line);
            }
            section = i == OPERATION ? OPERATION
                      : i == REQUEST ? REQUEST
                      : i == REPLY   ? REPLY
                      : i == END     ? END
                                     : VERDICT;
            t->has_request = t->has_request || section == REQUEST;
            continue;
        }
        switch (section) {
        case BEFORE: break; /* what the case is about */
        case OPERATION: read_setting(t, line); break;
        case REQUEST: add_escaped(t, &t->request, line); break;
        case REPLY: add_escaped(t, &t->reply, line); break;
        case END:
            if (strcmp(line, "clean") != 0 && strcmp(line, "unclean") != 0) {
                broken(t, "neither clean nor unclean", line);
            }
            t->end = line[0] == 'c' ? END_CLEAN : END_UNCLEAN;
            break;
        case VERDICT:
            unit_add_text(&t->verdict, line);
            unit_add_text(&t->verdict, "\n");
            break;
        }
    }
    fclose(file);
    if (section != VERDICT || t->verdict.len == 0) {
        broken(t, "no verdict", "");
    }
}

/* ---- A buffer that ends at a page that cannot be read. ---- */

typedef struct guarded {
    char *pages, *edge;
    size_t bytes;
} guarded;

static void guard(guarded *g, size_t bytes)
{
    enum { PAGE = 65536 }; /* a multiple of every page size */
    size_t whole = (bytes / PAGE + 1) * PAGE;
    g->bytes = whole + PAGE;
#if PROTECTED_PAGE
    g->pages = (char *)mmap(NULL, g->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g->pages != MAP_FAILED);
    g->edge = g->pages + whole;
    assert_int_equal(mprotect(g->edge, PAGE, PROT_NONE), 0);
#else
    g->pages = (char *)malloc(whole);
    assert_non_null(g->pages);
    g->edge = g->pages + whole;
#endif
}

static void unguard(guarded *g)
{
#if PROTECTED_PAGE
    munmap(g->pages, g->bytes);
#else
    free(g->pages);
#endif
}

static char *at_edge(guarded *g, const char *bytes, size_t len)
{
    if (len != 0) {
        memcpy(g->edge - len, bytes, len);
    }
    return g->edge - len;
}

/* ---- One run. ---- */

typedef struct run {
    htoki_url url;
    htok_create_org_token_request create;
    htoki_request request;
    htoki_op op;
    htok_error error;
    char *work;
    htoki_op_event event;
    size_t consumed;
    unit_text seen; /* the verdict's lines */
} run;

static void begin_run(run *r, const transcript *t)
{
    htok_error e;
    memset(r, 0, sizeof *r);
    unit_error_begin(&e);
    assert_true(htoki_url_parse(unit_view("https://api.hathora.dev"), &r->url, &e));
    r->create.name = t->name_of_token;
    r->request.operation = t->operation;
    r->request.url = &r->url;
    r->request.org_id = unit_view("org-1");
    r->request.org_token_id = unit_view("org-token-1");
    r->request.user_agent = unit_view("agent/1");
    r->request.token = t->has_token ? unit_view(t->token) : htoki_view(NULL, 0);
    r->request.create = &r->create;
    r->work = (char *)malloc(t->work_bytes);
    assert_non_null(r->work);
    unit_error_begin(&r->error);
    htoki_op_begin(&r->op, &r->request, &t->limits, t->error_body_bytes, t->element_bytes, r->work,
                   t->work_bytes, &r->error);
    r->event = HTOKI_OP_MORE;
}

static void see(run *r, const char *key, const char *value)
{
    unit_add_text(&r->seen, key);
    unit_add_text(&r->seen, value);
    unit_add_text(&r->seen, "\n");
}

static void see_number(run *r, const char *key, int64_t value)
{
    char digits[32];
    snprintf(digits, sizeof digits, "%lld", (long long)value);
    see(r, key, digits);
}

static void see_view(run *r, const char *key, htok_view value)
{
    char line[LINE_MAX_BYTES];
    assert_true(htok_printable(value, line, sizeof line) < sizeof line);
    see(r, key, line);
}

static void feed(run *r, guarded *g, const char *bytes, size_t len)
{
    char *piece = at_edge(g, bytes, len);
    size_t at = 0, used = 0, again = 0;
    while (r->event == HTOKI_OP_MORE && (again == 0 || at < len)) {
        r->event = htoki_op_input(&r->op, piece + at, len - at, &used);
        check(used <= len - at, "more consumed than given");
        at += used;
        again++;
        check(again <= len + 2, "the operation stands still");
        if (r->event == HTOKI_OP_ITEM) {
            char line[LINE_MAX_BYTES];
            assert_true(htok_org_token_json(&r->op.created.org_token, line, sizeof line) < sizeof line);
            see(r, "item ", line);
            r->event = HTOKI_OP_MORE;
            again = 0;
        } else if (r->event == HTOKI_OP_MORE) {
            check_number(at, len, "consumed");
        }
    }
    r->consumed += at;
}

/* The verdict as lines, in the order that tests/README.md gives. */
static void finish(run *r, const transcript *t)
{
    const htok_error *e = &r->error;
    int64_t after;
    if (r->event == HTOKI_OP_MORE && t->end != END_OPEN) {
        r->event = htoki_op_eof(&r->op, t->end == END_CLEAN);
    }
    if (r->event == HTOKI_OP_MORE) {
        see(r, "pending", "");
        return;
    }
    check_number(r->event == HTOKI_OP_DONE, e->kind == HTOK_OK, "a verdict and its kind");
    see(r, "kind ", htok_kind_name(e->kind));
    if (e->kind != HTOK_OK) {
        see(r, "reason ", htok_reason_name(e->reason));
        if (e->phase != HTOK_PHASE_NONE) {
            see(r, "phase ", htok_phase_name(e->phase));
        }
    }
    if (e->status != 0) {
        see_number(r, "status ", e->status);
    }
    if (e->path[0]) {
        see(r, "path ", e->path);
    }
    if (e->offset >= 0) {
        see_number(r, "offset ", e->offset);
    }
    if (e->detail[0]) {
        see_view(r, "detail ", htoki_text(e->detail));
    }
    if (e->kind == HTOK_API_ERROR) {
        see_view(r, "message ", e->message);
    }
    if (e->body.len != 0) {
        see_view(r, e->body_truncated ? "body-cut " : "body ", e->body);
    }
    after = htoki_http_retry_after_ms(&r->op.http, true, 784111777); /* Sun, 06 Nov 1994 08:49:37 GMT */
    if (after >= 0) {
        see_number(r, "retry-after-ms ", after);
    }
    if (e->kind == HTOK_OK && t->operation == HTOKI_CREATE_ORG_TOKEN) {
        char line[LINE_MAX_BYTES];
        assert_true(htok_created_org_token_json(&r->op.created, line, sizeof line) < sizeof line);
        see(r, "created ", line);
    }
    if (e->kind == HTOK_OK && t->operation == HTOKI_REVOKE_ORG_TOKEN) {
        see(r, "revoked ", r->op.boolean == 't' ? "true" : "false");
    }
    if (e->kind == HTOK_OK || e->kind == HTOK_API_ERROR || e->kind == HTOK_SDK_ERROR) {
        see(r, "keeps-connection ", htoki_http_keeps_connection(&r->op.http) ? "yes" : "no");
        if (r->consumed != t->reply.len) {
            see_number(r, "unread ", (int64_t)(t->reply.len - r->consumed));
        }
    }
}

static void end_run(run *r)
{
    free(r->work);
    free(r->seen.text);
}

/* cut SIZE_MAX: byte by byte. */
static void run_cut(const transcript *t, guarded *g, size_t cut)
{
    run r;
    size_t i, len = t->reply.len;
    begin_run(&r, t);
    if (cut == SIZE_MAX) {
        for (i = 0; i < len; i++) {
            feed(&r, g, t->reply.text + i, 1);
        }
    } else {
        feed(&r, g, t->reply.text, cut);
        feed(&r, g, t->reply.text + cut, len - cut);
    }
    finish(&r, t);
    if (strcmp(r.seen.text, t->verdict.text) != 0) {
        fail_msg("%s, cut at %ld of %ld:\n%sinstead of:\n%s", t->path, (long)cut, (long)len, r.seen.text,
                 t->verdict.text);
    }
    end_run(&r);
}

static void check_request(const transcript *t, guarded *g)
{
    run r;
    size_t len;
    begin_run(&r, t);
    len = htoki_op_output(&r.op, g->edge - t->request.len, t->request.len);
    check_number(r.op.request_bytes, t->request.len, "bytes of the request");
    check_bytes_at(g->edge - t->request.len, len, t->request.text, t->request.len, t->path, __FILE__,
                   __LINE__);
    end_run(&r);
}

static void run_transcript(void **state)
{
    transcript *t = (transcript *)*state;
    guarded g;
    size_t cut;
    read_case(t);
    guard(&g, t->reply.len + t->request.len + 4096);
    if (t->has_request) {
        check_request(t, &g);
    }
    run_cut(t, &g, t->reply.len);
    run_cut(t, &g, SIZE_MAX);
    for (cut = 0; cut < t->reply.len; cut++) {
        run_cut(t, &g, cut);
    }
    unguard(&g);
    free(t->request.text);
    free(t->reply.text);
    free(t->verdict.text);
}

/* ---- Finding the cases. ---- */

#ifndef TRANSCRIPTS_LIST
static int compare_cases(const void *a, const void *b)
{
    return strcmp(((const transcript *)a)->name, ((const transcript *)b)->name);
}
#endif

static void add_case(transcript *t, const char *folder, const char *name)
{
    memset(t, 0, sizeof *t);
    snprintf(t->path, sizeof t->path, "%.200s/%.120s.txt", folder, name);
    snprintf(t->name, sizeof t->name, "%.120s", name);
    snprintf(t->name_of_token, sizeof t->name_of_token, "ci");
    t->limits.head_bytes = 65536;
    t->limits.fields = 100;
    t->limits.interim = 16;
    t->limits.body_bytes = (uint64_t)1 << 30;
    t->error_body_bytes = 65536;
    t->element_bytes = HTOK_WORK_BYTES;
    t->work_bytes = HTOK_WORK_BYTES;
}

#ifdef TRANSCRIPTS_LIST
static size_t find_cases(const char *folder, transcript *cases)
{
    size_t count = 0;
    char name[128];
    FILE *list = fopen(TRANSCRIPTS_LIST, "rb");
    while (list && count < CASES_MAX && fgets(name, sizeof name, list)) {
        name[strcspn(name, "\r\n")] = '\0';
        add_case(&cases[count], folder, name);
        count++;
    }
    if (list) {
        fclose(list);
    }
    return count;
}
#else
static size_t find_cases(const char *folder, transcript *cases)
{
    size_t count = 0;
    struct dirent *topic, *entry;
    DIR *topics = opendir(folder);
    if (!topics) {
        return 0;
    }
    while ((topic = readdir(topics)) != NULL) {
        char path[300];
        DIR *files;
        if (topic->d_name[0] == '.' || strlen(topic->d_name) > 60) {
            continue;
        }
        snprintf(path, sizeof path, "%.200s/%.60s", folder, topic->d_name);
        files = opendir(path);
        while (files && (entry = readdir(files)) != NULL && count < CASES_MAX) {
            size_t len = strlen(entry->d_name);
            char name[128];
            if (len < 5 || len > 60 || strcmp(entry->d_name + len - 4, ".txt") != 0) {
                continue;
            }
            snprintf(name, sizeof name, "%.60s/%.*s", topic->d_name, (int)(len - 4), entry->d_name);
            add_case(&cases[count], folder, name);
            count++;
        }
        if (files) {
            closedir(files);
        }
    }
    closedir(topics);
    qsort(cases, count, sizeof *cases, compare_cases);
    return count;
}
#endif

int main(int argc, char **argv)
{
    const char *folder = getenv("TRANSCRIPTS");
    transcript *cases = (transcript *)calloc(CASES_MAX, sizeof *cases);
    struct CMUnitTest *tests = (struct CMUnitTest *)calloc(CASES_MAX, sizeof *tests);
    size_t count, i;
    int failed;
    folder = folder ? folder : "tests/transcripts";
    if (!cases || !tests) {
        return 1;
    }
    count = find_cases(folder, cases);
    if (count == 0) {
        fprintf(stderr, "no case in %s: run this in the project's folder, or set TRANSCRIPTS\n", folder);
        free(cases);
        free(tests);
        return 1;
    }
    for (i = 0; i < count; i++) {
        tests[i].name = cases[i].name;
        tests[i].test_func = run_transcript;
        tests[i].initial_state = &cases[i];
    }
    unit_filter(argc, argv);
    failed = _cmocka_run_group_tests("transcripts", tests, count, NULL, NULL);
    free(cases);
    free(tests);
    return failed;
}
