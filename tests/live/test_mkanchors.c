/* mkanchors: what it writes, compared with what openssl says of the same certificates; what it chooses; what it
   refuses. Needs build/mkanchors, openssl, cc and c++. */
#define _POSIX_C_SOURCE 200809L
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FOLDER "build/certs/tls"

static char here[512];

static int setup(void **state)
{
    const char *argv[] = {"sh", "tests/tls-certs.sh", FOLDER, NULL};
    struct live_command command;
    const struct live_process *process;
    memset(&command, 0, sizeof command);
    command.argv = argv;
    process = live_run(&command);
    if (process->status != 0) {
        print_error("%s", process->err.ptr);
        return -1;
    }
    return getcwd(here, sizeof here) ? live_teardown(state) : -1;
}

/* A file of FOLDER, valid until the teardown. */
static const char *made(const char *name)
{
    static char paths[8][640];
    static size_t next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/" FOLDER "/%s", here, name);
    return path;
}

static struct live_process *start(const char *const *argv, const char *epoch, const char *input)
{
    const char *env[2] = {epoch, NULL};
    struct live_command command;
    memset(&command, 0, sizeof command);
    command.argv = argv;
    command.env = env;
    command.input = input;
    return live_run(&command);
}

/* mkanchors with up to five arguments, the first NULL ending them. */
static struct live_process *run_at(const char *epoch, const char *a, const char *b, const char *c,
                                   const char *d, const char *e)
{
    const char *argv[7] = {NULL, a, b, c, d, e, NULL};
    const char *bin = getenv("HATHORA_BIN");
    char path[256];
    snprintf(path, sizeof path, "%s/mkanchors", bin ? bin : "build");
    argv[0] = path;
    return start(argv, epoch, NULL);
}
#define RUN(a, b, c, d, e) run_at(NULL, a, b, c, d, e)

static struct live_process *run_well(const char *a, const char *b, const char *c, const char *d,
                                     const char *e)
{
    struct live_process *process = RUN(a, b, c, d, e);
    if (process->status != 0) {
        fail_msg("ended with %d: %s", process->status, process->err.ptr);
    }
    return process;
}

static void expect(const struct live_process *process, int status, const char *text)
{
    if (process->status != status || (text && !live_contains(&process->err, text))) {
        fail_msg("ended with %d, no \"%s\" in: %s", process->status, text ? text : "", process->err.ptr);
    }
    if (status != 0) {
        assert_string_equal(process->out.ptr, "");
        assert_int_equal(live_count(&process->err, "\n"), 1);
    }
}

/* The output of a command of openssl on a certificate, without the line's end. */
static const char *openssl(const char *script, const char *certificate)
{
    const char *argv[] = {"sh", "-c", script, certificate, NULL};
    struct live_process *process = start(argv, NULL, NULL);
    assert_int_equal(process->status, 0);
    process->out.ptr[strcspn(process->out.ptr, "\n")] = '\0';
    return process->out.ptr;
}

/* The bytes of the array in the output. */
static void read_array(const struct live_process *process, struct live_bytes *bytes)
{
    const char *at = strstr(process->out.ptr, "] = {");
    assert_non_null(at);
    while ((at = strstr(at, "0x")) != NULL) {
        unsigned char byte = (unsigned char)strtoul(at, NULL, 16);
        live_add(bytes, &byte, 1);
        at += 4;
    }
}

