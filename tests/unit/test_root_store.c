/* The ROOT store of Windows: which of its certificates become trusted. Elsewhere there is none. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"
#include "unit.h"
#include "x509.h"

#ifdef _WIN32

#define CA "ca! ku!:0204"

enum {
    ALL,
    NONE,
    SERVER,
    CLIENT,
    ANY
}; /* what a property beside the certificate allows it for; ALL: there is none */

typedef struct row {
    const char *label;
    cert_spec spec;
    int allows;
    bool distrusted, taken;
} row;

static const row rows[] = {
    {"a root", {.subject = "A", .key = 1, .extensions = CA}, ALL, false, true},
    {"one for servers", {.subject = "B", .key = 2, .extensions = CA}, SERVER, false, true},
    {"one for any use", {.subject = "C", .key = 3, .extensions = CA}, ANY, false, true},
    {"one for clients", {.subject = "D", .key = 4, .extensions = CA}, CLIENT, false, false},
    {"one for nothing", {.subject = "E", .key = 5, .extensions = CA}, NONE, false, false},
    {"one that says so itself",
     {.subject = "F", .key = 6, .extensions = CA " eku:client"},
     ALL,
     false,
     false},
    {"one that Windows distrusts", {.subject = "G", .key = 7, .extensions = CA}, ALL, true, false},
    {"one of an unsupported key",
     {.subject = "H",
      .signer = 1,
      .extensions = CA,
      .spki_hex = "300506032b6570032100aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
     ALL,
     false,
     false},
    {"an expired one, which counts where the time is known",
     {.subject = "I", .key = 8, .extensions = CA, .not_after = "210101000000Z"},
     ALL,
     false,
     true},
};

static HCERTSTORE store_open(void)
{
    HCERTSTORE store = CertOpenStore(CERT_STORE_PROV_MEMORY, 0, 0, 0, NULL);
    assert_non_null(store);
    return store;
}

static void store_add(HCERTSTORE store, const cert_bytes *cert, int allows)
{
    static char server[] = szOID_PKIX_KP_SERVER_AUTH, client[] = szOID_PKIX_KP_CLIENT_AUTH,
                any[] = "2.5.29.37.0";
    char *uses[2];
    CERT_ENHKEY_USAGE usage;
    PCCERT_CONTEXT context = NULL;
    assert_true(CertAddEncodedCertificateToStore(store, X509_ASN_ENCODING, cert->bytes, (DWORD)cert->len,
                                                 CERT_STORE_ADD_ALWAYS, &context));
    uses[0] = client;
    uses[1] = allows == SERVER ? server : any;
    usage.rgpszUsageIdentifier = uses;
    usage.cUsageIdentifier = allows == NONE ? 0 : allows == CLIENT ? 1 : 2;
    if (allows != ALL) {
        assert_true(CertSetEnhancedKeyUsage(context, &usage));
    }
    CertFreeCertificateContext(context);
}

static bool holds(const unsigned char *all, size_t len, const cert_bytes *cert)
{
    size_t at;
    for (at = 0; at + cert->len <= len; at++) {
        if (memcmp(all + at, cert->bytes, cert->len) == 0) {
            return true;
        }
    }
    return false;
}

static void roots_count_as_windows_and_their_own_words_allow(void **state)
{
    HCERTSTORE roots = store_open(), distrusted = store_open();
    cert_bytes certs[UNIT_COUNT(rows)];
    size_t i, need, size, wanted = 0;
    unsigned char *all;
    htok_error e;
    (void)state;
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        certs[i] = cert_make(&rows[i].spec);
        store_add(roots, &certs[i], rows[i].allows);
        wanted += rows[i].taken ? certs[i].len : 0;
        if (rows[i].distrusted) {
            store_add(distrusted, &certs[i], ALL);
        }
    }
    need = htoki_root_store_copy(roots, distrusted, NULL, 0);
    all = (unsigned char *)malloc(need);
    assert_non_null(all);
    check_number(htoki_root_store_copy(roots, distrusted, all, need), need, "the second time");
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        check(holds(all, need, &certs[i]) == rows[i].taken, "%s", rows[i].label);
    }
    check_number(need, wanted, "nothing else");
    unit_error_begin(&e);
    assert_int_equal(htoki_trust_check(htoki_view((const char *)all, need), false, 0, &e), HTOK_OK);
    free(all);
    for (size = 0; size < need; size += 17) { /* a store that has grown in between writes no byte too many */
        all = (unsigned char *)malloc(size + 1);
        assert_non_null(all);
        all[size] = 0xa5;
        check_number(htoki_root_store_copy(roots, distrusted, all, size), need, "too small");
        check_number(all[size], 0xa5, "the byte behind");
        free(all);
    }
    check_number(htoki_root_store_copy(roots, NULL, NULL, 0) > need, true, "no store of distrusted ones");
    for (i = 0; i < UNIT_COUNT(rows); i++) {
        free(certs[i].bytes);
    }
    CertCloseStore(roots, 0);
    CertCloseStore(distrusted, 0);
}