static void the_array_holds_the_certificates_and_the_comment_tells_what_they_are(void **state)
{
    static const char *const names[] = {"root.pem", "rootrsa.pem", "twin.pem"};
    static const struct {
        const char *before, *script, *after;
    } facts[] = {
        {"      SHA-256      ", "openssl x509 -in \"$0\" -noout -fingerprint -sha256 | sed 's/.*=//'", "\n"},
        {"      pin          sha256/",
         "openssl x509 -in \"$0\" -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 "
         "-binary |"
         " openssl base64 -A",
         "\n"},
        {" to ",
         "openssl x509 -in \"$0\" -noout -enddate -dateopt iso_8601 2>/dev/null | sed 's/.*=//; s/Z$//' | "
         "grep ."
         " || date -u -d \"$(openssl x509 -in \"$0\" -noout -enddate | sed 's/.*=//')\" '+%Y-%m-%d %H:%M:%S'",
         " UTC\n"},
        {". CN=", "openssl x509 -in \"$0\" -noout -subject | sed 's/.*CN = //'", "\n"},
    };
    struct live_process *process =
        run_well(made(names[0]), made(names[1]), made(names[2]), "--name", "few_roots");
    struct live_bytes got = {0}, want = {0};
    size_t i, k;
    char size[64];
    (void)state;
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *const der[] = {"openssl", "x509", "-in", made(names[i]), "-outform", "DER", NULL};
        struct live_process *bytes = start(der, NULL, NULL);
        live_add(&want, bytes->out.ptr, bytes->out.len);
        for (k = 0; k < sizeof facts / sizeof facts[0]; k++) {
            char line[256];
            snprintf(line, sizeof line, "%s%s%s", facts[k].before, openssl(facts[k].script, made(names[i])),
                     facts[k].after);
            if (!live_contains(&process->out, line)) {
                fail_msg("%s: no \"%s\" in: %s", names[i], line, process->out.ptr);
            }
        }
    }
    assert_true(live_contains(&process->out, "key          P-256\n"));
    assert_true(live_contains(&process->out, "key          P-384\n"));
    assert_true(live_contains(&process->out, "key          RSA of 4096 bits\n"));
    read_array(process, &got);
    assert_int_equal(got.len, want.len);
    assert_memory_equal(got.ptr, want.ptr, want.len);
    snprintf(size, sizeof size, "unsigned char few_roots[%u] = {", (unsigned)want.len);
    assert_true(live_contains(&process->out, size));
    assert_true(live_contains(&process->out, "   options.trust.len = sizeof few_roots; */\n"));
    live_clear(&got);
    live_clear(&want);
}

static void the_same_certificates_give_the_same_bytes_whatever_form_they_have(void **state)
{
    struct live_process *pem = run_well(made("root.pem"), NULL, NULL, NULL, NULL);
    const char *const crlf[] = {"sh", "-c",
                                "printf '\\357\\273\\277before it\\r\\n' && sed 's/$/\\r/' \"$0\"",
                                made("root.pem"), NULL};
    struct live_process *text = start(crlf, NULL, NULL);
    const char *path = live_write_file("crlf.pem", text->out.ptr, text->out.len - 2);
    (void)state;
    assert_string_equal(run_well(made("root.der"), NULL, NULL, NULL, NULL)->out.ptr, pem->out.ptr);
    assert_string_equal(run_well(path, NULL, NULL, NULL, NULL)->out.ptr, pem->out.ptr);
    assert_string_equal(run_well(made("root.pem"), NULL, NULL, NULL, NULL)->out.ptr, pem->out.ptr);
    assert_string_equal(pem->err.ptr, "");
}

static void standard_input_is_a_file_too(void **state)
{
    const char *bin = getenv("HATHORA_BIN");
    char tool[256];
    const char *const argv[] = {"sh", "-c", "\"$0\" - <\"$1\"", tool, made("root.pem"), NULL};
    struct live_process *process;
    (void)state;
    snprintf(tool, sizeof tool, "%s/mkanchors", bin ? bin : "build");
    process = start(argv, NULL, NULL);
    assert_int_equal(process->status, 0);
    assert_string_equal(process->out.ptr, run_well(made("root.pem"), NULL, NULL, NULL, NULL)->out.ptr);
}

static void certificates_are_chosen_by_subject_and_by_fingerprint(void **state)
{
    const char *bundle = made("roottwin.pem");
    const char *print =
        openssl("openssl x509 -in \"$0\" -noout -fingerprint -sha256 | sed 's/.*=//'", made("twin.pem"));
    const char *plain = openssl("openssl x509 -in \"$0\" -noout -fingerprint -sha256 | sed 's/.*=//' |"
                                " tr -d : | tr A-F a-f",
                                made("twin.pem"));
    struct live_process *one = run_well(made("twin.pem"), NULL, NULL, NULL, NULL);
    struct live_process *both = run_well("--subject", "TEST r", bundle, made("other.pem"), NULL);
    (void)state;
    assert_string_equal(run_well("--fingerprint", print, bundle, NULL, NULL)->out.ptr, one->out.ptr);
    assert_string_equal(run_well("--fingerprint", plain, bundle, NULL, NULL)->out.ptr, one->out.ptr);
    assert_string_equal(both->out.ptr, run_well(bundle, NULL, NULL, NULL, NULL)->out.ptr);
    expect(RUN("--subject", "Nobody", bundle, NULL, NULL), 1,
           "no certificate has the text in its subject: Nobody");
    expect(RUN("--fingerprint", print, made("other.pem"), NULL, NULL), 1,
           "no certificate has the fingerprint ");
    expect(RUN("--subject", "Test", "--subject", "Nobody", bundle), 1, "subject: Nobody");
}

static void what_a_bundle_holds_in_vain_is_left_out_but_not_what_was_asked_for(void **state)
{
    struct live_process *root = run_well(made("root.pem"), NULL, NULL, NULL, NULL), *process;
    (void)state;
    process = run_well(made("oldandroot.pem"), made("root.pem"), made("ed25519.pem"), NULL, NULL);
    assert_string_equal(process->out.ptr, root->out.ptr);
    assert_true(live_contains(&process->err, "oldandroot.pem: left out, has expired: CN=Old root\n"));
    assert_true(live_contains(&process->err, "root.pem: left out, is there already: CN=Test root\n"));
    assert_true(
        live_contains(&process->err, "ed25519.pem: left out, the client has no use for it: its key is not"));
    assert_int_equal(live_count(&process->err, "\n"), 3);
    expect(RUN("--subject", "Old", made("oldandroot.pem"), NULL, NULL), 1, "has expired: CN=Old root");
    expect(RUN("--subject", "server", made("rsa1024.pem"), NULL, NULL), 1, "the client has no use for it");
    process = run_well("--expired", made("old.pem"), NULL, NULL, NULL);
    assert_true(live_contains(&process->out,
                              "valid        2010-01-01 00:00:00 to 2020-01-01 00:00:00 UTC, expired\n"));
    assert_true(live_contains(&process->out, "   options.expired_roots = true; */\n"));
    assert_false(live_contains(&root->out, "expired_roots"));
    process = run_at("SOURCE_DATE_EPOCH=1500000000", made("old.pem"), NULL, NULL, NULL, NULL);
    assert_int_equal(process->status, 0);
    assert_true(live_contains(&process->out, "to 2020-01-01 00:00:00 UTC\n"));
    process = run_well(made("selfleaf.pem"), NULL, NULL, NULL, NULL);
    assert_true(
        live_contains(&process->out, "RSA of 2048 bits; no CA, so it vouches for its own names alone\n"));
    process = RUN(made("old.pem"), NULL, NULL, NULL, NULL);
    assert_int_equal(process->status, 1);
    assert_string_equal(process->out.ptr, "");
    assert_true(live_contains(&process->err, "mkanchors: no certificate is left\n"));
}

static void list_tells_what_the_files_hold_and_writes_no_array(void **state)
{
    struct live_process *process =
        run_well("--list", made("oldandroot.pem"), made("rsa1024.pem"), NULL, NULL);
    (void)state;
    assert_int_equal(live_count(&process->out, "      pin          sha256/"), 3);
    assert_true(live_contains(&process->out, "RSA of 1024 bits; of no use to the client\n"));
    assert_false(live_contains(&process->out, "static"));
    assert_string_equal(process->err.ptr, "");
}