static void the_system_s_store_is_the_default(void **state)
{
    unit_world w;
    htok_error e;
    (void)state;
    unit_begin(&w);
    w.transport.provides_tls = false;
    if (htok_client_create(&w.client, &w.options, &e) == HTOK_OK) {
        check_number(htok_client_effective_options(w.client)->trust.len, htoki_root_store_read(NULL, 0),
                     "bytes");
        htok_client_close(w.client);
    } else {
        assert_int_equal(e.reason, HTOK_REASON_TRUST_EMPTY);
        check_text(e.detail, "looked into the ROOT store of Windows", "detail");
    }
    assert_int_equal(w.memory_state.bytes_out, 0);
    unit_begin(&w);
    w.transport.provides_tls = false;
    w.memory_state.fail_at = 1;
    assert_int_equal(htok_client_create(&w.client, &w.options, &e), HTOK_UNEXPECTED_CLIENT_ERROR);
    assert_int_equal(w.memory_state.bytes_out, 0);
}

static void a_trust_files_path_is_utf_8_and_others_may_read_it(void **state)
{
    static const char path[] = "build/\xce\xa9 \xe6\xbc\xa2 \xf0\x9f\x98\x80.pem";
    FILE *reader, *file = _wfopen(L"build/\x3a9 \x6f22 \xd83d\xde00.pem", L"wb");
    char text[8], long_path[1100];
    int os_error = 0;
    (void)state;
    assert_non_null(file);
    assert_int_equal(fwrite("roots", 1, 5, file), 5);
    assert_int_equal(fclose(file), 0);
    reader = _wfopen(L"build/\x3a9 \x6f22 \xd83d\xde00.pem", L"rb");
    assert_non_null(reader);
    assert_int_equal(htoki_file_read(NULL, path, text, sizeof text, &os_error), 5);
    assert_memory_equal(text, "roots", 5);
    fclose(reader);
    assert_true(DeleteFileW(L"build/\x3a9 \x6f22 \xd83d\xde00.pem"));
    assert_int_equal(htoki_file_read(NULL, path, text, sizeof text, &os_error), -1);
    assert_int_equal(os_error, ENOENT);
    assert_int_equal(htoki_file_read(NULL, "\xff.pem", text, sizeof text, &os_error), -1);
    assert_int_equal(os_error, EINVAL);
    memset(long_path, 'a', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(htoki_file_read(NULL, long_path, text, sizeof text, &os_error), -1);
    assert_int_equal(os_error, EINVAL);
}

#else

static void there_is_no_root_store_to_look_into(void **state)
{
    char text[400];
    htoki_writer w = htoki_writer_make(text, sizeof text, 0);
    (void)state;
    htoki_put_trust_places(&w);
    (void)htoki_writer_end(&w);
    assert_null(strstr(text, "ROOT store"));
    assert_true(strncmp(text, "looked for /", 12) == 0);
}

#endif

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
#ifdef _WIN32
        cmocka_unit_test(roots_count_as_windows_and_their_own_words_allow),
        cmocka_unit_test(the_system_s_store_is_the_default),
        cmocka_unit_test(a_trust_files_path_is_utf_8_and_others_may_read_it),
#else
        cmocka_unit_test(there_is_no_root_store_to_look_into),
#endif
    };
    unit_filter(argc, argv);
    return cmocka_run_group_tests_name("root_store", tests, NULL, NULL);
}