/* A file with this text in place of one line of root.pem. */
static const char *changed(const char *name, const char *sed)
{
    const char *const argv[] = {"sed", sed, made("root.pem"), NULL};
    struct live_process *process = start(argv, NULL, NULL);
    assert_int_equal(process->status, 0);
    return live_write_file(name, process->out.ptr, process->out.len);
}

static void bad_input_is_refused_by_name_and_place(void **state)
{
    static const char der[] = "\x30\x82\x01\x00\x30\x03\x02\x01\x01";
    struct live_process *process;
    (void)state;
    expect(RUN(made("missing.pem"), NULL, NULL, NULL, NULL), 1, "missing.pem: cannot be opened");
    expect(RUN(FOLDER, NULL, NULL, NULL, NULL), 1, FOLDER ": cannot be read");
    expect(RUN(live_write_file("empty", "", 0), NULL, NULL, NULL, NULL), 1, "empty: is empty");
    expect(RUN(live_write_file("text", "no certificate\n", 15), NULL, NULL, NULL, NULL), 1,
           "text: holds no certificate; one in PEM begins with -----BEGIN CERTIFICATE-----");
    expect(RUN(live_write_file("short.der", der, sizeof der - 1), NULL, NULL, NULL, NULL), 1,
           "short.der: malformed at byte 0");
    expect(RUN(changed("digit.pem", "3s/^./~/"), NULL, NULL, NULL, NULL), 1,
           "digit.pem: certificate 1 is malformed, at line 3");
    expect(RUN(changed("lost.pem", "3d"), NULL, NULL, NULL, NULL), 1,
           "lost.pem: certificate 1 is malformed, at line 1");
    expect(RUN(changed("end.pem", "$d"), NULL, NULL, NULL, NULL), 1,
           "end.pem: certificate 1 is malformed, at line ");
    expect(RUN(changed("label.pem", "$s/CERTIFICATE/KEY/"), NULL, NULL, NULL, NULL), 1,
           "label.pem: certificate 1 is malformed, at line ");
    expect(RUN(made("rejected.pem"), NULL, NULL, NULL, NULL), 1,
           "rejected.pem: certificate 1 is malformed, at line 1");
    process = RUN(made("root.pem"), made("good.key"), NULL, NULL, NULL);
    expect(process, 1,
           "good.key: holds a private key, which no program that trusts a certificate needs; take it out");
}

static void options_are_checked(void **state)
{
    const char *root = made("root.pem");
    (void)state;
    expect(RUN(NULL, NULL, NULL, NULL, NULL), 2, "no file given; --help tells what there is");
    expect(RUN("--what", root, NULL, NULL, NULL), 2, "unknown option --what");
    expect(RUN(root, "--subject", NULL, NULL, NULL), 2, "--subject needs a value");
    expect(RUN("--subject", "", root, NULL, NULL), 2, "--subject needs a text");
    expect(RUN("--fingerprint", "12:34", root, NULL, NULL), 2,
           "--fingerprint needs the 64 hexadecimal digits");
    expect(RUN("--name", "7", root, NULL, NULL), 2, "--name needs a name of C, not 7");
    expect(RUN("--name", "a b", root, NULL, NULL), 2, "--name needs a name of C");
    expect(run_at("SOURCE_DATE_EPOCH=now", root, NULL, NULL, NULL, NULL), 1,
           "SOURCE_DATE_EPOCH is not a number: now");
    expect(run_at("SOURCE_DATE_EPOCH=0", root, NULL, NULL, NULL, NULL), 1, "the time is unknown");
    assert_true(live_contains(&run_well("--help", NULL, NULL, NULL, NULL)->out, "--fingerprint HEX"));
}

static void a_name_that_is_no_programs_own_is_refused(void **state)
{
    static const char *const words[] = {"int",   "static",   "restrict", "class",    "and_eq",
                                        "true",  "asm",      "nullptr",  "co_await", "char8_t",
                                        "_Bool", "__func__", "__LINE__"};
    const char *root = made("root.pem");
    size_t i;
    (void)state;
    for (i = 0; i < sizeof words / sizeof words[0]; i++) {
        expect(RUN("--name", words[i], root, NULL, NULL), 2,
               "--name needs a name that C and C++ leave free, not ");
        assert_true(live_contains(&RUN("--name", words[i], root, NULL, NULL)->err, words[i]));
    }
    run_well("--name", "integer", root, NULL, NULL);
    run_well("--name", "Int", root, NULL, NULL);
}

static void a_full_disk_is_told(void **state)
{
    const char *bin = getenv("HATHORA_BIN");
    char tool[256];
    const char *argv[] = {"sh", "-c", "\"$0\" \"$1\" >/dev/full", tool, NULL, NULL};
    const char *words[] = {made("root.pem"), "--help"};
    struct live_process *process;
    size_t i;
    (void)state;
    if (access("/dev/full", W_OK) != 0) {
        skip();
    }
    snprintf(tool, sizeof tool, "%s/mkanchors", bin ? bin : "build");
    for (i = 0; i < 2; i++) {
        argv[4] = words[i];
        process = start(argv, NULL, NULL);
        assert_int_equal(process->status, 1);
        assert_true(live_contains(&process->err, "standard output cannot be written"));
    }
}

static void compile(const char *compiler, const char *standard, const char *language, const char *path)
{
    const char *const argv[] = {compiler,    standard,  "-Wall",       "-Wextra",       "-Wpedantic",
                                "-Wcomment", "-Werror", "-Wno-unused", "-fsyntax-only", "-x",
                                language,    path,      NULL};
    struct live_process *process = start(argv, NULL, NULL);
    if (process->status != 0) {
        fail_msg("%s: %s", compiler, process->err.ptr);
    }
}

static void the_output_compiles_as_c_and_c_plus_plus_whatever_a_subject_holds(void **state)
{
    static const char *const subjects[] = {
        "/CN=*\\/ #error end",
        "/CN=\\/* begin",
        "/O=\\/*\\/*\\/",
        "/CN=\"quotes\" and \\\\ and ??\\/",
        "/C=ES/O=Espa\xc3\xb1"
        "a/CN=line\nbreak",
    };
    static const char script[] =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem"
        " -utf8 -subj \"$0\" -days 2 -addext basicConstraints=critical,CA:TRUE 2>error.log";
    size_t i;
    (void)state;
    for (i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        const char *const argv[] = {"sh", "-c", script, subjects[i], NULL};
        struct live_command command;
        struct live_process *process;
        const char *path;
        memset(&command, 0, sizeof command);
        command.argv = argv;
        command.folder = live_folder();
        process = live_run(&command);
        assert_int_equal(process->status, 0);
        path = live_write_file("hostile.pem", process->out.ptr, process->out.len);
        process = run_well(path, NULL, NULL, NULL, NULL);
        path = live_write_file("anchors.h", process->out.ptr, process->out.len);
        compile("cc", "-std=c99", "c", path);
        compile("c++", "-std=c++11", "c++", path);
    }
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_teardown(name, live_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_array_holds_the_certificates_and_the_comment_tells_what_they_are),
        TEST(the_same_certificates_give_the_same_bytes_whatever_form_they_have),
        TEST(standard_input_is_a_file_too),
        TEST(certificates_are_chosen_by_subject_and_by_fingerprint),
        TEST(what_a_bundle_holds_in_vain_is_left_out_but_not_what_was_asked_for),
        TEST(list_tells_what_the_files_hold_and_writes_no_array),
        TEST(bad_input_is_refused_by_name_and_place),
        TEST(options_are_checked),
        TEST(a_name_that_is_no_programs_own_is_refused),
        TEST(a_full_disk_is_told),
        TEST(the_output_compiles_as_c_and_c_plus_plus_whatever_a_subject_holds),
    };
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests_name("mkanchors", tests, setup, NULL);
}
