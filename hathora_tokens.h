/* hathora_tokens.h - list, create and revoke the tokens of a Hathora Cloud organization. Public domain or MIT.
   One header: its own HTTP/1.1 client over BearSSL's TLS 1.2, JSON through jsmn, nothing else.

   In ONE source file:          #define HATHORA_TOKENS_IMPLEMENTATION
                                #include "hathora_tokens.h"
   In every other:              #include "hathora_tokens.h"          Link with: -lbearssl

   CONTENTS (search for the tag)                               LAYER RULE: a room uses only rooms above it.
     >>manual        quick start, memory, errors, frame loop, security, porting, knobs
   Public half: stddef.h, stdint.h and stdbool.h only
     >>version       version and linkage macros
     >>types         views, errors, results, options
     >>hooks         transport, resolver, clock, entropy, allocator, files, logger
     >>api           the functions
   Implementation: the core, pure functions of bytes and time
     >>config        knobs, compiler shims, compile-time checks
     >>bytes         views, character classes, UTF-8, bounded writer, wiping
     >>error         reasons, the error record, its one-line form
     >>url           endpoint URLs and percent-encoding
     >>time          RFC 3339, HTTP-date, Retry-After
     >>json scan     strict incremental RFC 8259 scanner
     >>json read     jsmn over one complete element
     >>json write    JSON text out
     >>http request  request line, fields, body
     >>http response status line, fields, framing
     >>tunnel        CONNECT to a proxy and its answer
     >>retry         whether and when to try again
     >>models        OrgToken, CreatedOrgToken, ApiError
     >>operation     one request and its answer as a state machine
   Implementation: the rims, each removable
     >>x509          trusted certificates, and what BearSSL's validation leaves open
     >>identity      the client's own certificates and key
     >>tls           BearSSL's engine, bytes in and bytes out
     >>sockets       POSIX and Winsock: look-up and transport
     >>system        clock, entropy, files, allocator
   Implementation: on top
     >>client        owns the memory; joins operation, TLS and hooks; deadlines, reuse, retries, cancel
     >>public        bodies of the functions in >>api */

/* >>manual ----------------------------------------------------------------------------------------------

   WHAT IT DOES
     GetOrgTokens, CreateOrgToken and RevokeOrgToken of the Hathora Cloud API (Tokens V1), as the official SDK does
     them: same options, same defaults, same error names. Over TLS 1.2, or http:// to a loopback address. It does
     not do TLS 1.3 (BearSSL has none), HTTP/2, redirects or content codings; a server that needs one of these is
     refused by name. A transport hook lets another TLS stand below the HTTP client.

   QUICK START
     Blocking, with everything from the system (compiled by the tests):
         #define HATHORA_TOKENS_IMPLEMENTATION
         #include "hathora_tokens.h"
         #include <stdio.h>

         static bool print_token(void *context, const htok_org_token *token)
         {
             (void)context;
             printf("%s %s\n", token->org_token_id.ptr, token->name.ptr);
             return true;
         }

         int main(void)
         {
             htok_client_options options = {0};
             htok_client *client;
             htok_error error;
             char line[512];
             options.org_id = "org-...";
             options.token = "...";
             if (htok_client_create(&client, &options, &error) != HTOK_OK) {
                 htok_error_format(&error, line, sizeof line);
                 fprintf(stderr, "%s\n", line);
                 return 1;
             }
             if (htok_get_org_tokens(client, NULL, print_token, NULL) != HTOK_OK) {
                 htok_error_format(htok_client_error(client), line, sizeof line);
                 fprintf(stderr, "%s\n", line);
             }
             htok_client_close(client);
             return 0;
         }
     In C++ write htok_client_options options = {}; the rest is the same.

   LINKING
     gcc app.c -lbearssl. jsmn is a header (Debian: libjsmn-dev, libbearssl-dev). Windows: also -lws2_32 -lcrypt32.
     With your own copies, -Ipath/to/inc and path/to/libbearssl.a. Add -ffunction-sections -Wl,--gc-sections to drop
     the functions that you do not call. Static programs: link with musl; static glibc cannot look names up alone.

   MEMORY
     One block holds a client: htok_client_bytes() says how large, HTOK_CLIENT_BYTES is enough for default options.
     It is yours (htok_client_init) or taken once from an allocator (htok_client_create), and it must not move.
     Nothing is allocated after that but a small job for each name look-up, which lives on its own thread; a client
     has four of these at most, given-up ones included, and looks up no further name until one has ended. Most of
     the block is the TLS record buffer (record_bytes) and the work buffer (work_bytes): one JSON element and its
     tokens must fit in the latter, so a list of any length streams through it. All strings in options are borrowed.
     Stack, painted and measured: on amd64 at -O2 making a client takes 4.3 KB, with a P-521 certificate of its own 5.7;
     a first list with its handshake 4.6 KB, with P-521 among the server's keys 6.0; a create and a list after that 1.2.
     On a Cortex-M3 at -Os these are 2.6, 3.1 and 0.4 KB, with P-256 keys.

   ERRORS AND RETRIES
     A kind to branch on, a reason to tell apart, a record with the rest, a formatter that makes one line of it. The
     first failure wins. Tokens that a list handed out count only once it ends with success. By default nothing is
     retried; with HTOK_RETRY_BACKOFF the statuses in retry.codes are, and connection errors if asked. A create is
     never sent again once a byte of it may have left: then may_have_taken_effect is set, and listing the tokens
     shows whether its unique name exists. retry.repeat narrows that to requests of which no byte has left, or
     widens it to creates, which can make two tokens.

   FRAME LOOP
     Start a call, poll it once a frame, draw the frame, go on (compiled by the tests):
         htok_state state = HTOK_STATE_PENDING;
         if (htok_get_org_tokens_start(client, NULL) == HTOK_OK) {
             do {
                 state = htok_client_poll(client);
                 if (state == HTOK_STATE_ITEM) {
                     printf("%s\n", htok_client_item(client)->name.ptr);
                 }
             } while (state == HTOK_STATE_PENDING || state == HTOK_STATE_ITEM);
         }
     poll() never waits. Its longest step takes in one message of a full TLS handshake, with a public-key operation or
     two: about a millisecond on a desktop CPU, far more on a microcontroller, and only when a connection is made
     without resuming a session; poll on a thread of your own where that is too long. An event loop asks
     htok_client_wait() for the descriptor, the direction and the milliseconds.

   SECURITY
     The server's chain, name and dates are always checked; there is no switch to turn that off. Beyond
     BearSSL, the name must stand in subjectAltName (an address as iPAddress), extendedKeyUsage where it exists
     must hold serverAuth or anyExtendedKeyUsage, name constraints hold, a CA's certificate as the server's, RSA
     keys under 2048 bits (in whole bytes) and SHA-1 are refused. Revocation is not checked. The token goes to the
     endpoint's host alone and redirects are not followed. Secrets are borrowed, never copied to memory that outlives
     the call, and overwritten with '*' in any server text that reaches an error.
     A client resumes TLS sessions, for a day after the certificates were verified and never past the end of one:
     a resumed handshake checks none. htok_client_export_session() hands one to the next run of a program.
     Trusted certificates come from options.trust, options.trust_file, or by htok_client_create() from the system:
     a bundle at the usual paths of Linux, the BSDs, macOS and other Unix systems, or the ROOT store of Windows (in
     which Windows itself puts some roots only when its own TLS first meets them). All of a bundle is read or the
     whole is refused: PEM of the labels CERTIFICATE, X509 CERTIFICATE and TRUSTED CERTIFICATE, with any line ends
     and text between; other blocks, such as keys, are passed over. OpenSSL's additions within a TRUSTED
     CERTIFICATE, which say what it may be trusted for, are refused, for they would be lost. Roots past their
     notAfter are not trusted (options.expired_roots). Only the roots that a server's chain names are decoded.
     Pins are the SHA-256 of keys of the chain, the server's or a CA's; only certificates that were verified count,
     the root included. Pin two: the key in use and a spare one that no server has yet, or a lost key locks every
     program out. A mismatch tells the pins that were seen.
     A server that asks for a client certificate (mutual TLS) is shown options.client_chain, and the handshake is
     signed with options.client_key. Both are checked when the client is made; the key is decoded in the client's
     block for that one signature and wiped behind it. A transport that provides TLS itself takes neither these nor
     pins: it would pass over them.

   PROXIES
     options.proxy names an HTTP proxy: https goes through a tunnel that CONNECT opens (RFC 9110 section 9.3.6), with
     TLS to the server inside, so the proxy sees the server's name and port and no more. Its user and password
     (Basic) go to the proxy alone; the token and the caller's fields never do. http:// to a loopback address goes
     direct. The connect time-out covers the proxy too. Its refusal is a ConnectionError with proxy_status.

   THREADS
     One thread at a time per client; different clients are independent. No global state, no signal handlers, no
     environment variables, no locale. The look-up worker blocks all signals and owns its memory, so the allocator
     must outlive a look-up that was given up.

   KNOBS (define them in the implementation file, except where noted)
     HATHORA_TOKENS_STATIC        all functions static: define it in every file that includes the header
     HATHORA_TOKENS_API           linkage of all functions, e.g. dllexport: the same in every file
     HATHORA_TOKENS_BEARSSL_H     <bearssl.h>; HATHORA_TOKENS_JSMN_H <jsmn.h>: include paths
     HATHORA_TOKENS_ASSERT(x)     nothing: your assertion macro
     HATHORA_TOKENS_SMALL         less of BearSSL, for flash: AES-128-GCM alone, P-256, P-384 and P-521 by one slower
                                  implementation, no X25519, no AES or big-integer code for large CPUs
     HATHORA_TOKENS_MAX_DEPTH     512: nesting of JSON that is read, 8 to 32768; a level costs a bit of the client,
                                  for which HTOK_CLIENT_BYTES is then perhaps too small
     HATHORA_TOKENS_NO_TLS        no BearSSL; https needs a transport that provides TLS
     HATHORA_TOKENS_NO_CLIENT_CERTIFICATE  no client_chain and client_key: 4 KB of code
     HATHORA_TOKENS_NO_PROXY      no options.proxy
     HATHORA_TOKENS_NO_SESSIONS   no export and import of TLS sessions; a client still resumes its own
     HATHORA_TOKENS_NO_SOCKETS    no transport: options.transport is required
     HATHORA_TOKENS_NO_RESOLVER   no getaddrinfo(): numeric addresses or options.resolver only
     HATHORA_TOKENS_NO_THREADS    look-ups block inside poll
     HATHORA_TOKENS_NO_FILES      no stdio, and no ROOT store of Windows (crypt32); trust comes from memory
     HATHORA_TOKENS_NO_CLOCK      options.clock is required
     HATHORA_TOKENS_NO_ENTROPY    options.entropy is required for TLS
     HATHORA_TOKENS_NO_STDLIB     no malloc(): htok_client_create() and getaddrinfo() need options.allocator
     HATHORA_TOKENS_NO_BLOCKING   no blocking calls; also leaves their declarations out where it is defined
     HATHORA_TOKENS_NO_LOG        no logger
     HATHORA_TOKENS_NO_SIMD       no SSE2, also on x86-64
     HATHORA_TOKENS_NO_STRINGS    no sentences: reasons are numbers, and detail does not explain certificates, trust
                                  and a proxy's refusal

   PORTING
     A new system is a handful of hooks: transport (five functions that must not wait), clock, entropy. With all
     rims off the core needs memcpy(), memmove(), memset(), memcmp() and memchr(), and no other function.
     There is no recursion, no array of variable length and no floating point; int and size_t may have 16 bits.

   VERSIONS
     Semantic, HTOK_VERSION. 0.1.0: first version. */

/* -std=c99 and its like (not -std=gnu99, not C++) make glibc, musl and newlib hide all of POSIX unless this
   macro stands before the first system header. It is set for the implementation alone, where nothing else
   asked for names, so it hides none that were visible; never on macOS and the BSDs, where it would hide
   SO_NOSIGPIPE. */
#if defined(HATHORA_TOKENS_IMPLEMENTATION) && defined(__STRICT_ANSI__) &&                        \
    (defined(__linux__) || defined(__gnu_hurd__) || defined(__CYGWIN__) || defined(__wasi__)) && \
    !defined(_POSIX_C_SOURCE) && !defined(_POSIX_SOURCE) && !defined(_XOPEN_SOURCE) &&           \
    !defined(_DEFAULT_SOURCE) && !defined(_GNU_SOURCE)
#define _POSIX_C_SOURCE 200809L
#ifdef __wasi__
#define _DEFAULT_SOURCE /* getentropy() */
#endif
#endif
#ifndef HATHORA_TOKENS_H
#define HATHORA_TOKENS_H

/* >>version ---------------------------------------------------------------------------------------------- */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTOK_VERSION_MAJOR 0
#define HTOK_VERSION_MINOR 1
#define HTOK_VERSION_PATCH 0
#define HTOK_VERSION       "0.1.0"

#ifndef HATHORA_TOKENS_API
#ifdef HATHORA_TOKENS_STATIC
#if defined(__GNUC__)
#define HATHORA_TOKENS_API static __attribute__((unused))
#else
#define HATHORA_TOKENS_API static
#endif
#else
#define HATHORA_TOKENS_API extern
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* >>types ------------------------------------------------------------------------------------------------ */

/* Bytes with a length. Text in results is UTF-8; a lone surrogate escape of JSON (RFC 8259 section 8.2)
   becomes its three-byte form, which no other input can produce. A NUL follows the last byte of every string
   that comes out of a JSON answer, so ptr also serves where C wants a string, unless the text itself holds a
   NUL. */
typedef struct htok_view {
    const char *ptr;
    size_t len;
} htok_view;

/* What a call came to, for branching on. The names are those of the official SDK. */
typedef enum htok_kind {
    HTOK_OK,
    HTOK_API_ERROR,                 /* a documented error status with a message: ApiError */
    HTOK_SDK_ERROR,                 /* any other unwanted status or content type: SDKError */
    HTOK_RESPONSE_VALIDATION_ERROR, /* malformed, truncated or oversized HTTP or JSON: ResponseValidationError */
    HTOK_INVALID_REQUEST_ERROR,  /* an option or argument is wrong, nothing was sent: InvalidRequestError */
    HTOK_CONNECTION_ERROR,       /* look-up, TCP, proxy, TLS, certificate: ConnectionError */
    HTOK_REQUEST_TIMEOUT_ERROR,  /* a deadline passed: RequestTimeoutError */
    HTOK_REQUEST_ABORTED_ERROR,  /* cancelled by the caller: RequestAbortedError */
    HTOK_UNEXPECTED_CLIENT_ERROR /* allocation or a hook failed: UnexpectedClientError */
} htok_kind;

/* Where in a call a failure happened. */
/* clang-format off */
typedef enum htok_phase {
    HTOK_PHASE_NONE, HTOK_PHASE_OPTION, HTOK_PHASE_LOOKUP, HTOK_PHASE_CONNECT, HTOK_PHASE_PROXY,
    HTOK_PHASE_HANDSHAKE, HTOK_PHASE_SEND, HTOK_PHASE_HEAD, HTOK_PHASE_BODY, HTOK_PHASE_JSON, HTOK_PHASE_MODEL,
    HTOK_PHASE_WAIT
} htok_phase;
/* clang-format on */

/* Every reason for a failure: name, the kind it belongs to, and its text. Numbers may change between
   versions; htok_reason_name() is stable. */
/* clang-format off */
#define HTOK_REASONS(X)                                                                                      \
    X(NONE, OK, "no error")                                                                                  \
    X(ARGUMENT_NULL, INVALID_REQUEST_ERROR, "a required argument is null")                                   \
    X(MEMORY_TOO_SMALL, INVALID_REQUEST_ERROR, "the memory block is too small")                              \
    X(OPTION_RANGE, INVALID_REQUEST_ERROR, "the value is out of range")                                      \
    X(OPTION_CONFLICT, INVALID_REQUEST_ERROR, "the value contradicts another option")                        \
    X(HOOK_MISSING, INVALID_REQUEST_ERROR, "this build needs a hook here")                                   \
    X(TEXT_EMPTY, INVALID_REQUEST_ERROR, "the text is empty")                                                \
    X(TEXT_CONTROL, INVALID_REQUEST_ERROR, "the text holds a control character")                             \
    X(TEXT_UTF8, INVALID_REQUEST_ERROR, "the text is not UTF-8")                                             \
    X(TEXT_TOO_LONG, INVALID_REQUEST_ERROR, "the text is too long")                                          \
    X(URL_SCHEME, INVALID_REQUEST_ERROR, "the URL does not begin with https://")                             \
    X(URL_PLAINTEXT, INVALID_REQUEST_ERROR, "http:// is allowed to a loopback address only")                 \
    X(URL_USERINFO, INVALID_REQUEST_ERROR, "the URL holds user information")                                 \
    X(URL_HOST, INVALID_REQUEST_ERROR, "the URL's host is missing or malformed (RFC 3986 section 3.2.2)")    \
    X(URL_PORT, INVALID_REQUEST_ERROR, "the URL's port is not a number from 1 to 65535")                     \
    X(URL_PATH, INVALID_REQUEST_ERROR, "the URL's path is malformed (RFC 3986 section 3.3)")                 \
    X(URL_QUERY, INVALID_REQUEST_ERROR, "the URL holds a query")                                             \
    X(URL_FRAGMENT, INVALID_REQUEST_ERROR, "the URL holds a fragment")                                       \
    X(ORG_ID_MISSING, INVALID_REQUEST_ERROR, "no organization id was given")                                 \
    X(ID_DOTS, INVALID_REQUEST_ERROR, "an id cannot be . or ..")                                             \
    X(SCOPE_ADMIN, INVALID_REQUEST_ERROR, "admin cannot stand beside other scopes")                          \
    X(HEADER_NAME, INVALID_REQUEST_ERROR, "the field name is not a token (RFC 9110 section 5.1)")            \
    X(HEADER_RESERVED, INVALID_REQUEST_ERROR, "the field is set by the client alone")                        \
    X(HEADER_VALUE, INVALID_REQUEST_ERROR, "the field value is malformed (RFC 9110 section 5.5)")            \
    X(RETRY_CODES, INVALID_REQUEST_ERROR, "not a list of statuses such as 429,5XX")                          \
    X(PIN_MALFORMED, INVALID_REQUEST_ERROR, "not sha256/ and the base64 of 32 bytes")                        \
    X(PROXY_USER, INVALID_REQUEST_ERROR, "a proxy's user holds a colon (RFC 7617 section 2)")                 \
    X(SESSION_MALFORMED, INVALID_REQUEST_ERROR, "the exported TLS session is cut, damaged or of another version") \
    X(SESSION_FOREIGN, INVALID_REQUEST_ERROR, "the TLS session is for another host, port, trust or pins")    \
    X(SESSION_EXPIRED, INVALID_REQUEST_ERROR, "the TLS session may not be used any more, or the time is unknown") \
    X(TRUST_UNREADABLE, INVALID_REQUEST_ERROR, "the file of trusted certificates cannot be read")            \
    X(TRUST_EMPTY, INVALID_REQUEST_ERROR, "no usable trusted certificate was found")                         \
    X(TRUST_MALFORMED, INVALID_REQUEST_ERROR, "the trusted certificates are malformed")                      \
    X(CLIENT_CHAIN_MALFORMED, INVALID_REQUEST_ERROR, "not PEM of a client certificate and its issuers")      \
    X(CLIENT_KEY_MALFORMED, INVALID_REQUEST_ERROR, "not PEM of a private key")                               \
    X(CLIENT_KEY_ENCRYPTED, INVALID_REQUEST_ERROR, "the private key is encrypted: decrypt it first")         \
    X(CLIENT_KEY_UNSUPPORTED, INVALID_REQUEST_ERROR, "the private key is not RSA of 2048 to 4096 bits, P-256, P-384 or P-521") \
    X(CLIENT_KEY_MISMATCH, INVALID_REQUEST_ERROR, "the private key does not belong to the first client certificate") \
    X(LOOKUP_FAILED, CONNECTION_ERROR, "the host name cannot be looked up")                                  \
    X(CONNECT_FAILED, CONNECTION_ERROR, "the connection cannot be made")                                     \
    X(SEND_FAILED, CONNECTION_ERROR, "sending failed")                                                       \
    X(RECEIVE_FAILED, CONNECTION_ERROR, "receiving failed")                                                  \
    X(CLOSED_EARLY, CONNECTION_ERROR, "the server closed the connection before its answer's head was whole") \
    X(PROXY_AUTHENTICATION, CONNECTION_ERROR, "the proxy wants a user and password, or others")              \
    X(PROXY_REFUSED, CONNECTION_ERROR, "the proxy refused to connect to the server")                         \
    X(PROXY_ANSWER, CONNECTION_ERROR, "the proxy's answer to CONNECT is not acceptable")                     \
    X(PROXY_CLOSED, CONNECTION_ERROR, "the proxy closed the connection before its answer was whole")         \
    X(TLS_CLOSED, CONNECTION_ERROR, "the server closed the connection during the TLS handshake")             \
    X(TLS_FAILED, CONNECTION_ERROR, "TLS failed")                                                            \
    X(TLS_ALERT, CONNECTION_ERROR, "the server ended TLS with an alert")                                     \
    X(TLS_ALPN, CONNECTION_ERROR, "the server chose another protocol than http/1.1")                         \
    X(CERTIFICATE_INVALID, CONNECTION_ERROR, "the server's certificate is not acceptable")                   \
    X(CERTIFICATE_UNTRUSTED, CONNECTION_ERROR, "no trusted certificate vouches for the server")              \
    X(CERTIFICATE_NAME, CONNECTION_ERROR, "the server's certificate is for another name")                    \
    X(CERTIFICATE_TIME, CONNECTION_ERROR, "the server's certificate is expired or not yet valid")            \
    X(CERTIFICATE_USAGE, CONNECTION_ERROR, "the server's certificate is not meant for a TLS server")         \
    X(CERTIFICATE_PIN, CONNECTION_ERROR, "none of the pinned keys is in the server's chain")                 \
    X(CLIENT_CERTIFICATE_MISSING, CONNECTION_ERROR, "the server demands a client certificate, and none is set") \
    X(CLIENT_CERTIFICATE_REFUSED, CONNECTION_ERROR, "the server refuses the client certificate")             \
    X(ENTROPY_MISSING, CONNECTION_ERROR, "the entropy source failed")                                        \
    X(TIME_UNKNOWN, CONNECTION_ERROR, "the time is unknown, so certificates cannot be checked")              \
    X(TIMEOUT, REQUEST_TIMEOUT_ERROR, "the time-out of the attempt passed")                                  \
    X(CONNECT_TIMEOUT, REQUEST_TIMEOUT_ERROR, "the connect time-out passed")                                 \
    X(CANCELLED, REQUEST_ABORTED_ERROR, "the call was cancelled")                                            \
    X(HTTP_VERSION, RESPONSE_VALIDATION_ERROR, "not an HTTP/1.x answer (RFC 9112 section 2.3)")              \
    X(HTTP_STATUS_LINE, RESPONSE_VALIDATION_ERROR, "malformed status line (RFC 9112 section 4)")             \
    X(HTTP_LINE_END, RESPONSE_VALIDATION_ERROR, "a line does not end in CR LF (RFC 9112 section 2.2)")       \
    X(HTTP_FIELD_NAME, RESPONSE_VALIDATION_ERROR, "malformed field name (RFC 9112 section 5.1)")             \
    X(HTTP_FIELD_VALUE, RESPONSE_VALIDATION_ERROR, "a field value holds a control character")                \
    X(HTTP_FIELD_FOLDED, RESPONSE_VALIDATION_ERROR, "a folded field line (RFC 9112 section 5.2)")            \
    X(HTTP_HEAD_LIMIT, RESPONSE_VALIDATION_ERROR, "the head is larger than the limit")                       \
    X(HTTP_FIELD_LIMIT, RESPONSE_VALIDATION_ERROR, "the head has more fields than the limit")                \
    X(HTTP_INTERIM_LIMIT, RESPONSE_VALIDATION_ERROR, "more interim answers than the limit")                  \
    X(HTTP_UPGRADE, RESPONSE_VALIDATION_ERROR, "101 was not asked for (RFC 9110 section 15.2.2)")            \
    X(HTTP_LENGTH, RESPONSE_VALIDATION_ERROR, "malformed Content-Length (RFC 9110 section 8.6)")             \
    X(HTTP_LENGTH_REPEATED, RESPONSE_VALIDATION_ERROR, "more than one Content-Length")                       \
    X(HTTP_LENGTH_AND_CODING, RESPONSE_VALIDATION_ERROR, "Content-Length beside Transfer-Encoding")          \
    X(HTTP_TRANSFER_CODING, RESPONSE_VALIDATION_ERROR, "a transfer coding other than chunked")               \
    X(HTTP_CONTENT_CODING, RESPONSE_VALIDATION_ERROR, "a content coding that was not asked for")             \
    X(HTTP_CHUNK_SIZE, RESPONSE_VALIDATION_ERROR, "malformed chunk size (RFC 9112 section 7.1)")             \
    X(HTTP_CHUNK_EXTENSION, RESPONSE_VALIDATION_ERROR, "malformed or endless chunk extension")               \
    X(HTTP_CHUNK_END, RESPONSE_VALIDATION_ERROR, "chunk data is not followed by CR LF")                      \
    X(BODY_TRUNCATED, RESPONSE_VALIDATION_ERROR, "the body ended early")                                     \
    X(BODY_LIMIT, RESPONSE_VALIDATION_ERROR, "the body is larger than the limit")                            \
    X(ERROR_BODY_LIMIT, RESPONSE_VALIDATION_ERROR, "the error body is larger than the limit")                \
    X(ELEMENT_LIMIT, RESPONSE_VALIDATION_ERROR, "a JSON element is over its limit or does not fit into the work buffer")          \
    X(JSON_SYNTAX, RESPONSE_VALIDATION_ERROR, "malformed JSON (RFC 8259)")                                   \
    X(JSON_UTF8, RESPONSE_VALIDATION_ERROR, "JSON that is not UTF-8 (RFC 8259 section 8.1)")                 \
    X(JSON_DEPTH, RESPONSE_VALIDATION_ERROR, "JSON nested deeper than the limit")                            \
    X(JSON_TRUNCATED, RESPONSE_VALIDATION_ERROR, "the JSON text ends early")                                 \
    X(MEMBER_MISSING, RESPONSE_VALIDATION_ERROR, "a required member is missing")                             \
    X(MEMBER_TYPE, RESPONSE_VALIDATION_ERROR, "a value has the wrong type")                                  \
    X(MEMBER_DUPLICATE, RESPONSE_VALIDATION_ERROR, "a member appears twice")                                 \
    X(MEMBER_DATE, RESPONSE_VALIDATION_ERROR, "not an RFC 3339 date-time")                                   \
    X(STATUS_ERROR, SDK_ERROR, "Unexpected Status or Content-Type: an error status")                         \
    X(STATUS_UNEXPECTED, SDK_ERROR, "Unexpected Status or Content-Type: not the documented status")          \
    X(STATUS_REDIRECT, SDK_ERROR, "Unexpected Status or Content-Type: redirects are never followed")         \
    X(CONTENT_TYPE, SDK_ERROR, "Unexpected Status or Content-Type: not application/json")                    \
    X(API_ERROR, API_ERROR, "the API refused the request")                                                   \
    X(ALLOCATION_FAILED, UNEXPECTED_CLIENT_ERROR, "memory cannot be allocated")                              \
    X(TOKEN_PROVIDER, UNEXPECTED_CLIENT_ERROR, "the token provider failed")                                  \
    X(LIST_FULL, UNEXPECTED_CLIENT_ERROR, "the list does not fit into the given memory")                     \
    X(WAIT_FAILED, UNEXPECTED_CLIENT_ERROR, "waiting for the connection failed")                             \
    X(INTERNAL, UNEXPECTED_CLIENT_ERROR, "the client reached a state it should not")
/* clang-format on */
#define HTOK_REASON_ENTRY(name, kind, text) HTOK_REASON_##name,
typedef enum htok_reason { HTOK_REASONS(HTOK_REASON_ENTRY) HTOK_REASON_COUNT } htok_reason;
#undef HTOK_REASON_ENTRY

/* All there is to know about a failure. No field ever holds a secret: the token and the values of caller-set header
   fields, from four bytes on, are overwritten with '*' in all server text before it gets here; of a create's answer
   nothing but ApiError's message is told. */
typedef struct htok_error {
    htok_kind kind;
    htok_reason reason;
    htok_phase phase;
    int status;        /* HTTP status of the answer; 0 when none came */
    int proxy_status;  /* the proxy's answer to CONNECT, when it was no success; else 0 */
    int os_error;      /* errno, WSAGetLastError() or EAI_ code (look-up); 0 when not applicable */
    int tls_error;     /* BearSSL's code, see htok_tls_error_name(); 0 when not applicable */
    unsigned attempts; /* requests attempted in this call, 1 without retries */
    bool
        may_have_taken_effect; /* a byte of the request may have reached the server, and no answer says more */
    bool body_truncated;       /* body holds only the beginning of what the server sent */
    int64_t offset;            /* of the byte at fault in head, body or option text; MEMORY_TOO_SMALL: the
                                  bytes needed; -1 unknown */
    int64_t retry_after_ms;    /* from Retry-After (RFC 9110 section 10.2.3); -1 absent */
    char path[48];             /* JSON member path such as tokens[3].createdAt, or the option's name; or "" */
    char detail[320]; /* a redirect's target, a content type, an unknown host, a certificate's names; or "" */
    htok_view message; /* ApiError's message; valid until the client's next start, wipe or close */
    htok_view body;    /* the error body as received, never that of a create; valid as message is */
} htok_error;

/* What htok_client_poll() found. */
typedef enum htok_state {
    HTOK_STATE_IDLE,    /* no call was started */
    HTOK_STATE_PENDING, /* poll again, at best after waiting for what htok_client_wait() names */
    HTOK_STATE_ITEM,    /* one more OrgToken of a list: htok_client_item(), then poll again */
    HTOK_STATE_DONE,    /* success: read the result */
    HTOK_STATE_FAILED   /* htok_client_error() tells why */
} htok_state;

/* What to wait for between two polls. */
typedef struct htok_wait {
    bool readable, writable; /* wait for the descriptor to become readable, writable */
    intptr_t descriptor; /* a socket or descriptor; -1: none, only time matters. May change between calls */
    uint32_t timeout_ms; /* poll again after this many milliseconds at the latest; UINT32_MAX: no deadline */
} htok_wait;

typedef enum htok_token_status {
    HTOK_TOKEN_STATUS_OTHER, /* the API's enum is open: status_text holds what the server sent */
    HTOK_TOKEN_STATUS_ACTIVE,
    HTOK_TOKEN_STATUS_REVOKED
} htok_token_status;

typedef enum htok_scopes_form {
    HTOK_SCOPES_ABSENT, /* no member scopes: the token is an admin token */
    HTOK_SCOPES_ADMIN,  /* "admin" */
    HTOK_SCOPES_LIST,   /* an array, perhaps empty, of scope strings; an unknown scope is kept */
    HTOK_SCOPES_OTHER   /* another string than "admin", which the API may come to send: it is scopes[0] */
} htok_scopes_form;

/* OrgToken of the API, member by member. All views are valid until the next poll, start or close. */
typedef struct htok_org_token {
    htok_view org_token_id, org_id, name;
    htok_token_status status;
    htok_view status_text;
    htok_view last_four_chars_of_key, created_by;
    htok_view created_at;  /* as the server wrote it */
    int64_t created_at_ms; /* the same in Unix milliseconds; a fraction is cut to whole ones */
    htok_scopes_form scopes_form;
    const htok_view *scopes; /* scope_count of them, with HTOK_SCOPES_LIST and HTOK_SCOPES_OTHER */
    size_t scope_count;
} htok_org_token;

/* CreatedOrgToken of the API. plain_text_token is a secret that the service shows once and never again. */
typedef struct htok_created_org_token {
    htok_view plain_text_token;
    htok_org_token org_token;
} htok_created_org_token;

/* CreateOrgToken of the API: the request body. */
typedef struct htok_create_org_token_request {
    bool admin;                /* send "scopes":"admin"; then scope_count must be 0 */
    size_t scope_count;        /* 0 and not admin: send no scopes, which the API takes for admin */
    const char *const *scopes; /* e.g. "tokens:read"; UTF-8; unknown ones are sent */
    const char *name;          /* 1 to 64 characters of UTF-8, unique in the organization */
} htok_create_org_token_request;

/* When to try again; the members and defaults are the SDK's RetryConfig. */
typedef enum htok_retry_strategy {
    HTOK_RETRY_DEFAULT, /* in client options: HTOK_RETRY_NONE; in call options: what the client says */
    HTOK_RETRY_NONE,
    HTOK_RETRY_BACKOFF
} htok_retry_strategy;

/* Which request may be sent again once a byte of it was handed to the network: by a retry, and when a kept
   connection turns out dead. */
typedef enum htok_repeat {
    HTOK_REPEAT_DEFAULT, /* in client options: HTOK_REPEAT_IDEMPOTENT; in call options: what the client says */
    HTOK_REPEAT_IDEMPOTENT, /* a list and a revoke, which the API lets one repeat; never a create */
    HTOK_REPEAT_UNSENT,     /* none, whatever the answer: each request leaves at most once */
    HTOK_REPEAT_ALWAYS /* also a create. It may then make two tokens; the name, unique in the organization, usually
                          turns the second into an ApiError 422, and the first's plain text is lost */
} htok_repeat;

/* The wait is Retry-After's, but at least initial_interval_ms; without one, initial_interval_ms times attempt^exponent,
   attempts counted from 0, and up to a second more. */
typedef struct htok_retry {
    htok_retry_strategy strategy;
    htok_repeat repeat;            /* counts also where strategy is none */
    uint32_t initial_interval_ms;  /* 0: 500 */
    uint32_t max_interval_ms;      /* 0: 60000; also bounds Retry-After */
    uint32_t max_elapsed_ms;       /* 0: 3600000; from the call's start, waits included */
    uint32_t exponent_thousandths; /* 0: 1500, that is 1.5; at most 10000 */
    bool retry_connection_errors;  /* also after look-up, connection and time-out failures */
    const char *codes; /* statuses and families; NULL: "429,500,502,503,504". As far as repeat allows */
} htok_retry;

/* One extra request field. The value is treated as a secret. Authorization, Host, Content-Length,
   Content-Type, Transfer-Encoding, Connection, TE, Upgrade, Expect, Proxy-Authorization and Proxy-Connection
   are refused, and any Accept-Encoding but identity; User-Agent and Accept replace the client's. */
typedef struct htok_header {
    const char *name, *value;
} htok_header;

/* An HTTP proxy for https. Everything is borrowed until htok_client_close(). user and password are secrets, and yet
   on the way to the proxy anybody can read them: RFC 7617 section 4. */
typedef struct htok_proxy {
    const char *host; /* a name, or a numeric address without brackets */
    uint16_t port;
    const char *user,
        *password; /* for Basic (RFC 7617), without control characters; user NULL: none are sent;
                                    password NULL: empty */
} htok_proxy;

typedef struct htok_transport htok_transport;
typedef struct htok_resolver htok_resolver;
typedef struct htok_clock htok_clock;
typedef struct htok_entropy htok_entropy;
typedef struct htok_allocator htok_allocator;
typedef struct htok_files htok_files;
typedef struct htok_logger htok_logger;

/* Options of a client. All zero means all defaults. Pointers are borrowed: what they point to must stay as it
   is until htok_client_close(). server_url has at most 2048 bytes; an id, the token and a field's value 16384. */
typedef struct htok_client_options {
    uint32_t timeout_ms;         /* one attempt, look-up to last byte; 0: 30000; HTOK_NO_TIMEOUT: none */
    uint32_t connect_timeout_ms; /* its look-up, TCP, proxy and TLS; 0: 10000; HTOK_NO_TIMEOUT: none */
    const char *server_url;      /* https URL, a path is a prefix; NULL: HTOK_DEFAULT_SERVER_URL */
    const char *org_id;          /* default organization of every call */
    const char *token;           /* the dev token, with or without "Bearer "; NULL: no Authorization field */
    bool (*token_provider)(void *context,
                           htok_view *token); /* asked before each request; then token must be NULL */
    void *token_context;        /* what it sets must stay valid until it is asked again or the call ends */
    const char *user_agent;     /* NULL: HTOK_DEFAULT_USER_AGENT */
    const htok_header *headers; /* header_count extra fields of every request */
    size_t header_count;
    htok_retry retry;
    htok_view trust;        /* trusted certificates: PEM text, or DER one after the other */
    const char *trust_file; /* the same from a file, whose path is UTF-8 on Windows; neither: the system's; by
                               htok_client_create() alone */
    bool expired_roots;     /* trust certificates past their notAfter too, as some systems do */
    /* For servers that ask for a client certificate, both or none, each of at most 65536 bytes: PEM of it and its
       issuers, that one first, 8 at most; PEM of its key, not encrypted, as PKCS #8, PKCS #1 or SEC 1, of RSA with
       2048 to 4096 bits, P-256, P-384 or P-521. The key is a secret: borrowed, decoded in the client's block for
       the one signature of a handshake, then wiped there. */
    htok_view client_chain, client_key;
    const char *const *pins; /* pin_count texts "sha256/BASE64" of public keys, one of which the chain must */
    size_t pin_count;        /* hold: always pin a second, spare key too */
    uint32_t record_bytes;   /* largest TLS record to accept, 512 to 16384; 0: 16384; less is a gamble */
    uint32_t send_bytes;     /* largest TLS record to send, 512 to 16384; 0: 1024 */
    /* Holds one JSON element and its tokens, or an error body; 0: HTOK_WORK_BYTES. With BearSSL in the build less than
       about that is refused, for a handshake needs it; without, less than 512. At most 1 GiB. */
    uint32_t work_bytes;
    uint32_t max_element_bytes;      /* of one JSON element's text; 0: what fits into work_bytes */
    uint32_t max_head_bytes;         /* of one answer, interim ones included; 0: 65536 */
    uint32_t max_fields;             /* of one answer; 0: 100 */
    uint32_t max_interim;            /* 1xx answers before the final one; 0: 16 */
    uint32_t max_error_body_bytes;   /* 0: 65536 */
    uint64_t max_body_bytes;         /* 0: 1 GiB */
    const htok_proxy *proxy;         /* for https; NULL: none. Not with a transport that provides TLS */
    const htok_transport *transport; /* NULL: sockets */
    const htok_resolver *resolver;   /* NULL: getaddrinfo() on a thread of its own */
    const htok_clock *clock;         /* NULL: the system's */
    const htok_entropy *entropy;     /* NULL: the system's */
    const htok_allocator
        *allocator;            /* NULL: malloc() and free(); used by htok_client_create() and look-ups */
    const htok_files *files;   /* NULL: stdio */
    const htok_logger *logger; /* NULL: silence */
} htok_client_options;

/* Options of one call. All zero, or NULL for the whole, means what the client says; but where retry.strategy is set,
   retry.retry_connection_errors counts as it is. Borrowed until the call ends. */
typedef struct htok_call_options {
    uint32_t timeout_ms, connect_timeout_ms;
    const char *server_url, *org_id;
    const htok_header *headers; /* header_count fields beside the client's */
    size_t header_count;
    htok_retry retry;
} htok_call_options;

#define HTOK_NO_TIMEOUT         UINT32_MAX
#define HTOK_DEFAULT_SERVER_URL "https://api.hathora.dev"
#define HTOK_DEFAULT_USER_AGENT "hathora_tokens.h/" HTOK_VERSION
#define HTOK_WORK_BYTES         4720          /* default work_bytes */
#define HTOK_SESSION_BYTES      180           /* of an exported TLS session */
#define HTOK_CLIENT_BYTES       (28u * 1024u) /* enough for a client with default sizes, at any alignment */

typedef struct htok_client htok_client; /* opaque; lives in one block, which must not move */

/* >>hooks ------------------------------------------------------------------------------------------------ */

/* The four outcomes of a step that must not wait. */
typedef enum htok_io {
    HTOK_IO_AGAIN,  /* nothing can be done now; ask again later */
    HTOK_IO_OK,     /* the step is complete, or at least one byte moved */
    HTOK_IO_CLOSED, /* the peer ended its side of the stream */
    HTOK_IO_FAILED  /* os_error says why */
} htok_io;

typedef struct htok_io_detail {
    size_t moved;     /* bytes sent or received, with HTOK_IO_OK */
    int os_error;     /* native code, with HTOK_IO_FAILED */
    htok_phase phase; /* of open and connect, AGAIN too: HTOK_PHASE_LOOKUP, or else connecting */
} htok_io_detail;

/* A byte stream to a host: with options.proxy, to the proxy. No function may wait. The detail is zeroed before each
   call. */
struct htok_transport {
    bool
        provides_tls; /* it encrypts and verifies the host's certificate itself: BearSSL is left out, and pins
                          and client certificates are refused */
    void *context;
    htok_io (*open)(void *context, const char *host, uint16_t port,
                    htok_io_detail *detail);                                    /* start connecting */
    htok_io (*connect)(void *context, uint64_t now_ms, htok_io_detail *detail); /* go on until OK or FAILED */
    htok_io (*send)(void *context, const void *bytes, size_t len, htok_io_detail *detail);
    htok_io (*receive)(void *context, void *bytes, size_t size, htok_io_detail *detail);
    void (*close)(void *context); /* at any time after open, even when that failed; once */
    void (*wait)(void *context,
                 htok_wait *wait); /* set descriptor; lower timeout_ms where needed; connecting:
                                                     also set readable and writable. NULL: no descriptor, and
                                                     polling when bytes can move is the caller's business */
};

/* One numeric address: length 4 or 16, bytes in network order. */
typedef struct htok_address {
    uint8_t length, bytes[16];
    uint32_t scope_id;
} htok_address;

/* Name look-up for the built-in transport. start is given a name, never a numeric address nor localhost. Sixteen
   addresses are tried at most, so a list should not begin with sixteen of one family. */
struct htok_resolver {
    void *context;
    htok_io (*start)(void *context, const char *host, htok_io_detail *detail);
    htok_io (*poll)(void *context, htok_address *addresses, size_t capacity, size_t *count,
                    htok_io_detail *detail);
    void (*cancel)(void *context); /* after start; the look-up is no longer wanted, or was read */
    void (*wait)(void *context, htok_wait *wait); /* may be NULL: polled every 10 ms */
};

struct htok_clock {
    void *context;
    uint64_t (*monotonic_ms)(void *context); /* never goes back; its zero means nothing */
    bool (*unix_seconds)(void *context,
                         int64_t *seconds); /* false: unknown. For certificates and HTTP-dates */
};

struct htok_entropy {
    void *context;
    bool (*fill)(void *context, void *bytes, size_t len); /* unpredictable bytes; false: cannot */
};

struct htok_allocator {
    void *context; /* called from the look-up's thread too, until that has ended */
    void *(*allocate)(void *context, size_t bytes); /* aligned as by malloc(); NULL: cannot */
    void (*release)(void *context, void *memory, size_t bytes);
};

struct htok_files {
    void *context;
    /* Reads at most size bytes of the file and returns how many; size + 1 when it holds more; -1 with
       *os_error set. */
    int64_t (*read)(void *context, const char *path, void *buffer, size_t size, int *os_error);
};

struct htok_logger {
    void *context;
    void (*line)(void *context, const char *text); /* one event, no line end, no secret; text is not kept */
};

/* >>api -------------------------------------------------------------------------------------------------- */

/* Every function may be called from any thread, but only one at a time per client. A function that returns a kind
   returns HTOK_OK or the kind that htok_client_error() then has; but a start while a call is in progress returns
   InvalidRequestError and leaves that call and its record alone. */

/* Bytes of memory that htok_client_init() needs for these options (NULL: defaults), at any alignment; 0 when
   a size in them is out of range. For static memory with default sizes HTOK_CLIENT_BYTES is enough. */
HATHORA_TOKENS_API size_t htok_client_bytes(const htok_client_options *options);

/* Makes a client in the caller's memory of the given size; allocates nothing and opens nothing. options may
   be NULL. On success *client is the client, which lives in memory until htok_client_close(); on failure it
   is NULL and *error (may be NULL) tells why. Errors: InvalidRequestError for a null or too small block, an
   option that is out of range or malformed (named in error->path), a missing hook, or trust from a file,
   which needs htok_client_create(). Without options->trust no root is trusted: https calls fail. */
HATHORA_TOKENS_API htok_kind htok_client_init(htok_client **client, void *memory, size_t bytes,
                                              const htok_client_options *options, htok_error *error);

/* Like htok_client_init(), with one block from options->allocator, and one more for the trusted certificates
   when they come from options->trust_file or, without options->trust too, from the system: the first bundle at
   the usual paths that can be read and holds one of use, or the ROOT store of Windows. Reads here and never again.
   Errors: those of htok_client_init(); InvalidRequestError when the file is unreadable, or it or the system's bundle
   malformed (detail names it), or when nothing was found and server_url is https (detail names every path tried; an
   http:// one needs none, and then only calls to https fail); UnexpectedClientError when memory ran out. */
HATHORA_TOKENS_API htok_kind htok_client_create(htok_client **client, const htok_client_options *options,
                                                htok_error *error);

/* Ends the client at any time: cancels a call, closes the connection, wipes all that was used of the block, releases what
   htok_client_create() took. NULL is allowed. */
HATHORA_TOKENS_API void htok_client_close(htok_client *client);

/* The options in force, defaults filled in; valid until close. */
HATHORA_TOKENS_API const htok_client_options *htok_client_effective_options(const htok_client *client);

/* GetOrgTokens: starts listing the tokens of an organization. Checks everything and sends nothing yet; the
   call proceeds in htok_client_poll(), which hands out one OrgToken at a time with HTOK_STATE_ITEM. What was
   handed out counts only once the call ends with HTOK_STATE_DONE: the answer may still break. What the caller takes
   over an item counts towards timeout_ms, also where the whole answer has come. Errors: InvalidRequestError. */
HATHORA_TOKENS_API htok_kind htok_get_org_tokens_start(htok_client *client, const htok_call_options *options);

/* CreateOrgToken: starts creating a token. request and what it points to must stay until the call ends. The
   call is never sent twice, unless HTOK_REPEAT_ALWAYS allows it: once a byte may have reached the server, a
   failure without an answer ends the call with may_have_taken_effect, and a list shows whether the name exists.
   Errors: InvalidRequestError. */
HATHORA_TOKENS_API htok_kind htok_create_org_token_start(htok_client *client,
                                                         const htok_create_org_token_request *request,
                                                         const htok_call_options *options);

/* RevokeOrgToken: starts revoking the token with this id (percent-encoded as it is sent), which must stay
   until the call ends. Errors: InvalidRequestError when the id is empty, too long, "." or "..", or not UTF-8. */
HATHORA_TOKENS_API htok_kind htok_revoke_org_token_start(htok_client *client, const char *org_token_id,
                                                         const htok_call_options *options);

/* Takes the call one step further and returns at once: a bounded number of transport steps. While a
   connection is being made it takes in at most one message of the TLS handshake, with the public-key
   arithmetic that this asks for. After the end it repeats the verdict. */
HATHORA_TOKENS_API htok_state htok_client_poll(htok_client *client);

/* What to wait for before the next poll: fits poll(), epoll, libuv and a frame loop alike. */
HATHORA_TOKENS_API htok_wait htok_client_wait(const htok_client *client);

/* Ends a call in progress as RequestAbortedError and closes its connection; without one it does nothing. */
HATHORA_TOKENS_API void htok_client_cancel(htok_client *client);

/* The error of the last call, with kind HTOK_OK while there is none; never NULL. Valid until the next start. While a
   call waits to try again, that of the attempt before, with its views, until the next poll. */
HATHORA_TOKENS_API const htok_error *htok_client_error(const htok_client *client);

/* The OrgToken found by a poll that returned HTOK_STATE_ITEM, else NULL. Valid until the next poll. */
HATHORA_TOKENS_API const htok_org_token *htok_client_item(const htok_client *client);

/* The result of a create that is done, else NULL. Valid until the next start, close or htok_client_wipe(). */
HATHORA_TOKENS_API const htok_created_org_token *htok_client_created(const htok_client *client);

/* The result of a revoke that is done: what the API answered; false when no revoke is done, or it was wiped. */
HATHORA_TOKENS_API bool htok_client_revoked(const htok_client *client);

/* Overwrites the last answer, with the plain-text token in it, as soon as the caller has used it; during a call it
   does nothing. The next start and htok_client_close() do it too. */
HATHORA_TOKENS_API void htok_client_wipe(htok_client *client);

/* TLS sessions: programs that live for one call can spare the next one most of the handshake. */

/* Writes the TLS session of the last https connection whose certificates were verified, HTOK_SESSION_BYTES of them, and
   returns how many were written: 0 when there is none, a call to another host, port or scheme was started since, the
   server gave it no id, its time is over, size is too small, or the transport provides TLS. It is a secret: with it the
   connection can be read, and whoever can change it where it is kept can pose as the server. Keep it as safe as the token,
   and wipe it after use. It serves for a day at most, never past the end of a certificate that it rests on, and for the
   same host, port, trusted certificates and pins alone, both programs with HATHORA_TOKENS_SMALL or both without. */
HATHORA_TOKENS_API size_t htok_client_export_session(const htok_client *client, void *buffer, size_t size);

/* Takes an exported session for the host and port of options.server_url, between calls. An idle connection is closed.
   The next handshake goes on with it, without certificates, if the server still knows it; if not, the handshake is a
   whole one and nothing is lost. bytes are copied: wipe them. Errors, which a caller may well pass over, for the
   client goes on without the session: InvalidRequestError (SESSION_MALFORMED, SESSION_FOREIGN, SESSION_EXPIRED;
   HOOK_MISSING where this build has none), in the place of the last call's record; during a call InvalidRequestError,
   and nothing is changed. */
HATHORA_TOKENS_API htok_kind htok_client_import_session(htok_client *client, const void *bytes, size_t len);

#ifndef HATHORA_TOKENS_NO_BLOCKING
/* The calls below wait until the call has ended, in poll() on the wait of htok_client_wait(). They need the
   built-in sockets, and end with InvalidRequestError (HOOK_MISSING) on a transport without descriptors. */

/* Lists; gives each token to each(), which returns false to cancel the call, and must not close the client. See
   htok_get_org_tokens_start(). */
HATHORA_TOKENS_API htok_kind htok_get_org_tokens(htok_client *client, const htok_call_options *options,
                                                 bool (*each)(void *context, const htok_org_token *token),
                                                 void *context);

/* A whole list in memory of the caller's: tokens at the front, their texts at the back. */
typedef struct htok_org_token_list {
    void *memory;           /* in: aligned as by malloc() */
    size_t bytes;           /* in: size of memory */
    htok_org_token *tokens; /* out: count of them, views into memory */
    size_t count;
    size_t bytes_needed; /* out: a size of memory in which this list fits, also when it did not */
} htok_org_token_list;

/* Lists into list->memory, all or nothing. Errors: those of a list; InvalidRequestError when list is NULL, or the
   memory where bytes is not 0; UnexpectedClientError (LIST_FULL) when it is too small, with bytes_needed set. */
HATHORA_TOKENS_API htok_kind htok_collect_org_tokens(htok_client *client, const htok_call_options *options,
                                                     htok_org_token_list *list);

/* Creates; *created is what htok_client_created() returns, or NULL. */
HATHORA_TOKENS_API htok_kind htok_create_org_token(htok_client *client,
                                                   const htok_create_org_token_request *request,
                                                   const htok_call_options *options,
                                                   const htok_created_org_token **created);

/* Revokes; *revoked (may be NULL) is the API's answer. */
HATHORA_TOKENS_API htok_kind htok_revoke_org_token(htok_client *client, const char *org_token_id,
                                                   const htok_call_options *options, bool *revoked);
#endif

/* The functions below write text and a NUL, at most size bytes in all, and return the length of the whole
   text without the NUL, as snprintf() does: a result of size or more means it was cut. buffer may be NULL
   with 0. */

/* One line for people: kind, message or reason, where, why and what to do. Safe to print on a terminal. */
HATHORA_TOKENS_API size_t htok_error_format(const htok_error *error, char *buffer, size_t size);
/* text with control characters, invalid UTF-8 and bidirectional overrides shown as escapes. */
HATHORA_TOKENS_API size_t htok_printable(htok_view text, char *buffer, size_t size);
/* text as a JSON string with its quotes (RFC 8259 section 7). */
HATHORA_TOKENS_API size_t htok_json_string(htok_view text, char *buffer, size_t size);
/* The API's own JSON shape of a result. */
HATHORA_TOKENS_API size_t htok_org_token_json(const htok_org_token *token, char *buffer, size_t size);
HATHORA_TOKENS_API size_t htok_created_org_token_json(const htok_created_org_token *created, char *buffer,
                                                      size_t size);

/* Names for numbers, never NULL: "ApiError"; "CERTIFICATE_NAME"; a sentence; "handshake";
   "BR_ERR_X509_EXPIRED", or of an alert "handshake_failure". */
HATHORA_TOKENS_API const char *htok_kind_name(htok_kind kind);
HATHORA_TOKENS_API const char *htok_reason_name(htok_reason reason);
HATHORA_TOKENS_API const char *htok_reason_text(htok_reason reason);
HATHORA_TOKENS_API const char *htok_phase_name(htok_phase phase);
HATHORA_TOKENS_API const char *htok_tls_error_name(int tls_error);
/* What BearSSL's code, or the alert (256 + its number: received), means, as a clause: "it is expired". "it" is a
   certificate. */
HATHORA_TOKENS_API const char *htok_tls_error_text(int tls_error);

#ifdef __cplusplus
}
#endif

#endif /* HATHORA_TOKENS_H */

/* ======================================================================================================== */
#if defined(HATHORA_TOKENS_IMPLEMENTATION) && !defined(HATHORA_TOKENS_IMPLEMENTED)
#define HATHORA_TOKENS_IMPLEMENTED

/* >>config ----------------------------------------------------------------------------------------------- */
/* Knobs, compiler shims and compile-time checks. Takes the user's macros; gives HTOKI_ macros, all undefined
   at the end of the file. Must not know: anything about HTTP, JSON or TLS. */

#ifdef HATHORA_TOKENS_NO_TLS
#define HTOKI_TLS 0
#else
#define HTOKI_TLS 1
#endif
#if defined(HATHORA_TOKENS_NO_CLIENT_CERTIFICATE) || defined(HATHORA_TOKENS_NO_TLS)
#define HTOKI_CLIENT_CERTIFICATE 0
#else
#define HTOKI_CLIENT_CERTIFICATE 1
#endif
#ifdef HATHORA_TOKENS_NO_PROXY
#define HTOKI_PROXY 0
#else
#define HTOKI_PROXY HTOKI_TLS
#endif
#ifdef HATHORA_TOKENS_NO_SESSIONS
#define HTOKI_SESSIONS 0
#else
#define HTOKI_SESSIONS 1
#endif
#ifdef HATHORA_TOKENS_NO_SOCKETS
#define HTOKI_SOCKETS 0
#else
#define HTOKI_SOCKETS 1
#endif
#if defined(HATHORA_TOKENS_NO_SOCKETS) || defined(HATHORA_TOKENS_NO_RESOLVER)
#define HTOKI_RESOLVER 0
#else
#define HTOKI_RESOLVER 1
#endif
#ifdef HATHORA_TOKENS_NO_CLOCK
#define HTOKI_CLOCK 0
#else
#define HTOKI_CLOCK 1
#endif
#ifdef HATHORA_TOKENS_NO_ENTROPY
#define HTOKI_ENTROPY 0
#else
#define HTOKI_ENTROPY 1
#endif
#if defined(HATHORA_TOKENS_NO_FILES) || defined(HATHORA_TOKENS_NO_TLS)
#define HTOKI_FILES 0
#else
#define HTOKI_FILES 1
#endif
#ifdef HATHORA_TOKENS_NO_STDLIB
#define HTOKI_STDLIB 0
#else
#define HTOKI_STDLIB 1
#endif
#ifdef HATHORA_TOKENS_NO_LOG
#define HTOKI_LOG 0
#else
#define HTOKI_LOG 1
#endif
#ifdef HATHORA_TOKENS_NO_STRINGS
#define HTOKI_STRINGS   0
#define HTOKI_SAY(text) ""
#else
#define HTOKI_STRINGS   1
#define HTOKI_SAY(text) text
#endif

#ifndef HATHORA_TOKENS_MAX_DEPTH
#define HATHORA_TOKENS_MAX_DEPTH 512
#endif
#if HATHORA_TOKENS_MAX_DEPTH < 8 || HATHORA_TOKENS_MAX_DEPTH > 32768
#error "HATHORA_TOKENS_MAX_DEPTH must be from 8 to 32768"
#endif
#ifndef HATHORA_TOKENS_ASSERT
#define HATHORA_TOKENS_ASSERT(condition) ((void)0)
#endif
#ifndef HATHORA_TOKENS_BEARSSL_H
#define HATHORA_TOKENS_BEARSSL_H <bearssl.h>
#endif
#ifndef HATHORA_TOKENS_JSMN_H
#define HATHORA_TOKENS_JSMN_H <jsmn.h>
#endif
#if defined(HATHORA_TOKENS_NO_SSL) || defined(HATHORA_TOKENS_NO_SOCKET) ||    \
    defined(HATHORA_TOKENS_NO_LOGGING) || defined(HATHORA_TOKENS_NO_STDIO) || \
    defined(HATHORA_TOKENS_NO_MALLOC)
#error "misspelt knob: see >>manual for NO_TLS, NO_SOCKETS, NO_LOG, NO_FILES and NO_STDLIB"
#endif

#include <string.h>

/* What the rims take from the system, each under its knob. */
#ifdef _WIN32
#define HTOKI_WINDOWS 1
#else
#define HTOKI_WINDOWS 0
#endif
#if HTOKI_RESOLVER && !defined(HATHORA_TOKENS_NO_THREADS)
#define HTOKI_THREADS 1
#else
#define HTOKI_THREADS 0
#endif
#if HTOKI_THREADS && !HTOKI_WINDOWS
#define HTOKI_PTHREADS 1
#else
#define HTOKI_PTHREADS 0
#endif
#if HTOKI_SOCKETS && !defined(HATHORA_TOKENS_NO_BLOCKING)
#define HTOKI_BLOCKING 1
#else
#define HTOKI_BLOCKING 0
#endif

#if HTOKI_WINDOWS && HTOKI_FILES
#define HTOKI_ROOT_STORE 1
#else
#define HTOKI_ROOT_STORE 0
#endif

#define HTOKI_INTERRUPTS 100u /* so often a system call that signals interrupt is tried again */

#if HTOKI_FILES || HTOKI_SOCKETS || (!HTOKI_WINDOWS && HTOKI_ENTROPY)
#include <errno.h>
#endif
#if HTOKI_FILES
#include <stdio.h>
#endif
#if HTOKI_STDLIB
#include <stdlib.h>
#endif

#if HTOKI_SOCKETS || HTOKI_CLOCK || HTOKI_ENTROPY || HTOKI_ROOT_STORE
#if HTOKI_WINDOWS

#if HTOKI_SOCKETS && defined(_WINSOCKAPI_) && !defined(_WINSOCK2API_)
#error "hathora_tokens.h: winsock.h came first, by windows.h: include winsock2.h before"
#endif
/* Both macros change what windows.h declares, so they end here unless they are the user's. */
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#define HTOKI_OWN_LEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#define HTOKI_OWN_NOMINMAX
#endif
#if HTOKI_SOCKETS
#include <winsock2.h>
#include <ws2tcpip.h>
#endif
#include <windows.h>
#if HTOKI_ENTROPY
/* RtlGenRandom(), which Microsoft's header declares without the calling convention that it has on x86. */
#define SystemFunction036 NTAPI SystemFunction036
#include <ntsecapi.h>
#undef SystemFunction036
#endif
#if HTOKI_ROOT_STORE
#include <share.h>
#include <wincrypt.h>
#endif
#ifdef HTOKI_OWN_LEAN
#undef WIN32_LEAN_AND_MEAN
#undef HTOKI_OWN_LEAN
#endif
#ifdef HTOKI_OWN_NOMINMAX
#undef NOMINMAX
#undef HTOKI_OWN_NOMINMAX
#endif
#if !defined(_WIN32_WINNT) || _WIN32_WINNT < 0x0600
#error "hathora_tokens.h: needs Windows Vista: define _WIN32_WINNT as 0x0600 or more"
#endif
#ifdef _MSC_VER
#pragma comment(lib, "ws2_32.lib")
#pragma comment(lib, "advapi32.lib")
#pragma comment(lib, "crypt32.lib")
#endif

#else /* POSIX */

#if !defined(__unix__) && !defined(__unix) && !defined(__APPLE__) && !defined(__wasi__) && \
    !defined(__HAIKU__) && !defined(__QNX__) && !defined(_AIX)
#error "hathora_tokens.h: unknown system: use HATHORA_TOKENS_NO_SOCKETS, _NO_CLOCK, _NO_ENTROPY"
#endif
#include <sys/types.h>
#if HTOKI_SOCKETS || HTOKI_ENTROPY
#include <fcntl.h>
#include <unistd.h>
#endif
#if HTOKI_SOCKETS
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#if !defined(MSG_NOSIGNAL) && !defined(SO_NOSIGPIPE)
#error "hathora_tokens.h: SO_NOSIGPIPE is hidden: define _DARWIN_C_SOURCE beside _POSIX_C_SOURCE"
#endif
#endif
#if HTOKI_RESOLVER
#include <netdb.h>
#ifndef AI_NUMERICHOST
#error "hathora_tokens.h: getaddrinfo() is hidden: include this header first or -D_POSIX_C_SOURCE=200809L"
#endif
#endif
#if HTOKI_PTHREADS
#include <pthread.h>
#include <signal.h>
#ifndef SIG_SETMASK
#error "hathora_tokens.h: signal masks are hidden: include this header first or -D_POSIX_C_SOURCE=200809L"
#endif
#endif
#if HTOKI_CLOCK
#include <time.h>
#ifndef CLOCK_MONOTONIC
#error "hathora_tokens.h: clock_gettime() is hidden: include this header first or -D_POSIX_C_SOURCE=200809L"
#endif
#endif
#if HTOKI_ENTROPY
#if defined(__APPLE__)
#include <sys/random.h>
#define HTOKI_GETENTROPY 1
#elif defined(__wasi__) || ((defined(__OpenBSD__) || defined(__FreeBSD__)) && __BSD_VISIBLE)
#define HTOKI_GETENTROPY 1
#elif defined(__linux__) && !defined(__ANDROID__) && defined(__has_include)
/* Old C libraries lack it, and Android's declares it for new versions only. */
#if __has_include(<sys/random.h>)
#include <sys/random.h>
#endif
#endif
#ifndef HTOKI_GETENTROPY
#define HTOKI_GETENTROPY 0
#endif
#ifdef GRND_NONBLOCK
#define HTOKI_GETRANDOM 1
#else
#define HTOKI_GETRANDOM 0
#endif
#endif

#endif
#endif

#if HTOKI_TLS
/* BearSSL's inline functions are not written for these warnings. */
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wundef"
#endif
#include HATHORA_TOKENS_BEARSSL_H
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
#endif

/* BearSSL's implementations of public-key arithmetic. */
#ifdef HATHORA_TOKENS_SMALL
#define HTOKI_SMALL      1
#define HTOKI_EC         (&br_ec_prime_i31)
#define HTOKI_ECDSA_SIGN br_ecdsa_i31_sign_asn1
#define HTOKI_RSA_SIGN   br_rsa_i31_pkcs1_sign
#else
#define HTOKI_SMALL      0
#define HTOKI_EC         br_ec_get_default()
#define HTOKI_ECDSA_SIGN br_ecdsa_sign_asn1_get_default()
#define HTOKI_RSA_SIGN   br_rsa_pkcs1_sign_get_default()
#endif

/* Every x86-64 CPU has SSE2; the three instructions used are all of its second version. */
#if !defined(HATHORA_TOKENS_NO_SIMD) && (defined(__SSE2__) || defined(_M_X64)) && !defined(__TINYC__)
#include <emmintrin.h>
#ifdef _MSC_VER
#include <intrin.h>
#endif
#define HTOKI_SSE2 1
#else
#define HTOKI_SSE2 0
#endif
/* Some shortcuts that the result does not depend on are left out where code has to be small: on 16 and 32 bits. */
#if HTOKI_SSE2 || UINTPTR_MAX > 0xffffffffu
#define HTOKI_SHORTCUTS 1
#else
#define HTOKI_SHORTCUTS 0
#endif

#define HTOKI_ASSERT(condition)       HATHORA_TOKENS_ASSERT(condition)
#define HTOKI_JOIN2(a, b)             a##b
#define HTOKI_JOIN(a, b)              HTOKI_JOIN2(a, b)
#define HTOKI_STATIC_ASSERT(cond, id) typedef char HTOKI_JOIN(htoki_assert_, id)[(cond) ? 1 : -1]
#define HTOKI_COUNT(array)            (sizeof(array) / sizeof((array)[0]))

#if defined(__GNUC__)
#define HTOKI_UNUSED __attribute__((unused))
#pragma GCC diagnostic push
#if defined(__cplusplus)
#pragma GCC diagnostic ignored "-Wold-style-cast"
#else
#pragma GCC diagnostic ignored "-Wc++-compat"
#endif
#else
#define HTOKI_UNUSED
#endif

HTOKI_STATIC_ASSERT(sizeof(int) >= 4 || sizeof(size_t) >= 2, integer_sizes) HTOKI_UNUSED;

/* >>bytes ------------------------------------------------------------------------------------------------ */
/* Views, character classes, UTF-8, the bounded writer, wiping. Takes and gives bytes. Must not know: errors.
   */

/* Overwrites so that no optimiser may drop it: memory is used again by an empty instruction, or the pointer is
   volatile. */
static void htoki_wipe(void *memory, size_t bytes)
{
#if defined(__GNUC__) && !defined(__TINYC__)
    if (bytes != 0) {
        memset(memory, 0, bytes);
        __asm__ __volatile__("" : : "r"(memory) : "memory");
    }
#else
    volatile unsigned char *p = (volatile unsigned char *)memory;
    while (bytes-- != 0) {
        *p++ = 0;
    }
#endif
}

static htok_view htoki_view(const char *ptr, size_t len)
{
    htok_view v;
    v.ptr = ptr;
    v.len = len;
    return v;
}

/* No text that a caller gives is longer, for all that have a limit have a lower one; it keeps the loop below bounded,
   and compilers from calling strlen(). */
static const size_t htoki_text_bytes_max = (size_t)1 << (sizeof(size_t) > 2 ? 24 : 15);

static htok_view htoki_text(const char *text)
{
    size_t len = 0;
    while (text && len < htoki_text_bytes_max && text[len] != '\0') {
        len++;
    }
    return htoki_view(text, len);
}

/* Whether the NUL-terminated set holds c; where is its place there. NUL is in no set. */
static bool htoki_in_set(const char *set, char c, size_t *where)
{
    size_t i;
    for (i = 0; set[i] != '\0'; i++) {
        if (set[i] == c) {
            *where = i;
            return true;
        }
    }
    return false;
}

static bool htoki_is_in(const char *set, char c)
{
    size_t where;
    return htoki_in_set(set, c, &where);
}

static bool htoki_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool htoki_is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char htoki_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* 0 to 15, or -1. */
static int htoki_hex_value(char c)
{
    if (htoki_is_digit(c)) {
        return c - '0';
    }
    c = htoki_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* C0 controls and DEL. */
static bool htoki_is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool htoki_equal(htok_view a, htok_view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Whether the bytes are those of a text. */
static bool htoki_is(htok_view v, const char *text)
{
    size_t i;
    for (i = 0; i < v.len && text[i] != '\0' && v.ptr[i] == text[i]; i++) {}
    return i == v.len && text[i] == '\0';
}

/* ASCII case-insensitive, as field names, media types and schemes compare. */
static bool htoki_equal_nocase(htok_view a, htok_view b)
{
    size_t i;
    if (a.len != b.len) {
        return false;
    }
    for (i = 0; i < a.len; i++) {
        if (htoki_lower(a.ptr[i]) != htoki_lower(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

static bool htoki_is_nocase(htok_view v, const char *text)
{
    return htoki_equal_nocase(v, htoki_text(text));
}

/* Unsigned decimal of digits only, at most max. False when empty, malformed or larger. */
static bool htoki_parse_decimal(htok_view text, uint64_t max, uint64_t *value)
{
    uint64_t v = 0;
    size_t i;
    if (text.len == 0) {
        return false;
    }
    for (i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(unsigned char)text.ptr[i] - '0';
        if (digit > 9 || digit > max || v > (max - digit) / 10) {
            return false;
        }
        v = v * 10 + digit;
    }
    *value = v;
    return true;
}

/* Decodes one code point of well-formed UTF-8 (RFC 3629 section 4). Returns its length, 1 to 4, or 0. */
static size_t htoki_utf8_decode(const char *text, size_t len, uint32_t *code_point)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first;
    size_t n, i;
    uint32_t c;
    if (len == 0) {
        return 0;
    }
    first = (unsigned char)text[0];
    if (first < 0x80) {
        *code_point = first;
        return 1;
    }
    n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || len < n) {
        return 0;
    }
    c = first & (0x7fu >> n);
    for (i = 1; i < n; i++) {
        unsigned char next = (unsigned char)text[i];
        if ((next & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (next & 0x3fu);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }
    *code_point = c;
    return n;
}

/* Offset of the first byte that is not part of well-formed UTF-8; len when there is none. */
static size_t htoki_utf8_check(const char *text, size_t len)
{
    size_t at = 0;
    uint32_t code_point;
    while (at < len) {
        size_t n = htoki_utf8_decode(text + at, len - at, &code_point);
        if (n == 0) {
            return at;
        }
        at += n;
    }
    return len;
}

/* Writes a code point, surrogates included, as 1 to 4 bytes. */
static size_t htoki_utf8_encode(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* The bounded writer: keeps the window [skip, skip + size) of all that is written and counts the rest.
   Writing the same text again with a later window resumes it, so a text of any length needs no buffer of its
   own. */
typedef struct htoki_writer {
    char *out;
    size_t size, total, skip;
} htoki_writer;

static htoki_writer htoki_writer_make(char *out, size_t size, size_t skip)
{
    htoki_writer w;
    w.out = out;
    w.size = size;
    w.total = 0;
    w.skip = skip;
    return w;
}

static void htoki_put(htoki_writer *w, const char *bytes, size_t len)
{
    size_t begin = w->total, end = begin + len;
    size_t from = begin > w->skip ? begin : w->skip;
    size_t limit = w->skip + w->size;
    size_t to = end < limit ? end : limit;
    if (from < to) {
        memcpy(w->out + (from - w->skip), bytes + (from - begin), to - from);
    }
    w->total = end;
}

static void htoki_put_char(htoki_writer *w, char c)
{
    htoki_put(w, &c, 1);
}

static void htoki_put_view(htoki_writer *w, htok_view v)
{
    htoki_put(w, v.ptr, v.len);
}

static void htoki_put_text(htoki_writer *w, const char *text)
{
    htoki_put_view(w, htoki_text(text));
}

static void htoki_put_decimal(htoki_writer *w, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value != 0);
    htoki_put(w, digits + at, sizeof digits - at);
}

static void htoki_put_hex(htoki_writer *w, uint32_t value, unsigned width, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    while (width != 0) {
        width--;
        htoki_put_char(w, digits[value >> (4 * width) & 15]);
    }
}

/* Bytes that the window holds. */
static size_t htoki_writer_filled(const htoki_writer *w)
{
    size_t end = w->total < w->skip + w->size ? w->total : w->skip + w->size;
    return end > w->skip ? end - w->skip : 0;
}

/* Ends a text written from its beginning: a NUL at its end or at the window's, and the whole length. */
static size_t htoki_writer_end(htoki_writer *w)
{
    if (w->size != 0) {
        w->out[w->total < w->size ? w->total : w->size - 1] = '\0';
    }
    return w->total;
}

/* Code points that change how a terminal shows the rest: C1 controls, bidirectional marks and overrides
   (Unicode UAX 9), line and paragraph separators, the byte order mark, surrogates. */
static bool htoki_is_deceptive(uint32_t c)
{
    return (c >= 0x7f && c < 0xa0) || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

/* Text that is safe on a terminal: controls as \n, \r, \t or \xHH, deceptive code points as \u{H}, other
   bytes that are not UTF-8 as \xHH, a backslash doubled. */
static void htoki_put_printable(htoki_writer *w, htok_view text)
{
    size_t at = 0;
    while (at < text.len) {
        uint32_t c = 0;
        size_t n = htoki_utf8_decode(text.ptr + at, text.len - at, &c);
        if (n == 0 || c < 0x20) {
            char octet = text.ptr[at];
            if (octet == '\n' || octet == '\r' || octet == '\t') {
                htoki_put_char(w, '\\');
                htoki_put_char(w, octet == '\n' ? 'n' : octet == '\r' ? 'r' : 't');
            } else {
                htoki_put_text(w, "\\x");
                htoki_put_hex(w, (unsigned char)octet, 2, false);
            }
            n = 1;
        } else if (htoki_is_deceptive(c)) {
            htoki_put_text(w, "\\u{");
            htoki_put_hex(w, c, c > 0xffff ? 5 : c > 0xff ? 4 : 2, false);
            htoki_put_char(w, '}');
        } else if (c == '\\') {
            htoki_put_text(w, "\\\\");
        } else {
            htoki_put(w, text.ptr + at, n);
        }
        at += n;
    }
}

/* >>error ------------------------------------------------------------------------------------------------ */
/* Filling the error record and writing it as a line. Takes a reason and details. Must not know: who failed.
   */

static const unsigned char htoki_reason_kinds[] = {
#define HTOKI_REASON_KIND(name, kind, text) HTOK_##kind,
    HTOK_REASONS(HTOKI_REASON_KIND)
#undef HTOKI_REASON_KIND
};
HTOKI_STATIC_ASSERT(sizeof htoki_reason_kinds == HTOK_REASON_COUNT, reason_kinds) HTOKI_UNUSED;

/* The text with this number of a list of texts, each followed by a NUL: they need no pointers. */
static const char *htoki_nth_text(const char *list, size_t number)
{
    while (number-- != 0) {
        list += htoki_text(list).len + 1;
    }
    return list;
}

static const char *htoki_reason_text(htok_reason reason)
{
#if HTOKI_STRINGS
    static const struct {
#define HTOKI_REASON_ROOM(name, kind, text) char text_of_##name[sizeof(text)];
        HTOK_REASONS(HTOKI_REASON_ROOM)
#undef HTOKI_REASON_ROOM
    } texts = {
#define HTOKI_REASON_TEXT(name, kind, text) text,
        HTOK_REASONS(HTOKI_REASON_TEXT)
#undef HTOKI_REASON_TEXT
    };
    return (size_t)reason < HTOK_REASON_COUNT ? htoki_nth_text((const char *)&texts, (size_t)reason)
                                              : "unknown reason";
#else
    (void)reason;
    return "";
#endif
}

static void htoki_error_clear(htok_error *e)
{
    memset(e, 0, sizeof *e);
    e->offset = -1;
    e->retry_after_ms = -1;
}

/* The first failure wins: a later one never overwrites it. Returns the kind that the record has. */
static htok_kind htoki_fail(htok_error *e, htok_reason reason, htok_phase phase)
{
    if (e->kind == HTOK_OK) {
        e->reason = reason;
        e->kind = (htok_kind)htoki_reason_kinds[reason];
        e->phase = phase;
    }
    return e->kind;
}

static htok_kind htoki_fail_at(htok_error *e, htok_reason reason, htok_phase phase, int64_t offset)
{
    if (e->kind == HTOK_OK) {
        e->offset = offset;
    }
    return htoki_fail(e, reason, phase);
}

/* Text into one of the record's arrays, cut to fit at a character's end. */
static void htoki_error_text(char *array, size_t size, htok_view text)
{
    size_t len = text.len < size ? text.len : size - 1;
    while (len > 0 && len < text.len && ((unsigned char)text.ptr[len] & 0xc0) == 0x80) {
        len--;
    }
    if (len > 0) {
        memcpy(array, text.ptr, len);
    }
    array[len] = '\0';
}

/* An option or argument at fault, by its member name. */
static htok_kind htoki_fail_option(htok_error *e, htok_reason reason, const char *name)
{
    if (e->kind == HTOK_OK) {
        htoki_error_text(e->path, sizeof e->path, htoki_text(name));
    }
    return htoki_fail(e, reason, HTOK_PHASE_OPTION);
}

static htok_kind htoki_fail_option_at(htok_error *e, htok_reason reason, const char *name, size_t offset)
{
    if (e->kind == HTOK_OK) {
        e->offset = (int64_t)offset;
    }
    return htoki_fail_option(e, reason, name);
}

/* >>url -------------------------------------------------------------------------------------------------- */
/* Endpoint URLs (RFC 3986) and percent-encoding. Takes text; gives host, address, port and path prefix, or a
   reason and an offset. Must not know: sockets, HTTP. */

typedef struct htoki_url {
    bool secure;
    bool bracketed; /* the host is an IPv6 literal */
    uint16_t port;
    htok_address address; /* length 0: the host is a name */
    htok_view prefix;     /* of the path, without a trailing slash; a view into the URL's text */
    char host[256];       /* lower case, without brackets and without one trailing dot */
} htoki_url;

/* Dotted decimal, four parts without leading zeros (RFC 3986 section 3.2.2). */
static bool htoki_ipv4_parse(htok_view text, uint8_t out[4])
{
    size_t at = 0;
    int part;
    for (part = 0; part < 4; part++) {
        size_t begin = at;
        uint64_t value = 0;
        while (at < text.len && htoki_is_digit(text.ptr[at])) {
            at++;
        }
        if (!htoki_parse_decimal(htoki_view(text.ptr + begin, at - begin), 255, &value) ||
            (text.ptr[begin] == '0' && at - begin > 1)) {
            return false;
        }
        out[part] = (uint8_t)value;
        if (part < 3) {
            if (at >= text.len || text.ptr[at] != '.') {
                return false;
            }
            at++;
        }
    }
    return at == text.len;
}

/* RFC 4291 section 2.2, all three forms; no zone. */
static bool htoki_ipv6_parse(htok_view text, uint8_t out[16])
{
    uint8_t bytes[16];
    size_t filled = 0, gap = 17, at = 0;
    memset(bytes, 0, sizeof bytes);
    if (text.len >= 2 && text.ptr[0] == ':' && text.ptr[1] == ':') {
        gap = 0;
        at = 2;
    }
    while (at < text.len) {
        size_t begin = at;
        unsigned value = 0;
        while (at < text.len && at - begin < 4 && htoki_hex_value(text.ptr[at]) >= 0) {
            value = value << 4 | (unsigned)htoki_hex_value(text.ptr[at]);
            at++;
        }
        if (at < text.len && text.ptr[at] == '.') {
            if (filled > 12 ||
                !htoki_ipv4_parse(htoki_view(text.ptr + begin, text.len - begin), bytes + filled)) {
                return false;
            }
            filled += 4;
            break;
        }
        if (at == begin || filled > 14) {
            return false;
        }
        bytes[filled++] = (uint8_t)(value >> 8);
        bytes[filled++] = (uint8_t)(value & 255);
        if (at == text.len) {
            break;
        }
        if (text.ptr[at++] != ':' || at == text.len) {
            return false;
        }
        if (text.ptr[at] == ':') {
            if (gap != 17) {
                return false;
            }
            gap = filled;
            at++;
        }
    }
    if (gap == 17 ? filled != 16 : filled > 14) {
        return false;
    }
    memset(out, 0, 16);
    if (gap == 17) {
        gap = 16;
    }
    memcpy(out, bytes, gap);
    memcpy(out + 16 - (filled - gap), bytes + gap, filled - gap);
    return true;
}

/* A numeric address; false for a name. */
static bool htoki_address_parse(htok_view text, htok_address *address)
{
    memset(address, 0, sizeof *address);
    if (htoki_ipv4_parse(text, address->bytes)) {
        address->length = 4;
    } else if (htoki_ipv6_parse(text, address->bytes)) {
        address->length = 16;
    }
    return address->length != 0;
}

static bool htoki_address_is_loopback(const htok_address *address)
{
    static const uint8_t mapped[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127};
    static const uint8_t v6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    if (address->length == 4) {
        return address->bytes[0] == 127;
    }
    return memcmp(address->bytes, v6, 16) == 0 || memcmp(address->bytes, mapped, 13) == 0;
}

/* A host name of letters, digits, hyphens and underscores in labels of 1 to 63. A last label of digits would
   let look-up functions read the name as an address in one of inet_aton's odd forms. */
static bool htoki_host_name_ok(htok_view host)
{
    size_t i, label = 0;
    bool numeric = true;
    for (i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        if (c == '.') {
            if (label == 0) {
                return false;
            }
            label = 0;
            numeric = true;
            continue;
        }
        if (!htoki_is_alpha(c) && !htoki_is_digit(c) && c != '-' && c != '_') {
            return false;
        }
        numeric = numeric &&
                  (htoki_is_digit(c) || (label == 1 && htoki_lower(c) == 'x' && host.ptr[i - 1] == '0') ||
                   (label > 1 && htoki_hex_value(c) >= 0 && htoki_lower(host.ptr[i - label + 1]) == 'x'));
        if (++label > 63) {
            return false;
        }
    }
    return label != 0 && !numeric;
}

static bool htoki_is_pchar(char c)
{
    return htoki_is_alpha(c) || htoki_is_digit(c) || htoki_is_in("-._~!$&'()*+,;=:@", c);
}

/* Reads a path's character at *at, decoding a triplet; false when malformed. */
static bool htoki_path_char(htok_view path, size_t *at, char *c)
{
    *c = path.ptr[*at];
    if (*c == '%') {
        int high = path.len - *at > 2 ? htoki_hex_value(path.ptr[*at + 1]) : -1;
        int low = path.len - *at > 2 ? htoki_hex_value(path.ptr[*at + 2]) : -1;
        if (high < 0 || low < 0) {
            return false;
        }
        *c = (char)(high << 4 | low);
        *at += 3;
        return true;
    }
    *at += 1;
    return *c == '/' || htoki_is_pchar(*c);
}

/* Segments of pchar, none of them "." or ".." in any spelling: those would climb, as would an encoded slash
   for a server that decodes first. Returns the offset at fault or the path's length. */
static size_t htoki_path_check(htok_view path)
{
    size_t at = 0, dots = 0, others = 0, begin = 0;
    while (at < path.len) {
        size_t from = at;
        char c;
        if (!htoki_path_char(path, &at, &c) || htoki_is_control(c) ||
            (at - from == 3 && (c == '/' || c == '\\'))) {
            return from;
        }
        if (at - from == 1 && c == '/') {
            if (others == 0 && (dots == 1 || dots == 2)) {
                return begin;
            }
            dots = others = 0;
            begin = at;
        } else if (c == '.') {
            dots++;
        } else {
            others++;
        }
    }
    return others == 0 && (dots == 1 || dots == 2) ? begin : path.len;
}

static bool htoki_url_fail(htok_error *e, htok_reason reason, size_t offset)
{
    htoki_fail_option_at(e, reason, "server_url", offset);
    return false;
}

/* Host and port from an authority without user information; base is the authority's offset in the URL. */
static bool htoki_url_authority(htok_view authority, size_t base, htoki_url *url, htok_error *e)
{
    htok_view host = authority, port = htoki_view(NULL, 0);
    size_t i;
    bool has_port = false;
    if (authority.len > 0 && authority.ptr[0] == '[') {
        const char *close = (const char *)memchr(authority.ptr, ']', authority.len);
        size_t after = close ? (size_t)(close - authority.ptr) + 1 : 0;
        if (!close || (after < authority.len && authority.ptr[after] != ':')) {
            return htoki_url_fail(e, HTOK_REASON_URL_HOST, base);
        }
        host = htoki_view(authority.ptr + 1, after - 2);
        has_port = after < authority.len;
        port = has_port ? htoki_view(authority.ptr + after + 1, authority.len - after - 1) : port;
        url->bracketed = true;
    } else {
        const char *colon = authority.len ? (const char *)memchr(authority.ptr, ':', authority.len) : NULL;
        if (colon) {
            host.len = (size_t)(colon - authority.ptr);
            has_port = true;
            port = htoki_view(colon + 1, authority.len - host.len - 1);
        }
        if (host.len > 1 && host.ptr[host.len - 1] == '.') {
            host.len--;
        }
    }
    if (host.len == 0 || host.len > 253) {
        return htoki_url_fail(e, HTOK_REASON_URL_HOST, base);
    }
    if (htoki_address_parse(host, &url->address) ? url->bracketed != (url->address.length == 16)
                                                 : url->bracketed || !htoki_host_name_ok(host)) {
        return htoki_url_fail(e, HTOK_REASON_URL_HOST, base);
    }
    for (i = 0; i < host.len; i++) {
        url->host[i] = htoki_lower(host.ptr[i]);
    }
    url->host[host.len] = '\0';
    url->port = url->secure ? 443 : 80;
    if (has_port) {
        uint64_t value = 0;
        if (!htoki_parse_decimal(port, 65535, &value) || value == 0) {
            return htoki_url_fail(e, HTOK_REASON_URL_PORT, (size_t)(port.ptr - authority.ptr) + base);
        }
        url->port = (uint16_t)value;
    }
    return true;
}

/* Takes an endpoint URL apart. On failure the record names server_url, the reason and the offset. */
static bool htoki_url_parse(htok_view text, htoki_url *url, htok_error *e)
{
    static const char https[] = "https://", http[] = "http://";
    size_t at, i;
    const char *mark;
    htok_view authority, path;
    memset(url, 0, sizeof *url);
    if (text.len > 2048) {
        return htoki_url_fail(e, HTOK_REASON_TEXT_TOO_LONG, 2048);
    }
    for (i = 0; i < text.len; i++) {
        if (htoki_is_control(text.ptr[i])) {
            return htoki_url_fail(e, HTOK_REASON_TEXT_CONTROL, i);
        }
    }
    if (text.len >= 8 && htoki_is_nocase(htoki_view(text.ptr, 8), https)) {
        url->secure = true;
        at = 8;
    } else if (text.len >= 7 && htoki_is_nocase(htoki_view(text.ptr, 7), http)) {
        at = 7;
    } else {
        return htoki_url_fail(e, HTOK_REASON_URL_SCHEME, 0);
    }
    for (i = at; i < text.len && text.ptr[i] != '/' && text.ptr[i] != '?' && text.ptr[i] != '#'; i++) {}
    authority = htoki_view(text.ptr + at, i - at);
    mark = authority.len ? (const char *)memchr(authority.ptr, '@', authority.len) : NULL;
    if (mark) {
        return htoki_url_fail(e, HTOK_REASON_URL_USERINFO, (size_t)(mark - text.ptr));
    }
    path = htoki_view(text.ptr + i, text.len - i);
    for (i = 0; i < path.len; i++) {
        if (path.ptr[i] == '?' || path.ptr[i] == '#') {
            return htoki_url_fail(e, path.ptr[i] == '?' ? HTOK_REASON_URL_QUERY : HTOK_REASON_URL_FRAGMENT,
                                  (size_t)(path.ptr - text.ptr) + i);
        }
    }
    if (!htoki_url_authority(authority, at, url, e)) {
        return false;
    }
    if (!url->secure && !htoki_is(htoki_text(url->host), "localhost") &&
        (url->address.length == 0 || !htoki_address_is_loopback(&url->address))) {
        return htoki_url_fail(e, HTOK_REASON_URL_PLAINTEXT, 0);
    }
    while (path.len > 0 && path.ptr[path.len - 1] == '/') {
        path.len--;
    }
    i = htoki_path_check(path);
    if (i != path.len) {
        return htoki_url_fail(e, HTOK_REASON_URL_PATH, (size_t)(path.ptr - text.ptr) + i);
    }
    url->prefix = path;
    return true;
}

/* Host and, unless it is the scheme's own, port: the Host field's value (RFC 9110 section 7.2). */
static void htoki_put_authority(htoki_writer *w, const htoki_url *url)
{
    htoki_put_text(w, url->bracketed ? "[" : "");
    htoki_put_text(w, url->host);
    htoki_put_text(w, url->bracketed ? "]" : "");
    if (url->port != (url->secure ? 443 : 80)) {
        htoki_put_char(w, ':');
        htoki_put_decimal(w, url->port);
    }
}

/* As ECMAScript's encodeURIComponent. */
static void htoki_put_percent_encoded(htoki_writer *w, htok_view text)
{
    size_t i;
    for (i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (htoki_is_alpha(c) || htoki_is_digit(c) || htoki_is_in("-_.!~*'()", c)) {
            htoki_put_char(w, c);
        } else {
            htoki_put_char(w, '%');
            htoki_put_hex(w, (unsigned char)c, 2, true);
        }
    }
}

/* >>time ------------------------------------------------------------------------------------------------- */
/* Date formats. Takes text; gives Unix time in 64 bits. Must not know: what time it is. */

/* Days from 1970-01-01 of a date in the proleptic Gregorian calendar, year 0 to 9999. */
static int32_t htoki_days_from_date(int year, int month, int day)
{
    static const uint16_t before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int leap_years = year - (month <= 2 ? 1 : 0);
    int leaps = year == 0 && month <= 2 ? 0 : leap_years / 4 - leap_years / 100 + leap_years / 400 + 1;
    return (int32_t)year * 365 + leaps + before[month - 1] + day - 1 - 719528;
}

static int htoki_days_in_month(int year, int month)
{
    static const unsigned char days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

/* The parts of a date and time, in the order in which they are written. */
enum { HTOKI_YEAR, HTOKI_MONTH, HTOKI_DAY, HTOKI_HOUR, HTOKI_MINUTE, HTOKI_SECOND, HTOKI_DATE_PARTS };

typedef struct htoki_date {
    int part[HTOKI_DATE_PARTS];
} htoki_date;

/* Unix seconds of a date and time; a second of 60 is the next minute's first. False when out of range. */
static bool htoki_seconds_from_date(const htoki_date *d, int64_t *out)
{
    if (d->part[HTOKI_MONTH] < 1 || d->part[HTOKI_MONTH] > 12 || d->part[HTOKI_DAY] < 1 ||
        d->part[HTOKI_DAY] > htoki_days_in_month(d->part[HTOKI_YEAR], d->part[HTOKI_MONTH]) ||
        d->part[HTOKI_HOUR] > 23 || d->part[HTOKI_MINUTE] > 59 || d->part[HTOKI_SECOND] > 60) {
        return false;
    }
    *out =
        (int64_t)htoki_days_from_date(d->part[HTOKI_YEAR], d->part[HTOKI_MONTH], d->part[HTOKI_DAY]) * 86400 +
        (d->part[HTOKI_HOUR] * INT32_C(3600) + d->part[HTOKI_MINUTE] * 60 + d->part[HTOKI_SECOND]);
    return true;
}

/* Takes text from *at on by a pattern: a digit stands for a digit of that part of a date, 0 for one of the year, which
   begins as zero, b for the name of a month, t for T in either case, any other character for itself. */
static bool htoki_take_date(htok_view text, size_t *at, const char *pattern, htoki_date *d)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (; *pattern != '\0'; pattern++) {
        char c = *at < text.len ? text.ptr[*at] : '\0';
        unsigned digit = (unsigned)(*pattern - '0');
        if (digit < HTOKI_DATE_PARTS) {
            if (!htoki_is_digit(c)) {
                return false;
            }
            d->part[digit] = d->part[digit] * 10 + (c - '0');
        } else if (*pattern == 'b') {
            if (text.len - *at < 3) {
                return false;
            }
            for (; d->part[HTOKI_MONTH] < 12 &&
                   memcmp(text.ptr + *at, months + 3 * d->part[HTOKI_MONTH], 3) != 0;
                 d->part[HTOKI_MONTH]++) {}
            d->part[HTOKI_MONTH]++; /* 13, which is out of range, for no month's name */
            *at += 2;
        } else if (c != *pattern && (*pattern != 't' || c != 'T')) {
            return false;
        }
        *at += 1;
    }
    return true;
}

/* RFC 3339 section 5.6 date-time to Unix milliseconds; a fraction is cut to whole ones. */
static bool htoki_rfc3339_parse(htok_view text, int64_t *unix_ms)
{
    size_t at = 0;
    int millis = 0, scale = 100, sign;
    int64_t seconds;
    htoki_date date, offset;
    memset(&date, 0, sizeof date);
    memset(&offset, 0, sizeof offset);
    if (!htoki_take_date(text, &at, "0000-11-22t33:44:55", &date) ||
        !htoki_seconds_from_date(&date, &seconds)) {
        return false;
    }
    if (at < text.len && text.ptr[at] == '.') {
        size_t begin = ++at;
        for (; at < text.len && htoki_is_digit(text.ptr[at]); at++) {
            millis += (text.ptr[at] - '0') * scale;
            scale /= 10;
        }
        if (at == begin) {
            return false;
        }
    }
    if (at == text.len) {
        return false;
    }
    sign = text.ptr[at] == '+' ? -1 : text.ptr[at] == '-' ? 1 : 0;
    if (htoki_lower(text.ptr[at++]) != 'z' &&
        (sign == 0 || !htoki_take_date(text, &at, "33:44", &offset) || offset.part[HTOKI_HOUR] > 23 ||
         offset.part[HTOKI_MINUTE] > 59)) {
        return false;
    }
    *unix_ms =
        (seconds + sign * (offset.part[HTOKI_HOUR] * INT32_C(3600) + offset.part[HTOKI_MINUTE] * 60)) * 1000 +
        millis;
    return at == text.len;
}

/* HTTP-date, all three forms (RFC 9110 section 5.6.7), to Unix seconds. The day's name is not compared with
   the date. A two-digit year more than 50 years ahead is in the last century; this_year says which that is.
   */
static bool htoki_http_date_parse(htok_view text, int this_year, int64_t *unix_seconds)
{
    static const char patterns[] = ", 22 b 0000 33:44:55 GMT\0"
                                   ", 22-b-00 33:44:55 GMT\0"
                                   " b 22 33:44:55 0000\0"
                                   " b  2 33:44:55 0000\0";
    const char *pattern;
    size_t name = 0;
    while (name < text.len && htoki_is_alpha(text.ptr[name])) {
        name++;
    }
    for (pattern = patterns; name >= 3 && *pattern != '\0'; pattern = htoki_nth_text(pattern, 1)) {
        size_t at = name;
        htoki_date date;
        memset(&date, 0, sizeof date);
        if (htoki_take_date(text, &at, pattern, &date) && at == text.len) {
            if (pattern[4] == '-') {
                date.part[HTOKI_YEAR] += this_year / 100 * 100;
                date.part[HTOKI_YEAR] -= date.part[HTOKI_YEAR] > this_year + 50 ? 100 : 0;
            }
            return htoki_seconds_from_date(&date, unix_seconds);
        }
    }
    return false;
}

/* The wait that a Retry-After value asks for, in ms (RFC 9110 section 10.2.3); -1 when malformed, or a date
   while the time is unknown. A date in the past is 0. */
static int64_t htoki_retry_after_ms(htok_view value, bool time_known, int64_t unix_seconds)
{
    const int64_t most = (int64_t)1 << 40;
    uint64_t seconds = 0;
    int64_t date = 0;
    size_t i;
    for (i = 0; i < value.len && htoki_is_digit(value.ptr[i]); i++) {}
    if (i == value.len && i != 0) {
        return htoki_parse_decimal(value, (uint64_t)(most / 1000), &seconds) ? (int64_t)seconds * 1000 : most;
    }
    if (!time_known || !htoki_http_date_parse(value, (int)(1970 + unix_seconds / 31556952), &date)) {
        return -1;
    }
    return date <= unix_seconds ? 0 : (date - unix_seconds) * 1000;
}

/* >>json scan -------------------------------------------------------------------------------------------- */
/* A strict incremental scanner for RFC 8259. Takes bytes in pieces of any size; gives the ends of values down
   to a watched depth, or a reason and an offset. Needs no memory for what it has read but one bit a level.
   Must not know: what the values mean. */

typedef enum htoki_scan_event {
    HTOKI_SCAN_MORE,  /* all bytes are consumed */
    HTOKI_SCAN_BEGIN, /* the next byte begins a value, or a key */
    HTOKI_SCAN_END,   /* the last consumed byte ended it */
    HTOKI_SCAN_ERROR
} htoki_scan_event;

typedef enum htoki_scan_state {
    HTOKI_S_VALUE,
    HTOKI_S_ELEMENT_OR_END,
    HTOKI_S_KEY_OR_END,
    HTOKI_S_KEY,
    HTOKI_S_COLON,
    HTOKI_S_AFTER,
    HTOKI_S_STRING,
    HTOKI_S_ESCAPE,
    HTOKI_S_HEX,
    HTOKI_S_UTF8,
    HTOKI_S_LITERAL,
    HTOKI_S_MINUS,
    HTOKI_S_ZERO,
    HTOKI_S_INTEGER,
    HTOKI_S_POINT,
    HTOKI_S_FRACTION,
    HTOKI_S_E,
    HTOKI_S_E_SIGN,
    HTOKI_S_EXPONENT,
    HTOKI_S_DONE
} htoki_scan_state;

#if HTOKI_SHORTCUTS
/* A value's text without blanks and without the insides of strings, and where each byte of it is in the value. */
enum { HTOKI_OUTLINE_BYTES = 256 };

typedef struct htoki_outline {
    uint64_t begin; /* of the value in the whole text */
    size_t len;
    char text[HTOKI_OUTLINE_BYTES];
    uint16_t at[HTOKI_OUTLINE_BYTES];
} htoki_outline;
#endif

typedef struct htoki_scan {
    uint64_t offset; /* of the next byte in the whole text */
#if HTOKI_SHORTCUTS
    htoki_outline *outline; /* of the value at hand; NULL: not wanted, or too large */
#endif
    htoki_scan_state state;
    htok_reason reason; /* with HTOKI_SCAN_ERROR, which stays */
    unsigned depth;     /* containers open around the value at hand */
    unsigned watch;     /* deepest level that is told of */
    bool is_key;        /* the string at hand, or just ended, is a key */
    bool begun;         /* HTOKI_SCAN_BEGIN was told for the byte at hand */
    unsigned char left; /* bytes of a UTF-8 sequence, digits of \u or of a literal still to come */
    unsigned char low, high;
    const char *literal;
    unsigned char objects[(HATHORA_TOKENS_MAX_DEPTH + 7) / 8]; /* bit set: that level is an object */
} htoki_scan;

static void htoki_scan_begin(htoki_scan *s, unsigned watch)
{
    memset(s, 0, sizeof *s);
    s->watch = watch;
}

/* Only inside of a container. */
static bool htoki_scan_in_object(const htoki_scan *s)
{
    unsigned level = s->depth - 1;
    return (s->objects[level / 8] >> (level % 8) & 1) != 0;
}

static htoki_scan_event htoki_scan_fail(htoki_scan *s, htok_reason reason)
{
    s->reason = reason;
    return HTOKI_SCAN_ERROR;
}

/* The value at hand has ended. */
static htoki_scan_event htoki_scan_end(htoki_scan *s)
{
    s->state = s->is_key ? HTOKI_S_COLON : s->depth == 0 ? HTOKI_S_DONE : HTOKI_S_AFTER;
    return s->depth <= s->watch ? HTOKI_SCAN_END : HTOKI_SCAN_MORE;
}

static htoki_scan_event htoki_scan_open(htoki_scan *s, bool object)
{
    unsigned bit = 1u << (s->depth % 8);
    unsigned char *octet = &s->objects[s->depth / 8];
    if (s->depth == HATHORA_TOKENS_MAX_DEPTH) {
        return htoki_scan_fail(s, HTOK_REASON_JSON_DEPTH);
    }
    *octet = (unsigned char)(object ? *octet | bit : *octet & ~bit);
    s->depth++;
    s->state = object ? HTOKI_S_KEY_OR_END : HTOKI_S_ELEMENT_OR_END;
    return HTOKI_SCAN_MORE;
}

static htoki_scan_event htoki_scan_close(htoki_scan *s)
{
    s->depth--;
    s->is_key = false;
    return htoki_scan_end(s);
}

/* The first byte of a value or key. */
static htoki_scan_event htoki_scan_first(htoki_scan *s, char c)
{
    bool key = s->state == HTOKI_S_KEY || s->state == HTOKI_S_KEY_OR_END;
    s->is_key = key;
    s->begun = false;
    if (c == '"') {
        s->state = HTOKI_S_STRING;
        return HTOKI_SCAN_MORE;
    }
    if (key) {
        return htoki_scan_fail(s, HTOK_REASON_JSON_SYNTAX);
    }
    switch (c) {
    case '{': return htoki_scan_open(s, true);
    case '[': return htoki_scan_open(s, false);
    case 't': s->literal = "rue"; break;
    case 'f': s->literal = "alse"; break;
    case 'n': s->literal = "ull"; break;
    case '-': s->state = HTOKI_S_MINUS; return HTOKI_SCAN_MORE;
    case '0': s->state = HTOKI_S_ZERO; return HTOKI_SCAN_MORE;
    default:
        if (!htoki_is_digit(c)) {
            return htoki_scan_fail(s, HTOK_REASON_JSON_SYNTAX);
        }
        s->state = HTOKI_S_INTEGER;
        return HTOKI_SCAN_MORE;
    }
    s->state = HTOKI_S_LITERAL;
    return HTOKI_SCAN_MORE;
}

/* A byte between values. */
static htoki_scan_event htoki_scan_between(htoki_scan *s, char c)
{
    switch (s->state) {
    case HTOKI_S_COLON:
        s->is_key = false;
        s->state = HTOKI_S_VALUE;
        return c == ':' ? HTOKI_SCAN_MORE : htoki_scan_fail(s, HTOK_REASON_JSON_SYNTAX);
    case HTOKI_S_AFTER:
        if (c == ',') {
            s->state = htoki_scan_in_object(s) ? HTOKI_S_KEY : HTOKI_S_VALUE;
            return HTOKI_SCAN_MORE;
        }
        if (c == (htoki_scan_in_object(s) ? '}' : ']')) {
            return htoki_scan_close(s);
        }
        return htoki_scan_fail(s, HTOK_REASON_JSON_SYNTAX);
    case HTOKI_S_ELEMENT_OR_END:
    case HTOKI_S_KEY_OR_END:
        if (c == (s->state == HTOKI_S_KEY_OR_END ? '}' : ']')) {
            return htoki_scan_close(s);
        }
        return htoki_scan_first(s, c);
    case HTOKI_S_DONE: return htoki_scan_fail(s, HTOK_REASON_JSON_SYNTAX);
    default: return htoki_scan_first(s, c);
    }
}

/* A byte of a string that is not plain ASCII: its end, an escape, or UTF-8's first (RFC 3629 section 4). */
static htoki_scan_event htoki_scan_string_byte(htoki_scan *s, unsigned char c)
{
    if (c == '"') {
        return htoki_scan_end(s);
    }
    if (c == '\\') {
        s->state = HTOKI_S_ESCAPE;
        return HTOKI_SCAN_MORE;
    }
    if (c < 0x20) {
        return htoki_scan_fail(s, HTOK_REASON_JSON_SYNTAX);
    }
    if (c < 0xc2 || c > 0xf4) {
        return htoki_scan_fail(s, HTOK_REASON_JSON_UTF8);
    }
    s->left = (unsigned char)(c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1);
    s->low = (unsigned char)(c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80);
    s->high = (unsigned char)(c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf);
    s->state = HTOKI_S_UTF8;
    return HTOKI_SCAN_MORE;
}

static htoki_scan_event htoki_scan_in_string(htoki_scan *s, char c)
{
    unsigned char octet = (unsigned char)c;
    switch (s->state) {
    case HTOKI_S_ESCAPE:
        if (c == 'u') {
            s->left = 4;
            s->state = HTOKI_S_HEX;
            return HTOKI_SCAN_MORE;
        }
        s->state = HTOKI_S_STRING;
        return htoki_is_in("\"\\/bfnrt", c) ? HTOKI_SCAN_MORE : htoki_scan_fail(s, HTOK_REASON_JSON_SYNTAX);
    case HTOKI_S_HEX:
        s->left--;
        s->state = s->left == 0 ? HTOKI_S_STRING : HTOKI_S_HEX;
        return htoki_hex_value(c) >= 0 ? HTOKI_SCAN_MORE : htoki_scan_fail(s, HTOK_REASON_JSON_SYNTAX);
    default: /* HTOKI_S_UTF8 */
        if (octet < s->low || octet > s->high) {
            return htoki_scan_fail(s, HTOK_REASON_JSON_UTF8);
        }
        s->low = 0x80;
        s->high = 0xbf;
        s->left--;
        s->state = s->left == 0 ? HTOKI_S_STRING : HTOKI_S_UTF8;
        return HTOKI_SCAN_MORE;
    }
}

/* The state of a number after one more byte; HTOKI_S_DONE when the byte is not the number's. */
static htoki_scan_state htoki_scan_number(htoki_scan_state state, char c)
{
    bool digit = htoki_is_digit(c);
    switch (state) {
    case HTOKI_S_MINUS: return c == '0' ? HTOKI_S_ZERO : digit ? HTOKI_S_INTEGER : HTOKI_S_DONE;
    case HTOKI_S_ZERO:
    case HTOKI_S_INTEGER:
        if (digit && state == HTOKI_S_INTEGER) {
            return HTOKI_S_INTEGER;
        }
        return c == '.' ? HTOKI_S_POINT : c == 'e' || c == 'E' ? HTOKI_S_E : HTOKI_S_DONE;
    case HTOKI_S_POINT: return digit ? HTOKI_S_FRACTION : HTOKI_S_DONE;
    case HTOKI_S_FRACTION: return digit ? HTOKI_S_FRACTION : c == 'e' || c == 'E' ? HTOKI_S_E : HTOKI_S_DONE;
    case HTOKI_S_E: return c == '+' || c == '-' ? HTOKI_S_E_SIGN : digit ? HTOKI_S_EXPONENT : HTOKI_S_DONE;
    default: return digit ? HTOKI_S_EXPONENT : HTOKI_S_DONE;
    }
}

static bool htoki_scan_number_complete(htoki_scan_state state)
{
    return state == HTOKI_S_ZERO || state == HTOKI_S_INTEGER || state == HTOKI_S_FRACTION ||
           state == HTOKI_S_EXPONENT;
}

#if HTOKI_SSE2
/* The place of the lowest bit that is set; one is. */
static size_t htoki_lowest_bit(unsigned bits)
{
#ifdef _MSC_VER
    unsigned long place;
    _BitScanForward(&place, bits);
    return place;
#else
    return (size_t)__builtin_ctz(bits);
#endif
}
#endif

static bool htoki_is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* Length of the run of string bytes that need no look: ASCII but quote, backslash and controls. Sixteen at a time
   where there is SSE2; else eight, by the carries that a subtraction leaves in the high bits of a word's bytes. */
static inline size_t htoki_plain_run(const char *bytes, size_t len)
{
    size_t at = 0;
#if HTOKI_SSE2
    while (len - at >= 16) {
        __m128i piece = _mm_loadu_si128((const __m128i *)(const void *)(bytes + at));
        /* As signed bytes, both controls and non-ASCII are below a space. */
        __m128i special = _mm_or_si128(_mm_cmplt_epi8(piece, _mm_set1_epi8(' ')),
                                       _mm_or_si128(_mm_cmpeq_epi8(piece, _mm_set1_epi8('"')),
                                                    _mm_cmpeq_epi8(piece, _mm_set1_epi8('\\'))));
        unsigned found = (unsigned)_mm_movemask_epi8(special);
        if (found != 0) {
            return at + htoki_lowest_bit(found);
        }
        at += 16;
    }
#else
    const uint64_t ones = ~(uint64_t)0 / 255, highs = ones * 128;
    while (len - at >= 8) {
        uint64_t word, quote, backslash;
        memcpy(&word, bytes + at, 8);
        quote = word ^ (ones * '"');
        backslash = word ^ (ones * '\\');
        if ((((word - ones * 0x20) | (quote - ones) | (backslash - ones) | word) & highs) != 0) {
            break;
        }
        at += 8;
    }
#endif
    while (at < len && htoki_is_plain(bytes[at])) {
        at++;
    }
    return at;
}

#if HTOKI_SHORTCUTS
/* An outline of the value that begins with the next byte, until it is taken away. */
static void htoki_scan_outline(htoki_scan *s, htoki_outline *o)
{
    o->begin = s->offset;
    o->len = 0;
    s->outline = o;
}

/* Three more bytes at this place in the value fit into an outline of n. */
static inline bool htoki_outline_fits(size_t n, uint64_t place)
{
    return n <= HTOKI_OUTLINE_BYTES - 3 && place <= UINT16_MAX - 3;
}

/* Adds a byte, or drops an outline that it does not fit into. */
static void htoki_outline_add(htoki_scan *s, char c, size_t at)
{
    htoki_outline *o = s->outline;
    uint64_t place = s->offset + at - o->begin;
    if (htoki_outline_fits(o->len, place)) {
        o->at[o->len] = (uint16_t)place;
        o->text[o->len++] = c;
    } else {
        s->outline = NULL;
    }
}

/* On from the end of a string, where but a colon or a comma stands between it and the next, of which nobody is told. */
static size_t htoki_scan_strings(htoki_scan *s, const char *bytes, size_t at, size_t len)
{
    char next = s->is_key ? ':' : ',', change = htoki_scan_in_object(s) ? ':' ^ ',' : 0;
    htoki_outline *o = s->outline;
    size_t n = o ? o->len : 0;
    uint64_t place = o ? s->offset - o->begin : 0;
    while (len - at > 2 && bytes[at] == '"' && bytes[at + 1] == next && bytes[at + 2] == '"') {
        if (o && htoki_outline_fits(n, place + at)) {
            o->at[n] = (uint16_t)(place + at);
            o->at[n + 1] = (uint16_t)(place + at + 1);
            o->at[n + 2] = (uint16_t)(place + at + 2);
            memcpy(o->text + n, bytes + at, 3);
            n += 3;
        } else {
            o = s->outline = NULL;
        }
        next = (char)(next ^ change);
        at += 3;
        at += htoki_plain_run(bytes + at, len - at);
    }
    if (o) {
        o->len = n;
    }
    s->is_key = next == ':';
    return at;
}
#endif

/* The inside of a string, as far as nothing needs a look. */
static size_t htoki_scan_string(htoki_scan *s, const char *bytes, size_t at, size_t len)
{
    at += htoki_plain_run(bytes + at, len - at);
#if HTOKI_SHORTCUTS
    at = s->depth > s->watch ? htoki_scan_strings(s, bytes, at, len) : at;
#else
    (void)s;
#endif
    return at;
}

/* Consumes bytes up to the next event; *consumed says how many. An event's bytes are never consumed past it,
   and an error leaves the byte at fault at s->offset. */
static htoki_scan_event htoki_scan_feed(htoki_scan *s, const char *bytes, size_t len, size_t *consumed)
{
    htoki_scan_event event = HTOKI_SCAN_MORE;
    size_t at = 0;
    if (s->reason != HTOK_REASON_NONE) {
        event = HTOKI_SCAN_ERROR;
    }
    while (at < len && event == HTOKI_SCAN_MORE) {
        char c = bytes[at];
        bool outside = true; /* of strings */
        if (s->state == HTOKI_S_STRING) {
            at = htoki_scan_string(s, bytes, at, len);
            if (at == len) {
                break;
            }
            outside = bytes[at] == '"';
            event = htoki_scan_string_byte(s, (unsigned char)bytes[at]);
        } else if (s->state < HTOKI_S_STRING || s->state == HTOKI_S_DONE) {
            if (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
                at++;
                continue;
            }
            if (s->depth <= s->watch && !s->begun && s->state <= HTOKI_S_KEY && c != ']' && c != '}') {
                s->is_key = s->state == HTOKI_S_KEY || s->state == HTOKI_S_KEY_OR_END;
                s->begun = true;
                event = HTOKI_SCAN_BEGIN;
                break;
            }
            event = htoki_scan_between(s, c);
        } else if (s->state < HTOKI_S_LITERAL) {
            outside = false;
            event = htoki_scan_in_string(s, c);
        } else if (s->state == HTOKI_S_LITERAL) {
            event = c != *s->literal        ? htoki_scan_fail(s, HTOK_REASON_JSON_SYNTAX)
                    : *++s->literal == '\0' ? htoki_scan_end(s)
                                            : HTOKI_SCAN_MORE;
        } else {
            htoki_scan_state next = htoki_scan_number(s->state, c);
            if (next == HTOKI_S_DONE) {
                event = htoki_scan_number_complete(s->state) ? htoki_scan_end(s)
                                                             : htoki_scan_fail(s, HTOK_REASON_JSON_SYNTAX);
                if (event == HTOKI_SCAN_END) {
                    break;
                }
                continue;
            }
            s->state = next;
        }
#if HTOKI_SHORTCUTS
        if (s->outline && outside) {
            htoki_outline_add(s, bytes[at], at);
        }
#else
        (void)outside;
#endif
        at += event == HTOKI_SCAN_ERROR ? 0 : 1;
    }
    s->offset += at;
    *consumed = at;
    return event;
}

/* The text has ended: true when it was one whole value. A number at the top ends only here. */
static bool htoki_scan_finish(htoki_scan *s)
{
    if (s->reason == HTOK_REASON_NONE && s->depth == 0 && htoki_scan_number_complete(s->state)) {
        s->state = HTOKI_S_DONE;
    }
    if (s->reason == HTOK_REASON_NONE && s->state != HTOKI_S_DONE) {
        s->reason = HTOK_REASON_JSON_TRUNCATED;
    }
    return s->reason == HTOK_REASON_NONE;
}

/* >>json read -------------------------------------------------------------------------------------------- */
/* jsmn over one complete, already checked element; strings decoded where they stand. Takes a buffer with the
   text at its front; gives tokens and views into it. Must not know: which members there are. */

/* jsmn under names of our own, whatever the user does with a jsmn.h of theirs before or after. */
#ifdef JSMN_H
#define HTOKI_USER_JSMN_H
#undef JSMN_H
#endif
#ifdef JSMN_API
#define HTOKI_USER_JSMN_API
#undef JSMN_API
#endif
#ifdef JSMN_STATIC
#define HTOKI_USER_JSMN_STATIC
#undef JSMN_STATIC
#endif
#ifdef JSMN_STRICT
#define HTOKI_USER_JSMN_STRICT
#undef JSMN_STRICT
#endif
#ifdef JSMN_PARENT_LINKS
#define HTOKI_USER_JSMN_PARENT_LINKS
#undef JSMN_PARENT_LINKS
#endif
#ifdef JSMN_HEADER
#define HTOKI_USER_JSMN_HEADER
#undef JSMN_HEADER
#endif
#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#define jsmn_alloc_token     htoki_jsmn_alloc_token
#define jsmn_fill_token      htoki_jsmn_fill_token
#define jsmn_init            htoki_jsmn_init
#define jsmn_parse           htoki_jsmn_parse
#define jsmn_parse_primitive htoki_jsmn_parse_primitive
#define jsmn_parse_string    htoki_jsmn_parse_string
#define jsmn_parser          htoki_jsmn_parser
#define jsmnerr              htoki_jsmnerr
#define jsmntok              htoki_jsmntok_tag
#define jsmntok_t            htoki_jsmntok
#define jsmntype_t           htoki_jsmntype
#define JSMN_UNDEFINED       HTOKI_JSMN_UNDEFINED
#define JSMN_OBJECT          HTOKI_JSMN_OBJECT
#define JSMN_ARRAY           HTOKI_JSMN_ARRAY
#define JSMN_STRING          HTOKI_JSMN_STRING
#define JSMN_PRIMITIVE       HTOKI_JSMN_PRIMITIVE
#define JSMN_ERROR_NOMEM     HTOKI_JSMN_ERROR_NOMEM
#define JSMN_ERROR_INVAL     HTOKI_JSMN_ERROR_INVAL
#define JSMN_ERROR_PART      HTOKI_JSMN_ERROR_PART
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#endif
#include HATHORA_TOKENS_JSMN_H
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
#undef jsmn_alloc_token
#undef jsmn_fill_token
#undef jsmn_init
#undef jsmn_parse
#undef jsmn_parse_primitive
#undef jsmn_parse_string
#undef jsmn_parser
#undef jsmnerr
#undef jsmntok
#undef jsmntok_t
#undef jsmntype_t
#undef JSMN_UNDEFINED
#undef JSMN_OBJECT
#undef JSMN_ARRAY
#undef JSMN_STRING
#undef JSMN_PRIMITIVE
#undef JSMN_ERROR_NOMEM
#undef JSMN_ERROR_INVAL
#undef JSMN_ERROR_PART
#undef JSMN_H
#undef JSMN_API
#undef JSMN_STATIC
#undef JSMN_STRICT
#undef JSMN_PARENT_LINKS
#ifdef HTOKI_USER_JSMN_STATIC
#undef HTOKI_USER_JSMN_STATIC
#define JSMN_STATIC
#endif
#ifdef HTOKI_USER_JSMN_API
#undef HTOKI_USER_JSMN_API
#ifdef JSMN_STATIC
#define JSMN_API static
#else
#define JSMN_API extern
#endif
#endif
#ifdef HTOKI_USER_JSMN_STRICT
#undef HTOKI_USER_JSMN_STRICT
#define JSMN_STRICT
#endif
#ifdef HTOKI_USER_JSMN_PARENT_LINKS
#undef HTOKI_USER_JSMN_PARENT_LINKS
#define JSMN_PARENT_LINKS
#endif
#ifdef HTOKI_USER_JSMN_HEADER
#undef HTOKI_USER_JSMN_HEADER
#define JSMN_HEADER
#endif
#ifdef HTOKI_USER_JSMN_H
#undef HTOKI_USER_JSMN_H
#define JSMN_H
#endif

/* One parsed element. The buffer holds its text, then, aligned, the tokens, then free space. */
typedef struct htoki_json {
    char *text;
    size_t buffer_bytes, used; /* used: from the beginning, as far as anything was written */
    htoki_jsmntok *tokens;
    int count;
    bool escapes;  /* the text has some */
    bool outlined; /* the tokens are by the outline, so the outlines are still whole */
} htoki_json;

/* What a value's first character says of its type: '{' '[' '"' 'b'ool 'n'ull '0' number, or NUL for none. */
static char htoki_json_type(char first)
{
    switch (first) {
    case '{':
    case '[':
    case '"':
    case 'n': return first;
    case 't':
    case 'f': return 'b';
    default: return first == '-' || htoki_is_digit(first) ? '0' : '\0';
    }
}

static size_t htoki_align(size_t value, size_t alignment)
{
    return (value + alignment - 1) / alignment * alignment;
}

#if HTOKI_SHORTCUTS
/* jsmn takes a dozen instructions for each byte of a string, of which the scanner has seen all. So it is given the
   outline of an element. Most elements of a list have the outline of the one before, and so its tokens, but for their
   places. */
enum { HTOKI_KNOWN_BYTES = 128, HTOKI_KNOWN_TOKENS = 40 };

/* Room for the outline of the element at hand, and what is known of the one before. */
typedef struct htoki_outlines {
    htoki_outline outline;
    size_t known; /* bytes of the outline before; 0: none */
    int count;
    char text[HTOKI_KNOWN_BYTES];
    htoki_jsmntok tokens[HTOKI_KNOWN_TOKENS];
} htoki_outlines;

/* Moves an outline's tokens to their places in the text. */
static void htoki_outline_place(const htoki_outline *o, htoki_jsmntok *tokens, int count)
{
    htoki_jsmntok *t = tokens;
    for (; t < tokens + count; t++) {
        if (t->type == HTOKI_JSMN_STRING) { /* an empty one */
            t->start = o->at[t->start - 1] + 1;
            t->end = o->at[t->end];
        } else {
            t->start = o->at[t->start];
            t->end = o->at[t->end - 1] + 1;
        }
    }
}

/* Tokenizes by the outline. False when its tokens do not fit in front of the outlines. */
static bool htoki_json_by_outline(htoki_json *j, htoki_outlines *o)
{
    htoki_jsmn_parser parser;
    const char *begin = (const char *)(void *)j->tokens, *end = (const char *)(void *)o;
    size_t most = begin < end ? (size_t)(end - begin) / sizeof(htoki_jsmntok) : 0;
    if (o->known != 0 && o->known == o->outline.len && memcmp(o->text, o->outline.text, o->known) == 0 &&
        (size_t)o->count <= most) {
        j->count = o->count;
        memcpy(j->tokens, o->tokens, (size_t)o->count * sizeof *o->tokens);
    } else {
        htoki_jsmn_init(&parser);
        j->count =
            most == 0 ? 0
                      : htoki_jsmn_parse(&parser, o->outline.text, o->outline.len, j->tokens, (unsigned)most);
        o->known = 0;
        if (j->count > 0 && j->count <= HTOKI_KNOWN_TOKENS && o->outline.len <= HTOKI_KNOWN_BYTES) {
            o->known = o->outline.len;
            o->count = j->count;
            memcpy(o->text, o->outline.text, o->known);
            memcpy(o->tokens, j->tokens, (size_t)o->count * sizeof *o->tokens);
        }
    }
    htoki_outline_place(&o->outline, j->tokens, j->count);
    return j->count > 0;
}
#else
typedef void htoki_outlines;
#endif

static bool htoki_json_by_text(htoki_json *j, size_t len)
{
    htoki_jsmn_parser parser;
    size_t begin = (size_t)((char *)(void *)j->tokens - j->text);
    size_t room = begin < j->buffer_bytes ? (j->buffer_bytes - begin) / sizeof(htoki_jsmntok) : 0;
    htoki_jsmn_init(&parser);
    j->count = room == 0 ? 0 : htoki_jsmn_parse(&parser, j->text, len, j->tokens, (unsigned)room);
    return j->count > 0;
}

/* Tokenizes the first len bytes of the buffer, which htoki_scan has found to be one whole object, and which
   must begin at an address that is aligned for a pointer. False when the tokens do not fit behind it. The outlines, in
   the buffer behind the text, hold that of the text; NULL: there is none. */
static bool htoki_json_parse(htoki_json *j, char *buffer, size_t buffer_bytes, size_t len,
                             htoki_outlines *outlines)
{
    size_t begin = htoki_align(len, sizeof(void *));
    j->text = buffer;
    j->buffer_bytes = buffer_bytes;
    j->escapes = memchr(buffer, '\\', len) != NULL;
    j->tokens = (htoki_jsmntok *)(void *)(buffer + begin);
#if HTOKI_SHORTCUTS
    j->outlined = outlines && htoki_json_by_outline(j, outlines);
    j->used = j->outlined || htoki_json_by_text(j, len) ? begin + (size_t)j->count * sizeof(htoki_jsmntok)
                                                        : buffer_bytes;
#else
    (void)outlines;
    j->used = htoki_json_by_text(j, len) ? begin + (size_t)j->count * sizeof(htoki_jsmntok) : buffer_bytes;
#endif
    return j->count > 0;
}

static htok_view htoki_json_raw(const htoki_json *j, int token)
{
    const htoki_jsmntok *t = &j->tokens[token];
    return htoki_view(j->text + t->start, (size_t)(t->end - t->start));
}

static char htoki_json_token_type(const htoki_json *j, int token)
{
    const htoki_jsmntok *t = &j->tokens[token];
    return t->type == HTOKI_JSMN_STRING ? '"' : htoki_json_type(j->text[t->start]);
}

/* The token after this one and all that is inside it. */
static int htoki_json_next(const htoki_json *j, int token)
{
    const htoki_jsmntok *t = &j->tokens[token];
    int end = t->end;
    do {
        token++;
        t++;
    } while (token < j->count && t->start < end);
    return token;
}

static uint32_t htoki_json_hex4(const char *digits)
{
    uint32_t c = 0;
    int i;
    for (i = 0; i < 4; i++) {
        c = c << 4 | (uint32_t)htoki_hex_value(digits[i]);
    }
    return c;
}

/* Decodes the escape at text (after its backslash), joining surrogate pairs; a lone surrogate stays one.
   Writes 1 to 4 bytes and returns how many bytes of text it took. */
static size_t htoki_json_unescape(const char *text, size_t len, char *out, size_t *out_len)
{
    static const char names[] = "bfnrt", codes[] = "\b\f\n\r\t";
    size_t where = 0;
    uint32_t c, low;
    if (text[0] != 'u') {
        out[0] = htoki_in_set(names, text[0], &where) ? codes[where] : text[0];
        *out_len = 1;
        return 1;
    }
    c = htoki_json_hex4(text + 1);
    if (c >= 0xd800 && c <= 0xdbff && len >= 11 && text[5] == '\\' && text[6] == 'u') {
        low = htoki_json_hex4(text + 7);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *out_len = htoki_utf8_encode(0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00), out);
            return 11;
        }
    }
    *out_len = htoki_utf8_encode(c, out);
    return 5;
}

/* Decodes the inside of a checked JSON string to out, which may be text itself: no escape grows. */
static size_t htoki_json_decode(const char *text, size_t len, char *out)
{
    size_t at = 0, filled = 0;
    while (at < len) {
        const char *escape = (const char *)memchr(text + at, '\\', len - at);
        size_t run = escape ? (size_t)(escape - text) - at : len - at;
        if (out + filled != text + at) {
            memmove(out + filled, text + at, run);
        }
        filled += run;
        at += run;
        if (escape) {
            char decoded[4];
            size_t n;
            at++;
            at += htoki_json_unescape(text + at, len - at, decoded, &n);
            memcpy(out + filled, decoded, n);
            filled += n;
        }
    }
    return filled;
}

/* True when the inside of a checked JSON string spells name, with or without escapes. */
static bool htoki_json_spells(htok_view raw, const char *name)
{
    size_t at = 0, n, i;
    while (at < raw.len) {
        char decoded[4];
        if (raw.ptr[at] != '\\') {
            if (raw.ptr[at] != *name) { /* raw holds no NUL */
                return false;
            }
            at++;
            name++;
            continue;
        }
        at++;
        at += htoki_json_unescape(raw.ptr + at, raw.len - at, decoded, &n);
        for (i = 0; i < n; i++, name++) {
            if (*name == '\0' || decoded[i] != *name) {
                return false;
            }
        }
    }
    return *name == '\0';
}

/* A string token's text, decoded where it stands, a NUL in place of its closing quote. Once for each token.
   */
static inline htok_view htoki_json_string(htoki_json *j, int token)
{
    char *begin = j->text + j->tokens[token].start;
    size_t len = (size_t)(j->tokens[token].end - j->tokens[token].start);
    len = j->escapes ? htoki_json_decode(begin, len, begin) : len;
    begin[len] = '\0';
    return htoki_view(begin, len);
}

/* Room for count views behind the tokens, or NULL. */
static htok_view *htoki_json_views(htoki_json *j, size_t count)
{
    size_t tokens_end = (size_t)((char *)(void *)(j->tokens + j->count) - j->text);
    size_t begin = htoki_align(tokens_end, sizeof(void *));
    if (begin > j->buffer_bytes || count > (j->buffer_bytes - begin) / sizeof(htok_view)) {
        return NULL;
    }
    j->used = begin + count * sizeof(htok_view);
    return (htok_view *)(void *)(j->text + begin);
}

/* >>json write ------------------------------------------------------------------------------------------- */
/* JSON text out. Takes text; gives JSON that no terminal can be harmed by. Must not know: where it goes. */

/* A surrogate in its three-byte form, as htoki_json_unescape() leaves a lone one; 0 when there is none. */
static uint32_t htoki_surrogate_at(const char *text, size_t len)
{
    if (len < 3 || (unsigned char)text[0] != 0xed || ((unsigned char)text[1] & 0xe0) != 0xa0 ||
        ((unsigned char)text[2] & 0xc0) != 0x80) {
        return 0;
    }
    return 0xd000u | ((unsigned char)text[1] & 0x3fu) << 6 | ((unsigned char)text[2] & 0x3fu);
}

static void htoki_put_json_unit(htoki_writer *w, uint32_t unit)
{
    htoki_put_text(w, "\\u");
    htoki_put_hex(w, unit, 4, false);
}

/* Other bytes that are not UTF-8 become U+FFFD; they cannot come from a JSON answer. */
static void htoki_put_json_string(htoki_writer *w, htok_view text)
{
    static const char controls[] = "\b\t\n\f\r", names[] = "btnfr";
    size_t at = 0;
    htoki_put_char(w, '"');
    while (at < text.len) {
        size_t run = htoki_plain_run(text.ptr + at, text.len - at);
        const char *del = run ? (const char *)memchr(text.ptr + at, 0x7f, run) : NULL;
        uint32_t c = 0xfffd, surrogate;
        size_t n, where = 0;
        run = del ? (size_t)(del - text.ptr) - at : run;
        htoki_put(w, text.ptr + at, run);
        at += run;
        if (at == text.len) {
            break;
        }
        surrogate = htoki_surrogate_at(text.ptr + at, text.len - at);
        n = surrogate ? 3 : htoki_utf8_decode(text.ptr + at, text.len - at, &c);
        if (c == '"' || c == '\\') {
            htoki_put_char(w, '\\');
            htoki_put_char(w, (char)c);
        } else if (c < 0x20 && htoki_in_set(controls, (char)c, &where)) {
            htoki_put_char(w, '\\');
            htoki_put_char(w, names[where]);
        } else if (surrogate || c < 0x20 || (c < 0x10000 && htoki_is_deceptive(c)) || n == 0) {
            htoki_put_json_unit(w, surrogate ? surrogate : c);
        } else if (htoki_is_deceptive(c)) {
            htoki_put_json_unit(w, 0xd7c0 + (c >> 10));
            htoki_put_json_unit(w, 0xdc00 | (c & 0x3ff));
        } else {
            htoki_put(w, text.ptr + at, n);
        }
        at += n ? n : 1;
    }
    htoki_put_char(w, '"');
}

static void htoki_put_json_member(htoki_writer *w, const char *before, htok_view value)
{
    htoki_put_text(w, before);
    htoki_put_json_string(w, value);
}

static void htoki_put_org_token(htoki_writer *w, const htok_org_token *t)
{
    size_t i;
    htoki_put_json_member(w, "{\"orgTokenId\":", t->org_token_id);
    htoki_put_json_member(w, ",\"orgId\":", t->org_id);
    htoki_put_json_member(w, ",\"name\":", t->name);
    htoki_put_json_member(w, ",\"status\":", t->status_text);
    htoki_put_json_member(w, ",\"lastFourCharsOfKey\":", t->last_four_chars_of_key);
    htoki_put_json_member(w, ",\"createdBy\":", t->created_by);
    htoki_put_json_member(w, ",\"createdAt\":", t->created_at);
    if (t->scopes_form == HTOK_SCOPES_ADMIN) {
        htoki_put_text(w, ",\"scopes\":\"admin\"");
    } else if (t->scopes_form == HTOK_SCOPES_OTHER) {
        htoki_put_json_member(w, ",\"scopes\":", t->scopes[0]);
    } else if (t->scopes_form == HTOK_SCOPES_LIST) {
        htoki_put_text(w, ",\"scopes\":[");
        for (i = 0; i < t->scope_count; i++) {
            htoki_put_json_member(w, i ? "," : "", t->scopes[i]);
        }
        htoki_put_char(w, ']');
    }
    htoki_put_char(w, '}');
}

static void htoki_put_create_body(htoki_writer *w, const htok_create_org_token_request *r)
{
    size_t i;
    htoki_put_text(w, "{");
    if (r->admin) {
        htoki_put_text(w, "\"scopes\":\"admin\",");
    } else if (r->scope_count != 0) {
        htoki_put_text(w, "\"scopes\":[");
        for (i = 0; i < r->scope_count; i++) {
            htoki_put_json_member(w, i ? "," : "", htoki_text(r->scopes[i]));
        }
        htoki_put_text(w, "],");
    }
    htoki_put_json_member(w, "\"name\":", htoki_text(r->name));
    htoki_put_char(w, '}');
}

/* >>http request ----------------------------------------------------------------------------------------- */
/* Request line, fields and body (RFC 9112 sections 3 to 6), each value checked before. Takes views; gives
   bytes. Must not know: where they go. */

typedef enum htoki_operation {
    HTOKI_GET_ORG_TOKENS,
    HTOKI_CREATE_ORG_TOKEN,
    HTOKI_REVOKE_ORG_TOKEN
} htoki_operation;

typedef struct htoki_headers {
    const htok_header *list;
    size_t count;
} htoki_headers;

typedef struct htoki_request {
    htoki_operation operation;
    const htoki_url *url;
    htok_view org_id, org_token_id, user_agent;
    htok_view token; /* ptr NULL: none */
    const htok_create_org_token_request *create;
    htoki_headers own, client; /* of the call, of the client; a name in the call's outranks the client's */
} htoki_request;

/* Of a field value, a token or an id: more than servers take in a whole head. */
enum { HTOKI_VALUE_BYTES_MAX = 16384 };

static bool htoki_is_token_char(char c)
{
    return htoki_is_alpha(c) || htoki_is_digit(c) || htoki_is_in("-!#$%&'*+.^_`|~", c);
}

static bool htoki_headers_have(htoki_headers headers, const char *name)
{
    size_t i;
    for (i = 0; i < headers.count; i++) {
        if (htoki_is_nocase(htoki_text(headers.list[i].name), name)) {
            return true;
        }
    }
    return false;
}

/* Whether a text stands in a list of texts, each followed by a NUL, the last by two. */
static bool htoki_is_listed(htok_view text, const char *list)
{
    while (*list != '\0' && !htoki_is_nocase(text, list)) {
        list = htoki_nth_text(list, 1);
    }
    return *list != '\0';
}

/* Without the blanks at its ends, which are no part of a field's value (RFC 9110 section 5.5). */
static htok_view htoki_trimmed(htok_view v)
{
    while (v.len > 0 && (v.ptr[v.len - 1] == ' ' || v.ptr[v.len - 1] == '\t')) {
        v.len--;
    }
    while (v.len > 0 && (*v.ptr == ' ' || *v.ptr == '\t')) {
        v.ptr++;
        v.len--;
    }
    return v;
}

static htok_kind htoki_check_utf8(htok_error *e, htok_view text, const char *option)
{
    size_t valid = htoki_utf8_check(text.ptr, text.len);
    return valid < text.len ? htoki_fail_option_at(e, HTOK_REASON_TEXT_UTF8, option, valid) : HTOK_OK;
}

/* Not too long, and without controls but the one that is allowed. */
static htok_kind htoki_check_controls(htok_error *e, htok_view text, const char *option, char allowed)
{
    size_t i;
    if (text.len > HTOKI_VALUE_BYTES_MAX) {
        return htoki_fail_option_at(e, HTOK_REASON_TEXT_TOO_LONG, option, HTOKI_VALUE_BYTES_MAX);
    }
    for (i = 0; i < text.len; i++) {
        if (htoki_is_control(text.ptr[i]) && text.ptr[i] != allowed) {
            return htoki_fail_option_at(e, HTOK_REASON_TEXT_CONTROL, option, i);
        }
    }
    return HTOK_OK;
}

/* A field value: UTF-8 without controls but TAB (RFC 9110 section 5.5). NUL cannot occur in it. */
static htok_kind htoki_check_field_value(htok_error *e, htok_view value, const char *option)
{
    return htoki_check_controls(e, value, option, '\t') != HTOK_OK ? e->kind
                                                                   : htoki_check_utf8(e, value, option);
}

static htok_kind htoki_check_headers(htok_error *e, const htok_header *list, size_t count)
{
    /* The proxy's are for the proxy: in a tunnel they would take its password to the server. */
    static const char reserved[] = "Authorization\0"
                                   "Host\0"
                                   "Content-Length\0"
                                   "Content-Type\0"
                                   "Connection\0"
                                   "Proxy-Connection\0"
                                   "Transfer-Encoding\0"
                                   "TE\0"
                                   "Upgrade\0"
                                   "Expect\0"
                                   "Proxy-Authorization\0";
    size_t i, n;
    if (count != 0 && !list) {
        return htoki_fail_option(e, HTOK_REASON_ARGUMENT_NULL, "headers");
    }
    for (i = 0; i < count; i++) {
        htok_view name = htoki_text(list[i].name);
        if (!list[i].name || !list[i].value) {
            return htoki_fail_option(e, HTOK_REASON_ARGUMENT_NULL, "headers");
        }
        for (n = 0; n < name.len && htoki_is_token_char(name.ptr[n]); n++) {}
        if (n < name.len || name.len == 0) {
            return htoki_fail_option_at(e, HTOK_REASON_HEADER_NAME, "headers", n);
        }
        if (htoki_is_listed(name, reserved)) {
            htoki_error_text(e->detail, sizeof e->detail, name);
            return htoki_fail_option(e, HTOK_REASON_HEADER_RESERVED, "headers");
        }
        if (htoki_is_nocase(name, "Accept-Encoding") && !htoki_is(htoki_text(list[i].value), "identity")) {
            return htoki_fail_option(e, HTOK_REASON_HEADER_VALUE, "headers");
        }
        if (htoki_check_field_value(e, htoki_text(list[i].value), "headers") != HTOK_OK) {
            return e->kind;
        }
    }
    return HTOK_OK;
}

static bool htoki_has_bearer_prefix(htok_view token)
{
    return token.len > 7 && htoki_is_nocase(htoki_view(token.ptr, 7), "bearer ");
}

/* The secret part of a token that may begin with "Bearer ". */
static htok_view htoki_token_secret(htok_view token)
{
    size_t skip = htoki_has_bearer_prefix(token) ? 7 : 0;
    return htoki_view(token.ptr + skip, token.len - skip);
}

static htok_kind htoki_check_token(htok_error *e, htok_view token)
{
    htok_view secret = htoki_token_secret(token);
    size_t i;
    if (secret.len == 0 || token.len > HTOKI_VALUE_BYTES_MAX) {
        return htoki_fail_option(e, secret.len ? HTOK_REASON_TEXT_TOO_LONG : HTOK_REASON_TEXT_EMPTY, "token");
    }
    for (i = 0; i < secret.len; i++) {
        if (htoki_is_control(secret.ptr[i])) {
            return htoki_fail_option_at(e, HTOK_REASON_TEXT_CONTROL, "token", token.len - secret.len + i);
        }
        if (secret.ptr[i] == ' ' || (unsigned char)secret.ptr[i] >= 0x80) {
            return htoki_fail_option_at(e, HTOK_REASON_HEADER_VALUE, "token", token.len - secret.len + i);
        }
    }
    return HTOK_OK;
}

/* A path parameter. */
static htok_kind htoki_check_id(htok_error *e, htok_view id, const char *option)
{
    if (id.len == 0 || id.len > HTOKI_VALUE_BYTES_MAX) {
        return htoki_fail_option(e, id.len ? HTOK_REASON_TEXT_TOO_LONG : HTOK_REASON_TEXT_EMPTY, option);
    }
    if (htoki_is(id, ".") || htoki_is(id, "..")) {
        return htoki_fail_option_at(e, HTOK_REASON_ID_DOTS, option, 0);
    }
    return htoki_check_utf8(e, id, option);
}

static htok_kind htoki_check_create(htok_error *e, const htok_create_org_token_request *r)
{
    size_t i, characters = 0;
    htok_view name = htoki_text(r->name);
    if (!r->name || (r->scope_count != 0 && !r->scopes)) {
        return htoki_fail_option(e, HTOK_REASON_ARGUMENT_NULL, r->name ? "scopes" : "name");
    }
    if (name.len == 0) {
        return htoki_fail_option(e, HTOK_REASON_TEXT_EMPTY, "name");
    }
    if (htoki_check_utf8(e, name, "name") != HTOK_OK) {
        return e->kind;
    }
    for (i = 0; i < name.len; i++) {
        characters += ((unsigned char)name.ptr[i] & 0xc0) != 0x80;
    }
    if (characters > 64) {
        return htoki_fail_option(e, HTOK_REASON_TEXT_TOO_LONG, "name");
    }
    for (i = 0; i < r->scope_count; i++) {
        htok_view scope = htoki_text(r->scopes[i]);
        if (scope.len == 0) {
            return htoki_fail_option(e, HTOK_REASON_TEXT_EMPTY, "scopes");
        }
        if (r->admin || htoki_is(scope, "admin")) {
            return htoki_fail_option(e, HTOK_REASON_SCOPE_ADMIN, "scopes");
        }
        if (htoki_check_utf8(e, scope, "scopes") != HTOK_OK) {
            return e->kind;
        }
    }
    return HTOK_OK;
}

static const char *htoki_request_method(const htoki_request *r)
{
    return r->operation == HTOKI_GET_ORG_TOKENS ? "GET" : "POST";
}

static void htoki_put_target(htoki_writer *w, const htoki_request *r)
{
    htoki_put_view(w, r->url->prefix);
    htoki_put_text(w, "/tokens/v1/orgs/");
    htoki_put_percent_encoded(w, r->org_id);
    if (r->operation == HTOKI_CREATE_ORG_TOKEN) {
        htoki_put_text(w, "/create");
    } else if (r->operation == HTOKI_REVOKE_ORG_TOKEN) {
        htoki_put_text(w, "/tokens/");
        htoki_put_percent_encoded(w, r->org_token_id);
        htoki_put_text(w, "/revoke");
    }
}

static void htoki_put_field(htoki_writer *w, const char *name, htok_view value)
{
    htoki_put_text(w, name);
    htoki_put_text(w, ": ");
    htoki_put_view(w, value);
    htoki_put_text(w, "\r\n");
}

/* A field of ours, unless the caller set one of that name. */
static void htoki_put_default_field(htoki_writer *w, const htoki_request *r, const char *name,
                                    htok_view value)
{
    if (!htoki_headers_have(r->own, name) && !htoki_headers_have(r->client, name)) {
        htoki_put_field(w, name, value);
    }
}

/* The whole request; where the writer's window cuts it, a later window goes on. */
static void htoki_put_request(htoki_writer *w, const htoki_request *r)
{
    size_t i;
    htoki_put_text(w, htoki_request_method(r));
    htoki_put_char(w, ' ');
    htoki_put_target(w, r);
    htoki_put_text(w, " HTTP/1.1\r\nHost: ");
    htoki_put_authority(w, r->url);
    htoki_put_text(w, "\r\n");
    htoki_put_default_field(w, r, "User-Agent", r->user_agent);
    htoki_put_default_field(w, r, "Accept", htoki_text("application/json"));
    htoki_put_default_field(w, r, "Accept-Encoding", htoki_text("identity"));
    if (r->token.ptr) {
        htoki_put_text(w, htoki_has_bearer_prefix(r->token) ? "Authorization: " : "Authorization: Bearer ");
        htoki_put_view(w, r->token);
        htoki_put_text(w, "\r\n");
    }
    for (i = 0; i < r->own.count; i++) {
        htoki_put_field(w, r->own.list[i].name, htoki_text(r->own.list[i].value));
    }
    for (i = 0; i < r->client.count; i++) {
        if (!htoki_headers_have(r->own, r->client.list[i].name)) {
            htoki_put_field(w, r->client.list[i].name, htoki_text(r->client.list[i].value));
        }
    }
    if (r->operation == HTOKI_CREATE_ORG_TOKEN) {
        htoki_writer counter = htoki_writer_make(NULL, 0, 0);
        htoki_put_create_body(&counter, r->create);
        htoki_put_text(w, "Content-Type: application/json\r\nContent-Length: ");
        htoki_put_decimal(w, counter.total);
        htoki_put_text(w, "\r\n\r\n");
        htoki_put_create_body(w, r->create);
    } else {
        htoki_put_text(w, r->operation == HTOKI_REVOKE_ORG_TOKEN ? "Content-Length: 0\r\n\r\n" : "\r\n");
    }
}

/* >>http response ---------------------------------------------------------------------------------------- */
/* One answer (RFC 9112): interim heads, status line, fields, framing, body, trailers. Takes bytes in pieces
   of any size; gives the head's facts and the body's bytes where they stand. Must not know: JSON, sockets. */

typedef enum htoki_http_event {
    HTOKI_HTTP_MORE, /* all bytes are consumed */
    HTOKI_HTTP_HEAD, /* the final head is complete */
    HTOKI_HTTP_BODY, /* body_len bytes at the front of what is left belong to the body: htoki_http_take() them */
    HTOKI_HTTP_END, /* the message is complete */
    HTOKI_HTTP_ERROR
} htoki_http_event;

typedef enum htoki_http_state {
    HTOKI_H_VERSION,
    HTOKI_H_STATUS,
    HTOKI_H_REASON,
    HTOKI_H_LINE_START,
    HTOKI_H_NAME,
    HTOKI_H_VALUE_START,
    HTOKI_H_VALUE,
    HTOKI_H_LINE_FEED,
    HTOKI_H_HEAD_FEED,
    HTOKI_H_HEAD_DONE,
    HTOKI_H_BODY_LENGTH,
    HTOKI_H_BODY_CLOSE,
    HTOKI_H_CHUNK_SIZE,
    HTOKI_H_CHUNK_EXTENSION,
    HTOKI_H_CHUNK_SIZE_FEED,
    HTOKI_H_CHUNK_DATA,
    HTOKI_H_CHUNK_DATA_RETURN,
    HTOKI_H_CHUNK_DATA_FEED,
    HTOKI_H_DONE
} htoki_http_state;

typedef struct htoki_http_limits {
    uint32_t head_bytes, fields, interim;
    uint64_t body_bytes;
} htoki_http_limits;

/* What is kept of a head's fields while it is read, in memory that is lent for that. */
typedef struct htoki_http_texts {
    char name[20];
    char value[96];
    char note[96]; /* Location of a 3xx answer, Content-Type of another; cut where it is longer */
} htoki_http_texts;

typedef struct htoki_http {
    htoki_http_limits limits;
    htoki_http_texts *texts; /* not touched once the final head is complete: trailers are only checked */
    htoki_http_state state;
    htok_reason reason;     /* with HTOKI_HTTP_ERROR, which stays */
    uint64_t offset;        /* of the next byte in the answer, framing included */
    uint64_t body_received; /* of content */
    uint64_t remaining;     /* of the body, or of the chunk at hand */
    size_t body_len;        /* with HTOKI_HTTP_BODY */
    uint32_t overhead;      /* bytes of heads, trailers and chunk framing */
    uint32_t fields, interim;
    int status;
    unsigned char index;    /* position in the version, the status or the chunk size */
    unsigned char name_len; /* one more than texts->name holds: a name longer than all we look for */
    uint16_t value_len;
    bool version_1_0, trailer, value_cut, note_cut;
    bool final; /* the final head is complete, so what follows belongs to an answer */
    bool chunked, has_length, has_coding, connection_close, content_coded;
    bool to_connect;               /* answers CONNECT: the head is all */
    bool challenged, offers_basic; /* Proxy-Authenticate was met; with this scheme, as far as is known */
    unsigned char content_types;   /* fields of that name */
    bool content_json;
    uint64_t length;
    char retry_after[32]; /* an HTTP-date at most */
} htoki_http;

static void htoki_http_begin(htoki_http *h, const htoki_http_limits *limits, htoki_http_texts *texts)
{
    memset(h, 0, sizeof *h);
    h->limits = *limits;
    h->texts = texts;
    texts->note[0] = '\0';
}

/* The status at hand was read whole. */
static bool htoki_http_has_status(const htoki_http *h)
{
    return h->state >= HTOKI_H_REASON;
}

/* Milliseconds that the answer's Retry-After asks for, or -1. */
static int64_t htoki_http_retry_after_ms(const htoki_http *h, bool time_known, int64_t unix_seconds)
{
    return h->retry_after[0] ? htoki_retry_after_ms(htoki_text(h->retry_after), time_known, unix_seconds)
                             : -1;
}

/* Whether another request may follow on the connection, once the message is complete. */
static bool htoki_http_keeps_connection(const htoki_http *h)
{
    return h->state == HTOKI_H_DONE && !h->connection_close && !h->version_1_0 &&
           (h->chunked || h->has_length || h->status == 204 || h->status == 304);
}

static htoki_http_event htoki_http_fail(htoki_http *h, htok_reason reason)
{
    h->reason = reason;
    return HTOKI_HTTP_ERROR;
}

static htok_view htoki_http_value(const htoki_http *h)
{
    return htoki_trimmed(htoki_view(h->texts->value, h->value_len));
}

/* True when a comma-separated list (RFC 9110 section 5.6.1) holds the word. */
static bool htoki_list_has(htok_view list, const char *word)
{
    size_t at = 0;
    while (at < list.len) {
        size_t begin, end;
        while (at < list.len && (list.ptr[at] == ',' || list.ptr[at] == ' ' || list.ptr[at] == '\t')) {
            at++;
        }
        begin = at;
        while (at < list.len && list.ptr[at] != ',') {
            at++;
        }
        for (end = at; end > begin && (list.ptr[end - 1] == ' ' || list.ptr[end - 1] == '\t'); end--) {}
        if (htoki_is_nocase(htoki_view(list.ptr + begin, end - begin), word)) {
            return true;
        }
    }
    return false;
}

/* The media type of a Content-Type value, parameters left out (RFC 9110 section 8.3.1), is application/json.
   */
static bool htoki_is_json_type(htok_view value)
{
    size_t end = 0;
    while (end < value.len && value.ptr[end] != ';' && value.ptr[end] != ' ' && value.ptr[end] != '\t') {
        end++;
    }
    return htoki_is_nocase(htoki_view(value.ptr, end), "application/json");
}

/* True when one of the challenges in the list (RFC 9110 section 11.3) is of the scheme Basic. */
static bool htoki_offers_basic(htok_view list)
{
    size_t at, begin = 0;
    for (at = 0; at <= list.len; at++) {
        char c = at < list.len ? list.ptr[at] : ',';
        if (c == ',' || c == ' ' || c == '\t') {
            if (htoki_is_nocase(htoki_view(list.ptr + begin, at - begin), "Basic")) {
                return true;
            }
            begin = at + 1;
        }
    }
    return false;
}

static void htoki_http_note(htoki_http *h, htok_view value)
{
    htoki_error_text(h->texts->note, sizeof h->texts->note, value);
    h->note_cut = h->value_cut || value.len >= sizeof h->texts->note;
}

/* What an answer of any kind may advise. */
static void htoki_http_advice(htoki_http *h, htok_view name, htok_view value)
{
    if (htoki_is(name, "retry-after") && value.len < sizeof h->retry_after) {
        htoki_error_text(h->retry_after, sizeof h->retry_after, value);
    } else if (htoki_is(name, "proxy-authenticate")) {
        h->challenged = true;
        h->offers_basic = h->offers_basic || h->value_cut || htoki_offers_basic(value);
    }
}

/* A field line of the final head or an interim one is complete. Only what frames or describes the answer
   counts. */
static htok_reason htoki_http_field(htoki_http *h)
{
    htok_view name, value;
    if (h->trailer || h->name_len > sizeof h->texts->name) {
        return HTOK_REASON_NONE;
    }
    name = htoki_view(h->texts->name, h->name_len);
    value = htoki_http_value(h);
    if (h->to_connect) {
        htoki_http_advice(h, name, value); /* what would frame a body is ignored (RFC 9110 section 9.3.6) */
    } else if (htoki_is(name, "content-length")) {
        if (h->has_length) {
            return HTOK_REASON_HTTP_LENGTH_REPEATED;
        }
        h->has_length = true;
        if (h->value_cut || !htoki_parse_decimal(value, UINT64_MAX / 4, &h->length)) {
            return htoki_list_has(value, "") || memchr(h->texts->value, ',', h->value_len)
                       ? HTOK_REASON_HTTP_LENGTH_REPEATED
                       : HTOK_REASON_HTTP_LENGTH;
        }
    } else if (htoki_is(name, "transfer-encoding")) {
        if (h->has_coding || h->value_cut || !htoki_is_nocase(value, "chunked")) {
            return HTOK_REASON_HTTP_TRANSFER_CODING;
        }
        h->has_coding = h->chunked = true;
    } else if (htoki_is(name, "content-encoding")) {
        h->content_coded = h->content_coded || h->value_cut || !htoki_is_nocase(value, "identity");
    } else if (htoki_is(name, "connection")) {
        h->connection_close = h->connection_close || h->value_cut || htoki_list_has(value, "close");
    } else if (htoki_is(name, "content-type")) {
        h->content_types = (unsigned char)(h->content_types < 2 ? h->content_types + 1 : 2);
        h->content_json = h->content_types == 1 && htoki_is_json_type(value);
        if (h->status / 100 != 3) {
            htoki_http_note(h, value);
        }
    } else if (htoki_is(name, "location")) {
        if (h->status / 100 == 3) {
            htoki_http_note(h, value);
        }
    } else {
        htoki_http_advice(h, name, value);
    }
    return HTOK_REASON_NONE;
}

/* An interim answer's head is over: what its fields said does not count for the final one. */
static void htoki_http_forget_fields(htoki_http *h)
{
    h->chunked = h->has_length = h->has_coding = h->connection_close = h->content_coded = false;
    h->challenged = h->offers_basic = false;
    h->content_types = 0;
    h->content_json = false;
    h->length = 0;
    h->texts->note[0] = h->retry_after[0] = '\0';
    h->state = HTOKI_H_VERSION;
    h->index = 0;
    h->status = 0;
}

/* A head is complete: how the body ends (RFC 9112 section 6.3). */
static htoki_http_event htoki_http_head_done(htoki_http *h)
{
    if (h->status >= 100 && h->status < 200) {
        if (h->status == 101) {
            return htoki_http_fail(h, HTOK_REASON_HTTP_UPGRADE);
        }
        if (h->interim++ == h->limits.interim) {
            return htoki_http_fail(h, HTOK_REASON_HTTP_INTERIM_LIMIT);
        }
        htoki_http_forget_fields(h);
        return HTOKI_HTTP_MORE;
    }
    if (h->to_connect) {
        h->state = HTOKI_H_DONE;
        h->final = true;
        return HTOKI_HTTP_HEAD;
    }
    if (h->has_coding && (h->has_length || h->version_1_0)) {
        return htoki_http_fail(h, h->has_length ? HTOK_REASON_HTTP_LENGTH_AND_CODING
                                                : HTOK_REASON_HTTP_TRANSFER_CODING);
    }
    if (h->content_coded) {
        return htoki_http_fail(h, HTOK_REASON_HTTP_CONTENT_CODING);
    }
    if (h->status == 204 || h->status == 304) {
        h->state = HTOKI_H_DONE;
    } else if (h->chunked) {
        h->state = HTOKI_H_CHUNK_SIZE;
        h->index = 0;
    } else if (!h->has_length) {
        h->state = HTOKI_H_BODY_CLOSE;
    } else if (h->length > h->limits.body_bytes) {
        return htoki_http_fail(h, HTOK_REASON_BODY_LIMIT);
    } else {
        h->remaining = h->length;
        h->state = h->length ? HTOKI_H_BODY_LENGTH : HTOKI_H_DONE;
    }
    h->final = true;
    return HTOKI_HTTP_HEAD;
}

/* The empty line after fields: the end of a head or of the trailers. */
static htoki_http_event htoki_http_fields_done(htoki_http *h)
{
    if (h->trailer) {
        h->state = HTOKI_H_DONE;
        return HTOKI_HTTP_END;
    }
    h->state = HTOKI_H_HEAD_DONE;
    return htoki_http_head_done(h);
}

/* "HTTP/1." and a minor version, a space, three digits, a space (RFC 9112 section 4). */
static htoki_http_event htoki_http_status_byte(htoki_http *h, char c)
{
    static const char version[] = "HTTP/1.";
    if (h->state == HTOKI_H_VERSION) {
        if (h->index < 7 ? c != version[h->index] : !htoki_is_digit(c)) {
            return htoki_http_fail(h, h->index >= 5 && htoki_is_digit(c) ? HTOK_REASON_HTTP_VERSION
                                                                         : HTOK_REASON_HTTP_STATUS_LINE);
        }
        h->version_1_0 = h->index == 7 && c == '0';
        if (h->index++ == 7) {
            h->state = HTOKI_H_STATUS;
            h->index = 0;
        }
        return HTOKI_HTTP_MORE;
    }
    if (h->index == 0 || h->index == 4 ? c != ' ' : !htoki_is_digit(c)) {
        return htoki_http_fail(h, HTOK_REASON_HTTP_STATUS_LINE);
    }
    h->status = h->index == 0 || h->index == 4 ? h->status : h->status * 10 + (c - '0');
    if (h->index++ == 4) {
        h->state = HTOKI_H_REASON;
    }
    return HTOKI_HTTP_MORE;
}

static htoki_http_event htoki_http_name_byte(htoki_http *h, char c)
{
    if (c == ':' && h->state == HTOKI_H_NAME) {
        h->state = HTOKI_H_VALUE_START;
        h->value_len = 0;
        h->value_cut = false;
        return HTOKI_HTTP_MORE;
    }
    if (!htoki_is_token_char(c)) {
        return htoki_http_fail(h, c == '\n' && h->state == HTOKI_H_LINE_START ? HTOK_REASON_HTTP_LINE_END
                                                                              : HTOK_REASON_HTTP_FIELD_NAME);
    }
    h->state = HTOKI_H_NAME;
    if (h->name_len < sizeof h->texts->name && !h->trailer) {
        h->texts->name[h->name_len] = htoki_lower(c);
    }
    h->name_len = (unsigned char)(h->name_len + (h->name_len <= sizeof h->texts->name));
    return HTOKI_HTTP_MORE;
}

/* The byte that follows the status line, a field line or the fields. */
static htoki_http_event htoki_http_line_start(htoki_http *h, char c)
{
    if (c == '\r') {
        h->state = HTOKI_H_HEAD_FEED;
        return HTOKI_HTTP_MORE;
    }
    if (c == ' ' || c == '\t') {
        return htoki_http_fail(h, HTOK_REASON_HTTP_FIELD_FOLDED);
    }
    if (h->fields++ == h->limits.fields) {
        return htoki_http_fail(h, HTOK_REASON_HTTP_FIELD_LIMIT);
    }
    h->name_len = 0;
    return htoki_http_name_byte(h, c);
}

static htoki_http_event htoki_http_value_byte(htoki_http *h, char c)
{
    if (c == '\r') {
        htok_reason reason = htoki_http_field(h);
        h->state = HTOKI_H_LINE_FEED;
        return reason == HTOK_REASON_NONE ? HTOKI_HTTP_MORE : htoki_http_fail(h, reason);
    }
    if (htoki_is_control(c) && c != '\t') {
        return htoki_http_fail(h, c == '\n' ? HTOK_REASON_HTTP_LINE_END : HTOK_REASON_HTTP_FIELD_VALUE);
    }
    if (h->state == HTOKI_H_VALUE_START && (c == ' ' || c == '\t')) {
        return HTOKI_HTTP_MORE;
    }
    h->state = HTOKI_H_VALUE;
    if (h->trailer) {
        return HTOKI_HTTP_MORE;
    }
    if (h->value_len < sizeof h->texts->value) {
        h->texts->value[h->value_len++] = c;
    } else {
        h->value_cut = h->value_cut || (c != ' ' && c != '\t');
    }
    return HTOKI_HTTP_MORE;
}

/* A byte of a chunk's size line (RFC 9112 section 7.1); extensions are checked for controls and ignored. */
static htoki_http_event htoki_http_chunk_byte(htoki_http *h, char c)
{
    int digit = htoki_hex_value(c);
    if (c == '\r' && (h->state == HTOKI_H_CHUNK_EXTENSION || h->index > 0)) {
        h->state = HTOKI_H_CHUNK_SIZE_FEED;
        return HTOKI_HTTP_MORE;
    }
    if (h->state == HTOKI_H_CHUNK_EXTENSION) {
        return htoki_is_control(c) && c != '\t' ? htoki_http_fail(h, HTOK_REASON_HTTP_CHUNK_EXTENSION)
                                                : HTOKI_HTTP_MORE;
    }
    if (h->index > 0 && (c == ';' || c == ' ' || c == '\t')) {
        h->state = HTOKI_H_CHUNK_EXTENSION;
        return HTOKI_HTTP_MORE;
    }
    if (digit < 0 || h->index == 16) {
        return htoki_http_fail(h, HTOK_REASON_HTTP_CHUNK_SIZE);
    }
    h->remaining = (h->index == 0 ? 0 : h->remaining) << 4 | (unsigned)digit;
    h->index++;
    return HTOKI_HTTP_MORE;
}

/* A chunk's size line is complete. */
static htoki_http_event htoki_http_chunk_begin(htoki_http *h)
{
    if (h->remaining == 0) {
        h->trailer = true;
        h->state = HTOKI_H_LINE_START;
        return HTOKI_HTTP_MORE;
    }
    if (h->remaining > h->limits.body_bytes - h->body_received) {
        return htoki_http_fail(h, HTOK_REASON_BODY_LIMIT);
    }
    h->state = HTOKI_H_CHUNK_DATA;
    return HTOKI_HTTP_MORE;
}

/* A byte of framing. */
static htoki_http_event htoki_http_byte(htoki_http *h, char c)
{
    switch (h->state) {
    case HTOKI_H_VERSION:
    case HTOKI_H_STATUS: return htoki_http_status_byte(h, c);
    case HTOKI_H_REASON:
        h->state = c == '\r' ? HTOKI_H_LINE_FEED : HTOKI_H_REASON;
        return htoki_is_control(c) && c != '\t' && c != '\r'
                   ? htoki_http_fail(h, c == '\n' ? HTOK_REASON_HTTP_LINE_END : HTOK_REASON_HTTP_STATUS_LINE)
                   : HTOKI_HTTP_MORE;
    case HTOKI_H_LINE_START: return htoki_http_line_start(h, c);
    case HTOKI_H_NAME: return htoki_http_name_byte(h, c);
    case HTOKI_H_VALUE_START:
    case HTOKI_H_VALUE: return htoki_http_value_byte(h, c);
    case HTOKI_H_LINE_FEED:
        h->state = HTOKI_H_LINE_START;
        return c == '\n' ? HTOKI_HTTP_MORE : htoki_http_fail(h, HTOK_REASON_HTTP_LINE_END);
    case HTOKI_H_HEAD_FEED:
        return c == '\n' ? htoki_http_fields_done(h) : htoki_http_fail(h, HTOK_REASON_HTTP_LINE_END);
    case HTOKI_H_CHUNK_SIZE:
    case HTOKI_H_CHUNK_EXTENSION: return htoki_http_chunk_byte(h, c);
    case HTOKI_H_CHUNK_SIZE_FEED:
        return c == '\n' ? htoki_http_chunk_begin(h) : htoki_http_fail(h, HTOK_REASON_HTTP_LINE_END);
    case HTOKI_H_CHUNK_DATA_RETURN:
        h->state = HTOKI_H_CHUNK_DATA_FEED;
        return c == '\r' ? HTOKI_HTTP_MORE : htoki_http_fail(h, HTOK_REASON_HTTP_CHUNK_END);
    default: /* HTOKI_H_CHUNK_DATA_FEED */
        h->state = HTOKI_H_CHUNK_SIZE;
        h->index = 0;
        return c == '\n' ? HTOKI_HTTP_MORE : htoki_http_fail(h, HTOK_REASON_HTTP_CHUNK_END);
    }
}

#if HTOKI_SHORTCUTS
/* Takes what is at the front of a name or a value and needs no look; says how many bytes. */
static size_t htoki_http_run(htoki_http *h, const char *bytes, size_t len)
{
    htoki_http_texts *texts = h->texts;
    size_t n;
    if (h->state == HTOKI_H_NAME) {
        for (n = 0;
             n < len && h->name_len < sizeof texts->name && (htoki_is_alpha(bytes[n]) || bytes[n] == '-');
             n++) {
            texts->name[h->name_len++] = htoki_lower(bytes[n]);
        }
    } else {
        for (n = 0; n < len && h->value_len < sizeof texts->value && !htoki_is_control(bytes[n]); n++) {
            texts->value[h->value_len++] = bytes[n];
        }
    }
    return n;
}
#endif

static bool htoki_http_in_body(const htoki_http *h)
{
    return h->state == HTOKI_H_BODY_LENGTH || h->state == HTOKI_H_BODY_CLOSE ||
           h->state == HTOKI_H_CHUNK_DATA;
}

/* Consumes bytes up to the next event. The body's bytes are never consumed here, see htoki_http_take(). */
static htoki_http_event htoki_http_feed(htoki_http *h, const char *bytes, size_t len, size_t *consumed)
{
    htoki_http_event event = h->reason == HTOK_REASON_NONE ? HTOKI_HTTP_MORE : HTOKI_HTTP_ERROR;
    size_t at = 0;
    while (at < len && event == HTOKI_HTTP_MORE && !htoki_http_in_body(h) && h->state != HTOKI_H_DONE) {
        if (h->overhead == h->limits.head_bytes && h->state < HTOKI_H_HEAD_DONE) {
            event = htoki_http_fail(h, HTOK_REASON_HTTP_HEAD_LIMIT);
            break;
        }
#if HTOKI_SHORTCUTS
        if (!h->trailer && (h->state == HTOKI_H_NAME || h->state == HTOKI_H_VALUE)) {
            uint32_t room = h->limits.head_bytes - h->overhead;
            size_t n = htoki_http_run(h, bytes + at, len - at < room ? len - at : room);
            h->overhead += (uint32_t)n;
            at += n;
            if (n != 0) {
                continue;
            }
        }
#endif
        if (h->state < HTOKI_H_HEAD_DONE || h->state == HTOKI_H_CHUNK_EXTENSION) {
            h->overhead++;
        }
        if (h->overhead > h->limits.head_bytes) {
            event = htoki_http_fail(h, HTOK_REASON_HTTP_CHUNK_EXTENSION);
            break;
        }
        event = htoki_http_byte(h, bytes[at]);
        at += event == HTOKI_HTTP_ERROR ? 0 : 1;
    }
    h->offset += at;
    *consumed = at;
    if (event == HTOKI_HTTP_MORE && h->state == HTOKI_H_DONE) {
        return HTOKI_HTTP_END;
    }
    if (event == HTOKI_HTTP_MORE && htoki_http_in_body(h) && at < len) {
        h->body_len = len - at;
        if (h->state != HTOKI_H_BODY_CLOSE && h->body_len > h->remaining) {
            h->body_len = (size_t)h->remaining;
        }
        if (h->body_len > h->limits.body_bytes - h->body_received) {
            h->body_len = (size_t)(h->limits.body_bytes - h->body_received);
        }
        return h->body_len ? HTOKI_HTTP_BODY : htoki_http_fail(h, HTOK_REASON_BODY_LIMIT);
    }
    return event;
}

/* Lowers the body's limit once its head is known; false when the announced length is over it. */
static bool htoki_http_limit_body(htoki_http *h, uint64_t body_bytes)
{
    h->limits.body_bytes = body_bytes < h->limits.body_bytes ? body_bytes : h->limits.body_bytes;
    if (h->state == HTOKI_H_BODY_LENGTH && h->length > h->limits.body_bytes) {
        htoki_http_fail(h, HTOK_REASON_BODY_LIMIT);
    }
    return h->reason == HTOK_REASON_NONE;
}

/* The body's next count bytes, at most body_len, have been used. */
static void htoki_http_take(htoki_http *h, size_t count)
{
    h->offset += count;
    h->body_received += count;
    if (h->state == HTOKI_H_BODY_CLOSE) {
        return;
    }
    h->remaining -= count;
    if (h->remaining == 0) {
        h->state = h->state == HTOKI_H_CHUNK_DATA ? HTOKI_H_CHUNK_DATA_RETURN : HTOKI_H_DONE;
    }
}

/* The stream has ended; clean says that the peer said so (close_notify, or FIN where there is no TLS). */
static htoki_http_event htoki_http_eof(htoki_http *h, bool clean)
{
    if (h->state == HTOKI_H_BODY_CLOSE && clean) {
        h->state = HTOKI_H_DONE;
    }
    if (h->state == HTOKI_H_DONE) {
        return HTOKI_HTTP_END;
    }
    return htoki_http_fail(h, h->final ? HTOK_REASON_BODY_TRUNCATED : HTOK_REASON_CLOSED_EARLY);
}

/* >>tunnel ----------------------------------------------------------------------------------------------- */
/* CONNECT to a proxy and the head of its answer (RFC 9110 section 9.3.6): bytes out, bytes in, end of stream in,
   verdict out. Must not know: the request that follows, TLS, sockets. */

#if HTOKI_TLS /* without it no https is spoken here, and nothing else goes through a proxy */

typedef enum htoki_tunnel_event {
    HTOKI_TUNNEL_MORE,  /* all bytes are consumed */
    HTOKI_TUNNEL_OPEN,  /* what follows is between us and the server */
    HTOKI_TUNNEL_FAILED /* the error record is filled */
} htoki_tunnel_event;

/* Views are borrowed. */
typedef struct htoki_tunnel {
    htoki_http http;
    htoki_http_texts texts;
    const htoki_url *url;                 /* of the server */
    htok_view user, password, user_agent; /* user.ptr NULL: no credentials */
    size_t request_bytes, sent_bytes;     /* of the whole request; handed out so far */
} htoki_tunnel;

/* Base64 (RFC 4648 section 4) of up to three bytes. */
static void htoki_put_base64(htoki_writer *w, const unsigned char *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    size_t i;
    for (i = 0; i < 3; i++) {
        bits = bits << 8 | (i < len ? bytes[i] : 0u);
    }
    for (i = 0; i < 4; i++) {
        htoki_put_char(w, i <= len ? digits[bits >> (18 - 6 * i) & 63] : '=');
    }
}

/* Base64 of user, colon and password: RFC 7617 section 2. */
static void htoki_put_credentials(htoki_writer *w, htok_view user, htok_view password)
{
    size_t len = user.len + 1 + password.len, at;
    unsigned char three[3];
    for (at = 0; at < len; at++) {
        three[at % 3] = (unsigned char)(at < user.len    ? user.ptr[at]
                                        : at == user.len ? ':'
                                                         : password.ptr[at - user.len - 1]);
        if (at % 3 == 2 || at + 1 == len) {
            htoki_put_base64(w, three, at % 3 + 1);
        }
    }
    htoki_wipe(three, sizeof three);
}

/* Host and port, which authority-form always has (RFC 9112 section 3.2.3). */
static void htoki_put_host_and_port(htoki_writer *w, const htoki_url *url)
{
    htoki_put_text(w, url->bracketed ? "[" : "");
    htoki_put_text(w, url->host);
    htoki_put_text(w, url->bracketed ? "]:" : ":");
    htoki_put_decimal(w, url->port);
}

static void htoki_put_connect(htoki_writer *w, const htoki_tunnel *t)
{
    htoki_put_text(w, "CONNECT ");
    htoki_put_host_and_port(w, t->url);
    htoki_put_text(w, " HTTP/1.1\r\nHost: ");
    htoki_put_host_and_port(w, t->url);
    htoki_put_text(w, "\r\n");
    htoki_put_field(w, "User-Agent", t->user_agent);
    if (t->user.ptr) {
        htoki_put_text(w, "Proxy-Authorization: Basic ");
        htoki_put_credentials(w, t->user, t->password);
        htoki_put_text(w, "\r\n");
    }
    htoki_put_text(w, "\r\n");
}

static void htoki_tunnel_begin(htoki_tunnel *t, const htoki_url *url, const htok_proxy *proxy,
                               htok_view user_agent, const htoki_http_limits *limits)
{
    htoki_writer counter = htoki_writer_make(NULL, 0, 0);
    memset(t, 0, sizeof *t);
    htoki_http_begin(&t->http, limits, &t->texts);
    t->http.to_connect = true;
    t->url = url;
    t->user = htoki_text(proxy->user);
    t->password = htoki_text(proxy->password);
    t->user_agent = user_agent;
    htoki_put_connect(&counter, t);
    t->request_bytes = counter.total;
}

/* Writes the request's next bytes, which count as sent. */
static size_t htoki_tunnel_output(htoki_tunnel *t, void *out, size_t size)
{
    htoki_writer w = htoki_writer_make((char *)out, size, t->sent_bytes);
    size_t filled = 0;
    if (t->sent_bytes != t->request_bytes) {
        htoki_put_connect(&w, t);
        filled = htoki_writer_filled(&w);
        t->sent_bytes += filled;
    }
    return filled;
}

/* The record's status stays that of the server. */
static htoki_tunnel_event htoki_tunnel_fail(const htoki_tunnel *t, htok_error *e, htok_reason reason,
                                            const char *why)
{
    e->proxy_status = htoki_http_has_status(&t->http) ? t->http.status : 0;
    htoki_error_text(e->detail, sizeof e->detail, htoki_text(why));
    (void)htoki_fail_at(e, reason, HTOK_PHASE_PROXY,
                        reason == HTOK_REASON_PROXY_ANSWER ? (int64_t)t->http.offset : -1);
    return HTOKI_TUNNEL_FAILED;
}

/* The answer's head is complete: 2xx and nothing else opens the tunnel. early: the request is not; unread bytes stand
   behind the head. */
static htoki_tunnel_event htoki_tunnel_head(const htoki_tunnel *t, bool early, size_t unread, htok_error *e)
{
    const htoki_http *h = &t->http;
    if (h->status == 407 || h->status == 401) { /* tinyproxy says 401 to a wrong password */
        return htoki_tunnel_fail(t, e, HTOK_REASON_PROXY_AUTHENTICATION,
                                 h->challenged && !h->offers_basic
                                     ? HTOKI_SAY("it does not offer Basic, the one scheme known here")
                                 : t->user.ptr ? HTOKI_SAY("those given are refused")
                                               : HTOKI_SAY("none were given"));
    }
    if (h->status < 200 || h->status > 299) {
        return htoki_tunnel_fail(t, e, HTOK_REASON_PROXY_REFUSED, "");
    }
    if (early || unread != 0) {
        return htoki_tunnel_fail(t, e, HTOK_REASON_PROXY_ANSWER,
                                 early ? HTOKI_SAY("it came before the request was whole")
                                       : HTOKI_SAY("bytes that nobody asked for stand behind it"));
    }
    return HTOKI_TUNNEL_OPEN;
}

/* unsent: bytes of the request that were handed out and have not left. */
static htoki_tunnel_event htoki_tunnel_input(htoki_tunnel *t, const char *bytes, size_t len, size_t unsent,
                                             htok_error *e)
{
    size_t used;
    htoki_http_event found = htoki_http_feed(&t->http, bytes, len, &used);
    if (found == HTOKI_HTTP_ERROR) {
        return htoki_tunnel_fail(t, e, HTOK_REASON_PROXY_ANSWER, htoki_reason_text(t->http.reason));
    }
    return found == HTOKI_HTTP_HEAD
               ? htoki_tunnel_head(t, unsent != 0 || t->sent_bytes != t->request_bytes, len - used, e)
               : HTOKI_TUNNEL_MORE;
}

/* The stream has ended. */
static htoki_tunnel_event htoki_tunnel_eof(const htoki_tunnel *t, htok_error *e)
{
    return htoki_tunnel_fail(t, e, HTOK_REASON_PROXY_CLOSED, "");
}
#endif

/* >>retry ------------------------------------------------------------------------------------------------ */
/* Whether and when to try again. A pure function of policy, outcome, attempt, elapsed time and a random
   number. Must not know: clocks, sockets. */

/* Calls match for each entry of "429,5XX"; returns false when the text is malformed. With status 0 it only
   checks. */
static bool htoki_codes_match(const char *codes, int status, bool *match)
{
    size_t at = 0;
    *match = false;
    for (;;) {
        char a = codes[at], b = a ? codes[at + 1] : '\0', c = b ? codes[at + 2] : '\0';
        bool family = htoki_lower(b) == 'x' && htoki_lower(c) == 'x';
        if (a < '1' || a > '5' || (!family && (!htoki_is_digit(b) || !htoki_is_digit(c)))) {
            return false;
        }
        if (status / 100 == a - '0' && (family || status % 100 == (b - '0') * 10 + (c - '0'))) {
            *match = true;
        }
        at += 3;
        if (codes[at] == '\0') {
            return true;
        }
        if (codes[at++] != ',') {
            return false;
        }
        while (codes[at] == ' ') {
            at++;
        }
    }
}

/* floor(sqrt(v)), one bit a step. */
static uint64_t htoki_square_root(uint64_t v)
{
    uint64_t root = 0, bit = (uint64_t)1 << 62;
    while (bit > v) {
        bit >>= 2;
    }
    while (bit != 0) {
        if (v >= root + bit) {
            v -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
        bit >>= 2;
    }
    return root;
}

/* base^(exponent_thousandths / 1000) in units of 1/65536, at most limit (itself at most 2^48). Whole powers
   by multiplication; the fraction, bit by bit, by square roots: no floating point, so no library and no
   rounding that differs between machines. */
static uint64_t htoki_power(uint32_t base, uint32_t exponent_thousandths, uint64_t limit)
{
    uint64_t result = 65536, root = (uint64_t)(base < 65535 ? base : 65535) << 32;
    uint32_t whole = exponent_thousandths / 1000, rest = exponent_thousandths % 1000;
    int bit;
    if (base == 0) {
        return 0;
    }
    for (bit = 0; bit < 16; bit++) {
        root = htoki_square_root(root << 14) << 9; /* 32 bits of fraction, of which 23 count */
        rest *= 2;
        if (rest >= 1000) {
            rest -= 1000;
            result = (result * (root >> 16)) >> 16;
        }
    }
    for (; whole != 0 && result < limit; whole--) {
        result = result > limit / base ? limit : result * base;
    }
    return result < limit ? result : limit;
}

/* Whether a request may be sent again without harm, or with the harm that the caller accepts. */
static bool htoki_may_repeat(htok_repeat repeat, bool idempotent, bool sent_any)
{
    return !sent_any || repeat == HTOK_REPEAT_ALWAYS || (idempotent && repeat != HTOK_REPEAT_UNSENT);
}

typedef struct htoki_outcome {
    htok_kind kind; /* of the attempt */
    int status;
    int64_t retry_after_ms; /* -1: none */
    bool permanent;         /* trying again cannot help: a certificate was refused, an option is wrong */
    bool may_repeat;        /* see htoki_may_repeat() */
} htoki_outcome;

/* Milliseconds to wait before the next attempt, or -1 for none. attempt counts from 0; elapsed_ms is since
   the call's start; random is uniform over its 32 bits. retry has its defaults filled in. */
static int64_t htoki_retry_wait_ms(const htok_retry *retry, const htoki_outcome *outcome, uint32_t attempt,
                                   uint64_t elapsed_ms, uint32_t random)
{
    bool match = false;
    uint64_t wait;
    if (retry->strategy != HTOK_RETRY_BACKOFF || outcome->permanent || !outcome->may_repeat) {
        return -1;
    }
    if (outcome->kind == HTOK_CONNECTION_ERROR || outcome->kind == HTOK_REQUEST_TIMEOUT_ERROR) {
        match = retry->retry_connection_errors;
    } else if (outcome->status != 0) {
        htoki_codes_match(retry->codes, outcome->status, &match);
    }
    if (!match) {
        return -1;
    }
    if (outcome->retry_after_ms >= 0) {
        wait = (uint64_t)outcome->retry_after_ms;
        wait = wait < retry->initial_interval_ms ? retry->initial_interval_ms : wait;
    } else {
        uint64_t limit = ((uint64_t)retry->max_interval_ms << 16) / retry->initial_interval_ms + 65536;
        wait = (htoki_power(attempt, retry->exponent_thousandths, limit) * retry->initial_interval_ms) >> 16;
        wait += ((uint64_t)random * 1001) >> 32;
    }
    wait = wait > retry->max_interval_ms ? retry->max_interval_ms : wait;
    return elapsed_ms > retry->max_elapsed_ms || wait > retry->max_elapsed_ms - elapsed_ms ? -1
                                                                                           : (int64_t)wait;
}

/* >>models ----------------------------------------------------------------------------------------------- */
/* OrgToken, CreatedOrgToken and ApiError from one parsed element. Takes tokens; gives the public structs, or
   a reason and a member path. Unknown members are ignored; a known one that appears twice is refused, for two
   readers of it could disagree. Must not know: HTTP. */

static htok_kind htoki_fail_member(htok_error *e, htok_reason reason, htok_view base, const char *member)
{
    htoki_writer w = htoki_writer_make(e->path, sizeof e->path, 0);
    htoki_put_view(&w, base);
    htoki_put_text(&w, base.len != 0 && *member != '\0' ? "." : "");
    htoki_put_text(&w, member);
    htoki_writer_end(&w);
    return htoki_fail(e, reason, HTOK_PHASE_MODEL);
}

/* Names of members: texts that a NUL follows. */
#define HTOKI_NAME(text)       \
    {                          \
        text, sizeof(text) - 1 \
    }

static inline bool htoki_is_member(const htoki_json *j, htok_view key, htok_view name)
{
    return j->escapes ? htoki_json_spells(key, name.ptr) : htoki_equal(key, name);
}

/* Finds an object's members by name: found[i] is the token of names[i]'s value, or -1. Quickest where they come in the
   order of the names. */
static htok_kind htoki_find_members(const htoki_json *j, int object, const htok_view *names, int count,
                                    int *found, htok_view base, htok_error *e)
{
    int token = object + 1, left = j->tokens[object].size, i, tried;
    for (i = 0; i < count; i++) {
        found[i] = -1;
    }
    for (; left > 0; left--) {
        htok_view key = htoki_json_raw(j, token);
        i = i < count ? i : 0;
        for (tried = 0; tried < count && !htoki_is_member(j, key, names[i]); tried++) {
            i = i + 1 < count ? i + 1 : 0;
        }
        if (tried < count && found[i] >= 0) {
            return htoki_fail_member(e, HTOK_REASON_MEMBER_DUPLICATE, base, names[i].ptr);
        }
        if (tried < count) {
            found[i++] = token + 1;
        }
        token = htoki_json_next(j, token + 1);
    }
    return HTOK_OK;
}

static inline htok_kind htoki_read_string(htoki_json *j, int token, htok_view *out, htok_view base,
                                          const char *name, htok_error *e)
{
    if (token < 0) {
        return htoki_fail_member(e, HTOK_REASON_MEMBER_MISSING, base, name);
    }
    if (htoki_json_token_type(j, token) != '"') {
        return htoki_fail_member(e, HTOK_REASON_MEMBER_TYPE, base, name);
    }
    *out = htoki_json_string(j, token);
    return HTOK_OK;
}

/* Absent, a string, or an array of strings. */
static htok_kind htoki_read_scopes(htoki_json *j, int token, htok_org_token *out, htok_view base,
                                   htok_error *e)
{
    htok_view *views;
    size_t i;
    int at;
    char type = token < 0 ? '\0' : htoki_json_token_type(j, token);
    if (token < 0) {
        out->scopes_form = HTOK_SCOPES_ABSENT;
        return HTOK_OK;
    }
    if (type != '[' && type != '"') {
        return htoki_fail_member(e, HTOK_REASON_MEMBER_TYPE, base, "scopes");
    }
    if (type == '"' && htoki_json_spells(htoki_json_raw(j, token), "admin")) {
        out->scopes_form = HTOK_SCOPES_ADMIN;
        return HTOK_OK;
    }
    out->scopes_form = type == '"' ? HTOK_SCOPES_OTHER : HTOK_SCOPES_LIST;
    out->scope_count = type == '"' ? 1 : (size_t)j->tokens[token].size;
    views = htoki_json_views(j, out->scope_count);
    if (!views) {
        return htoki_fail_member(e, HTOK_REASON_ELEMENT_LIMIT, base, "scopes");
    }
    out->scopes = views;
    if (type == '"') {
        views[0] = htoki_json_string(j, token);
        return HTOK_OK;
    }
    at = token + 1;
    for (i = 0; i < out->scope_count && htoki_json_token_type(j, at) == '"'; i++) {
        views[i] = htoki_json_string(j, at++);
    }
    if (i < out->scope_count) {
        char member[32];
        htoki_writer w = htoki_writer_make(member, sizeof member, 0);
        htoki_put_text(&w, "scopes[");
        htoki_put_decimal(&w, i);
        htoki_put_char(&w, ']');
        htoki_writer_end(&w);
        return htoki_fail_member(e, HTOK_REASON_MEMBER_TYPE, base, member);
    }
    return HTOK_OK;
}

static htok_kind htoki_read_org_token(htoki_json *j, int object, htok_org_token *out, htok_view base,
                                      htok_error *e)
{
    static const htok_view names[] = {HTOKI_NAME("orgTokenId"),
                                      HTOKI_NAME("orgId"),
                                      HTOKI_NAME("name"),
                                      HTOKI_NAME("status"),
                                      HTOKI_NAME("lastFourCharsOfKey"),
                                      HTOKI_NAME("createdBy"),
                                      HTOKI_NAME("createdAt"),
                                      HTOKI_NAME("scopes")};
    htok_view *texts[7];
    int found[HTOKI_COUNT(names)], i;
    memset(out, 0, sizeof *out);
    texts[0] = &out->org_token_id;
    texts[1] = &out->org_id;
    texts[2] = &out->name;
    texts[3] = &out->status_text;
    texts[4] = &out->last_four_chars_of_key;
    texts[5] = &out->created_by;
    texts[6] = &out->created_at;
    if (htoki_find_members(j, object, names, (int)HTOKI_COUNT(names), found, base, e) != HTOK_OK) {
        return e->kind;
    }
    for (i = 0; i < 7; i++) {
        if (htoki_read_string(j, found[i], texts[i], base, names[i].ptr, e) != HTOK_OK) {
            return e->kind;
        }
    }
    out->status = htoki_is(out->status_text, "active")    ? HTOK_TOKEN_STATUS_ACTIVE
                  : htoki_is(out->status_text, "revoked") ? HTOK_TOKEN_STATUS_REVOKED
                                                          : HTOK_TOKEN_STATUS_OTHER;
    if (!htoki_rfc3339_parse(out->created_at, &out->created_at_ms)) {
        return htoki_fail_member(e, HTOK_REASON_MEMBER_DATE, base, "createdAt");
    }
    return htoki_read_scopes(j, found[7], out, base, e);
}

static htok_kind htoki_read_created(htoki_json *j, htok_created_org_token *out, htok_error *e)
{
    static const htok_view names[] = {HTOKI_NAME("plainTextToken"), HTOKI_NAME("orgToken")};
    const htok_view root = htoki_view("", 0);
    int found[2];
    if (htoki_find_members(j, 0, names, 2, found, root, e) != HTOK_OK ||
        htoki_read_string(j, found[0], &out->plain_text_token, root, names[0].ptr, e) != HTOK_OK) {
        return e->kind;
    }
    if (found[1] < 0 || htoki_json_token_type(j, found[1]) != '{') {
        return htoki_fail_member(e, found[1] < 0 ? HTOK_REASON_MEMBER_MISSING : HTOK_REASON_MEMBER_TYPE, root,
                                 names[1].ptr);
    }
    return htoki_read_org_token(j, found[1], &out->org_token, names[1], e);
}

/* ApiError's message, decoded into the free space behind the tokens so that the body stays as it was
   received; where that is too small, decoded in place with *in_place set. */
static htok_kind htoki_read_api_error(htoki_json *j, htok_view *message, bool *in_place, htok_error *e)
{
    static const htok_view names[] = {HTOKI_NAME("message")};
    const htok_view root = htoki_view("", 0);
    htok_view raw;
    char *room;
    int found[1];
    if (htoki_find_members(j, 0, names, 1, found, root, e) != HTOK_OK) {
        return e->kind;
    }
    if (found[0] < 0 || htoki_json_token_type(j, found[0]) != '"') {
        return htoki_fail_member(e, found[0] < 0 ? HTOK_REASON_MEMBER_MISSING : HTOK_REASON_MEMBER_TYPE, root,
                                 names[0].ptr);
    }
    raw = htoki_json_raw(j, found[0]);
    room = (char *)(void *)htoki_json_views(j, raw.len / sizeof(htok_view) + 1);
    *in_place = room == NULL;
    if (!room) {
        *message = htoki_json_string(j, found[0]);
        return HTOK_OK;
    }
    *message = htoki_view(room, htoki_json_decode(raw.ptr, raw.len, room));
    room[message->len] = '\0';
    return HTOK_OK;
}

/* >>operation -------------------------------------------------------------------------------------------- */
/* One request and its answer: bytes out, bytes in, end of stream in, verdict out. Takes a request, limits and
   a work buffer, which holds the head's texts and then what is kept of the body; gives OrgTokens one at a time, a result, or a filled error record. Must not know: how bytes
   travel, when. */

typedef enum htoki_op_event {
    HTOKI_OP_MORE,  /* all bytes are consumed */
    HTOKI_OP_ITEM,  /* op->created.org_token holds one more OrgToken */
    HTOKI_OP_DONE,  /* success */
    HTOKI_OP_FAILED /* the error record is filled */
} htoki_op_event;

/* How the body is read. */
typedef enum htoki_body_form {
    HTOKI_BODY_LIST,   /* elements of "tokens", one at a time */
    HTOKI_BODY_OBJECT, /* one object, kept whole: CreatedOrgToken or ApiError */
    HTOKI_BODY_BOOLEAN,
    HTOKI_BODY_RAW /* of an SDKError: its beginning is kept as it is */
} htoki_body_form;

typedef struct htoki_op {
    htoki_body_form form;
    bool wanted;  /* the answer is the documented success, so far */
    bool cut;     /* the raw body goes on past the work buffer */
    bool capture; /* the value at hand goes to the work buffer */
#if HTOKI_SHORTCUTS
    bool known; /* at its end are outlines that are whole */
#endif
    bool key_is_tokens, in_tokens, seen_tokens;
    char boolean; /* 't', 'f' or NUL */
    char *work;
    size_t work_bytes, filled; /* bytes of the work buffer in use */
    size_t work_used;          /* what was ever written of it */
    htok_error *error;
    size_t request_bytes,
        sent_bytes;            /* of the whole request, once it was written; handed out and acknowledged */
    size_t element_bytes;      /* limit of one JSON element, at most work_bytes */
    uint32_t error_body_bytes; /* limit */
    uint64_t item_count;       /* OrgTokens found so far */
    htoki_http http;
    htoki_scan scan;
    htoki_request request;
    htok_created_org_token created; /* of a create; its org_token is also a list's item */
} htoki_op;

static void htoki_op_begin(htoki_op *op, const htoki_request *request, const htoki_http_limits *limits,
                           uint32_t error_body_bytes, uint32_t element_bytes, void *work, size_t work_bytes,
                           htok_error *e)
{
    HTOKI_ASSERT(work_bytes >= sizeof(htoki_http_texts));
    memset(op, 0, sizeof *op);
    op->request = *request;
    op->error_body_bytes = error_body_bytes;
    op->element_bytes = element_bytes < work_bytes ? (size_t)element_bytes : work_bytes;
    op->work = (char *)work;
    op->work_bytes = work_bytes;
    op->work_used = sizeof(htoki_http_texts);
    op->error = e;
    op->request_bytes = SIZE_MAX;
    htoki_http_begin(&op->http, limits, (htoki_http_texts *)work);
}

/* Writes the request's next bytes; htoki_op_sent() says how many of them are on their way. */
static size_t htoki_op_output(htoki_op *op, void *out, size_t size)
{
    htoki_writer w = htoki_writer_make((char *)out, size, op->sent_bytes);
    if (op->sent_bytes == op->request_bytes) {
        return 0;
    }
    htoki_put_request(&w, &op->request);
    op->request_bytes = w.total;
    return htoki_writer_filled(&w);
}

static void htoki_op_sent(htoki_op *op, size_t count)
{
    op->sent_bytes += count;
}

static bool htoki_op_sent_all(const htoki_op *op)
{
    return op->sent_bytes == op->request_bytes;
}

/* Length of what spells the secret at the text's beginning, its characters plain or escaped as JSON allows
   (RFC 8259 section 7); 0 when it is something else. Where the text was cut off, a beginning of the secret at its
   end counts. */
static size_t htoki_secret_span(const char *text, size_t len, htok_view secret, bool cut)
{
    size_t at = 0, i, n;
    if (len >= secret.len && memcmp(text, secret.ptr, secret.len) == 0) {
        return secret.len;
    }
    for (i = 0; i < secret.len; i += n) {
        char c[4];
        size_t from = at;
        if (at == len) {
            return cut ? len : 0;
        }
        c[0] = text[at++];
        n = 1;
        if (c[0] == '\\' && at < len && (secret.ptr[i] != '\\' || text[at] == '\\')) {
            bool whole = text[at] != 'u';
            size_t digit;
            for (digit = 1; !whole && digit < len - at && htoki_hex_value(text[at + digit]) >= 0; digit++) {
                whole = digit == 4;
            }
            c[0] = '\0';
            at += whole ? htoki_json_unescape(text + at, len - at, c, &n) : digit;
        }
        if (n > secret.len - i || memcmp(c, secret.ptr + i, n) != 0) {
            /* What the cut left of an escape, or of two that are one character. */
            bool begun = n == 3 ? (c[1] & 0xf0) == 0xa0 && len - from < 12
                                : at == len && (c[0] == '\0' || c[0] == '\\');
            return cut && begun ? len : 0;
        }
    }
    return at;
}

/* Values shorter than this are too common in any text to be told apart from it. */
enum { HTOKI_SECRET_HEADER_MIN = 4 };

/* The length of the longest secret at the text's beginning. */
static size_t htoki_op_secret_span(const htoki_op *op, const char *text, size_t len, bool cut)
{
    const htoki_headers *lists[2];
    size_t i, n, span, longest = 0;
    lists[0] = &op->request.own;
    lists[1] = &op->request.client;
    if (op->request.token.ptr) {
        longest = htoki_secret_span(text, len, htoki_token_secret(op->request.token), cut);
    }
    for (i = 0; i < 2; i++) {
        for (n = 0; n < lists[i]->count; n++) {
            const char *value = lists[i]->list[n].value;
            htok_view secret;
            if (*value > ' ' && *value != *text && *text != '\\') {
                continue; /* without a look at its length, for it may be long; blanks before it do not count */
            }
            secret = htoki_trimmed(htoki_text(value));
            span = secret.len >= HTOKI_SECRET_HEADER_MIN ? htoki_secret_span(text, len, secret, cut) : 0;
            longest = span > longest ? span : longest;
        }
    }
    return longest;
}

/* Overwrites each secret; those that overlap are found in what was not yet overwritten. */
static void htoki_op_blot_text(const htoki_op *op, char *text, size_t len, bool cut)
{
    size_t left = 0;
    for (; len != 0; text++, len--) {
        size_t span = htoki_op_secret_span(op, text, len, cut);
        left = span > left ? span : left;
        if (left != 0) {
            *text = '*';
            left--;
        }
    }
}

/* The head's note into the record's detail, secrets overwritten. */
static void htoki_op_note(htoki_op *op)
{
    char *note = op->http.texts->note;
    size_t len = htoki_text(note).len;
    htoki_op_blot_text(op, note, len, op->http.note_cut);
    htoki_error_text(op->error->detail, sizeof op->error->detail, htoki_view(note, len));
}

static htoki_op_event htoki_op_fail(htoki_op *op, htok_reason reason, htok_phase phase, uint64_t offset)
{
    htoki_fail_at(op->error, reason, phase, (int64_t)offset);
    return HTOKI_OP_FAILED;
}

/* The one status that is a success. */
static int htoki_success_status(htoki_operation operation)
{
    return operation == HTOKI_CREATE_ORG_TOKEN ? 201 : 200;
}

/* The answer is the documented success, as far as its head tells. */
static bool htoki_op_is_wanted(const htoki_op *op)
{
    return op->http.status == htoki_success_status(op->request.operation) && op->http.content_json;
}

/* The answer broke HTTP's grammar or a limit. A body over the limit of a wanted answer and one over that of
   an unwanted answer are told apart. */
static htoki_op_event htoki_op_http_failed(htoki_op *op)
{
    const htoki_http *h = &op->http;
    htok_reason reason = h->reason;
    if (htoki_http_has_status(h)) {
        op->error->status = h->status;
    }
    if (reason == HTOK_REASON_BODY_LIMIT && !htoki_op_is_wanted(op)) {
        reason = HTOK_REASON_ERROR_BODY_LIMIT;
    }
    return htoki_op_fail(op, reason, h->final ? HTOK_PHASE_BODY : HTOK_PHASE_HEAD, h->offset);
}

static bool htoki_is_documented_error(htoki_operation operation, int status)
{
    return status == 401 || status == 404 || status == 408 || status == 429 ||
           (status == 422 && operation == HTOKI_CREATE_ORG_TOKEN);
}

/* The head is complete: what the body must be. */
static htoki_op_event htoki_op_head(htoki_op *op)
{
    htoki_http *h = &op->http;
    htoki_operation operation = op->request.operation;
    op->error->status = h->status;
    op->form = HTOKI_BODY_RAW;
    if (h->status == htoki_success_status(operation) && h->content_json) {
        op->form = operation == HTOKI_GET_ORG_TOKENS     ? HTOKI_BODY_LIST
                   : operation == HTOKI_CREATE_ORG_TOKEN ? HTOKI_BODY_OBJECT
                                                         : HTOKI_BODY_BOOLEAN;
    } else if (htoki_is_documented_error(operation, h->status) && h->content_json) {
        op->form = HTOKI_BODY_OBJECT;
    }
    if (op->form == HTOKI_BODY_RAW) {
        op->filled = sizeof(htoki_http_texts); /* the note is still wanted: the body is kept behind it */
    } else {
        htoki_wipe(h->texts, sizeof *h->texts);
    }
    op->wanted = htoki_op_is_wanted(op);
    htoki_scan_begin(&op->scan, op->form == HTOKI_BODY_LIST ? 2 : 0);
    if (!op->wanted && !htoki_http_limit_body(h, op->error_body_bytes)) {
        return htoki_op_http_failed(op);
    }
    return HTOKI_OP_MORE;
}

static htok_view htoki_op_item_path(const htoki_op *op, char *path, size_t size)
{
    htoki_writer w = htoki_writer_make(path, size, 0);
    htoki_put_text(&w, "tokens[");
    htoki_put_decimal(&w, op->item_count);
    htoki_put_char(&w, ']');
    return htoki_view(path, htoki_writer_end(&w));
}

/* The member path at which the body is being read. */
static htok_view htoki_op_path(const htoki_op *op, char *path, size_t size)
{
    if (op->in_tokens) {
        return op->scan.depth > 1 ? htoki_op_item_path(op, path, size) : htoki_text("tokens");
    }
    return htoki_view("", 0);
}

static htoki_op_event htoki_op_fail_model(htoki_op *op, htok_reason reason)
{
    char path[40];
    op->error->offset = (int64_t)op->scan.offset;
    htoki_fail_member(op->error, reason, htoki_op_path(op, path, sizeof path), "");
    return HTOKI_OP_FAILED;
}

static htoki_op_event htoki_op_fail_json(htoki_op *op)
{
    char path[40];
    htok_view base = htoki_op_path(op, path, sizeof path);
    htoki_error_text(op->error->path, sizeof op->error->path, base);
    return htoki_op_fail(op, op->scan.reason, HTOK_PHASE_JSON, op->scan.offset);
}

/* Bytes that the value being captured may still have. */
static size_t htoki_op_room(const htoki_op *op)
{
    return (op->wanted ? op->element_bytes : op->work_bytes) - op->filled;
}

#if HTOKI_SHORTCUTS
/* Where in the work buffer the outlines are: at the end of its first 8 KiB, for more of it than is needed shall not be
   touched. 0: it has no room for them. */
static size_t htoki_op_outlines_at(const htoki_op *op)
{
    size_t end = op->work_bytes < 8192 ? op->work_bytes : 8192;
    return end > sizeof(htoki_outlines) ? (end - sizeof(htoki_outlines)) / 8 * 8 : 0;
}

/* An element begins: its outline is wanted. */
static void htoki_op_begin_outline(htoki_op *op)
{
    size_t at = htoki_op_outlines_at(op);
    htoki_outlines *o = (htoki_outlines *)(void *)(op->work + at);
    if (at != 0) {
        o->known = op->known ? o->known : 0;
        htoki_scan_outline(&op->scan, &o->outline);
        at += sizeof *o;
        op->work_used = op->work_used > at ? op->work_used : at;
    }
}

/* The element has ended: NULL when it has no outline. */
static htoki_outlines *htoki_op_outlines(htoki_op *op)
{
    bool whole = op->scan.outline != NULL;
    op->scan.outline = NULL;
    return whole ? (htoki_outlines *)(void *)(op->work + htoki_op_outlines_at(op)) : NULL;
}
#else
#define htoki_op_begin_outline(op) ((void)0)
#define htoki_op_outlines(op)      NULL
#endif

static void htoki_op_keep(htoki_op *op, const char *bytes, size_t len)
{
#if HTOKI_SHORTCUTS
    if (op->filled + len > htoki_op_outlines_at(op)) {
        op->scan.outline = NULL;
        op->known = false;
    }
#endif
    memcpy(op->work + op->filled, bytes, len);
    op->filled += len;
    op->work_used = op->filled > op->work_used ? op->filled : op->work_used;
}

static void htoki_op_note_used(htoki_op *op, const htoki_json *json)
{
    op->work_used = json->used > op->work_used ? json->used : op->work_used;
}

/* The path of a failure is from the element on: the element's own path goes before it. */
static void htoki_op_item_at_fault(htoki_op *op)
{
    char member[sizeof op->error->path], path[40];
    htok_view item = htoki_op_item_path(op, path, sizeof path);
    htoki_writer w = htoki_writer_make(op->error->path, sizeof op->error->path, 0);
    memcpy(member, op->error->path, sizeof member);
    htoki_put_view(&w, item);
    htoki_put_char(&w, '.');
    htoki_put_text(&w, member);
    htoki_writer_end(&w);
}

/* An element of "tokens" is complete. */
static htoki_op_event htoki_op_item(htoki_op *op)
{
    htoki_json json;
    bool fits = htoki_json_parse(&json, op->work, op->work_bytes, op->filled, htoki_op_outlines(op)), good;
    htoki_op_note_used(op, &json);
    if (!fits) {
        return htoki_op_fail_model(op, HTOK_REASON_ELEMENT_LIMIT);
    }
    good = htoki_read_org_token(&json, 0, &op->created.org_token, htoki_view("", 0), op->error) == HTOK_OK;
    htoki_op_note_used(op, &json);
#if HTOKI_SHORTCUTS
    op->known = json.outlined && json.used <= htoki_op_outlines_at(op);
#endif
    if (!good) {
        htoki_op_item_at_fault(op);
        return HTOKI_OP_FAILED;
    }
    op->item_count++;
    return HTOKI_OP_ITEM;
}

/* A value of a list's answer begins with c. */
static htoki_op_event htoki_op_list_begin(htoki_op *op, char c)
{
    const htoki_scan *s = &op->scan;
    char type = htoki_json_type(c);
    if (s->is_key) {
        op->capture = s->depth == 1;
        op->filled = 0;
        op->key_is_tokens = false;
        return HTOKI_OP_MORE;
    }
    if (type == '\0') {
        return HTOKI_OP_MORE; /* the scanner refuses it */
    }
    if (s->depth == 0 && type != '{') {
        return htoki_op_fail_model(op, HTOK_REASON_MEMBER_TYPE);
    }
    if (s->depth == 1 && op->key_is_tokens) {
        op->in_tokens = true;
        if (op->seen_tokens || type != '[') {
            return htoki_op_fail_model(op, op->seen_tokens ? HTOK_REASON_MEMBER_DUPLICATE
                                                           : HTOK_REASON_MEMBER_TYPE);
        }
        op->seen_tokens = true;
    }
    if (s->depth == 2 && op->in_tokens) {
        if (type != '{') {
            return htoki_op_fail_model(op, HTOK_REASON_MEMBER_TYPE);
        }
        op->capture = true;
        op->filled = 0;
        htoki_op_begin_outline(op);
    }
    return HTOKI_OP_MORE;
}

/* A value of a list's answer, or a key, has ended. */
static htoki_op_event htoki_op_list_end(htoki_op *op)
{
    const htoki_scan *s = &op->scan;
    if (s->state == HTOKI_S_COLON) {
        if (s->depth == 1) {
            op->key_is_tokens =
                op->capture && htoki_json_spells(htoki_view(op->work + 1, op->filled - 2), "tokens");
        }
        return HTOKI_OP_MORE;
    }
    if (s->depth == 2 && op->in_tokens) {
        return htoki_op_item(op);
    }
    if (s->depth == 1) {
        op->in_tokens = false;
    }
    return HTOKI_OP_MORE;
}

static htoki_op_event htoki_op_begin_value(htoki_op *op, char c)
{
    char type = htoki_json_type(c);
    if (op->form == HTOKI_BODY_LIST) {
        return htoki_op_list_begin(op, c);
    }
    if (type != '\0' && type != (op->form == HTOKI_BODY_OBJECT ? '{' : 'b')) {
        return htoki_op_fail_model(op, HTOK_REASON_MEMBER_TYPE);
    }
    op->boolean = type == 'b' ? c : '\0';
    op->capture = op->form == HTOKI_BODY_OBJECT;
    if (op->capture) {
        htoki_op_begin_outline(op);
    }
    return HTOKI_OP_MORE;
}

/* Reads body bytes as JSON up to the next item. */
static htoki_op_event htoki_op_json(htoki_op *op, const char *bytes, size_t len, size_t *consumed)
{
    htoki_op_event event = HTOKI_OP_MORE;
    size_t at = 0;
    while (at < len && event == HTOKI_OP_MORE) {
        size_t n = len - at;
        htoki_scan_event found;
        if (op->capture && htoki_op_room(op) == 0) {
            if (op->form != HTOKI_BODY_LIST || op->scan.depth != 1) {
                return htoki_op_fail_model(op, op->wanted ? HTOK_REASON_ELEMENT_LIMIT
                                                          : HTOK_REASON_ERROR_BODY_LIMIT);
            }
            op->capture = false; /* a key too long to be one of ours */
        }
        if (op->capture && n > htoki_op_room(op)) {
            n = htoki_op_room(op);
        }
        found = htoki_scan_feed(&op->scan, bytes + at, n, &n);
        if (found == HTOKI_SCAN_ERROR) {
            return htoki_op_fail_json(op);
        }
        if (op->capture) {
            htoki_op_keep(op, bytes + at, n);
        }
        at += n;
        if (found == HTOKI_SCAN_BEGIN) {
            event = htoki_op_begin_value(op, bytes[at]);
        } else if (found == HTOKI_SCAN_END) {
            if (op->form == HTOKI_BODY_LIST) {
                event = htoki_op_list_end(op);
            }
            op->capture = false;
        }
    }
    *consumed = at;
    return event;
}

static htoki_op_event htoki_op_body(htoki_op *op, const char *bytes, size_t len, size_t *consumed)
{
    size_t room = htoki_op_room(op);
    if (op->form != HTOKI_BODY_RAW) {
        return htoki_op_json(op, bytes, len, consumed);
    }
    if (len > room) {
        op->cut = true;
    }
    htoki_op_keep(op, bytes, len < room ? len : room);
    *consumed = len;
    return HTOKI_OP_MORE;
}

/* The answer is a documented error with a JSON object, or a created token: both are whole in the work buffer.
   */
static void htoki_op_object(htoki_op *op)
{
    htoki_json json;
    htok_error *e = op->error;
    bool in_place = false,
         fits = htoki_json_parse(&json, op->work, op->work_bytes, op->filled, htoki_op_outlines(op));
    if (!fits) {
        htoki_op_fail_model(op, op->wanted ? HTOK_REASON_ELEMENT_LIMIT : HTOK_REASON_ERROR_BODY_LIMIT);
    } else if (op->wanted) {
        htoki_read_created(&json, &op->created, e);
    } else if (htoki_read_api_error(&json, &e->message, &in_place, e) == HTOK_OK) {
        char *message = op->work + (e->message.ptr - op->work);
        htoki_op_blot_text(op, message, e->message.len, false);
        htoki_op_blot_text(op, op->work, op->filled, false);
        if (op->request.operation != HTOKI_CREATE_ORG_TOKEN && !in_place) {
            e->body = htoki_view(op->work, op->filled);
        }
        htoki_fail(e, HTOK_REASON_API_ERROR, HTOK_PHASE_NONE);
    }
    htoki_op_note_used(op, &json);
}

/* An answer that the API does not document for the operation. */
static void htoki_op_sdk_error(htoki_op *op)
{
    htok_error *e = op->error;
    htoki_http *h = &op->http;
    htok_reason reason = HTOK_REASON_STATUS_UNEXPECTED;
    if (op->request.operation != HTOKI_CREATE_ORG_TOKEN) {
        char *body = op->work + sizeof *h->texts;
        size_t len = op->filled - sizeof *h->texts;
        htoki_op_blot_text(op, body, len, op->cut);
        e->body = htoki_view(body, len);
        e->body_truncated = op->cut;
    }
    if (h->status >= 300 && h->status < 400) {
        reason = HTOK_REASON_STATUS_REDIRECT;
        htoki_op_note(op);
    } else if (h->status >= 400 || h->status < 200) {
        reason = HTOK_REASON_STATUS_ERROR;
    } else if (h->status == htoki_success_status(op->request.operation)) {
        reason = HTOK_REASON_CONTENT_TYPE;
        htoki_op_note(op);
    }
    htoki_wipe(h->texts, sizeof *h->texts);
    htoki_fail(e, reason, HTOK_PHASE_NONE);
}

/* The message is complete: the verdict. */
static htoki_op_event htoki_op_end(htoki_op *op)
{
    if (op->form == HTOKI_BODY_RAW) {
        htoki_op_sdk_error(op);
    } else if (!htoki_scan_finish(&op->scan)) {
        return htoki_op_fail_json(op);
    } else if (op->form == HTOKI_BODY_OBJECT) {
        htoki_op_object(op);
    } else if (op->form == HTOKI_BODY_LIST && !op->seen_tokens) {
        htoki_fail_member(op->error, HTOK_REASON_MEMBER_MISSING, htoki_view("", 0), "tokens");
    }
    return op->error->kind == HTOK_OK ? HTOKI_OP_DONE : HTOKI_OP_FAILED;
}

/* Consumes received bytes up to the next event. After HTOKI_OP_ITEM call again with what is left. */
static htoki_op_event htoki_op_input(htoki_op *op, const char *bytes, size_t len, size_t *consumed)
{
    htoki_op_event event = HTOKI_OP_MORE;
    size_t at = 0, n;
    while (at < len && event == HTOKI_OP_MORE) {
        htoki_http_event found = htoki_http_feed(&op->http, bytes + at, len - at, &n);
        at += n;
        if (found == HTOKI_HTTP_ERROR) {
            event = htoki_op_http_failed(op);
        } else if (found == HTOKI_HTTP_HEAD) {
            event = htoki_op_head(op);
        } else if (found == HTOKI_HTTP_BODY) {
            event = htoki_op_body(op, bytes + at, op->http.body_len, &n);
            if (event != HTOKI_OP_FAILED) {
                htoki_http_take(&op->http, n);
                at += n;
            }
        } else if (found == HTOKI_HTTP_END) {
            break;
        }
    }
    if (event == HTOKI_OP_MORE && op->http.state == HTOKI_H_DONE) {
        event = htoki_op_end(op);
    }
    *consumed = at;
    return event;
}

/* The stream has ended, cleanly or not; see htoki_http_eof(). */
static htoki_op_event htoki_op_eof(htoki_op *op, bool clean)
{
    if (htoki_http_eof(&op->http, clean) == HTOKI_HTTP_ERROR) {
        return htoki_op_http_failed(op);
    }
    return htoki_op_end(op);
}

/* Whether the request, once sent, may have changed something on the server without the answer saying so: no status
   tells that the server refused it. A list changes nothing. */
static bool htoki_op_may_have_taken_effect(const htoki_op *op)
{
    int status = op->error->status;
    return op->request.operation != HTOKI_GET_ORG_TOKENS && (status < 300 || status >= 500);
}
#if HTOKI_TLS
/* >>x509 ------------------------------------------------------------------------------------------------- */
/* What BearSSL's certificate validation leaves open: addresses, usages, name constraints, pins, the dates of
   trusted certificates, and finding one of those without decoding all. Takes certificates in pieces of any
   size; gives a verdict. Must not know: the engine, sockets. Nothing here checks revocation. */

#if HTOKI_STRINGS
/* BearSSL documents its numbers as fixed: from 0 on, name and meaning; the gaps are in its own numbering. */
/* clang-format off */
#define HTOKI_TLS_ERRORS(X)                                                                                  \
    X("BR_ERR_OK", "no error")                                                                               \
    X("BR_ERR_BAD_PARAM", "a length in a message is impossible, or a parameter is")                          \
    X("BR_ERR_BAD_STATE", "BearSSL was not in the state for it")                                             \
    X("BR_ERR_UNSUPPORTED_VERSION", "the server answered in another version than TLS 1.2")                   \
    X("BR_ERR_BAD_VERSION", "a record has another version than the handshake")                               \
    X("BR_ERR_BAD_LENGTH", "a record's length is impossible")                                                \
    X("BR_ERR_TOO_LARGE", "a record does not fit into the buffer")                                           \
    X("BR_ERR_BAD_MAC", "a record cannot be decrypted: it was changed on its way")                           \
    X("BR_ERR_NO_RANDOM", "there is no entropy")                                                             \
    X("BR_ERR_UNKNOWN_TYPE", "a record is of an unknown type")                                               \
    X("BR_ERR_UNEXPECTED", "a record or message came out of turn")                                           \
    X("", "")                                                                                                \
    X("BR_ERR_BAD_CCS", "a ChangeCipherSpec message is malformed")                                           \
    X("BR_ERR_BAD_ALERT", "an alert is malformed")                                                           \
    X("BR_ERR_BAD_HANDSHAKE", "a handshake message is malformed")                                            \
    X("BR_ERR_OVERSIZED_ID", "the session id is longer than 32 bytes")                                       \
    X("BR_ERR_BAD_CIPHER_SUITE", "the server chose a cipher suite that was not offered")                     \
    X("BR_ERR_BAD_COMPRESSION", "the server chose a compression")                                            \
    X("BR_ERR_BAD_FRAGLEN", "the server agreed to another fragment length than was asked for")               \
    X("BR_ERR_BAD_SECRENEG", "the server's renegotiation_info is wrong (RFC 5746)")                          \
    X("BR_ERR_EXTRA_EXTENSION", "the server sent an extension that was not offered, or one twice")           \
    X("BR_ERR_BAD_SNI", "the server's answer to the server name is not empty")                               \
    X("BR_ERR_BAD_HELLO_DONE", "a ServerHelloDone message is malformed")                                     \
    X("BR_ERR_LIMIT_EXCEEDED", "the server's key is larger than supported")                                  \
    X("BR_ERR_BAD_FINISHED", "the handshake was changed on its way")                                         \
    X("BR_ERR_RESUME_MISMATCH", "the session was resumed with another version or cipher suite")              \
    X("BR_ERR_INVALID_ALGORITHM", "no curve, hash or signature algorithm is common to both sides")           \
    X("BR_ERR_BAD_SIGNATURE", "the server does not hold the key of its certificate")                         \
    X("BR_ERR_WRONG_KEY_USAGE", "the certificate's keyUsage or kind of key does not fit the cipher suite")   \
    X("BR_ERR_NO_CLIENT_AUTH", "the client showed no certificate")                                           \
    X("", "")                                                                                                \
    X("BR_ERR_IO", "the stream failed or was cut")                                                           \
    X("BR_ERR_X509_OK", "the chain is valid")                                                                \
    X("BR_ERR_X509_INVALID_VALUE", "a value in it is invalid")                                               \
    X("BR_ERR_X509_TRUNCATED", "it is cut short")                                                            \
    X("BR_ERR_X509_EMPTY_CHAIN", "the server sent no certificate")                                           \
    X("BR_ERR_X509_INNER_TRUNC", "an element of it reaches beyond the one around")                           \
    X("BR_ERR_X509_BAD_TAG_CLASS", "a tag in it is of an unsupported class")                                 \
    X("BR_ERR_X509_BAD_TAG_VALUE", "a tag in it is not supported")                                           \
    X("BR_ERR_X509_INDEFINITE_LENGTH", "a length in it is indefinite, which DER forbids")                    \
    X("BR_ERR_X509_EXTRA_ELEMENT", "it holds an element too many")                                           \
    X("BR_ERR_X509_UNEXPECTED", "it holds an unexpected element, or an extension twice")                     \
    X("BR_ERR_X509_NOT_CONSTRUCTED", "a primitive element stands in place of a constructed one")             \
    X("BR_ERR_X509_NOT_PRIMITIVE", "a constructed element stands in place of a primitive one")               \
    X("BR_ERR_X509_PARTIAL_BYTE", "a bit string in it ends within a byte")                                   \
    X("BR_ERR_X509_BAD_BOOLEAN", "a truth value in it is malformed")                                         \
    X("BR_ERR_X509_OVERFLOW", "a number in it is too large")                                                 \
    X("BR_ERR_X509_BAD_DN", "a name in it is malformed")                                                     \
    X("BR_ERR_X509_BAD_TIME", "a date in it is malformed")                                                   \
    X("BR_ERR_X509_UNSUPPORTED", "an algorithm of its key or signature is not supported")                    \
    X("BR_ERR_X509_LIMIT_EXCEEDED", "its key or signature is larger than supported")                         \
    X("BR_ERR_X509_WRONG_KEY_TYPE", "its key is of another kind than the signature")                         \
    X("BR_ERR_X509_BAD_SIGNATURE", "its signature is wrong")                                                 \
    X("BR_ERR_X509_TIME_UNKNOWN", "the time is unknown")                                                     \
    X("BR_ERR_X509_EXPIRED", "it is expired or not yet valid")                                               \
    X("BR_ERR_X509_DN_MISMATCH", "it is not from the issuer that the one before names")                      \
    X("BR_ERR_X509_BAD_SERVER_NAME", "it is for another name")                                               \
    X("BR_ERR_X509_CRITICAL_EXTENSION", "a critical extension in it is not supported")                       \
    X("BR_ERR_X509_NOT_CA", "it is no CA's, or its CA allows no chain of this length")                       \
    X("BR_ERR_X509_FORBIDDEN_KEY_USAGE", "its keyUsage forbids this use")                                    \
    X("BR_ERR_X509_WEAK_PUBLIC_KEY", "its RSA key is too short")                                             \
    X("", "")                                                                                                \
    X("BR_ERR_X509_NOT_TRUSTED", "no trusted certificate vouches for it")

/* Alerts: RFC 5246 section 7.2, RFC 6066, 7301, 7507, 8446 and 9147's registry. */
#define HTOKI_TLS_ALERTS(X)                                                                                  \
    X(0, "close_notify", "the connection is at its end")                                                     \
    X(10, "unexpected_message", "a message came out of turn")                                                \
    X(20, "bad_record_mac", "a record could not be decrypted: it was changed on its way")                    \
    X(21, "decryption_failed", "a record could not be decrypted")                                            \
    X(22, "record_overflow", "a record was too large")                                                       \
    X(30, "decompression_failure", "a record could not be unpacked")                                         \
    X(40, "handshake_failure", "both sides have no settings in common")                                      \
    X(41, "no_certificate", "there is no certificate")                                                       \
    X(42, "bad_certificate", "a certificate is malformed or its signature is wrong")                         \
    X(43, "unsupported_certificate", "a certificate is of a kind that is not supported")                     \
    X(44, "certificate_revoked", "a certificate is revoked")                                                 \
    X(45, "certificate_expired", "a certificate is expired or not yet valid")                                \
    X(46, "certificate_unknown", "a certificate is not acceptable")                                          \
    X(47, "illegal_parameter", "a value in the handshake is out of range")                                   \
    X(48, "unknown_ca", "no known authority vouches for a certificate")                                      \
    X(49, "access_denied", "access was denied")                                                              \
    X(50, "decode_error", "a message is malformed")                                                          \
    X(51, "decrypt_error", "a signature or the handshake's hash is wrong")                                   \
    X(60, "export_restriction", "export rules forbid the settings")                                          \
    X(70, "protocol_version", "the version of TLS is refused")                                               \
    X(71, "insufficient_security", "the settings are too weak for the other side")                           \
    X(80, "internal_error", "the other side has a fault of its own")                                         \
    X(86, "inappropriate_fallback", "the version of TLS is lower than it need be")                           \
    X(90, "user_canceled", "the other side gave up")                                                         \
    X(100, "no_renegotiation", "renegotiation is refused")                                                   \
    X(109, "missing_extension", "an extension is missing")                                                   \
    X(110, "unsupported_extension", "an extension was sent that was not offered")                            \
    X(111, "certificate_unobtainable", "a certificate could not be fetched")                                 \
    X(112, "unrecognized_name", "the host name is not known there")                                          \
    X(113, "bad_certificate_status_response", "the status of a certificate is malformed")                    \
    X(114, "bad_certificate_hash_value", "the hash of a certificate is wrong")                               \
    X(115, "unknown_psk_identity", "the shared key is not known there")                                      \
    X(116, "certificate_required", "a client certificate is required")                                       \
    X(120, "no_application_protocol", "no application protocol is common to both sides")
/* clang-format on */

#define HTOKI_ALERT_NUMBER(number, name, text)   number,
#define HTOKI_ALERT_NAME(number, name, text)     name "\0"
#define HTOKI_ALERT_SENTENCE(number, name, text) text "\0"
#define HTOKI_ERROR_NAME(name, text)             name "\0"
#define HTOKI_ERROR_SENTENCE(name, text)         text "\0"

/* From two lists the one of errors or that of alerts, and its text for this code; or "". */
static const char *htoki_tls_text(int code, const char *errors, const char *alerts)
{
    static const unsigned char numbers[] = {HTOKI_TLS_ALERTS(HTOKI_ALERT_NUMBER)};
    size_t i;
    if (code >= BR_ERR_OK && code <= BR_ERR_X509_NOT_TRUSTED) {
        return htoki_nth_text(errors, (size_t)code);
    }
    for (i = 0; i < HTOKI_COUNT(numbers); i++) {
        if (code == BR_ERR_RECV_FATAL_ALERT + numbers[i] || code == BR_ERR_SEND_FATAL_ALERT + numbers[i]) {
            return htoki_nth_text(alerts, i);
        }
    }
    return "";
}

static const char *htoki_tls_error_name(int code)
{
    static const char errors[] = HTOKI_TLS_ERRORS(HTOKI_ERROR_NAME);
    static const char alerts[] = HTOKI_TLS_ALERTS(HTOKI_ALERT_NAME);
    const char *name = htoki_tls_text(code, errors, alerts);
    return name[0] != '\0' ? name : "unknown";
}

static const char *htoki_tls_error_sentence(int code)
{
    static const char errors[] = HTOKI_TLS_ERRORS(HTOKI_ERROR_SENTENCE);
    static const char alerts[] = HTOKI_TLS_ALERTS(HTOKI_ALERT_SENTENCE);
    const char *text = htoki_tls_text(code, errors, alerts);
    return text[0] != '\0' ? text : "there is no description of this code";
}
#else
static const char *htoki_tls_error_name(int code)
{
    (void)code;
    return "";
}

static const char *htoki_tls_error_sentence(int code)
{
    (void)code;
    return "";
}
#endif

/* The name to find in the server's certificate. */
typedef struct htoki_reference {
    const char *host;         /* without a last dot; empty for an address */
    size_t host_len, rest_at; /* rest_at: where a wildcard's labels begin in host; 0: no wildcard may match */
    unsigned char address[16];
    unsigned char address_len;
    char *names; /* collects the names that the certificate holds instead */
    size_t names_len;
} htoki_reference;

#define HTOKI_NAMES_BYTES    240
#define HTOKI_RSA_BYTES_MAX  512 /* 4096 bits, the most that BearSSL computes with */
#define HTOKI_ROOT_KEY_BYTES 520 /* RSA of 4096 bits with a 64-bit exponent */

/* The public key of a trusted certificate: modulus and exponent, or a point. */
typedef struct htoki_root_key {
    unsigned char bytes[HTOKI_ROOT_KEY_BYTES];
    size_t len, modulus_len;
    bool overflow;
} htoki_root_key;

/* Elements of a certificate (RFC 5280 section 4.1), those from SKIP on hold no others. */
/* clang-format off */
typedef enum htoki_node {
    HTOKI_NODE_FILE, HTOKI_NODE_CERTIFICATE, HTOKI_NODE_TBS, HTOKI_NODE_SIGNATURE, HTOKI_NODE_VALIDITY,
    HTOKI_NODE_KEY,
    HTOKI_NODE_KEY_ALGORITHM, HTOKI_NODE_KEY_BITS, HTOKI_NODE_RSA, HTOKI_NODE_EXTENSIONS_TAG,
    HTOKI_NODE_EXTENSIONS, HTOKI_NODE_EXTENSION, HTOKI_NODE_EXTENSION_VALUE, HTOKI_NODE_BASIC,
    HTOKI_NODE_USAGES, HTOKI_NODE_NAMES, HTOKI_NODE_AUTHORITY, HTOKI_NODE_TREES, HTOKI_NODE_PERMITTED,
    HTOKI_NODE_EXCLUDED, HTOKI_NODE_TREE, HTOKI_NODE_SKIP, HTOKI_NODE_ISSUER, HTOKI_NODE_SUBJECT,
    HTOKI_NODE_NOT_BEFORE, HTOKI_NODE_NOT_AFTER, HTOKI_NODE_SIGNATURE_OID, HTOKI_NODE_KEY_OID,
    HTOKI_NODE_CURVE_OID,
    HTOKI_NODE_MODULUS, HTOKI_NODE_EXPONENT, HTOKI_NODE_POINT, HTOKI_NODE_EXTENSION_OID,
    HTOKI_NODE_CRITICAL, HTOKI_NODE_CA, HTOKI_NODE_PATH_LENGTH, HTOKI_NODE_KEY_USAGE, HTOKI_NODE_USAGE,
    HTOKI_NODE_KEY_ID, HTOKI_NODE_DNS_NAME, HTOKI_NODE_IP_NAME, HTOKI_NODE_DNS_TREE, HTOKI_NODE_IP_TREE, HTOKI_NODE_OTHER_TREE, HTOKI_NODE_BAD
} htoki_node;
/* clang-format on */

enum { HTOKI_ROLE_SERVER, HTOKI_ROLE_ISSUER, HTOKI_ROLE_ROOT };
enum { HTOKI_EVENT_NONE, HTOKI_EVENT_CRITICAL, HTOKI_EVENT_SUBJECT, HTOKI_EVENT_TBS };
enum { HTOKI_KEY_UNKNOWN = 0, HTOKI_KEY_RSA = 1, HTOKI_KEY_EC = 2 }; /* or a BR_EC_ number */
enum {
    HTOKI_EXTENSION_OTHER = 0,
    HTOKI_EXTENSION_HARMLESS = 1,
    HTOKI_EXTENSION_SUBJECT_KEY_ID = 14,
    HTOKI_EXTENSION_KEY_USAGE = 15,
    HTOKI_EXTENSION_NAMES = 17,
    HTOKI_EXTENSION_BASIC = 19,
    HTOKI_EXTENSION_TREES = 30,
    HTOKI_EXTENSION_AUTHORITY_KEY_ID = 35,
    HTOKI_EXTENSION_USAGES = 37
};
#define HTOKI_EXTENSION_BIT(number) ((uint32_t)1 << ((number)-HTOKI_EXTENSION_SUBJECT_KEY_ID))

#define HTOKI_DER_DEPTH 11 /* from the file to a constrained name */

/* A walk over one DER certificate. Each byte is seen once and none is kept but what is asked for here. */
typedef struct htoki_der {
    unsigned char depth, role, event, head_len;
    unsigned char key_kind, oddity, extension;
    unsigned char path_length; /* with path_limited */
    bool hashing, done, trailing, failed;
    bool unhashed;    /* nobody wants its hashes */
    bool exact, wild; /* the name so far equals the reference */
    bool critical, extended, ca, server_usage, name_found, path_limited, signs_nothing;
    bool critical_unknown;
    bool permitted_seen, permitted, excluded, tree_unknown;
    htoki_reference *reference; /* NULL: names do not matter */
    htoki_root_key *key;        /* NULL: only the key's hash is wanted */
    uint32_t seen;              /* extensions met, one bit for each known one */
    uint32_t got;               /* content bytes seen of the leaf */
    uint32_t left[HTOKI_DER_DEPTH];
    unsigned char node[HTOKI_DER_DEPTH], index[HTOKI_DER_DEPTH];
    unsigned char head[5];
    unsigned char value[32];              /* content of a short leaf */
    unsigned char key_id_len, key_id[20]; /* the issuer's (of a root: its own), RFC 5280 section 4.2.1.1 */
    char not_before[14], not_after[14];
    unsigned char issuer[32], subject[32], key_hash[32];
    br_sha256_context sha;
} htoki_der;

static void htoki_der_start(htoki_der *d, unsigned role, htoki_reference *reference, htoki_root_key *key)
{
    memset(d, 0, sizeof *d);
    d->role = (unsigned char)role;
    d->reference = reference;
    d->key = key;
    d->left[0] = UINT32_MAX;
    if (key != NULL) {
        key->len = key->modulus_len = 0;
        key->overflow = false;
    }
}

static bool htoki_der_value_is(const htoki_der *d, const char *bytes, size_t len)
{
    return d->got == len && memcmp(d->value, bytes, len) == 0;
}

static htoki_node htoki_node_if(bool condition, htoki_node node)
{
    return condition ? node : HTOKI_NODE_BAD;
}

/* The fields of TBSCertificate; the first, the version, may be left out. */
static htoki_node htoki_der_tbs_child(htoki_der *d, unsigned tag)
{
    static const unsigned char tags[7] = {0xa0, 0x02, 0x30, 0x30, 0x30, 0x30, 0x30};
    static const unsigned char nodes[7] = {HTOKI_NODE_SKIP,   HTOKI_NODE_SKIP,     HTOKI_NODE_SIGNATURE,
                                           HTOKI_NODE_ISSUER, HTOKI_NODE_VALIDITY, HTOKI_NODE_SUBJECT,
                                           HTOKI_NODE_KEY};
    unsigned char *index = &d->index[d->depth];
    if (*index == 0 && tag != tags[0]) {
        *index = 1;
    }
    if (*index < 7) {
        return htoki_node_if(tag == tags[*index], (htoki_node)nodes[*index]);
    }
    if (tag == 0xa3 && !d->extended) {
        d->extended = true;
        return HTOKI_NODE_EXTENSIONS_TAG;
    }
    return htoki_node_if(tag == 0x81 || tag == 0x82, HTOKI_NODE_SKIP);
}

static htoki_node htoki_der_key_child(const htoki_der *d, unsigned tag)
{
    if (d->index[d->depth] == 0) {
        return htoki_node_if(tag == 0x30, HTOKI_NODE_KEY_ALGORITHM);
    }
    if (d->index[d->depth] != 1 || tag != 0x03) {
        return HTOKI_NODE_BAD;
    }
    return d->key == NULL || d->key_kind == HTOKI_KEY_UNKNOWN ? HTOKI_NODE_SKIP
           : d->key_kind == HTOKI_KEY_RSA                     ? HTOKI_NODE_KEY_BITS
                                                              : HTOKI_NODE_POINT;
}

/* What an extension's OCTET STRING holds, as far as it matters to this certificate's role. */
static htoki_node htoki_der_extension_child(const htoki_der *d, unsigned tag)
{
    bool server = d->role == HTOKI_ROLE_SERVER, root = d->role == HTOKI_ROLE_ROOT;
    switch (d->extension) {
    case HTOKI_EXTENSION_BASIC: return htoki_node_if(tag == 0x30, HTOKI_NODE_BASIC);
    case HTOKI_EXTENSION_USAGES: return htoki_node_if(tag == 0x30, HTOKI_NODE_USAGES);
    case HTOKI_EXTENSION_KEY_USAGE: return htoki_node_if(tag == 0x03, HTOKI_NODE_KEY_USAGE);
    case HTOKI_EXTENSION_NAMES:
        return htoki_node_if(tag == 0x30,
                             server || (root && d->reference) ? HTOKI_NODE_NAMES : HTOKI_NODE_SKIP);
    case HTOKI_EXTENSION_TREES:
        return htoki_node_if(tag == 0x30, server || !d->reference ? HTOKI_NODE_SKIP : HTOKI_NODE_TREES);
    case HTOKI_EXTENSION_SUBJECT_KEY_ID:
        return htoki_node_if(tag == 0x04, root ? HTOKI_NODE_KEY_ID : HTOKI_NODE_SKIP);
    default: /* HTOKI_EXTENSION_AUTHORITY_KEY_ID */
        return htoki_node_if(tag == 0x30, root ? HTOKI_NODE_SKIP : HTOKI_NODE_AUTHORITY);
    }
}

/* The element that a tag begins, by its parent and its place in it. */
static htoki_node htoki_der_child(htoki_der *d, unsigned tag)
{
    unsigned index = d->index[d->depth];
    switch (d->node[d->depth]) {
    case HTOKI_NODE_FILE: return htoki_node_if(tag == 0x30, HTOKI_NODE_CERTIFICATE);
    case HTOKI_NODE_CERTIFICATE:
        return index == 0 ? htoki_node_if(tag == 0x30, HTOKI_NODE_TBS)
                          : htoki_node_if(tag == (index == 1 ? 0x30 : 0x03) && index < 3, HTOKI_NODE_SKIP);
    case HTOKI_NODE_TBS: return htoki_der_tbs_child(d, tag);
    case HTOKI_NODE_SIGNATURE:
        return index == 0 ? htoki_node_if(tag == 0x06, HTOKI_NODE_SIGNATURE_OID) : HTOKI_NODE_SKIP;
    case HTOKI_NODE_VALIDITY:
        return htoki_node_if((tag == 0x17 || tag == 0x18) && index < 2,
                             index == 0 ? HTOKI_NODE_NOT_BEFORE : HTOKI_NODE_NOT_AFTER);
    case HTOKI_NODE_KEY: return htoki_der_key_child(d, tag);
    case HTOKI_NODE_KEY_ALGORITHM:
        return index == 0                                   ? htoki_node_if(tag == 0x06, HTOKI_NODE_KEY_OID)
               : d->key_kind == HTOKI_KEY_EC && tag == 0x06 ? HTOKI_NODE_CURVE_OID
                                                            : HTOKI_NODE_SKIP;
    case HTOKI_NODE_KEY_BITS: return htoki_node_if(tag == 0x30 && index == 1, HTOKI_NODE_RSA);
    case HTOKI_NODE_RSA:
        return htoki_node_if(tag == 0x02 && index < 2, index == 0 ? HTOKI_NODE_MODULUS : HTOKI_NODE_EXPONENT);
    case HTOKI_NODE_EXTENSIONS_TAG: return htoki_node_if(tag == 0x30 && index == 0, HTOKI_NODE_EXTENSIONS);
    case HTOKI_NODE_EXTENSIONS: return htoki_node_if(tag == 0x30, HTOKI_NODE_EXTENSION);
    case HTOKI_NODE_EXTENSION:
        if (index != 0 && tag == 0x04 && index < 3) { /* what nobody here reads may be any bytes */
            return d->extension <= HTOKI_EXTENSION_HARMLESS ? HTOKI_NODE_SKIP : HTOKI_NODE_EXTENSION_VALUE;
        }
        return index == 0 ? htoki_node_if(tag == 0x06, HTOKI_NODE_EXTENSION_OID)
                          : htoki_node_if(tag == 0x01 && index == 1, HTOKI_NODE_CRITICAL);
    case HTOKI_NODE_EXTENSION_VALUE: return index == 0 ? htoki_der_extension_child(d, tag) : HTOKI_NODE_BAD;
    case HTOKI_NODE_BASIC:
        return index == 0 && tag == 0x01   ? HTOKI_NODE_CA
               : index == 1 && tag == 0x02 ? HTOKI_NODE_PATH_LENGTH
                                           : HTOKI_NODE_SKIP;
    case HTOKI_NODE_USAGES: return htoki_node_if(tag == 0x06, HTOKI_NODE_USAGE);
    case HTOKI_NODE_NAMES:
        return tag == 0x82 ? HTOKI_NODE_DNS_NAME : tag == 0x87 ? HTOKI_NODE_IP_NAME : HTOKI_NODE_SKIP;
    case HTOKI_NODE_AUTHORITY: return tag == 0x80 ? HTOKI_NODE_KEY_ID : HTOKI_NODE_SKIP;
    case HTOKI_NODE_TREES:
        return tag == 0xa0 ? HTOKI_NODE_PERMITTED : htoki_node_if(tag == 0xa1, HTOKI_NODE_EXCLUDED);
    case HTOKI_NODE_PERMITTED:
    case HTOKI_NODE_EXCLUDED: return htoki_node_if(tag == 0x30, HTOKI_NODE_TREE);
    default: /* HTOKI_NODE_TREE */
        return index == 0 && tag == 0x82   ? HTOKI_NODE_DNS_TREE
               : index == 0 && tag == 0x87 ? HTOKI_NODE_IP_TREE
                                           : HTOKI_NODE_OTHER_TREE;
    }
}

static void htoki_names_put(htoki_reference *r, char c)
{
    if (HTOKI_STRINGS && r->names_len < HTOKI_NAMES_BYTES) {
        r->names[r->names_len++] = (unsigned char)c < 0x20 || (unsigned char)c > 0x7e ? '?' : c;
    }
}

/* A separator before the next name in the list. */
static void htoki_names_next(htoki_reference *r)
{
    if (r->names_len != 0) {
        htoki_names_put(r, ',');
        htoki_names_put(r, ' ');
    }
}

/* A name or name tree of len bytes begins: can it equal the reference at all? */
static void htoki_name_begin(htoki_der *d, htoki_node node, uint32_t len)
{
    const htoki_reference *r = d->reference;
    if (node == HTOKI_NODE_DNS_NAME) {
        d->exact = r->host_len != 0 && len == r->host_len;
        d->wild = r->rest_at != 0 && len == r->host_len - r->rest_at + 2;
        htoki_names_next(d->reference);
    } else if (node == HTOKI_NODE_DNS_TREE) {
        d->exact = r->host_len != 0 && len <= r->host_len;
    }
}

/* RFC 6125 section 6.4, sharper: "*" is the whole left-most label and stands for exactly one label of two or
   more others behind it. */
static void htoki_name_byte(htoki_der *d, uint32_t at, char c)
{
    const htoki_reference *r = d->reference;
    if (d->exact && htoki_lower(r->host[at]) != htoki_lower(c)) {
        d->exact = false;
    }
    if (d->wild && (at == 0   ? c != '*'
                    : at == 1 ? c != '.'
                              : htoki_lower(r->host[r->rest_at + at - 2]) != htoki_lower(c))) {
        d->wild = false;
    }
    htoki_names_put(d->reference, c);
}

/* RFC 5280 section 4.2.1.10, for the name in use, not for others in the same certificate: any host that ends
   in the tree's labels, len bytes, is in it. */
static void htoki_tree_byte(htoki_der *d, uint32_t at, uint32_t len, char c)
{
    const htoki_reference *r = d->reference;
    size_t from;
    /* A tree that is no DNS name would silently exclude nothing. */
    d->failed = d->failed || c == '*' || (unsigned char)c <= ' ' || (unsigned char)c >= 0x80 ||
                (c == '.' && at + 1 == len);
    if (!d->exact) {
        return;
    }
    from = r->host_len - (size_t)len;
    d->exact = htoki_lower(r->host[from + at]) == htoki_lower(c) &&
               !(at == 0 && from != 0 && c != '.' && r->host[from - 1] != '.');
}

/* Bytes of the root's key; an INTEGER's leading zeros and a point's count of unused bits fall away. */
static void htoki_key_put(htoki_root_key *key, const unsigned char *bytes, size_t len, size_t start)
{
    while (len != 0 && key->len == start && *bytes == 0) {
        bytes++;
        len--;
    }
    if (len > sizeof key->bytes - key->len) {
        key->overflow = true;
    } else if (len != 0) {
        memcpy(key->bytes + key->len, bytes, len);
        key->len += len;
    }
}

static void htoki_der_content(htoki_der *d, htoki_node node, const unsigned char *bytes, uint32_t len)
{
    uint32_t i;
    switch (node) {
    case HTOKI_NODE_SKIP:
    case HTOKI_NODE_ISSUER:
    case HTOKI_NODE_SUBJECT:
    case HTOKI_NODE_OTHER_TREE: break;
    case HTOKI_NODE_MODULUS:
    case HTOKI_NODE_POINT: htoki_key_put(d->key, bytes, (size_t)len, 0); break;
    case HTOKI_NODE_EXPONENT: htoki_key_put(d->key, bytes, (size_t)len, d->key->modulus_len); break;
    case HTOKI_NODE_DNS_NAME:
    case HTOKI_NODE_DNS_TREE:
        for (i = 0; i < len; i++) {
            if (node == HTOKI_NODE_DNS_NAME) {
                htoki_name_byte(d, d->got + i, (char)bytes[i]);
            } else {
                htoki_tree_byte(d, d->got + i, d->got + len + d->left[d->depth], (char)bytes[i]);
            }
        }
        break;
    default:
        for (i = 0; i < len && d->got + i < sizeof d->value; i++) {
            d->value[d->got + i] = bytes[i];
        }
    }
    d->got += len;
}

/* UTCTime or GeneralizedTime (RFC 5280 section 4.1.2.5) as YYYYMMDDHHMMSS. */
static void htoki_der_date(htoki_der *d, char date[14])
{
    char text[14];
    size_t i, digits = d->got == 13 ? 12 : 14;
    if ((d->got != 13 && d->got != 15) || d->value[digits] != 'Z') {
        d->failed = true;
        return;
    }
    memcpy(text, d->value[0] >= '5' ? "19" : "20", 2);
    memcpy(text + (14 - digits), d->value, digits);
    for (i = 0; i < 14; i++) {
        d->failed = d->failed || !htoki_is_digit(text[i]);
    }
    if (!d->failed) {
        memcpy(date, text, sizeof text);
    }
}

/* The usual algorithms of keys and signatures that BearSSL, or this client, does not take. The first byte of
   each is its OID's length. */
static const char *const htoki_oddities[][2] = {
    {"\x03\x2b\x65\x70", "Ed25519"},
    {"\x03\x2b\x65\x71", "Ed448"},
    {"\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", "RSA-PSS"},
    {"\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", "SHA-1 with RSA"},
    {"\x07\x2a\x86\x48\xce\x3d\x04\x01", "SHA-1 with ECDSA"},
    {"\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", "MD5 with RSA"},
    {"\x07\x2a\x86\x48\xce\x38\x04\x01", "DSA"},
};

static void htoki_der_oddity(htoki_der *d)
{
    size_t i;
    for (i = 0; HTOKI_STRINGS && i < HTOKI_COUNT(htoki_oddities); i++) {
        if (htoki_der_value_is(d, htoki_oddities[i][0] + 1, (unsigned char)htoki_oddities[i][0][0])) {
            d->oddity = (unsigned char)(i + 1);
        }
    }
}

/* The kind of key, or its curve, that an OID stands for. */
static unsigned char htoki_key_kind(const void *oid, size_t len)
{
    static const struct {
        unsigned char kind, len;
        const char *oid;
    } kinds[] = {{HTOKI_KEY_RSA, 9, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"},
                 {HTOKI_KEY_EC, 7, "\x2a\x86\x48\xce\x3d\x02\x01"},
                 {BR_EC_secp256r1, 8, "\x2a\x86\x48\xce\x3d\x03\x01\x07"},
                 {BR_EC_secp384r1, 5, "\x2b\x81\x04\x00\x22"},
                 {BR_EC_secp521r1, 5, "\x2b\x81\x04\x00\x23"}};
    size_t i;
    for (i = 0; i < HTOKI_COUNT(kinds); i++) {
        if (len == kinds[i].len && memcmp(oid, kinds[i].oid, len) == 0) {
            return kinds[i].kind;
        }
    }
    return HTOKI_KEY_UNKNOWN;
}

static void htoki_der_key_oid(htoki_der *d)
{
    htoki_der_oddity(d);
    d->key_kind = htoki_key_kind(d->value, (size_t)d->got);
}

/* An extension must not come twice (RFC 5280 section 4.2). Those that restrict nothing here, policies because
   none is asked for, may be critical; BearSSL ignores the same. */
static void htoki_der_extension_oid(htoki_der *d)
{
    uint32_t bit;
    d->extension = HTOKI_EXTENSION_OTHER;
    d->critical = false;
    if (d->got != 3 || d->value[0] != 0x55 || d->value[1] != 0x1d) {
        return;
    }
    switch (d->value[2]) {
    case HTOKI_EXTENSION_SUBJECT_KEY_ID:
    case HTOKI_EXTENSION_KEY_USAGE:
    case HTOKI_EXTENSION_NAMES:
    case HTOKI_EXTENSION_BASIC:
    case HTOKI_EXTENSION_TREES:
    case HTOKI_EXTENSION_AUTHORITY_KEY_ID:
    case HTOKI_EXTENSION_USAGES: break;
    case 9:  /* subjectDirectoryAttributes */
    case 18: /* issuerAltName */
    case 31: /* cRLDistributionPoints */
    case 32: /* certificatePolicies */
    case 46: /* freshestCRL */ d->extension = HTOKI_EXTENSION_HARMLESS; return;
    default: return;
    }
    bit = HTOKI_EXTENSION_BIT(d->value[2]);
    d->extension = d->value[2];
    d->failed = (d->seen & bit) != 0;
    d->seen |= bit;
}

static bool htoki_der_has_usages(const htoki_der *d)
{
    return (d->seen & HTOKI_EXTENSION_BIT(HTOKI_EXTENSION_USAGES)) != 0;
}

static void htoki_names_put_address(htoki_reference *r, const unsigned char *address, uint32_t len)
{
    char text[40];
    htoki_writer w = htoki_writer_make(text, sizeof text, 0);
    uint32_t i;
    for (i = 0; i < len; i += len == 4 ? 1 : 2) {
        if (i != 0) {
            htoki_put_char(&w, len == 4 ? '.' : ':');
        }
        if (len == 4) {
            htoki_put_decimal(&w, address[i]);
        } else {
            htoki_put_hex(&w, (uint32_t)address[i] << 8 | address[i + 1], 4, false);
        }
    }
    htoki_names_next(r);
    for (i = 0; i < w.total; i++) {
        htoki_names_put(r, text[i]);
    }
}

static void htoki_der_ip_name(htoki_der *d)
{
    htoki_reference *r = d->reference;
    if (d->got != 4 && d->got != 16) {
        return;
    }
    if (r->address_len == d->got && memcmp(r->address, d->value, (size_t)d->got) == 0) {
        d->name_found = true;
    }
    if (HTOKI_STRINGS) {
        htoki_names_put_address(r, d->value, d->got);
    }
}

/* A name constraint that applies to the kind of the reference. */
static void htoki_der_tree(htoki_der *d, bool inside)
{
    if (d->node[d->depth - 2] == HTOKI_NODE_EXCLUDED) {
        d->excluded = d->excluded || inside;
    } else {
        d->permitted_seen = true;
        d->permitted = d->permitted || inside;
    }
}

static void htoki_der_ip_tree(htoki_der *d)
{
    const htoki_reference *r = d->reference;
    unsigned i, n = r->address_len;
    bool inside = d->got == 2 * n;
    if (d->got != 8 && d->got != 32) {
        d->failed = true;
        return;
    }
    for (i = 0; i < n && inside; i++) {
        inside = ((r->address[i] ^ d->value[i]) & d->value[n + i]) == 0;
    }
    if (n != 0) {
        htoki_der_tree(d, inside);
    }
}

static void htoki_der_hash_end(htoki_der *d, unsigned char hash[32])
{
    if (d->hashing) {
        br_sha256_out(&d->sha, hash);
        d->hashing = false;
    }
}

/* An element has ended, and nothing has failed so far. */
static void htoki_der_close(htoki_der *d, htoki_node node)
{
    switch (node) {
    case HTOKI_NODE_CERTIFICATE:
        d->failed = d->index[1] != 3;
        d->done = !d->failed;
        break;
    case HTOKI_NODE_TBS:
        d->event = HTOKI_EVENT_TBS;
        d->failed = d->index[2] < 7;
        break;
    case HTOKI_NODE_VALIDITY: d->failed = d->index[3] != 2; break;
    case HTOKI_NODE_KEY:
        htoki_der_hash_end(d, d->key_hash);
        d->failed = d->index[3] != 2;
        break;
    case HTOKI_NODE_ISSUER: htoki_der_hash_end(d, d->issuer); break;
    case HTOKI_NODE_SUBJECT:
        htoki_der_hash_end(d, d->subject);
        d->event = HTOKI_EVENT_SUBJECT;
        break;
    case HTOKI_NODE_NOT_BEFORE: htoki_der_date(d, d->not_before); break;
    case HTOKI_NODE_NOT_AFTER: htoki_der_date(d, d->not_after); break;
    case HTOKI_NODE_SIGNATURE_OID: htoki_der_oddity(d); break;
    case HTOKI_NODE_KEY_OID:
    case HTOKI_NODE_CURVE_OID: htoki_der_key_oid(d); break;
    case HTOKI_NODE_MODULUS: d->key->modulus_len = d->key->len; break;
    case HTOKI_NODE_EXTENSION_OID: htoki_der_extension_oid(d); break;
    case HTOKI_NODE_CRITICAL:
        d->critical = d->value[0] != 0;
        d->failed = d->got != 1;
        d->critical_unknown = d->critical_unknown || (d->critical && d->extension == HTOKI_EXTENSION_OTHER);
        if (d->critical && (d->extension == HTOKI_EXTENSION_USAGES ||
                            (d->extension == HTOKI_EXTENSION_TREES && d->role != HTOKI_ROLE_SERVER))) {
            d->event = HTOKI_EVENT_CRITICAL;
        }
        break;
    case HTOKI_NODE_CA:
        d->ca = d->value[0] != 0;
        d->failed = d->got != 1;
        break;
    case HTOKI_NODE_PATH_LENGTH:
        d->path_limited = true;
        d->path_length = d->got == 1 ? d->value[0] : 255;
        break;
    case HTOKI_NODE_KEY_USAGE: /* bit 5 is keyCertSign, RFC 5280 section 4.2.1.3 */
        d->signs_nothing = d->got < 2 || (d->value[1] & 0x04) == 0;
        break;
    case HTOKI_NODE_USAGE:
        d->server_usage = d->server_usage || htoki_der_value_is(d, "\x2b\x06\x01\x05\x05\x07\x03\x01", 8) ||
                          htoki_der_value_is(d, "\x55\x1d\x25\x00", 4);
        break;
    case HTOKI_NODE_KEY_ID:
        d->key_id_len = (unsigned char)(d->got < sizeof d->key_id ? d->got : sizeof d->key_id);
        memcpy(d->key_id, d->value, sizeof d->key_id);
        break;
    case HTOKI_NODE_TREES:
    case HTOKI_NODE_PERMITTED: /* RFC 5280 section 4.2.1.10: never empty, for that could mean all or nothing */
    case HTOKI_NODE_EXCLUDED: d->failed = d->index[d->depth] == 0; break;
    case HTOKI_NODE_DNS_NAME: d->name_found = d->name_found || d->exact || d->wild; break;
    case HTOKI_NODE_IP_NAME: htoki_der_ip_name(d); break;
    case HTOKI_NODE_DNS_TREE:
        if (d->reference->host_len != 0) {
            htoki_der_tree(d, d->exact);
        }
        break;
    case HTOKI_NODE_IP_TREE: htoki_der_ip_tree(d); break;
    case HTOKI_NODE_OTHER_TREE: d->tree_unknown = d->critical; break;
    default: break;
    }
}

/* The header in d->head is whole, with this length: X.690 section 8.1.3, and 10.1 for the shortest form. */
static void htoki_der_open(htoki_der *d, uint32_t len)
{
    unsigned parent = d->depth;
    htoki_node node = htoki_der_child(d, d->head[0]);
    HTOKI_ASSERT(parent + 1 < HTOKI_DER_DEPTH); /* no node above has children deeper */
    if (node == HTOKI_NODE_BAD || len > d->left[parent]) {
        d->failed = true;
        return;
    }
    d->left[parent] -= len;
    d->index[parent] = (unsigned char)(d->index[parent] + (d->index[parent] < 255));
    d->depth++;
    d->node[d->depth] = (unsigned char)node;
    d->index[d->depth] = 0;
    d->left[d->depth] = len;
    d->got = 0;
    d->value[0] = 0;
    if (!d->unhashed && (node == HTOKI_NODE_ISSUER || node == HTOKI_NODE_SUBJECT || node == HTOKI_NODE_KEY)) {
        br_sha256_init(&d->sha);
        d->hashing = true;
    }
    if (d->hashing) {
        br_sha256_update(&d->sha, d->head, d->head_len);
    }
    htoki_name_begin(d, node, len);
    d->head_len = 0;
}

static void htoki_der_head_byte(htoki_der *d, unsigned char octet)
{
    uint32_t len = 0;
    unsigned i, more;
    d->left[d->depth]--;
    d->head[d->head_len++] = octet;
    if (d->head_len == 1) {
        d->failed = (octet & 0x1f) == 0x1f;
        return;
    }
    more = d->head[1] < 0x80 ? 0 : d->head[1] & 0x7fu;
    if (d->head[1] == 0x80 || more > 3) {
        d->failed = true;
    } else if (d->head_len == 2 + more) {
        for (i = 0; i < more; i++) {
            len = len << 8 | d->head[2 + i];
        }
        if (more != 0 && (len < 0x80 || len >> (8 * (more - 1)) == 0)) {
            d->failed = true;
            return;
        }
        htoki_der_open(d, more == 0 ? d->head[1] : len);
    }
}

static void htoki_der_close_full(htoki_der *d)
{
    while (!d->failed && d->depth != 0 && d->left[d->depth] == 0) {
        htoki_node node = (htoki_node)d->node[d->depth];
        if (d->head_len != 0) {
            d->failed = true;
            return;
        }
        htoki_der_close(d, node);
        d->depth--;
    }
}

/* Walks on over bytes up to their end or the next event, and returns how many that took: at least one. */
static size_t htoki_der_feed(htoki_der *d, const unsigned char *bytes, size_t len)
{
    size_t at = 0;
    d->event = HTOKI_EVENT_NONE;
    while (at < len && d->event == HTOKI_EVENT_NONE && !d->failed) {
        htoki_node node = (htoki_node)d->node[d->depth];
        uint32_t n = 1;
        if (d->done) {
            d->trailing = true;
            return len;
        }
        if (node >= HTOKI_NODE_SKIP) {
            n = len - at < d->left[d->depth] ? (uint32_t)(len - at) : d->left[d->depth];
            d->left[d->depth] -= n;
            htoki_der_content(d, node, bytes + at, n);
        } else if (node == HTOKI_NODE_KEY_BITS && d->index[d->depth] == 0) { /* the count of unused bits */
            d->left[d->depth]--;
            d->index[d->depth] = 1;
            d->failed = bytes[at] != 0;
        } else {
            htoki_der_head_byte(d, bytes[at]);
            n = 0;
            at++;
        }
        if (d->hashing && n != 0) {
            br_sha256_update(&d->sha, bytes + at, (size_t)n);
        }
        at += (size_t)n;
        htoki_der_close_full(d);
    }
    return d->failed ? len : at;
}

/* Base64 digit's value (RFC 4648 section 4), or -1. */
static int htoki_base64_value(unsigned char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* The trusted certificates, one after the other, in pieces: PEM (RFC 7468, read generously) or plain DER. */
typedef struct htoki_bundle {
    const char *text;
    size_t len, at, begin, end; /* begin: of this certificate; end: of it in DER */
    htok_view label;            /* PEM: what stands after BEGIN */
    uint32_t bits;
    unsigned bit_count, padding;
    bool der, inside, failed;
} htoki_bundle;

static void htoki_bundle_open(htoki_bundle *b, htok_view trust)
{
    memset(b, 0, sizeof *b);
    b->text = trust.ptr;
    b->len = trust.len;
    b->der = trust.len > 2 && trust.ptr[0] == 0x30 && (unsigned char)trust.ptr[1] > 0x80 &&
             (unsigned char)trust.ptr[1] < 0x84;
}

static bool htoki_bundle_starts(const htoki_bundle *b, size_t at, const char *word, size_t len)
{
    HTOKI_ASSERT(at <= b->len);
    return b->len - at >= len && memcmp(b->text + at, word, len) == 0;
}

static bool htoki_bundle_fail(htoki_bundle *b, size_t at)
{
    b->failed = true;
    b->at = at;
    return false;
}

/* The outer SEQUENCE's header tells where the certificate ends. */
static bool htoki_bundle_next_der(htoki_bundle *b)
{
    size_t i, more, len = 0;
    b->at = b->begin = b->end;
    if (b->at == b->len) {
        return false;
    }
    if (b->len - b->at < 5 || b->text[b->at] != 0x30) {
        return htoki_bundle_fail(b, b->at);
    }
    more = (unsigned char)b->text[b->at + 1] - 0x80u;
    if (more < 1 || more > 3) {
        return htoki_bundle_fail(b, b->at);
    }
    for (i = 0; i < more; i++) {
        len = len << 8 | (unsigned char)b->text[b->at + 2 + i];
    }
    if (len > b->len - b->at - 2 - more) {
        return htoki_bundle_fail(b, b->at);
    }
    b->end = b->at + 2 + more + len;
    return true;
}

static bool htoki_bundle_is_label(htok_view label)
{
    return htoki_is(label, "CERTIFICATE") || htoki_is(label, "X509 CERTIFICATE") ||
           htoki_is(label, "TRUSTED CERTIFICATE");
}

/* A label that was meant to be one of these, but is written in another way. */
static bool htoki_bundle_is_near_label(htok_view label)
{
    static const char word[] = "certificate";
    size_t i, len = sizeof word - 1;
    while (label.len != 0 && label.ptr[label.len - 1] == ' ') {
        label.len--;
    }
    for (i = 0; i < len && i < label.len && htoki_lower(label.ptr[label.len - 1 - i]) == word[len - 1 - i];
         i++) {}
    return i == len;
}

/* A BEGIN or END line, found at b->at, with this many bytes before its label: takes that. */
static bool htoki_bundle_label(htoki_bundle *b, size_t before)
{
    size_t begin = b->at + before, end = begin;
    while (end < b->len && end - begin < 64 && b->text[end] != '-' && !htoki_is_control(b->text[end])) {
        end++;
    }
    b->begin = b->at;
    b->label = htoki_view(b->text + begin, end - begin);
    b->at = end + 5;
    return htoki_bundle_starts(b, end, "-----", 5);
}

/* Goes to the next certificate. False: there is none, or failed is set and at tells where. */
static bool htoki_bundle_next(htoki_bundle *b)
{
    bool end, whole, ours;
    b->bits = 0;
    b->bit_count = b->padding = 0;
    if (b->der) {
        return htoki_bundle_next_der(b);
    }
    while (b->at < b->len) {
        const char *dash = (const char *)memchr(b->text + b->at, '-', b->len - b->at);
        if (dash == NULL) {
            return false;
        }
        b->at = (size_t)(dash - b->text);
        end = htoki_bundle_starts(b, b->at, "-----END ", 9);
        if (!end && !htoki_bundle_starts(b, b->at, "-----BEGIN ", 11)) {
            b->at++;
            continue;
        }
        whole = htoki_bundle_label(b, end ? 9 : 11);
        ours = htoki_bundle_is_label(b->label);
        /* A certificate that a damaged line hides must not go unnoticed: no END without its BEGIN. */
        if ((!end && !whole) || (end && ours && !b->inside) ||
            (!ours && htoki_bundle_is_near_label(b->label))) {
            return htoki_bundle_fail(b, b->begin);
        }
        b->inside = ours && !end;
        if (b->inside) {
            return true;
        }
    }
    return false;
}

/* The END line closes a block of whole groups of four digits. */
static bool htoki_bundle_end(htoki_bundle *b)
{
    size_t at = b->at;
    b->inside = false;
    if (b->bit_count != 0 || !htoki_bundle_starts(b, at, "-----END ", 9) ||
        !htoki_bundle_starts(b, at + 9, b->label.ptr, b->label.len) ||
        !htoki_bundle_starts(b, at + 9 + b->label.len, "-----", 5)) {
        return htoki_bundle_fail(b, at);
    }
    b->at = at + 14 + b->label.len;
    return true;
}

/* Four digits that stand together, as almost all do. */
static bool htoki_base64_quad(const char *digits, unsigned char out[3])
{
    int a = htoki_base64_value((unsigned char)digits[0]), b = htoki_base64_value((unsigned char)digits[1]);
    int c = htoki_base64_value((unsigned char)digits[2]), d = htoki_base64_value((unsigned char)digits[3]);
    if ((a | b | c | d) < 0) {
        return false;
    }
    out[0] = (unsigned char)(a << 2 | b >> 4);
    out[1] = (unsigned char)(b << 4 | c >> 2);
    out[2] = (unsigned char)(c << 6 | d);
    return true;
}

/* The certificate's next bytes, at most size, 3 or more; 0 at its end or with failed set. */
static size_t htoki_bundle_read(htoki_bundle *b, unsigned char *out, size_t size)
{
    size_t n = 0;
    if (b->der) {
        n = b->end - b->at < size ? b->end - b->at : size;
        memcpy(out, b->text + b->at, n);
        b->at += n;
        return n;
    }
    while (b->inside && size - n >= 3) {
        unsigned char c = b->at < b->len ? (unsigned char)b->text[b->at] : 0;
        int value = htoki_base64_value(c);
        if (value >= 0 && b->bit_count == 0 && b->padding == 0 && b->len - b->at >= 4 &&
            htoki_base64_quad(b->text + b->at, out + n)) {
            b->at += 4;
            n += 3;
            continue;
        }
        if (c == '-') {
            return htoki_bundle_end(b) ? n : 0;
        }
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            b->at++;
            continue;
        }
        if (c == '=' && b->bit_count >= 12) {
            b->padding++;
            value = 0;
        } else if (value < 0 || b->padding != 0) {
            b->inside = false;
            htoki_bundle_fail(b, b->at);
            return 0;
        }
        b->at++;
        b->bits = b->bits << 6 | (uint32_t)value;
        b->bit_count += 6;
        if (b->bit_count == 24) {
            out[n] = (unsigned char)(b->bits >> 16);
            out[n + 1] = (unsigned char)(b->bits >> 8);
            out[n + 2] = (unsigned char)b->bits;
            n += 3 - b->padding;
            b->bits = 0;
            b->bit_count = 0;
        }
    }
    return n;
}

/* Unix seconds as YYYYMMDDHHMMSS, the form in which certificates' dates compare. False when out of range. */
static bool htoki_time_digits(int64_t unix_seconds, char text[14])
{
    int32_t days, second;
    int year, month = 1, parts[7];
    size_t i, at = 14;
    if (unix_seconds <= 0 || unix_seconds >= 253402300800) {
        return false;
    }
    days = (int32_t)(unix_seconds / 86400);
    second = (int32_t)(unix_seconds - (int64_t)days * 86400);
    year = 1970 + (int)(days / 366);
    while (htoki_days_from_date(year + 1, 1, 1) <= days) {
        year++;
    }
    days -= htoki_days_from_date(year, 1, 1);
    while (days >= htoki_days_in_month(year, month)) {
        days -= htoki_days_in_month(year, month++);
    }
    parts[0] = (int)(second % 60);
    parts[1] = (int)(second / 60 % 60);
    parts[2] = (int)(second / 3600);
    parts[3] = (int)days + 1;
    parts[4] = month;
    parts[5] = year % 100;
    parts[6] = year / 100;
    for (i = 0; i < 7; i++) {
        text[--at] = (char)('0' + parts[i] % 10);
        text[--at] = (char)('0' + parts[i] / 10);
    }
    return true;
}

static void htoki_put_date(htoki_writer *w, const char digits[14])
{
    size_t i;
    if (digits[0] == '\0') {
        htoki_put_char(w, '?'); /* not read */
        return;
    }
    for (i = 0; i < 12; i++) {
        htoki_put(w, digits + i, 1);
        if (i == 3 || i == 5 || i == 7 || i == 9) {
            htoki_put_char(w, i == 7 ? ' ' : i == 9 ? ':' : '-');
        }
    }
}

/* Keys that BearSSL can verify with and that are strong enough. */
static bool htoki_root_usable(const htoki_der *d, const htoki_root_key *key)
{
    size_t point = d->key_kind == BR_EC_secp256r1   ? 65
                   : d->key_kind == BR_EC_secp384r1 ? 97
                   : d->key_kind == BR_EC_secp521r1 ? 133
                                                    : 0;
    if (key->overflow || d->critical_unknown || (htoki_der_has_usages(d) && !d->server_usage)) {
        return false;
    }
    if (d->key_kind == HTOKI_KEY_RSA) {
        return key->modulus_len >= 256 && key->modulus_len <= HTOKI_RSA_BYTES_MAX &&
               key->len > key->modulus_len;
    }
    return point != 0 && key->len == point;
}

static htok_kind htoki_trust_fail(htok_error *e, htok_reason reason, size_t at, unsigned number,
                                  const char *now)
{
    htoki_writer w = htoki_writer_make(e->detail, sizeof e->detail, 0);
    if (HTOKI_STRINGS) {
        htoki_put_text(&w, reason == HTOK_REASON_TRUST_EMPTY ? "certificates: "
                                                             : "well-formed certificates before it: ");
        htoki_put_decimal(&w, number);
        if (number != 0 && reason == HTOK_REASON_TRUST_EMPTY) {
            htoki_put_text(&w, ", all expired, limited to other uses or with another key than RSA of 2048 to "
                               "4096 bits, P-256, P-384 or P-521");
            if (now != NULL) {
                htoki_put_text(&w, "; checked at ");
                htoki_put_date(&w, now);
                htoki_put_text(&w, " UTC");
            }
        }
    }
    (void)htoki_writer_end(&w);
    return reason == HTOK_REASON_TRUST_EMPTY ? htoki_fail_option(e, reason, "trust")
                                             : htoki_fail_option_at(e, reason, "trust", at);
}

/* Reads all trusted certificates once: all must be well-formed and one or more of use. */
static htok_kind htoki_trust_check(htok_view trust, bool time_known, int64_t unix_seconds, htok_error *e)
{
    htoki_bundle b;
    htoki_der d;
    htoki_root_key key;
    unsigned char piece[48];
    char now[14];
    unsigned number = 0, usable = 0;
    size_t n;
    time_known = time_known && htoki_time_digits(unix_seconds, now);
    htoki_bundle_open(&b, trust);
    while (htoki_bundle_next(&b)) {
        htoki_der_start(&d, HTOKI_ROLE_ROOT, NULL, &key);
        d.unhashed = true;
        while ((n = htoki_bundle_read(&b, piece, sizeof piece)) != 0) {
            size_t at = 0;
            while (at < n) {
                at += htoki_der_feed(&d, piece + at, n - at);
            }
        }
        /* Behind a TRUSTED CERTIFICATE OpenSSL writes what it may not be trusted for, which would be lost here. */
        if (b.failed || !d.done || d.trailing) {
            return htoki_trust_fail(e, HTOK_REASON_TRUST_MALFORMED, b.failed ? b.at : b.begin, number, NULL);
        }
        number++;
        usable += htoki_root_usable(&d, &key) && !(time_known && memcmp(d.not_after, now, sizeof now) < 0);
    }
    if (b.failed) {
        return htoki_trust_fail(e, HTOK_REASON_TRUST_MALFORMED, b.at, number, NULL);
    }
    return usable != 0 ? HTOK_OK
                       : htoki_trust_fail(e, HTOK_REASON_TRUST_EMPTY, 0, number, time_known ? now : NULL);
}

/* "sha256/" and the base64 of 32 bytes, in its one canonical form. */
static bool htoki_pin_parse(htok_view text, unsigned char hash[32])
{
    uint32_t bits = 0;
    size_t i, at = 0;
    unsigned have = 0;
    if (text.len != 51 || memcmp(text.ptr, "sha256/", 7) != 0 || text.ptr[50] != '=') {
        return false;
    }
    for (i = 7; i < 50; i++) {
        int value = htoki_base64_value((unsigned char)text.ptr[i]);
        if (value < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            hash[at++] = (unsigned char)(bits >> have);
        }
    }
    return (bits & 3) == 0;
}

/* BearSSL compares distinguished names by hash and wants an anchor's whole name only to hash it. This hash
   takes the hash itself instead of a name when a zero byte, which begins no DER name, stands before it. So
   names of any length fit. */
typedef struct htoki_name_hash {
    const br_hash_class *vtable;
    br_sha256_context sha;
    bool begun, given;
    unsigned char hash[32];
} htoki_name_hash;
HTOKI_STATIC_ASSERT(sizeof(htoki_name_hash) <= sizeof(br_hash_compat_context), name_hash) HTOKI_UNUSED;

static void htoki_name_hash_init(const br_hash_class **context)
{
    htoki_name_hash *h = (htoki_name_hash *)(void *)context;
    h->begun = h->given = false;
    br_sha256_init(&h->sha);
}

static void htoki_name_hash_update(const br_hash_class **context, const void *bytes, size_t len)
{
    htoki_name_hash *h = (htoki_name_hash *)(void *)context;
    const unsigned char *p = (const unsigned char *)bytes;
    if (!h->begun && len == 33 && p[0] == 0) {
        memcpy(h->hash, p + 1, 32);
        h->given = true;
    }
    h->begun = true;
    br_sha256_update(&h->sha, bytes, len);
}

static void htoki_name_hash_out(const br_hash_class *const *context, void *out)
{
    const htoki_name_hash *h = (const htoki_name_hash *)(const void *)context;
    if (h->given) {
        memcpy(out, h->hash, 32);
    } else {
        br_sha256_out(&h->sha, out);
    }
}

/* What br_x509_minimal calls of a hash; it never asks for the state. */
static const br_hash_class htoki_name_hash_vtable = {sizeof(htoki_name_hash),
                                                     BR_HASHDESC_ID(br_sha256_ID) | BR_HASHDESC_OUT(32),
                                                     htoki_name_hash_init,
                                                     htoki_name_hash_update,
                                                     htoki_name_hash_out,
                                                     NULL,
                                                     NULL};

#define HTOKI_CHAIN_MAX 16 /* certificates that are looked at: each may cost the check of a signature */
/* A session is resumed at most this long after its certificates were verified (RFC 5246 section F.1.4), and not past
   the end of one of them: a resumed handshake checks none. */
#define HTOKI_SESSION_SECONDS 86400

#define HTOKI_SEEN_PINS 4

/* What else than BearSSL's code tells the fault. */
typedef enum htoki_why {
    HTOKI_WHY_CODE,
    HTOKI_WHY_TOO_LONG,
    HTOKI_WHY_SERVER_USAGE,
    HTOKI_WHY_ISSUER_USAGE,
    HTOKI_WHY_SERVER_IS_CA,
    HTOKI_WHY_CONSTRAINTS
} htoki_why;

/* BearSSL's validation with ours around it. Needed from the start to the end of a handshake, and no longer.
   */
typedef struct htoki_x509 {
    const br_x509_class *vtable;
    unsigned char anchor_unfit, anchor_count, seen_count;
    bool begun, active, judged, malformed, passed, direct, pinned, anchor_pinned;
    bool expired_roots, anchor_other_id, name_ok, too_long;
    htok_reason reason;
    htok_reason refusal; /* ours, if the chain is good otherwise, and why */
    htoki_why why;
    int code;        /* BearSSL's, with reason */
    unsigned number; /* of the certificate at hand, the server's being 0 */
    unsigned fault;  /* number of the last one that was looked at */
    size_t used;     /* bytes of store taken by the anchors' keys */
    htok_view trust;
    const char *const *pins;
    size_t pin_count;
    char now[14];
    char until
        [14]; /* the earliest end of a date that the verdict rests on, and of the longest that it may be used */
    /* Beside other bytes, which spares what BearSSL's context grew by after 0.6. */
    unsigned char anchor_name[33];
    unsigned char seen[HTOKI_SEEN_PINS][32];
    htoki_reference reference;
    br_x509_trust_anchor anchor[2];
    htoki_der der;
    unsigned char store[656]; /* keys of anchors, and before that the names */
    br_x509_minimal_context minimal;
} htoki_x509;
HTOKI_STATIC_ASSERT(sizeof(htoki_x509) <= HTOK_WORK_BYTES, x509_fits_scratch) HTOKI_UNUSED;

static bool htoki_pin_match(const htoki_x509 *x, const unsigned char hash[32])
{
    unsigned char pin[32];
    size_t i;
    for (i = 0; i < x->pin_count; i++) {
        if (htoki_pin_parse(htoki_text(x->pins[i]), pin) && memcmp(pin, hash, sizeof pin) == 0) {
            return true;
        }
    }
    return false;
}

/* The verdict of a chain holds no longer than each of its certificates. */
static void htoki_x509_until(htoki_x509 *x, const char not_after[14])
{
    if (memcmp(not_after, x->until, sizeof x->until) < 0) {
        memcpy(x->until, not_after, sizeof x->until);
    }
}

/* Keeps the hash for the error: in a long chain those of the server, of its issuers, and the last. */
static void htoki_pin_seen(htoki_x509 *x, const unsigned char hash[32])
{
    size_t at = x->seen_count < HTOKI_SEEN_PINS ? x->seen_count : HTOKI_SEEN_PINS - 1;
    memcpy(x->seen[at], hash, 32);
    x->seen_count = (unsigned char)(x->seen_count + (x->seen_count < 255));
}

static bool htoki_trees_refuse(const htoki_der *d)
{
    return d->excluded || (d->permitted_seen && !d->permitted) || d->tree_unknown;
}

/* Why a trusted certificate of the issuer's name vouches for nothing here, see htoki_put_distrust(); 0: it may. */
static unsigned char htoki_anchor_unfit(const htoki_x509 *x, const htoki_der *root, const htoki_root_key *key,
                                        bool direct)
{
    bool self_signed_v1 = !root->extended && memcmp(root->subject, root->issuer, 32) == 0;
    if (!direct && !root->ca && !self_signed_v1) {
        return 1;
    }
    if (!x->expired_roots && memcmp(root->not_after, x->now, sizeof x->now) < 0) {
        return 2;
    }
    if (memcmp(root->not_before, x->now, sizeof x->now) > 0) {
        return 3;
    }
    if (!direct && (root->signs_nothing || (root->path_limited && x->number > root->path_length))) {
        return 4;
    }
    return !htoki_root_usable(root, key) ? 5 : htoki_trees_refuse(root) ? 6 : 0;
}

/* A trusted certificate of the right name becomes an anchor, if it is fit for it. The server's own
   certificate among the trusted ones (same subject, key and, in both, the host's name) is trusted as it is,
   whoever signed it; BearSSL calls that direct trust. */
static void htoki_anchor_take(htoki_x509 *x, const htoki_der *root, const htoki_root_key *key, bool any_id)
{
    const htoki_der *d = &x->der;
    bool direct = d->role == HTOKI_ROLE_SERVER && memcmp(root->subject, d->subject, 32) == 0 &&
                  memcmp(root->key_hash, d->key_hash, 32) == 0 && root->name_found;
    br_x509_trust_anchor *anchor;
    unsigned char unfit;
    if (!direct && memcmp(root->subject, d->issuer, 32) != 0) {
        return;
    }
    unfit = htoki_anchor_unfit(x, root, key, direct);
    if (unfit != 0) {
        x->anchor_unfit = unfit;
        return;
    }
    if (!direct && !any_id && d->key_id_len != 0 && root->key_id_len != 0 &&
        (d->key_id_len != root->key_id_len || memcmp(d->key_id, root->key_id, d->key_id_len) != 0)) {
        x->anchor_other_id = true;
        return;
    }
    if (direct) {
        x->anchor_count = 0;
        x->used = 0;
        x->direct = true;
    }
    if (key->len > sizeof x->store - x->used ||
        (x->anchor_count == 1 && memcmp(x->store, key->bytes, key->len) == 0)) {
        return;
    }
    if (!x->expired_roots) {
        htoki_x509_until(x, root->not_after);
    }
    x->anchor_pinned = (x->anchor_count == 0 || x->anchor_pinned) && htoki_pin_match(x, root->key_hash);
    htoki_pin_seen(x, root->key_hash);
    x->anchor_name[0] = 0;
    memcpy(x->anchor_name + 1, root->subject, 32);
    memcpy(x->store + x->used, key->bytes, key->len);
    anchor = &x->anchor[x->anchor_count++];
    anchor->dn.data = x->anchor_name;
    anchor->dn.len = sizeof x->anchor_name;
    anchor->flags = direct ? 0 : BR_X509_TA_CA;
    if (root->key_kind == HTOKI_KEY_RSA) {
        anchor->pkey.key_type = BR_KEYTYPE_RSA;
        anchor->pkey.key.rsa.n = x->store + x->used;
        anchor->pkey.key.rsa.nlen = key->modulus_len;
        anchor->pkey.key.rsa.e = x->store + x->used + key->modulus_len;
        anchor->pkey.key.rsa.elen = key->len - key->modulus_len;
    } else {
        anchor->pkey.key_type = BR_KEYTYPE_EC;
        anchor->pkey.key.ec.curve = root->key_kind;
        anchor->pkey.key.ec.q = x->store + x->used;
        anchor->pkey.key.ec.qlen = key->len;
    }
    x->used += key->len;
}

/* Reads the trusted certificate at hand as far as it may be an anchor. */
static bool htoki_anchor_read(htoki_x509 *x, htoki_bundle *b, htoki_der *root, htoki_root_key *key)
{
    unsigned char piece[48];
    size_t n;
    htoki_der_start(root, HTOKI_ROLE_ROOT, &x->reference, key);
    while (!root->failed && (n = htoki_bundle_read(b, piece, sizeof piece)) != 0) {
        size_t at = 0;
        while (at < n) {
            at += htoki_der_feed(root, piece + at, n - at);
            if (root->event == HTOKI_EVENT_SUBJECT && memcmp(root->subject, x->der.issuer, 32) != 0 &&
                (x->der.role != HTOKI_ROLE_SERVER || memcmp(root->subject, x->der.subject, 32) != 0)) {
                return false;
            }
        }
    }
    return root->done && !root->trailing;
}

static void htoki_anchors_scan(htoki_x509 *x, bool any_id)
{
    htoki_bundle b;
    htoki_der root;
    htoki_root_key key;
    htoki_bundle_open(&b, x->trust);
    while (x->anchor_count < HTOKI_COUNT(x->anchor) && !x->direct && htoki_bundle_next(&b)) {
        if (htoki_anchor_read(x, &b, &root, &key)) {
            htoki_anchor_take(x, &root, &key, any_id);
        }
    }
}

/* The trusted certificates that may have signed the one at hand, those first whose key id fits. */
static void htoki_anchors_find(htoki_x509 *x)
{
    x->anchor_count = 0;
    x->used = 0;
    x->anchor_other_id = false;
    x->anchor_unfit = 0;
    x->reference.names_len = HTOKI_NAMES_BYTES; /* the store now holds keys: no more names */
    htoki_anchors_scan(x, false);
    if (x->anchor_count == 0 && x->anchor_other_id) {
        htoki_anchors_scan(x, true);
    }
    x->minimal.trust_anchors = x->anchor;
    x->minimal.trust_anchors_num = x->anchor_count;
}

static void htoki_x509_refuse(htoki_x509 *x, htok_reason reason, htoki_why why)
{
    if (x->refusal == HTOK_REASON_NONE) {
        x->refusal = reason;
        x->why = why;
    }
}

/* All of the certificate that matters has been seen, and BearSSL is not that far yet. */
static void htoki_x509_judge(htoki_x509 *x)
{
    const htoki_der *d = &x->der;
    bool server = d->role == HTOKI_ROLE_SERVER;
    x->judged = true;
    x->minimal.trust_anchors_num = 0;
    x->name_ok = server ? d->name_found : x->name_ok;
    if (!x->name_ok) {
        return;
    }
    htoki_x509_until(x, d->not_after);
    x->pinned = x->pinned || htoki_pin_match(x, d->key_hash);
    htoki_pin_seen(x, d->key_hash);
    htoki_anchors_find(x);
    if (htoki_der_has_usages(d) && !d->server_usage) {
        htoki_x509_refuse(x, HTOK_REASON_CERTIFICATE_USAGE,
                          server ? HTOKI_WHY_SERVER_USAGE : HTOKI_WHY_ISSUER_USAGE);
    }
    if (server && d->ca && !x->direct) {
        htoki_x509_refuse(x, HTOK_REASON_CERTIFICATE_USAGE, HTOKI_WHY_SERVER_IS_CA);
    }
    if (!server && htoki_trees_refuse(d)) {
        htoki_x509_refuse(x, HTOK_REASON_CERTIFICATE_INVALID, HTOKI_WHY_CONSTRAINTS);
    }
}

static void htoki_x509_start_chain(const br_x509_class **context, const char *server_name)
{
    htoki_x509 *x = (htoki_x509 *)(void *)context;
    x->minimal.vtable->start_chain(&x->minimal.vtable, server_name);
    x->begun = true;
}

static void htoki_x509_start_cert(const br_x509_class **context, uint32_t length)
{
    htoki_x509 *x = (htoki_x509 *)(void *)context;
    x->active = x->minimal.err == 0 && x->number < HTOKI_CHAIN_MAX;
    /* BearSSL, which is then given nothing, ends the chain. */
    x->too_long = x->too_long || (x->minimal.err == 0 && !x->active);
    if (x->active) {
        htoki_der_start(&x->der, x->number == 0 ? HTOKI_ROLE_SERVER : HTOKI_ROLE_ISSUER, &x->reference, NULL);
        x->fault = x->number;
        x->judged = false;
    }
    x->minimal.vtable->start_cert(&x->minimal.vtable, length);
}

/* BearSSL refuses every critical extension that it does not know. For those that are checked here the mark
   reads "not critical" to its parser, while its hash, and so the signature, gets the true byte. */
static void htoki_x509_hide_critical(htoki_x509 *x, unsigned char octet)
{
    static const unsigned char not_critical = 0;
    if (x->minimal.err == 0) {
        br_multihash_update(&x->minimal.mhash, &octet, 1);
        x->minimal.do_mhash = 0;
        x->minimal.vtable->append(&x->minimal.vtable, &not_critical, 1);
        x->minimal.do_mhash = 1;
    }
}

static void htoki_x509_append(const br_x509_class **context, const unsigned char *bytes, size_t len)
{
    htoki_x509 *x = (htoki_x509 *)(void *)context;
    while (len != 0 && x->active && x->minimal.err == 0) {
        size_t n = htoki_der_feed(&x->der, bytes, len), hidden = 0;
        if (x->der.failed) {
            x->malformed = true;
        } else if (x->der.event == HTOKI_EVENT_TBS) {
            htoki_x509_judge(x);
        } else if (x->der.event == HTOKI_EVENT_CRITICAL) {
            hidden = 1;
        }
        if (n > hidden) {
            x->minimal.vtable->append(&x->minimal.vtable, bytes, n - hidden);
        }
        if (hidden != 0) {
            htoki_x509_hide_critical(x, bytes[n - 1]);
        }
        bytes += n;
        len -= n;
    }
    /* BearSSL stops at a notBefore in the future; the error tells both dates. */
    if (len != 0 && x->active && x->minimal.err == BR_ERR_X509_EXPIRED && x->der.not_after[0] == '\0') {
        (void)htoki_der_feed(&x->der, bytes, len);
    }
}

static void htoki_x509_end_cert(const br_x509_class **context)
{
    htoki_x509 *x = (htoki_x509 *)(void *)context;
    x->malformed = x->malformed || (x->active && !x->judged);
    x->minimal.vtable->end_cert(&x->minimal.vtable);
    x->number++;
}

static htok_reason htoki_x509_reason(int code)
{
    switch (code) {
    case BR_ERR_X509_NOT_TRUSTED:
    case BR_ERR_X509_DN_MISMATCH: return HTOK_REASON_CERTIFICATE_UNTRUSTED;
    case BR_ERR_X509_BAD_SERVER_NAME: return HTOK_REASON_CERTIFICATE_NAME;
    case BR_ERR_X509_EXPIRED: return HTOK_REASON_CERTIFICATE_TIME;
    case BR_ERR_X509_FORBIDDEN_KEY_USAGE: return HTOK_REASON_CERTIFICATE_USAGE;
    default: return HTOK_REASON_CERTIFICATE_INVALID;
    }
}

/* The verdict. A code of BearSSL's stands unless it is about trust and something more telling is wrong. */
static unsigned htoki_x509_end_chain(const br_x509_class **context)
{
    htoki_x509 *x = (htoki_x509 *)(void *)context;
    int code = (int)x->minimal.vtable->end_chain(&x->minimal.vtable);
    bool open = code == 0 || code == BR_ERR_X509_NOT_TRUSTED;
    if (open && x->malformed) {
        code = BR_ERR_X509_UNEXPECTED;
    } else if (open && !x->name_ok) {
        code = BR_ERR_X509_BAD_SERVER_NAME;
    } else if (code == 0 && x->minimal.pkey.key_type == BR_KEYTYPE_RSA &&
               x->minimal.pkey.key.rsa.nlen > HTOKI_RSA_BYTES_MAX) {
        code = BR_ERR_X509_LIMIT_EXCEEDED; /* BearSSL takes in a few bits more */
    }
    x->reason = code == 0 ? HTOK_REASON_NONE : htoki_x509_reason(code);
    if (code != 0) { /* no refusal of ours decides */
        x->why = x->too_long ? HTOKI_WHY_TOO_LONG : HTOKI_WHY_CODE;
    }
    if (code == 0 && x->refusal != HTOK_REASON_NONE) {
        x->reason = x->refusal;
        code = x->refusal == HTOK_REASON_CERTIFICATE_USAGE ? BR_ERR_X509_FORBIDDEN_KEY_USAGE
                                                           : BR_ERR_X509_BAD_SERVER_NAME;
    } else if (code == 0 && x->pin_count != 0 && !x->pinned && !x->anchor_pinned) {
        x->reason = HTOK_REASON_CERTIFICATE_PIN;
        code = BR_ERR_X509_NOT_TRUSTED;
    }
    x->code = code;
    x->passed = code == 0;
    return (unsigned)code;
}

static const br_x509_pkey *htoki_x509_get_pkey(const br_x509_class *const *context, unsigned *usages)
{
    const htoki_x509 *x = (const htoki_x509 *)(const void *)context;
    return x->passed ? x->minimal.vtable->get_pkey(&x->minimal.vtable, usages) : NULL;
}

static const br_x509_class htoki_x509_vtable = {
    sizeof(htoki_x509),  htoki_x509_start_chain, htoki_x509_start_cert, htoki_x509_append,
    htoki_x509_end_cert, htoki_x509_end_chain,   htoki_x509_get_pkey};

static void htoki_put_pins_seen(htoki_writer *w, const htoki_x509 *x)
{
    size_t i, k;
    htoki_put_text(w, "seen:");
    for (i = 0; i < x->seen_count && i < HTOKI_SEEN_PINS; i++) {
        htoki_put_text(w, i == 0                                              ? " sha256/"
                          : x->seen_count > i + 1 && i == HTOKI_SEEN_PINS - 1 ? ", ..., sha256/"
                                                                              : ", sha256/");
        for (k = 0; k < 33; k += 3) {
            htoki_put_base64(w, x->seen[i] + k, k < 30 ? 3 : 2);
        }
    }
}

static void htoki_put_distrust(htoki_writer *w, const htoki_x509 *x)
{
    static const char unfit[] = "is no CA's\0"
                                "has expired\0"
                                "is not valid yet\0"
                                "may not, by its keyUsage or path length\0"
                                "is of no use: its key, its extendedKeyUsage or a critical extension\0"
                                "does not allow the host, by its name constraints";
    if (x->code == BR_ERR_X509_DN_MISMATCH) {
        htoki_put_text(w, "a certificate in the server's chain is not from the issuer of the one before");
    } else if (x->anchor_count != 0) {
        htoki_put_text(w, "a trusted certificate has the issuer's name, but did not sign");
    } else if (x->anchor_unfit != 0) {
        htoki_put_text(w, "the trusted certificate that may have signed ");
        htoki_put_text(w, htoki_nth_text(unfit, x->anchor_unfit - 1u));
    } else {
        htoki_put_text(w, "the server sent ");
        htoki_put_decimal(w, x->number);
        htoki_put_text(w, x->number == 1 ? " certificate; its issuer is not among the trusted"
                                         : " certificates; the last one's issuer is not among the trusted");
    }
}

/* What is wrong with which certificate. */
static void htoki_put_fault(htoki_writer *w, const htoki_x509 *x)
{
    static const char whys[] =
        "more than 16 certificates lead to no trusted one\0"
        "its extendedKeyUsage lacks serverAuth\0"
        "the extendedKeyUsage of a CA in the chain lacks serverAuth\0"
        "it is a CA's certificate\0"
        "name constraints of a CA in the chain exclude the host or are of an unknown kind";
    if (x->why != HTOKI_WHY_CODE) {
        htoki_put_text(w, htoki_nth_text(whys, (size_t)x->why - 1));
        return;
    }
    if (x->number > 1) {
        htoki_put_text(w, "certificate ");
        htoki_put_decimal(w, x->fault + 1);
        htoki_put_text(w, " of the chain: ");
    }
    htoki_put_text(w, htoki_tls_error_sentence(x->code));
    if (x->code == BR_ERR_X509_UNSUPPORTED && x->der.oddity != 0) {
        htoki_put_text(w, ": ");
        htoki_put_text(w, htoki_oddities[x->der.oddity - 1][1]);
    }
}

/* The facts behind the reason. */
static void htoki_x509_detail(const htoki_x509 *x, htoki_writer *w)
{
    switch ((int)x->reason) {
    case HTOK_REASON_CERTIFICATE_NAME:
        if (!x->name_ok) {
            htoki_put_text(w, x->reference.names_len != 0 ? "certificate is for "
                                                          : "certificate holds no subjectAltName");
            htoki_put(w, x->reference.names, x->reference.names_len);
            htoki_put_text(w, x->reference.names_len == HTOKI_NAMES_BYTES ? "..." : "");
        }
        break;
    case HTOK_REASON_CERTIFICATE_TIME:
        htoki_put_text(w, "valid from ");
        htoki_put_date(w, x->der.not_before);
        htoki_put_text(w, " to ");
        htoki_put_date(w, x->der.not_after);
        htoki_put_text(w, ", checked at ");
        htoki_put_date(w, x->now);
        htoki_put_text(w, " UTC");
        break;
    case HTOK_REASON_CERTIFICATE_UNTRUSTED: htoki_put_distrust(w, x); break;
    case HTOK_REASON_CERTIFICATE_PIN: htoki_put_pins_seen(w, x); break;
    default: htoki_put_fault(w, x); break;
    }
}

/* >>identity --------------------------------------------------------------------------------------------- */
/* The client's own certificate chain and private key, for servers that ask for one. Takes PEM; gives what BearSSL
   sends and signs with. The key is decoded for the one signature of a handshake and wiped behind it. Must not know:
   sockets, the rest of the handshake. */

/* What a private key's PEM block can hold (RFC 5958, RFC 8017 appendix A.1.2, RFC 5915). */
typedef enum htoki_key_form {
    HTOKI_KEY_NONE,
    HTOKI_KEY_PKCS8,
    HTOKI_KEY_PKCS1,
    HTOKI_KEY_SEC1
} htoki_key_form;

enum { HTOKI_OWN_CHAIN_MAX = 8 };

/* Lives in the client's block, with room for what is decoded behind it. */
typedef struct htoki_identity {
    htok_view chain_text, key_text; /* PEM, borrowed */
    unsigned char *room;
    size_t size, used;
    br_x509_certificate chain[HTOKI_OWN_CHAIN_MAX];
    size_t chain_len;
    int kind, key_kind; /* of the first certificate's key and the private one: HTOKI_KEY_RSA or a curve */
    union {
        br_rsa_private_key rsa;
        br_ec_private_key ec;
    } key;
    htok_view modulus; /* with RSA */
} htoki_identity;

#if HTOKI_CLIENT_CERTIFICATE

/* Base64 gives three bytes for four; the identity comes first. */
static size_t htoki_identity_bytes(size_t chain_len, size_t key_len)
{
    return sizeof(htoki_identity) + chain_len / 4 * 3 + 3 + key_len / 4 * 3 + 3;
}

static void htoki_identity_begin(htoki_identity *id, size_t bytes, htok_view chain, htok_view key)
{
    memset(id, 0, sizeof *id);
    id->chain_text = chain;
    id->key_text = key;
    id->room = (unsigned char *)id + sizeof *id;
    id->size = bytes - sizeof *id;
}

/* Wipes all that was decoded; of a block that broke off some lies behind what is used. */
static void htoki_identity_forget(htoki_identity *id)
{
    htoki_wipe(id->room, id->size);
    htoki_wipe(&id->key, sizeof id->key);
    id->used = id->chain_len = 0;
    id->modulus = htoki_view(NULL, 0);
}

/* The PEM block at hand into the room. */
static bool htoki_identity_read(htoki_identity *id, htoki_bundle *b, htok_view *der)
{
    size_t begin = id->used, n;
    while ((n = htoki_bundle_read(b, id->room + id->used, id->size - id->used)) != 0) {
        id->used += n;
    }
    *der = htoki_view((const char *)id->room + begin, id->used - begin);
    HTOKI_ASSERT(!b->inside); /* the room is as large as all that base64 can give */
    return !b->failed;
}

/* Whether this is one whole certificate; of the first its key is kept. */
static bool htoki_identity_walk(htok_view der, htoki_der *d, htoki_root_key *key)
{
    size_t at = 0;
    htoki_der_start(d, HTOKI_ROLE_ROOT, NULL, key);
    while (at < der.len) {
        at += htoki_der_feed(d, (const unsigned char *)der.ptr + at, der.len - at);
    }
    return d->done && !d->failed && !d->trailing;
}

/* Decodes client_chain. The key of the first certificate is left in *key. */
static bool htoki_identity_chain(htoki_identity *id, htoki_root_key *key, size_t *at)
{
    htoki_bundle b;
    htoki_der d;
    htok_view der;
    htoki_bundle_open(&b, id->chain_text);
    while (!b.der && htoki_bundle_next(&b)) {
        *at = b.begin;
        if (id->chain_len == HTOKI_OWN_CHAIN_MAX || !htoki_identity_read(id, &b, &der) ||
            !htoki_identity_walk(der, &d, id->chain_len == 0 ? key : NULL)) {
            *at = b.failed ? b.at : *at;
            return false;
        }
        id->kind = id->chain_len == 0 ? d.key_kind : id->kind;
        id->chain[id->chain_len].data = id->room + (id->used - der.len);
        id->chain[id->chain_len++].data_len = der.len;
    }
    *at = b.at;
    return !b.failed && id->chain_len != 0;
}

/* Takes an element with this tag from the front of DER in memory. */
static bool htoki_take(htok_view *in, unsigned tag, htok_view *content)
{
    size_t head = 2, len, more, i;
    if (in->len < 2 || (unsigned char)in->ptr[0] != tag) {
        return false;
    }
    len = (unsigned char)in->ptr[1];
    if (len >= 0x80) {
        more = len - 0x80;
        if (more < 1 || more > 2 || in->len < 2 + more) {
            return false;
        }
        for (len = 0, i = 0; i < more; i++) {
            len = len << 8 | (unsigned char)in->ptr[2 + i];
        }
        head += more;
    }
    if (len > in->len - head) {
        return false;
    }
    *content = htoki_view(in->ptr + head, len);
    in->ptr += head + len;
    in->len -= head + len;
    return true;
}

/* A positive INTEGER without its leading zeros. */
static bool htoki_take_number(htok_view *in, htok_view *number)
{
    if (!htoki_take(in, 0x02, number)) {
        return false;
    }
    while (number->len != 0 && *number->ptr == 0) {
        number->ptr++;
        number->len--;
    }
    return true;
}

static bool htoki_take_version(htok_view *in, unsigned least, unsigned most)
{
    htok_view number;
    unsigned value;
    if (!htoki_take_number(in, &number) || number.len > 1) {
        return false;
    }
    value = number.len == 0 ? 0 : (unsigned char)*number.ptr;
    return value >= least && value <= most;
}

/* The curve that an OID names; 0 for others and for a curve that is described instead. */
static int htoki_take_curve(htok_view *in)
{
    htok_view oid;
    int kind = htoki_take(in, 0x06, &oid) ? htoki_key_kind(oid.ptr, oid.len) : 0;
    return kind > HTOKI_KEY_EC ? kind : 0;
}

/* Where in the room a number lies: BearSSL's structures want no const. */
static unsigned char *htoki_identity_at(const htoki_identity *id, htok_view number)
{
    return id->room + (number.ptr - (const char *)id->room);
}

/* RSAPrivateKey with two primes. The sizes are bounded before BearSSL's arithmetic relies on them. */
static htok_reason htoki_identity_rsa(htoki_identity *id, htok_view der)
{
    br_rsa_private_key *sk = &id->key.rsa;
    htok_view in, n[8]; /* n e d p q dP dQ qInv */
    size_t i, factors;
    unsigned top;
    if (!htoki_take(&der, 0x30, &in) || !htoki_take_version(&in, 0, 0)) {
        return HTOK_REASON_CLIENT_KEY_MALFORMED;
    }
    for (i = 0; i < 8; i++) {
        if (!htoki_take_number(&in, &n[i]) || n[i].len == 0) {
            return HTOK_REASON_CLIENT_KEY_MALFORMED;
        }
    }
    factors = n[3].len + n[4].len;
    if (factors < n[0].len || factors > n[0].len + 1 ||
        (n[3].ptr[n[3].len - 1] & n[4].ptr[n[4].len - 1] & 1) == 0) {
        return HTOK_REASON_CLIENT_KEY_MALFORMED;
    }
    if (n[0].len < 256 || n[0].len > 512) {
        return HTOK_REASON_CLIENT_KEY_UNSUPPORTED;
    }
    sk->n_bitlen = (uint32_t)(8 * n[0].len);
    for (top = (unsigned char)n[0].ptr[0]; top < 0x80; top <<= 1) {
        sk->n_bitlen--;
    }
    sk->p = htoki_identity_at(id, n[3]);
    sk->plen = n[3].len;
    sk->q = htoki_identity_at(id, n[4]);
    sk->qlen = n[4].len;
    sk->dp = htoki_identity_at(id, n[5]);
    sk->dplen = n[5].len;
    sk->dq = htoki_identity_at(id, n[6]);
    sk->dqlen = n[6].len;
    sk->iq = htoki_identity_at(id, n[7]);
    sk->iqlen = n[7].len;
    id->modulus = n[0];
    id->key_kind = HTOKI_KEY_RSA;
    return HTOK_REASON_NONE;
}

/* ECPrivateKey on this curve; with HTOKI_KEY_EC on the one that it names, or else on the certificate's. */
static htok_reason htoki_identity_ec(htoki_identity *id, htok_view der, int curve)
{
    htok_view in, secret, tagged;
    if (!htoki_take(&der, 0x30, &in) || !htoki_take_version(&in, 1, 1) || !htoki_take(&in, 0x04, &secret)) {
        return HTOK_REASON_CLIENT_KEY_MALFORMED;
    }
    if (curve == HTOKI_KEY_EC && htoki_take(&in, 0xa0, &tagged)) {
        curve = htoki_take_curve(&tagged);
    }
    if (curve == 0 || secret.len > 66) {
        return HTOK_REASON_CLIENT_KEY_UNSUPPORTED;
    }
    if (curve == HTOKI_KEY_EC) { /* it names none: then it is the certificate's, if that has one */
        if (id->kind == HTOKI_KEY_RSA) {
            return HTOK_REASON_CLIENT_KEY_MISMATCH;
        }
        curve = id->kind;
    }
    id->key_kind = curve;
    id->key.ec.curve = curve;
    id->key.ec.x = htoki_identity_at(id, secret);
    id->key.ec.xlen = secret.len;
    return HTOK_REASON_NONE;
}

/* PrivateKeyInfo around one of both. */
static htok_reason htoki_identity_pkcs8(htoki_identity *id, htok_view der)
{
    htok_view in, algorithm, oid, inner;
    int kind;
    if (!htoki_take(&der, 0x30, &in) || !htoki_take_version(&in, 0, 1) ||
        !htoki_take(&in, 0x30, &algorithm) || !htoki_take(&algorithm, 0x06, &oid) ||
        !htoki_take(&in, 0x04, &inner)) {
        return HTOK_REASON_CLIENT_KEY_MALFORMED;
    }
    kind = htoki_key_kind(oid.ptr, oid.len);
    if (kind == HTOKI_KEY_RSA) {
        return htoki_identity_rsa(id, inner);
    }
    return kind == HTOKI_KEY_EC ? htoki_identity_ec(id, inner, htoki_take_curve(&algorithm))
                                : HTOK_REASON_CLIENT_KEY_UNSUPPORTED;
}

/* Goes to the first block that holds a private key; other blocks may stand before it. */
static htok_reason htoki_identity_find_key(htoki_bundle *b, htoki_key_form *form)
{
    static const char word[] = "PRIVATE KEY";
    size_t at, len = sizeof word - 1;
    for (at = 0; at < b->len; at++) {
        b->at = at;
        if (!htoki_bundle_starts(b, at, "-----BEGIN ", 11) || !htoki_bundle_label(b, 11) ||
            b->label.len < len || memcmp(b->label.ptr + b->label.len - len, word, len) != 0) {
            continue;
        }
        *form = b->label.len == len                     ? HTOKI_KEY_PKCS8
                : htoki_is(b->label, "RSA PRIVATE KEY") ? HTOKI_KEY_PKCS1
                : htoki_is(b->label, "EC PRIVATE KEY")  ? HTOKI_KEY_SEC1
                                                        : HTOKI_KEY_NONE;
        while (b->at < b->len && htoki_is_control(b->text[b->at])) {
            b->at++; /* the line's end */
        }
        b->inside = true;
        /* The second form is RFC 1421's (section 4.6.1.1), which OpenSSL still writes. */
        return htoki_is(b->label, "ENCRYPTED PRIVATE KEY") || htoki_bundle_starts(b, b->at, "Proc-Type:", 10)
                   ? HTOK_REASON_CLIENT_KEY_ENCRYPTED
               : *form == HTOKI_KEY_NONE ? HTOK_REASON_CLIENT_KEY_UNSUPPORTED
                                         : HTOK_REASON_NONE;
    }
    b->begin = 0;
    return HTOK_REASON_CLIENT_KEY_MALFORMED;
}

/* Decodes client_key behind the chain. */
static htok_reason htoki_identity_key(htoki_identity *id, size_t *at)
{
    htoki_key_form form;
    htoki_bundle b;
    htok_view der;
    htok_reason reason;
    htoki_bundle_open(&b, id->key_text);
    b.der = false;
    reason = htoki_identity_find_key(&b, &form);
    *at = b.begin;
    if (reason != HTOK_REASON_NONE) {
        return reason;
    }
    if (!htoki_identity_read(id, &b, &der)) {
        *at = b.at;
        return HTOK_REASON_CLIENT_KEY_MALFORMED;
    }
    return form == HTOKI_KEY_PKCS8   ? htoki_identity_pkcs8(id, der)
           : form == HTOKI_KEY_PKCS1 ? htoki_identity_rsa(id, der)
                                     : htoki_identity_ec(id, der, HTOKI_KEY_EC);
}

/* Whether the private key is that of the first certificate. */
static bool htoki_identity_matches(const htoki_identity *id, const htoki_root_key *key)
{
    unsigned char point[BR_EC_KBUF_PUB_MAX_SIZE];
    size_t len;
    if (id->key_kind != id->kind) {
        return false;
    }
    if (id->key_kind == HTOKI_KEY_RSA) {
        return id->modulus.len == key->modulus_len &&
               memcmp(id->modulus.ptr, key->bytes, key->modulus_len) == 0;
    }
    len = br_ec_compute_pub(HTOKI_EC, NULL, point, &id->key.ec);
    return len != 0 && len == key->len && memcmp(point, key->bytes, len) == 0;
}

/* Checks both texts, once, when the client is made. Leaves nothing decoded behind. */
static htok_kind htoki_identity_check(htoki_identity *id, htok_error *e)
{
    htoki_root_key key;
    size_t at = 0;
    if (!htoki_identity_chain(id, &key, &at)) {
        (void)htoki_fail_option_at(e, HTOK_REASON_CLIENT_CHAIN_MALFORMED, "client_chain", at);
    } else {
        htok_reason reason = htoki_identity_key(id, &at);
        if (reason == HTOK_REASON_NONE && !htoki_identity_matches(id, &key)) {
            reason = HTOK_REASON_CLIENT_KEY_MISMATCH;
        }
        if (reason != HTOK_REASON_NONE) {
            (void)htoki_fail_option_at(e, reason, "client_key", at);
        }
    }
    htoki_identity_forget(id);
    return e->kind;
}

/* Signs the hash of the handshake, in place. Returns the signature's length, or 0. */
static size_t htoki_identity_sign(const htoki_identity *id, int hash_id, unsigned char *data, size_t size)
{
    const br_hash_class *hash = hash_id == br_sha256_ID   ? &br_sha256_vtable
                                : hash_id == br_sha384_ID ? &br_sha384_vtable
                                                          : &br_sha512_vtable;
    const unsigned char *oid = hash_id == br_sha256_ID   ? BR_HASH_OID_SHA256
                               : hash_id == br_sha384_ID ? BR_HASH_OID_SHA384
                                                         : BR_HASH_OID_SHA512;
    unsigned char value[64];
    size_t len = hash->desc >> BR_HASHDESC_OUT_OFF & BR_HASHDESC_OUT_MASK, need;
    memcpy(value, data, len);
    if (id->key_kind != HTOKI_KEY_RSA) {
        return HTOKI_ECDSA_SIGN(HTOKI_EC, hash, value, &id->key.ec, data);
    }
    need = (size_t)((id->key.rsa.n_bitlen + 7) / 8);
    return need <= size && HTOKI_RSA_SIGN(oid, value, len, &id->key.rsa, data) != 0 ? need : 0;
}

#endif

/* What came of a server's CertificateRequest (RFC 5246 section 7.4.4). */
enum { HTOKI_ASKED_NOT, HTOKI_ASKED, HTOKI_ASKED_UNFIT, HTOKI_ASKED_SENT };

/* BearSSL's handler of such a request. Its own one for RSA sends a certificate even where the server takes no
   signature of its key. */
typedef struct htoki_answer {
    const br_ssl_client_certificate_class *vtable;
    htoki_identity *identity; /* NULL: none is set */
    unsigned char asked;
} htoki_answer;

static void htoki_answer_pass(const br_ssl_client_certificate_class **context)
{
    (void)context;
}

static void htoki_answer_pass_name(const br_ssl_client_certificate_class **context, size_t len)
{
    (void)context;
    (void)len;
}

static void htoki_answer_pass_bytes(const br_ssl_client_certificate_class **context,
                                    const unsigned char *bytes, size_t len)
{
    (void)context;
    (void)bytes;
    (void)len;
}

/* Sends the chain if the server takes one of our signatures, whatever authorities it names: it knows best which
   of them it accepts. */
static void htoki_answer_choose(const br_ssl_client_certificate_class **context,
                                const br_ssl_client_context *client, uint32_t types,
                                br_ssl_client_certificate *choice)
{
    htoki_answer *a = (htoki_answer *)(void *)context;
#if HTOKI_CLIENT_CERTIFICATE
    htoki_identity *id = a->identity;
#endif
    (void)client;
    (void)types;
    memset(choice, 0, sizeof *choice);
    a->asked = HTOKI_ASKED;
#if HTOKI_CLIENT_CERTIFICATE
    if (id != NULL) {
        size_t at;
        bool decoded = htoki_identity_chain(id, NULL, &at) && htoki_identity_key(id, &at) == HTOK_REASON_NONE;
        bool rsa = id->key_kind == HTOKI_KEY_RSA;
        uint32_t hashes = rsa ? types : types >> 8;
        choice->auth_type = rsa ? BR_AUTH_RSA : BR_AUTH_ECDSA;
        choice->hash_id = br_sha256_ID;
        while (choice->hash_id < br_sha512_ID && (hashes >> choice->hash_id & 1) == 0) {
            choice->hash_id++;
        }
        a->asked = HTOKI_ASKED_UNFIT;
        if (decoded && (hashes >> choice->hash_id & 1) != 0) {
            a->asked = HTOKI_ASKED_SENT;
            choice->chain = id->chain;
            choice->chain_len = id->chain_len;
        } else {
            htoki_identity_forget(id);
        }
    }
#endif
}

static size_t htoki_answer_sign(const br_ssl_client_certificate_class **context, int hash_id, size_t hash_len,
                                unsigned char *data, size_t size)
{
    size_t len = 0;
    htoki_identity *id = ((htoki_answer *)(void *)context)->identity;
    (void)id;
    (void)hash_id;
    (void)hash_len;
    (void)data;
    (void)size;
#if HTOKI_CLIENT_CERTIFICATE
    len = htoki_identity_sign(id, hash_id, data, size);
    htoki_identity_forget(id);
#endif
    return len;
}

/* A key exchange with a static key is never offered, so no function for it is called. */
static const br_ssl_client_certificate_class htoki_answer_vtable = {
    sizeof(htoki_answer), htoki_answer_pass, htoki_answer_pass_name, htoki_answer_pass_bytes,
    htoki_answer_pass,    htoki_answer_pass, htoki_answer_choose,    NULL,
    htoki_answer_sign};

/* >>tls -------------------------------------------------------------------------------------------------- */
/* BearSSL's engine for one connection: TLS 1.2, ECDHE and AEAD only. Takes bytes of the wire and of the
   application; gives the same the other way round. Must not know: sockets, HTTP. */

/* When a session's certificates were verified, and how long that counts, as YYYYMMDDHHMMSS. */
typedef struct htoki_validity {
    char since[14], until[14];
} htoki_validity;

enum { HTOKI_TLS_ALERT = 21, HTOKI_TLS_HANDSHAKE = 22 }; /* content types (RFC 5246 section 6.2.1) */

/* A server may put all messages of its first flight into one record, and the engine works a record off in one go: the
   certificate's signature, that of the key exchange, and a key of our own. So plain handshake records are cut at the
   messages' ends, which changes nothing: records are no part of what is signed (RFC 5246 section 7.4.9). */
typedef struct htoki_cutter {
    unsigned char header[3]; /* type and version of the record that was cut */
    uint32_t rest;           /* bytes of it that have no header now */
    uint32_t message;        /* bytes of a message that go on in the next record */
    bool held;               /* what came ahead does not tell where to cut */
    bool off;                /* nothing is cut any more: what is encrypted, or no handshake */
} htoki_cutter;

/* Lives as long as the client; must not move. */
typedef struct htoki_tls {
    bool set_up; /* the engine has its algorithms, and its random generator a seed */
    bool started, established, resumable, resumed;
    htoki_x509 *x509;         /* during a handshake only */
    unsigned char *record_in; /* bytes from ahead to ahead_end came before the engine asked for them */
    size_t record_in_size, ahead, ahead_end;
    htoki_cutter cutter;
    htoki_answer answer;
    htoki_validity validity; /* of the session, where resumable */
    br_ssl_client_context client;
} htoki_tls;

typedef struct htoki_tls_config {
    const char *host;             /* as in the URL, without brackets; never empty */
    const unsigned char *address; /* its bytes when it is a literal, else NULL */
    size_t address_len;
    htok_view trust;          /* borrowed until the handshake ends, as the pins are */
    bool expired_roots;       /* the dates of trusted certificates do not matter */
    htoki_identity *identity; /* borrowed in the same way; NULL: none */
    const char *const *pins;  /* "sha256/BASE64" */
    size_t pin_count;
    bool time_known;
    int64_t unix_seconds;
    const unsigned char *entropy; /* 32 bytes or more */
    size_t entropy_len;
    void *record_in, *record_out;
    size_t record_in_size, record_out_size;
    void *scratch; /* holds an htoki_x509; free for other uses once htoki_tls_established() */
    size_t scratch_size;
    bool resume; /* go on with the session at hand, if it is still good, and without certificates; all that
                    htoki_tls_bind() takes must be the same */
} htoki_tls_config;

/* A record of AEAD adds a header, 8 bytes of nonce and 16 of tag (RFC 5288 section 3; RFC 7905 adds less), not
   the 325 bytes that BearSSL keeps for all suites; but it asks for that much room with the least payload. */
#define HTOKI_TLS_RECORD_IN_BYTES(payload)                                     \
    ((payload) + 29u > 512u + (BR_SSL_BUFSIZE_INPUT - 16384) ? (payload) + 29u \
                                                             : 512u + (BR_SSL_BUFSIZE_INPUT - 16384))
#define HTOKI_TLS_RECORD_OUT_BYTES(payload) ((payload) + (BR_SSL_BUFSIZE_OUTPUT - 16384))

#if HTOKI_STRINGS
/* What to do about it, in one sentence; "" when there is nothing to say. */
static const char *htoki_tls_hint(const htok_error *e)
{
    switch ((int)e->reason) {
    case HTOK_REASON_CERTIFICATE_TIME: return "check this machine's clock first";
    case HTOK_REASON_CERTIFICATE_NAME:
        return "check the host in the URL; a common name without subjectAltName is not enough";
    case HTOK_REASON_CERTIFICATE_UNTRUSTED:
        return "the server may leave out its intermediate certificates, or its root is missing among the "
               "trusted";
    case HTOK_REASON_CERTIFICATE_PIN: return "the server may have a new key, or somebody is in between";
    case HTOK_REASON_TIME_UNKNOWN: return "set this machine's clock, or options.clock";
    case HTOK_REASON_CLIENT_CERTIFICATE_MISSING: return "set client_chain and client_key";
    case HTOK_REASON_TLS_CLOSED: return "it may want TLS 1.3 only, or it is no TLS server";
    case HTOK_REASON_TLS_ALPN: return "the server does not offer HTTP/1.1";
    default: break;
    }
    switch (e->tls_error) {
    case BR_ERR_UNSUPPORTED_VERSION:
        return "the server speaks an older TLS than 1.2, or the port is no TLS port";
    case BR_ERR_BAD_VERSION:
    case BR_ERR_UNKNOWN_TYPE: return "this may be no TLS server: check the port";
    case BR_ERR_TOO_LARGE: return "its records are larger than record_bytes";
    case BR_ERR_INVALID_ALGORITHM:
        return "P-256, P-384, P-521 or X25519, and SHA-256 to SHA-512 with RSA or ECDSA, are supported";
    case BR_ERR_X509_UNSUPPORTED: return "SHA-1, RSA-PSS, Ed25519 and unusual curves are not supported";
    case BR_ERR_X509_LIMIT_EXCEEDED: return "RSA keys of more than 4096 bits are not supported";
    case BR_ERR_X509_WEAK_PUBLIC_KEY: return "RSA keys of less than 2048 bits are refused";
    case BR_ERR_RECV_FATAL_ALERT + BR_ALERT_HANDSHAKE_FAILURE:
    case BR_ERR_RECV_FATAL_ALERT + BR_ALERT_INSUFFICIENT_SECURITY:
        if (e->phase != HTOK_PHASE_HANDSHAKE) {
            return "the server may want to renegotiate, which is refused: to ask for a client certificate, "
                   "perhaps";
        }
        return "the server may want TLS 1.3, or an older TLS than 1.2, another cipher suite than ECDHE with "
               "AES-GCM "
               "or ChaCha20, a client certificate, or (FIPS) the extended master secret";
    case BR_ERR_RECV_FATAL_ALERT + BR_ALERT_PROTOCOL_VERSION:
        return "this server refuses TLS 1.2, the newest that BearSSL has";
    case BR_ERR_RECV_FATAL_ALERT + BR_ALERT_INTERNAL_ERROR: return "the server's own log may tell more";
    case BR_ERR_RECV_FATAL_ALERT + 112: return "check the host in the URL";
    default: return "";
    }
}
#else
static const char *htoki_tls_hint(const htok_error *e)
{
    (void)e;
    return "";
}
#endif

#if HTOKI_SMALL
/* One of each: what is named here is linked. Constant-time code for 32-bit CPUs, which serves all others as well. */
static void htoki_tls_set_suites(br_ssl_engine_context *engine)
{
    static const uint16_t suites[] = {BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                                      BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256};
    br_ssl_engine_set_suites(engine, suites, HTOKI_COUNT(suites));
    br_ssl_engine_set_rsavrfy(engine, br_rsa_i31_pkcs1_vrfy);
    br_ssl_engine_set_ec(engine, HTOKI_EC);
    br_ssl_engine_set_ecdsa(engine, br_ecdsa_i31_vrfy_asn1);
    br_ssl_engine_set_gcm(engine, &br_sslrec_in_gcm_vtable, &br_sslrec_out_gcm_vtable);
    br_ssl_engine_set_aes_ctr(engine, &br_aes_ct_ctr_vtable);
    br_ssl_engine_set_ghash(engine, br_ghash_ctmul32);
}
#else
/* AES is fast, and free of cache timing without bit slicing, only where the CPU has instructions for it. */
static void htoki_tls_set_suites(br_ssl_engine_context *engine)
{
    static const uint16_t suites[] = {
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,       BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,       BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384};
    static const uint16_t suites_without_aes[] = {
        BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,       BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,       BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384};
    const br_block_ctr_class *ctr = br_aes_x86ni_ctr_get_vtable();
    br_ghash ghash = ctr != NULL ? br_ghash_pclmul_get() : 0;
    if (ghash == 0) {
        ctr = br_aes_pwr8_ctr_get_vtable();
        ghash = ctr != NULL ? br_ghash_pwr8_get() : 0;
    }
    br_ssl_engine_set_suites(engine, ghash != 0 ? suites : suites_without_aes, HTOKI_COUNT(suites));
    br_ssl_engine_set_default_rsavrfy(engine);
    br_ssl_engine_set_default_ecdsa(engine);
    if (ghash != 0) {
        br_ssl_engine_set_gcm(engine, &br_sslrec_in_gcm_vtable, &br_sslrec_out_gcm_vtable);
        br_ssl_engine_set_aes_ctr(engine, ctr);
        br_ssl_engine_set_ghash(engine, ghash);
    } else {
        br_ssl_engine_set_default_aes_gcm(engine);
    }
    br_ssl_engine_set_default_chapol(engine);
    br_ssl_engine_set_prf_sha384(engine, &br_tls12_sha384_prf);
}
#endif

/* Once for each client: BearSSL asks the CPU what it can do, and in a virtual machine each such question takes longer
   than all else that is set up here. */
static void htoki_tls_set_algorithms(br_ssl_engine_context *engine)
{
    static const char *const protocols[1] = {"http/1.1"};
    br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
    htoki_tls_set_suites(engine);
    br_ssl_engine_set_hash(engine, br_sha256_ID, &br_sha256_vtable);
    br_ssl_engine_set_hash(engine, br_sha384_ID, &br_sha384_vtable);
    br_ssl_engine_set_hash(engine, br_sha512_ID, &br_sha512_vtable);
    br_ssl_engine_set_prf_sha256(engine, &br_tls12_sha256_prf);
    br_ssl_engine_set_protocol_names(engine, (const char **)protocols, 1); /* only read */
    br_ssl_engine_set_all_flags(engine, BR_OPT_NO_RENEGOTIATION | BR_OPT_FAIL_ON_ALPN_MISMATCH);
}

/* BearSSL asks the server for fragments (RFC 6066 section 4) that fit both buffers. A small one for sending
   must not make the server's records small as well. */
static void htoki_tls_set_buffers(br_ssl_engine_context *engine, const htoki_tls_config *config)
{
    unsigned log = 14;
    br_ssl_engine_set_buffers_bidi(engine, config->record_in, config->record_in_size, config->record_out,
                                   config->record_out_size);
    while (log > 9 && config->record_in_size < HTOKI_TLS_RECORD_IN_BYTES((size_t)1 << log)) {
        log--;
    }
    engine->log_max_frag_len = (unsigned char)(log == 13 ? 12 : log);
}

/* The name for the server and for comparing: lower case, without a last dot. Empty for addresses (RFC 6066
   section 3 allows no literals). False when it is too long. */
static bool htoki_tls_name(const htoki_tls_config *config, char name[256])
{
    size_t i, len = config->address != NULL ? 0 : strlen(config->host);
    len -= len > 1 && config->host[len - 1] == '.';
    for (i = 0; i < len && i < 255; i++) {
        name[i] = htoki_lower(config->host[i]);
    }
    name[i] = '\0';
    return len == i;
}

static void htoki_x509_setup(htoki_x509 *x, const htoki_tls_config *config,
                             const br_ssl_engine_context *engine)
{
    br_x509_minimal_context *minimal = &x->minimal;
    htoki_reference *r = &x->reference;
    const char *dot;
    memset(x, 0, sizeof *x);
    x->vtable = &htoki_x509_vtable;
    br_x509_minimal_init(minimal, &htoki_name_hash_vtable, NULL, 0);
    br_x509_minimal_set_rsa(minimal, engine->irsavrfy);
    br_x509_minimal_set_ecdsa(minimal, engine->iec, engine->iecdsa);
    br_x509_minimal_set_hash(minimal, br_sha256_ID, &br_sha256_vtable);
    br_x509_minimal_set_hash(minimal, br_sha384_ID, &br_sha384_vtable);
    br_x509_minimal_set_hash(minimal, br_sha512_ID, &br_sha512_vtable);
    br_x509_minimal_set_minrsa(minimal, 2048 / 8);
    br_x509_minimal_set_time(minimal, (uint32_t)(config->unix_seconds / 86400) + 719528u,
                             (uint32_t)(config->unix_seconds % 86400));
    (void)htoki_time_digits(config->unix_seconds, x->now);
    (void)htoki_time_digits(config->unix_seconds + HTOKI_SESSION_SECONDS, x->until);
    x->trust = config->trust;
    x->expired_roots = config->expired_roots;
    x->pins = config->pins;
    x->pin_count = config->pin_count;
    r->names = (char *)x->store;
    r->host = engine->server_name;
    r->host_len = strlen(r->host);
    dot = strchr(r->host, '.');
    if (dot != NULL && dot != r->host && strchr(dot + 1, '.') != NULL) {
        r->rest_at = (size_t)(dot + 1 - r->host);
    }
    if (config->address != NULL) {
        r->address_len = (unsigned char)config->address_len;
        memcpy(r->address, config->address, config->address_len);
    }
}

static void htoki_tls_forget(htoki_tls *t)
{
    htoki_wipe(t, sizeof *t);
}

/* BearSSL gives no error of its own for a server that chose a protocol which was not offered. The pad then
   holds that name, and otherwise still what it held before: the session's id, or without one the offered
   name. */
static bool htoki_tls_other_protocol(const br_ssl_engine_context *engine)
{
    const br_ssl_session_parameters *session = &engine->session;
    return session->cipher_suite != 0 && engine->selected_protocol == 0 &&
           (session->session_id_len != 0 ? memcmp(engine->pad, session->session_id, session->session_id_len)
                                         : memcmp(engine->pad, "http/1.1", 8)) != 0;
}

/* Alerts with which servers refuse a client certificate, or none; OpenSSL sends handshake_failure then. */
static bool htoki_tls_alert_is_about_client(int code)
{
    int alert = code - BR_ERR_RECV_FATAL_ALERT;
    return (alert >= BR_ALERT_HANDSHAKE_FAILURE && alert <= BR_ALERT_ACCESS_DENIED &&
            alert != BR_ALERT_ILLEGAL_PARAMETER) ||
           alert == BR_ALERT_DECRYPT_ERROR || alert == 116;
}

/* What to add when a handshake breaks off after a CertificateRequest; or "". */
static const char *htoki_tls_asked(const htoki_tls *t)
{
    return t->answer.asked == HTOKI_ASKED ? HTOKI_SAY("the server asked for a client certificate")
           : t->answer.asked == HTOKI_ASKED_UNFIT
               ? HTOKI_SAY("the server takes no signature by this kind of key")
           : t->answer.asked == HTOKI_ASKED_SENT ? HTOKI_SAY("a client certificate was sent")
                                                 : "";
}

static htok_reason htoki_tls_reason(const htoki_tls *t, int code)
{
    if (code == BR_ERR_OK) {
        return t->established ? HTOK_REASON_CLOSED_EARLY : HTOK_REASON_TLS_CLOSED;
    }
    if (code == BR_ERR_RECV_FATAL_ALERT + BR_ALERT_NO_APPLICATION_PROTOCOL ||
        (code == BR_ERR_UNEXPECTED && t->x509 != NULL && !t->x509->begun &&
         htoki_tls_other_protocol(&t->client.eng))) {
        return HTOK_REASON_TLS_ALPN;
    }
    if (code >= BR_ERR_RECV_FATAL_ALERT && code < BR_ERR_SEND_FATAL_ALERT) {
        return t->answer.asked == HTOKI_ASKED_NOT || !htoki_tls_alert_is_about_client(code)
                   ? HTOK_REASON_TLS_ALERT
               : t->answer.asked == HTOKI_ASKED ? HTOK_REASON_CLIENT_CERTIFICATE_MISSING
                                                : HTOK_REASON_CLIENT_CERTIFICATE_REFUSED;
    }
    if (code == BR_ERR_NO_RANDOM) {
        return HTOK_REASON_ENTROPY_MISSING;
    }
    if (code == BR_ERR_WRONG_KEY_USAGE) {
        return HTOK_REASON_CERTIFICATE_USAGE;
    }
    if (t->x509 != NULL && t->x509->code == code && t->x509->reason != HTOK_REASON_NONE) {
        return t->x509->reason;
    }
    return HTOK_REASON_TLS_FAILED;
}

/* Fills the record from what ended the connection: the certificates' verdict or the engine's error. To be
   called before the scratch memory gets another use. */
static htok_kind htoki_tls_failure(htoki_tls *t, htok_phase phase, htok_error *e)
{
    int code = br_ssl_engine_last_error(&t->client.eng);
    htok_reason reason = htoki_tls_reason(t, code);
    htoki_writer w = htoki_writer_make(e->detail, sizeof e->detail, 0);
    e->tls_error = code;
    if (!HTOKI_STRINGS) {
        return htoki_fail(e, reason, phase);
    }
    if (t->x509 != NULL && t->x509->code == code && reason == t->x509->reason) {
        htoki_x509_detail(t->x509, &w);
    } else if (reason == HTOK_REASON_TLS_CLOSED ||
               (reason == HTOK_REASON_CLIENT_CERTIFICATE_REFUSED && t->answer.asked == HTOKI_ASKED_UNFIT)) {
        htoki_put_text(&w, htoki_tls_asked(t));
    } else if (reason == HTOK_REASON_TLS_FAILED || reason == HTOK_REASON_TLS_ALERT ||
               reason == HTOK_REASON_CLIENT_CERTIFICATE_REFUSED || reason == HTOK_REASON_CERTIFICATE_USAGE) {
        htoki_put_text(&w, htoki_tls_error_sentence(code));
    }
    (void)htoki_writer_end(&w);
    return htoki_fail(e, reason, phase);
}

/* What makes a handshake impossible before it begins. */
static htok_reason htoki_tls_missing(const htoki_tls_config *config)
{
    char digits[14];
    if (!config->time_known || !htoki_time_digits(config->unix_seconds, digits)) {
        return HTOK_REASON_TIME_UNKNOWN;
    }
    if (config->entropy_len < 32) {
        return HTOK_REASON_ENTROPY_MISSING;
    }
    return config->host[0] == '\0' || config->scratch_size < sizeof(htoki_x509) ||
                   (config->address != NULL && config->address_len != 4 && config->address_len != 16)
               ? HTOK_REASON_INTERNAL
               : HTOK_REASON_NONE;
}

/* A clock that was set back ends it too. */
static bool htoki_validity_holds(const htoki_validity *validity, int64_t unix_seconds)
{
    char now[14];
    return htoki_time_digits(unix_seconds, now) && memcmp(now, validity->since, sizeof now) >= 0 &&
           memcmp(now, validity->until, sizeof now) <= 0;
}

/* There is a session, and its certificates' verdict still counts. */
static bool htoki_tls_resumable(const htoki_tls *t, int64_t unix_seconds)
{
    return t->resumable && br_ssl_engine_last_error(&t->client.eng) == BR_ERR_OK &&
           htoki_validity_holds(&t->validity, unix_seconds);
}

static void htoki_bind(br_sha256_context *sha, const void *bytes, size_t len)
{
    unsigned char size[8];
    size_t i;
    for (i = 0; i < sizeof size; i++) {
        size[i] = (unsigned char)((uint64_t)len >> (8 * i));
    }
    br_sha256_update(sha, size, sizeof size);
    br_sha256_update(sha, bytes, len);
}

/* A hash of all that decides whether a server's certificates are good, and of who the client is to the server: what a
   session rests on must be the same where it is resumed. A new option of that kind belongs here. So do the
   suites, for that of a session must be among those offered (RFC 5246 section 7.4.1.2). */
static void htoki_tls_bind(const htoki_tls_config *config, uint16_t port, unsigned char binding[32])
{
    unsigned char fixed[3];
    br_sha256_context sha;
    size_t i;
    fixed[0] = (unsigned char)(port >> 8);
    fixed[1] = (unsigned char)(port & 255);
    fixed[2] = (unsigned char)(config->expired_roots + (HTOKI_SMALL ? 2 : 0));
    br_sha256_init(&sha);
    htoki_bind(&sha, config->host, strlen(config->host));
    htoki_bind(&sha, fixed, sizeof fixed);
    htoki_bind(&sha, config->trust.ptr, config->trust.len);
    if (config->identity != NULL) {
        htoki_bind(&sha, config->identity->chain_text.ptr, config->identity->chain_text.len);
    }
    for (i = 0; i < config->pin_count; i++) {
        htoki_bind(&sha, config->pins[i], strlen(config->pins[i]));
    }
    br_sha256_out(&sha, binding);
}

/* An exported session: "htok", version, length of the id, suite, id, master secret, validity, binding, and the SHA-256
   of all that. */
enum {
    HTOKI_SESSION_VERSION = 1,
    HTOKI_SESSION_ID = 8,
    HTOKI_SESSION_SECRET = HTOKI_SESSION_ID + 32,
    HTOKI_SESSION_VALIDITY = HTOKI_SESSION_SECRET + 48,
    HTOKI_SESSION_BINDING = HTOKI_SESSION_VALIDITY + (int)sizeof(htoki_validity),
    HTOKI_SESSION_HASH = HTOKI_SESSION_BINDING + 32
};
HTOKI_STATIC_ASSERT(HTOKI_SESSION_HASH + 32 == HTOK_SESSION_BYTES, session_bytes) HTOKI_UNUSED;

static void htoki_session_hash(const unsigned char *bytes, unsigned char hash[32])
{
    br_sha256_context sha;
    br_sha256_init(&sha);
    br_sha256_update(&sha, bytes, HTOKI_SESSION_HASH);
    br_sha256_out(&sha, hash);
    htoki_wipe(&sha, sizeof sha);
}

/* Writes the session that is resumable; false when the server gave it no id. */
static bool htoki_tls_export(const htoki_tls *t, const unsigned char binding[32],
                             unsigned char out[HTOK_SESSION_BYTES])
{
    const br_ssl_session_parameters *session = &t->client.eng.session;
    if (session->session_id_len == 0) {
        return false;
    }
    memset(out, 0, HTOKI_SESSION_SECRET);
    memcpy(out, "htok", 4);
    out[4] = HTOKI_SESSION_VERSION;
    out[5] = session->session_id_len;
    out[6] = (unsigned char)(session->cipher_suite >> 8);
    out[7] = (unsigned char)(session->cipher_suite & 255);
    memcpy(out + HTOKI_SESSION_ID, session->session_id, session->session_id_len);
    memcpy(out + HTOKI_SESSION_SECRET, session->master_secret, sizeof session->master_secret);
    memcpy(out + HTOKI_SESSION_VALIDITY, &t->validity, sizeof t->validity);
    memcpy(out + HTOKI_SESSION_BINDING, binding, 32);
    htoki_session_hash(out, out + HTOKI_SESSION_HASH);
    return true;
}

/* Whether an exported session is whole, meant for this binding, and still good. */
static htok_reason htoki_session_check(const unsigned char binding[32], bool time_known, int64_t unix_seconds,
                                       const unsigned char *bytes, size_t len)
{
    unsigned char hash[32];
    htoki_validity validity;
    if (len != HTOK_SESSION_BYTES || memcmp(bytes, "htok", 4) != 0 || bytes[4] != HTOKI_SESSION_VERSION) {
        return HTOK_REASON_SESSION_MALFORMED;
    }
    htoki_session_hash(bytes, hash);
    if (memcmp(hash, bytes + HTOKI_SESSION_HASH, sizeof hash) != 0 || bytes[5] == 0 ||
        bytes[5] > HTOKI_SESSION_SECRET - HTOKI_SESSION_ID) {
        return HTOK_REASON_SESSION_MALFORMED;
    }
    if (memcmp(binding, bytes + HTOKI_SESSION_BINDING, 32) != 0) {
        return HTOK_REASON_SESSION_FOREIGN;
    }
    memcpy(&validity, bytes + HTOKI_SESSION_VALIDITY, sizeof validity);
    return time_known && htoki_validity_holds(&validity, unix_seconds) ? HTOK_REASON_NONE
                                                                       : HTOK_REASON_SESSION_EXPIRED;
}

/* Takes an exported session that was checked in place of the one at hand. No connection may be open. */
static void htoki_tls_import(htoki_tls *t, const unsigned char bytes[HTOK_SESSION_BYTES])
{
    br_ssl_session_parameters session;
    memset(&session, 0, sizeof session);
    session.session_id_len = bytes[5];
    memcpy(session.session_id, bytes + HTOKI_SESSION_ID, sizeof session.session_id);
    session.version = BR_TLS12;
    session.cipher_suite = (uint16_t)(bytes[6] << 8 | bytes[7]);
    memcpy(session.master_secret, bytes + HTOKI_SESSION_SECRET, sizeof session.master_secret);
    htoki_tls_forget(t);
    br_ssl_engine_set_session_parameters(&t->client.eng, &session);
    memcpy(&t->validity, bytes + HTOKI_SESSION_VALIDITY, sizeof t->validity);
    t->resumable = true;
    htoki_wipe(&session, sizeof session);
}

/* Readies all but the engine for a connection. */
static void htoki_tls_begin(htoki_tls *t, const htoki_tls_config *config)
{
    memset(&t->cutter, 0, sizeof t->cutter);
    memset(&t->answer, 0, sizeof t->answer);
    t->answer.vtable = &htoki_answer_vtable;
    t->answer.identity = config->identity;
    t->x509 = (htoki_x509 *)config->scratch;
    t->established = t->resumable = t->resumed = false;
    t->record_in = (unsigned char *)config->record_in;
    t->record_in_size = config->record_in_size;
    t->ahead = t->ahead_end = 0;
}

/* Begins a handshake; t is zero or was used before. Contexts of BearSSL point into themselves: t must not
   move. The random generator goes on from where it is, with fresh entropy: a process may have been copied. */
static bool htoki_tls_start(htoki_tls *t, const htoki_tls_config *config, htok_error *e)
{
    br_ssl_engine_context *engine = &t->client.eng;
    char name[256];
    htok_reason reason = htoki_tls_missing(config);
    bool resume = config->resume && htoki_tls_resumable(t, config->unix_seconds);
    if (reason == HTOK_REASON_NONE && !htoki_tls_name(config, name)) {
        reason = HTOK_REASON_INTERNAL;
    }
    if (reason != HTOK_REASON_NONE) {
        htoki_tls_forget(t);
        (void)htoki_fail(e, reason, HTOK_PHASE_HANDSHAKE);
        return false;
    }
    if (!t->set_up) {
        htoki_tls_set_algorithms(engine);
        t->set_up = true;
    }
    htoki_tls_begin(t, config);
    htoki_tls_set_buffers(engine, config);
    br_ssl_engine_inject_entropy(engine, config->entropy, config->entropy_len);
    br_ssl_engine_set_x509(engine, &t->x509->vtable);
    br_ssl_client_set_client_certificate(&t->client, &t->answer.vtable);
    t->started =
        br_ssl_engine_last_error(engine) == BR_ERR_OK && br_ssl_client_reset(&t->client, name, resume) != 0;
    htoki_x509_setup(t->x509, config, engine);
    if (!t->started) {
        (void)htoki_tls_failure(t, HTOK_PHASE_HANDSHAKE, e);
    }
    return t->started;
}

/* Ends the handshake as soon as the engine is through, and cuts all its ties to the scratch memory. */
static void htoki_tls_settle(htoki_tls *t)
{
    br_ssl_engine_context *engine = &t->client.eng;
    unsigned state = br_ssl_engine_current_state(engine);
    if (t->x509 != NULL && state != BR_SSL_CLOSED && (state & (BR_SSL_SENDAPP | BR_SSL_RECVAPP)) != 0) {
        t->resumed = !t->x509->begun;
        if (!t->resumed) { /* a full handshake, whatever was offered */
            memcpy(t->validity.since, t->x509->now, sizeof t->validity.since);
            memcpy(t->validity.until, t->x509->until, sizeof t->validity.until);
        }
        br_ssl_engine_set_x509(engine, NULL);
        t->x509 = NULL;
        t->answer.identity = NULL;
        t->established = t->resumable = true;
    }
}

/* Complete, and the server chose http/1.1 or nothing: the engine fails otherwise. */
static bool htoki_tls_established(const htoki_tls *t)
{
    return t->established;
}

/* For whatever reason. No flag at all is a dead end of BearSSL 0.6 and as good as closed. */
static bool htoki_tls_closed(const htoki_tls *t)
{
    unsigned state = br_ssl_engine_current_state(&t->client.eng);
    return !t->started || state == 0 || (state & BR_SSL_CLOSED) != 0;
}

/* By the server's close_notify after the handshake. */
static bool htoki_tls_closed_cleanly(const htoki_tls *t)
{
    return t->established && t->client.eng.shutdown_recv != 0 &&
           br_ssl_engine_last_error(&t->client.eng) == BR_ERR_OK;
}

/* Bytes for the wire, or NULL: send some and say how many, if any. */
static unsigned char *htoki_tls_wire_out(htoki_tls *t, size_t *len)
{
    *len = 0;
    return t->started ? br_ssl_engine_sendrec_buf(&t->client.eng, len) : NULL;
}

static void htoki_tls_wire_out_done(htoki_tls *t, size_t len)
{
    br_ssl_engine_sendrec_ack(&t->client.eng, len);
    htoki_tls_settle(t);
}

/* More must come before the record can be cut. */
static bool htoki_tls_hold(htoki_tls *t)
{
    size_t have = t->ahead_end - t->ahead;
    memmove(t->record_in, t->record_in + t->ahead, have);
    t->ahead = 0;
    t->ahead_end = have;
    t->cutter.held = true;
    return false;
}

/* Where the engine wants a record: makes the one that came ahead end with its first message. False when it must wait. */
static bool htoki_tls_cut(htoki_tls *t)
{
    htoki_cutter *c = &t->cutter;
    unsigned char *record = t->record_in + t->ahead;
    uint32_t length, piece;
    c->held = false;
    if (c->rest != 0) { /* over bytes that the engine has taken: a header for what is left of the last one */
        record -= 5;
        t->ahead -= 5;
        memcpy(record, c->header, 3);
        record[3] = (unsigned char)(c->rest >> 8);
        record[4] = (unsigned char)c->rest;
        c->rest = 0;
    }
    if (t->ahead_end == t->ahead || record[0] == HTOKI_TLS_ALERT) { /* a plain warning ends no flight */
        return true;
    }
    if (record[0] == HTOKI_TLS_HANDSHAKE && t->ahead_end - t->ahead < 5) {
        return htoki_tls_hold(t);
    }
    length = (uint32_t)record[3] << 8 | record[4];
    /* A message's header that lies across records is left to the engine, and so is a record larger than any. */
    c->off = record[0] != HTOKI_TLS_HANDSHAKE || length > 16384 || (c->message == 0 && length < 4);
    if (c->off) {
        return true;
    }
    if (c->message == 0) {
        if (t->ahead_end - t->ahead < 9) {
            return htoki_tls_hold(t);
        }
        c->message = 4 + ((uint32_t)record[6] << 16 | (uint32_t)record[7] << 8 | record[8]);
    }
    piece = c->message < length ? c->message : length;
    memcpy(c->header, record, 3);
    record[3] = (unsigned char)(piece >> 8);
    record[4] = (unsigned char)piece;
    c->rest = length - piece;
    c->message -= piece;
    return true;
}

/* Gives the engine what it wants next of the bytes that came ahead, to the end of one record, or one message of the
   handshake, at most. False when there are none, or too few to cut, or it wants none before others have taken or sent
   theirs. */
static bool htoki_tls_advance(htoki_tls *t)
{
    br_ssl_engine_context *engine = &t->client.eng;
    size_t len, have, at;
    bool advanced = false;
    do {
        unsigned char *bytes = br_ssl_engine_recvrec_buf(engine, &len);
        if (bytes == NULL || (bytes == t->record_in && !t->cutter.off && !htoki_tls_cut(t))) {
            break;
        }
        have = t->ahead_end - t->ahead;
        if (have == 0) {
            break;
        }
        /* The next record begins where the last one did. */
        at = (size_t)(bytes - t->record_in);
        if (at != t->ahead) {
            memmove(bytes, t->record_in + t->ahead, have);
        }
        len = len < have ? len : have;
        t->ahead = at + len;
        t->ahead_end = at + have;
        br_ssl_engine_recvrec_ack(engine, len);
        htoki_tls_settle(t);
        advanced = true;
    } while (br_ssl_engine_recvrec_buf(engine, &len) != t->record_in);
    return advanced;
}

/* Bytes of the record buffer that are in use, from its beginning. */
static size_t htoki_tls_record_in_used(const htoki_tls *t)
{
    return t->ahead_end;
}

static bool htoki_tls_is_ahead(const htoki_tls *t)
{
    return t->ahead != t->ahead_end && !t->cutter.held;
}

/* Room for bytes from the wire, or NULL, as also where some that came ahead are left for htoki_tls_advance(): fill some
   and say how many. */
static unsigned char *htoki_tls_wire_in(htoki_tls *t, size_t *len)
{
    unsigned char *bytes =
        t->started && !htoki_tls_is_ahead(t) ? br_ssl_engine_recvrec_buf(&t->client.eng, len) : NULL;
    if (bytes != NULL && t->cutter.held) {
        bytes += t->ahead_end;
    }
    *len = bytes != NULL ? t->record_in_size - (size_t)(bytes - t->record_in) : 0;
    return bytes;
}

static void htoki_tls_wire_in_done(htoki_tls *t, size_t len)
{
    size_t wanted;
    if (len != 0) {
        if (!t->cutter.held) {
            t->ahead = t->ahead_end =
                (size_t)(br_ssl_engine_recvrec_buf(&t->client.eng, &wanted) - t->record_in);
        }
        t->ahead_end += len;
        (void)htoki_tls_advance(t);
    }
}

/* Room for the application's bytes, or NULL. They leave when it is full, or flushed. */
static unsigned char *htoki_tls_data_out(htoki_tls *t, size_t *len)
{
    *len = 0;
    return t->established ? br_ssl_engine_sendapp_buf(&t->client.eng, len) : NULL;
}

static void htoki_tls_data_out_done(htoki_tls *t, size_t len)
{
    br_ssl_engine_sendapp_ack(&t->client.eng, len);
}

static void htoki_tls_flush(htoki_tls *t)
{
    if (t->established) {
        br_ssl_engine_flush(&t->client.eng, 0);
    }
}

/* Bytes for the application, or NULL. */
static unsigned char *htoki_tls_data_in(htoki_tls *t, size_t *len)
{
    *len = 0;
    return t->established ? br_ssl_engine_recvapp_buf(&t->client.eng, len) : NULL;
}

static void htoki_tls_data_in_done(htoki_tls *t, size_t len)
{
    br_ssl_engine_recvapp_ack(&t->client.eng, len);
}

/* Queues a close_notify, for which one try to send is enough. BearSSL 0.6 never ends while a byte is unread.
   */
static void htoki_tls_close(htoki_tls *t)
{
    size_t len;
    if (t->started) {
        if (htoki_tls_data_in(t, &len) != NULL) {
            htoki_tls_data_in_done(t, len);
        }
        br_ssl_engine_close(&t->client.eng);
    }
}
#endif

/* >>sockets ---------------------------------------------------------------------------------------------- */
/* The built-in transport and name look-up, POSIX and Winsock. Takes a host, a port and the time; gives a TCP
   stream without ever waiting. Must not know: TLS, HTTP, deadlines. */

#if HTOKI_SOCKETS

#if HTOKI_WINDOWS
typedef SOCKET htoki_socket;
#define HTOKI_NO_SOCKET       INVALID_SOCKET
#define HTOKI_NET_ERROR(name) WSA##name
#else
typedef int htoki_socket;
#define HTOKI_NO_SOCKET       (-1)
#define HTOKI_NET_ERROR(name) name
#endif
#define HTOKI_ADDRESSES     16u  /* tried for one host; more are left out */
#define HTOKI_LOOKUPS       4u   /* of one client under way at the same time */
#define HTOKI_STEP_MS       10u  /* between two looks where no single descriptor tells of progress */
#define HTOKI_HEAD_START_MS 250u /* of one address before the next: RFC 8305 section 5 */

static int htoki_net_errno(void)
{
#if HTOKI_WINDOWS
    return WSAGetLastError();
#else
    return errno;
#endif
}

static void htoki_socket_close(htoki_socket *handle)
{
    if (*handle != HTOKI_NO_SOCKET) {
#if HTOKI_WINDOWS
        closesocket(*handle);
#else
        close(*handle); /* never again after EINTR: the number may belong to another thread by then */
#endif
        *handle = HTOKI_NO_SOCKET;
    }
}

/* A non-blocking TCP socket that no child process inherits and that raises no SIGPIPE. */
static htoki_socket htoki_socket_open(int family)
{
    int on = 1;
    bool fit;
#if HTOKI_WINDOWS
    u_long non_blocking = 1;
    htoki_socket handle = socket(family, SOCK_STREAM, IPPROTO_TCP);
    if (handle == HTOKI_NO_SOCKET) {
        return handle;
    }
    SetHandleInformation((HANDLE)handle, HANDLE_FLAG_INHERIT, 0);
    fit = ioctlsocket(handle, (long)FIONBIO, &non_blocking) == 0;
#else
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
    htoki_socket handle = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    fit = handle != HTOKI_NO_SOCKET;
#else
    htoki_socket handle = socket(family, SOCK_STREAM, IPPROTO_TCP);
    fit = handle != HTOKI_NO_SOCKET && fcntl(handle, F_SETFD, FD_CLOEXEC) == 0 &&
          fcntl(handle, F_SETFL, O_NONBLOCK) == 0;
#endif
#ifdef SO_NOSIGPIPE
    fit = fit && setsockopt(handle, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) == 0;
#endif
#endif
    if (!fit) {
        htoki_socket_close(&handle);
        return handle;
    }
    /* The handshake's last records are small: without this they wait for a delayed acknowledgement. */
    (void)setsockopt(handle, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof on);
    return handle;
}

/* Starts connecting: OK, AGAIN (under way) or FAILED, with the socket closed. */
static htok_io htoki_socket_connect(htoki_socket *handle, const htok_address *address, uint16_t port,
                                    int *os_error)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    const struct sockaddr *name;
    int result;
    if (address->length == 4) {
        memset(&v4, 0, sizeof v4);
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        memcpy(&v4.sin_addr, address->bytes, 4);
        name = (const struct sockaddr *)&v4;
    } else {
        memset(&v6, 0, sizeof v6);
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        v6.sin6_scope_id = address->scope_id;
        memcpy(&v6.sin6_addr, address->bytes, 16);
        name = (const struct sockaddr *)&v6;
    }
    *handle = htoki_socket_open(name->sa_family);
    if (*handle == HTOKI_NO_SOCKET) {
        *os_error = htoki_net_errno();
        return HTOK_IO_FAILED;
    }
    result = connect(*handle, name, address->length == 4 ? sizeof v4 : sizeof v6);
    if (result == 0) {
        return HTOK_IO_OK;
    }
    *os_error = htoki_net_errno();
    /* An interrupted connect goes on by itself. Only Winsock says WOULDBLOCK for one under way: elsewhere
       that is a shortage, and the socket would look writable. */
    if (*os_error == HTOKI_NET_ERROR(EINPROGRESS) || *os_error == HTOKI_NET_ERROR(EALREADY) ||
        *os_error == HTOKI_NET_ERROR(EINTR) || (HTOKI_WINDOWS && *os_error == HTOKI_NET_ERROR(EWOULDBLOCK))) {
        return HTOK_IO_AGAIN;
    }
    htoki_socket_close(handle);
    return HTOK_IO_FAILED;
}

/* 0 while a connect is under way, 1 when it ended, 2 when it ended badly, -1 when the system cannot tell. */
static int htoki_socket_settled(htoki_socket handle)
{
#if HTOKI_WINDOWS
    /* Before Windows 10 version 2004 WSAPoll() never tells of a refusal; select() does, in the third set. */
    struct timeval now = {0, 0};
    fd_set writable, failed;
    int result;
    writable.fd_count = 1;
    writable.fd_array[0] = handle;
    failed = writable;
    result = select(0, NULL, &writable, &failed, &now);
    return result > 0 && failed.fd_count != 0 ? 2 : result;
#else
    struct pollfd entry;
    int result;
    entry.fd = handle;
    entry.events = POLLOUT;
    entry.revents = 0;
    result = poll(&entry, 1, 0);
    if (result < 0) {
        return errno == EINTR || errno == EAGAIN ? 0 : -1;
    }
    return (entry.revents & POLLERR) != 0 ? 2 : result;
#endif
}

/* How a connect under way is doing. Closes nothing. */
static htok_io htoki_socket_check(htoki_socket handle, int *os_error)
{
    int result = htoki_socket_settled(handle), error = 0;
    socklen_t size = sizeof error;
    if (result == 0) {
        return HTOK_IO_AGAIN;
    }
    if (result < 0 || getsockopt(handle, SOL_SOCKET, SO_ERROR, (char *)&error, &size) != 0) {
        error = htoki_net_errno();
    }
    if (error == 0 && result == 2) {
        error = HTOKI_NET_ERROR(ECONNABORTED); /* it failed, but the cause was not kept */
    }
    *os_error = error;
    return error == 0 ? HTOK_IO_OK : HTOK_IO_FAILED;
}

#if HTOKI_RESOLVER

/* One look-up. It belongs to the client and to the worker, and whoever leaves last releases it: a client may
   give a look-up up, or end, while getaddrinfo() takes its minutes. So the allocator must be usable from any
   thread, and it and this code must stay until the last worker has ended. */
typedef struct htoki_job {
    htok_allocator allocator;
    htok_address addresses[HTOKI_ADDRESSES];
    size_t count;
    int os_error;
#if HTOKI_THREADS && HTOKI_WINDOWS
    volatile LONG owners;
#else
    int owners;
#endif
#if HTOKI_PTHREADS
    pthread_mutex_t lock;
    int wake; /* the worker's end of a pair; its end of file wakes the client */
#endif
    char host[256];
} htoki_job;

/* The client's side. Nothing can end getaddrinfo(), so a client that gives up look-ups again and again would pile
   up their threads: it has HTOKI_LOOKUPS of them at most, and then takes up one that was given up, or none. */
typedef struct htoki_lookup {
    const htok_allocator *allocator;
    htoki_job *job;
    htoki_job *given_up[HTOKI_LOOKUPS]; /* NULL, or one whose worker may not have ended yet */
    intptr_t descriptor;
} htoki_lookup;

/* Changes the number of owners and returns the new one. Once the worker has left, its results may be read. */
static int htoki_job_owners(htoki_job *job, int change)
{
#if !HTOKI_THREADS
    return job->owners += change;
#elif HTOKI_WINDOWS
    return (int)InterlockedExchangeAdd(&job->owners, change) + change;
#else
    int owners;
    pthread_mutex_lock(&job->lock);
    job->owners += change;
    owners = job->owners;
    pthread_mutex_unlock(&job->lock);
    return owners;
#endif
}

static void htoki_job_leave(htoki_job *job)
{
    if (htoki_job_owners(job, -1) == 0) {
        htok_allocator allocator = job->allocator;
#if HTOKI_PTHREADS
        pthread_mutex_destroy(&job->lock);
#endif
        allocator.release(allocator.context, job, sizeof *job);
    }
}

/* Leaves room for the other family: a long run of addresses in one that is dead here must not hide it. */
static void htoki_job_collect(htoki_job *job, const struct addrinfo *list)
{
    unsigned v4_left = HTOKI_ADDRESSES - 2, v6_left = HTOKI_ADDRESSES - 2;
    for (; list && job->count < HTOKI_ADDRESSES; list = list->ai_next) {
        htok_address *address = &job->addresses[job->count];
        memset(address, 0, sizeof *address);
        if (list->ai_family == AF_INET && v4_left != 0) {
            struct sockaddr_in v4;
            memcpy(&v4, list->ai_addr, sizeof v4);
            address->length = 4;
            memcpy(address->bytes, &v4.sin_addr, 4);
            v4_left--;
            job->count++;
        } else if (list->ai_family == AF_INET6 && v6_left != 0) {
            struct sockaddr_in6 v6;
            memcpy(&v6, list->ai_addr, sizeof v6);
            address->length = 16;
            address->scope_id = (uint32_t)v6.sin6_scope_id;
            memcpy(address->bytes, &v6.sin6_addr, 16);
            v6_left--;
            job->count++;
        }
    }
}

static void htoki_job_look_up(htoki_job *job)
{
    struct addrinfo hints, *list = NULL;
    int result;
#if HTOKI_WINDOWS
    /* A Winsock reference of its own: the client may have given up its own meanwhile. */
    WSADATA data;
    result = WSAStartup(MAKEWORD(2, 2), &data);
    if (result != 0) {
        job->os_error = result;
        return;
    }
#endif
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = IPPROTO_TCP;
    hints.ai_flags = AI_ADDRCONFIG;
    result = getaddrinfo(job->host, NULL, &hints, &list);
#if defined(EAI_SYSTEM) && EAI_SYSTEM < 0
    /* errno says more. Where EAI_ codes are negative (glibc, musl) the two cannot be mixed up. */
    if (result == EAI_SYSTEM && errno > 0) {
        result = errno;
    }
#endif
    if (result == 0) {
        htoki_job_collect(job, list);
        freeaddrinfo(list);
    }
    job->os_error = result == 0 && job->count == 0 ? EAI_NONAME : result;
#if HTOKI_WINDOWS
    WSACleanup();
#endif
}

/* The worker's share is over: its results may be read. */
static void htoki_job_end(htoki_job *job)
{
#if HTOKI_PTHREADS
    int wake = job->wake;
#endif
    htoki_job_leave(job);
#if HTOKI_PTHREADS
    /* Shut down first: a process forked meanwhile may hold a copy of the descriptor open. */
    if (wake >= 0) {
        (void)shutdown(wake, SHUT_RDWR);
        close(wake);
    }
#endif
}

/* Runs on the worker; without threads, on the caller, whom it then blocks. */
static void htoki_job_run(htoki_job *job)
{
    htoki_job_look_up(job);
    htoki_job_end(job);
}

#if HTOKI_THREADS && HTOKI_WINDOWS

static DWORD WINAPI htoki_job_main(LPVOID argument)
{
    htoki_job_run((htoki_job *)argument);
    return 0;
}

static bool htoki_job_detach(htoki_job *job)
{
    HANDLE thread = CreateThread(NULL, 0, htoki_job_main, job, 0, NULL);
    if (!thread) {
        return false;
    }
    CloseHandle(thread);
    return true;
}

#elif HTOKI_PTHREADS

static void *htoki_job_main(void *argument)
{
    htoki_job_run((htoki_job *)argument);
    return NULL;
}

/* The thread is born with all signals blocked, so the host's handlers never run on it. */
static bool htoki_job_detach(htoki_job *job)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, old;
    bool made = false;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    sigfillset(&all);
    if (pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
        pthread_sigmask(SIG_SETMASK, &all, &old) == 0) {
        made = pthread_create(&thread, &attributes, htoki_job_main, job) == 0;
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    }
    pthread_attr_destroy(&attributes);
    return made;
}

/* Two connected descriptors, the client's and the worker's, or none: then the client looks from time to time.
   A pair of sockets, for unlike a pipe it can tell of its end by shutdown() and never raises SIGPIPE. */
static void htoki_job_pair(htoki_job *job, intptr_t *descriptor)
{
    int ends[2] = {-1, -1};
#ifdef SOCK_CLOEXEC
    bool made = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0;
#else
    bool made = socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0;
    if (made) {
        (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
        (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    }
#endif
    *descriptor = made ? ends[0] : -1;
    job->wake = made ? ends[1] : -1;
}

#endif

static htok_io htoki_lookup_refuse(htok_io_detail *detail, int os_error)
{
    detail->os_error = os_error;
    detail->phase = HTOK_PHASE_LOOKUP;
    return HTOK_IO_FAILED;
}

/* A look-up that still runs is kept in mind; there is a place, for none begins without. */
static void htoki_lookup_cancel(void *context)
{
    htoki_lookup *lookup = (htoki_lookup *)context;
    htoki_job *job = lookup->job;
    size_t i = 0;
    if (htoki_job_owners(job, 0) == 1) {
        htoki_job_leave(job);
    } else {
        while (lookup->given_up[i]) {
            i++;
        }
        lookup->given_up[i] = job;
    }
    lookup->job = NULL;
#if !HTOKI_WINDOWS
    if (lookup->descriptor >= 0) {
        close((int)lookup->descriptor);
    }
#endif
    lookup->descriptor = -1;
}

/* The client ends; the last worker of a look-up given up releases it. */
static void htoki_lookup_end(htoki_lookup *lookup)
{
    size_t i;
    for (i = 0; i < HTOKI_LOOKUPS; i++) {
        if (lookup->given_up[i]) {
            htoki_job_leave(lookup->given_up[i]);
            lookup->given_up[i] = NULL;
        }
    }
}

/* Lets go of the look-ups given up that have ended. Where that leaves no room for another, takes up one of the same name
   again; false when there is none. A new one is better while it may begin: the network may have changed meanwhile. */
static bool htoki_lookup_find(htoki_lookup *lookup, const char *host)
{
    bool room = false;
    size_t i;
    for (i = 0; i < HTOKI_LOOKUPS; i++) {
        htoki_job *job = lookup->given_up[i];
        if (job && htoki_job_owners(job, 0) == 1) {
            htoki_job_leave(job);
            lookup->given_up[i] = NULL;
        }
        room = room || !lookup->given_up[i];
    }
    for (i = 0; i < HTOKI_LOOKUPS && !room; i++) {
        if (strcmp(lookup->given_up[i]->host, host) == 0) {
            lookup->job = lookup->given_up[i];
            lookup->given_up[i] = NULL;
            room = true;
        }
    }
    return room;
}

static htok_io htoki_lookup_start(void *context, const char *host, htok_io_detail *detail)
{
    htoki_lookup *lookup = (htoki_lookup *)context;
    const htok_allocator *allocator = lookup->allocator;
    size_t len = strlen(host);
    htoki_job *job;
    if (len >= sizeof job->host) {
        return htoki_lookup_refuse(detail, EAI_NONAME);
    }
    if (!htoki_lookup_find(lookup, host)) {
        return htoki_lookup_refuse(detail, EAI_AGAIN);
    }
    if (lookup->job) {
        return HTOK_IO_OK;
    }
    job = allocator->allocate ? (htoki_job *)allocator->allocate(allocator->context, sizeof *job) : NULL;
    if (!job) {
        return htoki_lookup_refuse(detail, EAI_MEMORY);
    }
    memset(job, 0, sizeof *job);
    memcpy(job->host, host, len + 1);
    job->allocator = *allocator;
    job->owners = 2;
#if HTOKI_PTHREADS
    if (pthread_mutex_init(&job->lock, NULL) != 0) {
        allocator->release(allocator->context, job, sizeof *job);
        return htoki_lookup_refuse(detail, EAI_MEMORY);
    }
    htoki_job_pair(job, &lookup->descriptor);
#endif
    lookup->job = job;
#if HTOKI_THREADS
    if (!htoki_job_detach(job)) {
        htoki_job_end(job);
        htoki_lookup_cancel(lookup);
        return htoki_lookup_refuse(detail, EAI_AGAIN); /* looking up here would hold the caller for long */
    }
#else
    htoki_job_run(job);
#endif
    return HTOK_IO_OK;
}

static htok_io htoki_lookup_poll(void *context, htok_address *addresses, size_t capacity, size_t *count,
                                 htok_io_detail *detail)
{
    htoki_job *job = ((htoki_lookup *)context)->job;
    if (htoki_job_owners(job, 0) > 1) {
        return HTOK_IO_AGAIN;
    }
    if (job->os_error != 0) {
        return htoki_lookup_refuse(detail, job->os_error);
    }
    *count = job->count < capacity ? job->count : capacity;
    memcpy(addresses, job->addresses, *count * sizeof addresses[0]);
    return HTOK_IO_OK;
}

static void htoki_lookup_wait(void *context, htok_wait *wait)
{
    const htoki_lookup *lookup = (const htoki_lookup *)context;
    wait->descriptor = lookup->descriptor;
    wait->readable = lookup->descriptor >= 0;
    wait->writable = false;
    if (lookup->descriptor < 0 && wait->timeout_ms > HTOKI_STEP_MS) {
        wait->timeout_ms = HTOKI_STEP_MS;
    }
}

static void htoki_lookup_init(htoki_lookup *lookup, const htok_allocator *allocator, htok_resolver *resolver)
{
    memset(lookup, 0, sizeof *lookup);
    lookup->allocator = allocator;
    lookup->descriptor = -1;
    resolver->context = lookup;
    resolver->start = htoki_lookup_start;
    resolver->poll = htoki_lookup_poll;
    resolver->cancel = htoki_lookup_cancel;
    resolver->wait = htoki_lookup_wait;
}

#endif /* HTOKI_RESOLVER */

typedef enum htoki_net_stage {
    HTOKI_NET_CLOSED,
    HTOKI_NET_LOOKUP,
    HTOKI_NET_RACE,
    HTOKI_NET_CONNECTED
} htoki_net_stage;

/* The addresses of a host and the sockets that race for it. */
typedef struct htoki_race {
    htok_address addresses[HTOKI_ADDRESSES];
    htoki_socket sockets[HTOKI_ADDRESSES]; /* of the addresses of the same index */
} htoki_race;

/* The transport's whole state. It points to itself and must not move after htoki_net_init(). */
typedef struct htoki_net {
    htok_resolver resolver; /* all zero: numeric addresses only */
#if HTOKI_RESOLVER
    htoki_lookup lookup;
#endif
    htoki_net_stage stage;
    bool looking_up; /* the resolver was started and awaits its cancel */
#if HTOKI_WINDOWS
    bool winsock; /* holds a reference from WSAStartup(), which Winsock counts by itself */
#endif
    uint16_t port;
    unsigned count, started, in_flight; /* addresses; those tried; those still trying */
    htoki_race *race;                   /* borrowed: of use from open to connected alone */
    htoki_socket stream;                /* the winner */
    bool asked;                         /* the last transfer was a send */
    uint64_t now_ms, next_ms;           /* last time seen; when the next address may start */
    htok_io_detail failure;
} htoki_net;

static htok_io htoki_net_fail(htoki_net *net, htok_phase phase, int os_error, htok_io_detail *detail)
{
    net->failure.moved = 0;
    net->failure.phase = phase;
    net->failure.os_error = os_error;
    *detail = net->failure;
    return HTOK_IO_FAILED;
}

static void htoki_net_end_lookup(htoki_net *net)
{
    if (net->looking_up) {
        net->looking_up = false;
        net->resolver.cancel(net->resolver.context);
    }
}

static void htoki_net_end_race(htoki_net *net)
{
    unsigned i;
    for (i = 0; i < net->started; i++) {
        htoki_socket_close(&net->race->sockets[i]);
    }
    net->started = net->in_flight = 0;
}

static htok_io htoki_net_open(void *context, const char *host, uint16_t port, htok_io_detail *detail)
{
    htoki_net *net = (htoki_net *)context;
    htok_io result;
    net->stage = HTOKI_NET_LOOKUP;
    net->port = port;
    net->count = net->started = net->in_flight = 0;
    net->now_ms = net->next_ms = 0;
    net->failure.os_error = 0;
#if HTOKI_WINDOWS
    if (!net->winsock) {
        WSADATA data;
        int error = WSAStartup(MAKEWORD(2, 2), &data);
        if (error != 0) {
            return htoki_net_fail(net, HTOK_PHASE_CONNECT, error, detail);
        }
        net->winsock = true;
    }
#endif
    if (htoki_address_parse(htoki_text(host), &net->race->addresses[0])) {
        net->count = 1;
        net->stage = HTOKI_NET_RACE;
        return HTOK_IO_OK;
    }
    /* RFC 6761 section 6.3: this name never leaves the machine, so what http:// sends there stays on it. */
    if (htoki_is_nocase(htoki_text(host), "localhost")) {
        htoki_address_parse(htoki_text("::1"), &net->race->addresses[0]);
        htoki_address_parse(htoki_text("127.0.0.1"), &net->race->addresses[1]);
        net->count = 2;
        net->stage = HTOKI_NET_RACE;
        return HTOK_IO_OK;
    }
    if (!net->resolver.start) {
        return htoki_net_fail(net, HTOK_PHASE_LOOKUP, 0, detail);
    }
    result = net->resolver.start(net->resolver.context, host, detail);
    if (result == HTOK_IO_FAILED || result == HTOK_IO_CLOSED) {
        return htoki_net_fail(net, HTOK_PHASE_LOOKUP, detail->os_error, detail);
    }
    net->looking_up = true;
    detail->phase = HTOK_PHASE_LOOKUP;
    return HTOK_IO_OK;
}

/* Alternates the families, beginning with the first address's (RFC 8305 section 4); keeps each family's
   order. */
static void htoki_net_interleave(htok_address *addresses, unsigned count)
{
    unsigned i, j;
    for (i = 1; i < count; i++) {
        for (j = i; j < count && addresses[j].length == addresses[i - 1].length; j++) {}
        if (j > i && j < count) {
            htok_address other = addresses[j];
            memmove(addresses + i + 1, addresses + i, (j - i) * sizeof addresses[0]);
            addresses[i] = other;
        }
    }
}

/* Takes the look-up's addresses. Those of a hook may be anything: odd lengths are left out. */
static htok_io htoki_net_look_up(htoki_net *net, htok_io_detail *detail)
{
    size_t count = 0, i;
    htok_io result =
        net->resolver.poll(net->resolver.context, net->race->addresses, HTOKI_ADDRESSES, &count, detail);
    if (result == HTOK_IO_AGAIN) {
        detail->phase = HTOK_PHASE_LOOKUP;
        return result;
    }
    htoki_net_end_lookup(net);
    if (result != HTOK_IO_OK) {
        return htoki_net_fail(net, HTOK_PHASE_LOOKUP, detail->os_error, detail);
    }
    for (i = 0; i < count && i < HTOKI_ADDRESSES; i++) {
        uint8_t length = net->race->addresses[i].length;
        if (length == 4 || length == 16) {
            net->race->addresses[net->count++] = net->race->addresses[i];
        }
    }
    if (net->count == 0) {
        return htoki_net_fail(net, HTOK_PHASE_LOOKUP, 0, detail);
    }
    htoki_net_interleave(net->race->addresses, net->count);
    net->stage = HTOKI_NET_RACE;
    return HTOK_IO_OK;
}

/* Of several failures the first is told, unless it only says that this machine has no such network. */
static void htoki_net_note(htoki_net *net, int os_error)
{
    int first = net->failure.os_error;
    if (first == 0 || first == HTOKI_NET_ERROR(ENETUNREACH) || first == HTOKI_NET_ERROR(EADDRNOTAVAIL) ||
        first == HTOKI_NET_ERROR(EAFNOSUPPORT)) {
        net->failure.os_error = os_error;
    }
}

/* The first to connect wins, the others are closed. */
static htok_io htoki_net_win(htoki_net *net, unsigned winner)
{
    net->stream = net->race->sockets[winner];
    net->race->sockets[winner] = HTOKI_NO_SOCKET;
    htoki_net_end_race(net);
    net->stage = HTOKI_NET_CONNECTED;
    return HTOK_IO_OK;
}

/* Happy eyeballs (RFC 8305 section 5): the next address starts when the one before failed or had its head
   start. */
static htok_io htoki_net_race(htoki_net *net, htok_io_detail *detail)
{
    int os_error = 0;
    unsigned i;
    htok_io result;
    for (i = 0; i < net->started; i++) {
        if (net->race->sockets[i] == HTOKI_NO_SOCKET) {
            continue;
        }
        result = htoki_socket_check(net->race->sockets[i], &os_error);
        if (result == HTOK_IO_OK) {
            return htoki_net_win(net, i);
        }
        if (result == HTOK_IO_FAILED) {
            htoki_net_note(net, os_error);
            htoki_socket_close(&net->race->sockets[i]);
            net->in_flight--;
            net->next_ms = net->now_ms;
        }
    }
    while (net->started < net->count && (net->in_flight == 0 || net->now_ms >= net->next_ms)) {
        i = net->started++;
        result = htoki_socket_connect(&net->race->sockets[i], &net->race->addresses[i], net->port, &os_error);
        if (result == HTOK_IO_OK) {
            return htoki_net_win(net, i);
        }
        if (result == HTOK_IO_AGAIN) {
            net->in_flight++;
            net->next_ms = net->now_ms + HTOKI_HEAD_START_MS;
        } else {
            htoki_net_note(net, os_error);
        }
    }
    if (net->in_flight != 0) {
        return HTOK_IO_AGAIN;
    }
    return htoki_net_fail(net, HTOK_PHASE_CONNECT, net->failure.os_error, detail);
}

static htok_io htoki_net_connect(void *context, uint64_t now_ms, htok_io_detail *detail)
{
    htoki_net *net = (htoki_net *)context;
    net->now_ms = now_ms;
    if (net->stage == HTOKI_NET_LOOKUP) {
        htok_io result = htoki_net_look_up(net, detail);
        if (result != HTOK_IO_OK) {
            return result;
        }
    }
    return htoki_net_race(net, detail);
}

/* One system call; at most 1 GiB, which every platform's length type holds. */
static ptrdiff_t htoki_net_move(htoki_socket stream, const void *out, void *in, size_t len)
{
    size_t part = len < 0x40000000 ? len : 0x40000000;
#if HTOKI_WINDOWS
    return out ? send(stream, (const char *)out, (int)part, 0) : recv(stream, (char *)in, (int)part, 0);
#elif defined(MSG_NOSIGNAL)
    return out ? send(stream, out, part, MSG_NOSIGNAL) : recv(stream, in, part, 0);
#else
    return out ? send(stream, out, part, 0) : recv(stream, in, part, 0);
#endif
}

/* Sends out, or receives into in. No length means no step: recv() of 0 bytes would look like the peer's end.
   */
static htok_io htoki_net_transfer(htoki_net *net, const void *out, void *in, size_t len,
                                  htok_io_detail *detail)
{
    unsigned tries;
    for (tries = 0; tries < HTOKI_INTERRUPTS && len != 0; tries++) {
        ptrdiff_t moved = htoki_net_move(net->stream, out, in, len);
        int error;
        if (moved > 0) {
            detail->moved = (size_t)moved;
            return HTOK_IO_OK;
        }
        if (moved == 0) {
            return out ? HTOK_IO_AGAIN : HTOK_IO_CLOSED;
        }
        error = htoki_net_errno();
#if !HTOKI_WINDOWS && EAGAIN != EWOULDBLOCK
        if (error == EAGAIN) {
            return HTOK_IO_AGAIN;
        }
#endif
        if (error == HTOKI_NET_ERROR(EWOULDBLOCK)) {
            return HTOK_IO_AGAIN;
        }
        if (error != HTOKI_NET_ERROR(EINTR)) {
            detail->os_error = error;
            return HTOK_IO_FAILED;
        }
    }
    return HTOK_IO_AGAIN;
}

static htok_io htoki_net_send(void *context, const void *bytes, size_t len, htok_io_detail *detail)
{
    htoki_net *net = (htoki_net *)context;
    htok_io io = htoki_net_transfer(net, bytes, NULL, len, detail);
    net->asked = io == HTOK_IO_OK;
    return io;
}

static htok_io htoki_net_receive(void *context, void *bytes, size_t size, htok_io_detail *detail)
{
    htoki_net *net = (htoki_net *)context;
    bool asked = net->asked;
    net->asked = false;
    /* An answer takes its time: the system is not asked for it right after the request. */
    return asked ? HTOK_IO_AGAIN : htoki_net_transfer(net, NULL, bytes, size, detail);
}

static void htoki_net_close(void *context)
{
    htoki_net *net = (htoki_net *)context;
    htoki_net_end_lookup(net);
    htoki_net_end_race(net);
    htoki_socket_close(&net->stream);
    net->stage = HTOKI_NET_CLOSED;
#if HTOKI_WINDOWS
    if (net->winsock) {
        net->winsock = false;
        WSACleanup();
    }
#endif
}

static void htoki_net_wait_race(const htoki_net *net, htok_wait *wait)
{
    uint64_t limit_ms = wait->timeout_ms;
    unsigned i;
    for (i = 0; i < net->started; i++) {
        if (net->race->sockets[i] != HTOKI_NO_SOCKET) {
            wait->descriptor = (intptr_t)net->race->sockets[i];
            wait->writable = true;
        }
    }
    if (net->started < net->count) {
        uint64_t left_ms = net->next_ms > net->now_ms ? net->next_ms - net->now_ms : 0;
        limit_ms = left_ms < limit_ms ? left_ms : limit_ms;
    }
    /* One descriptor fits into the answer, so more than one is looked at from time to time. */
    if (net->in_flight > 1 && limit_ms > HTOKI_STEP_MS) {
        limit_ms = HTOKI_STEP_MS;
    }
    wait->timeout_ms = (uint32_t)limit_ms;
}

static void htoki_net_wait(void *context, htok_wait *wait)
{
    htoki_net *net = (htoki_net *)context;
    if (net->stage == HTOKI_NET_CONNECTED) {
        wait->descriptor = (intptr_t)net->stream;
        net->asked = false; /* what is told once, by a loop of edges, is to be read then */
        return;
    }
    wait->descriptor = -1;
    wait->readable = wait->writable = false;
    if (net->stage == HTOKI_NET_RACE) {
        htoki_net_wait_race(net, wait);
    } else if (net->resolver.wait) {
        net->resolver.wait(net->resolver.context, wait);
    } else if (wait->timeout_ms > HTOKI_STEP_MS) {
        wait->timeout_ms = HTOKI_STEP_MS;
    }
}

/* resolver NULL: the built-in one, which takes a block from allocator for each look-up. allocator and race are
   borrowed; race may serve others while no connection is being made. */
static void htoki_net_init(htoki_net *net, const htok_resolver *resolver, const htok_allocator *allocator,
                           htoki_race *race, htok_transport *transport)
{
    memset(net, 0, sizeof *net);
    net->race = race;
    net->stream = HTOKI_NO_SOCKET;
    if (resolver) {
        net->resolver = *resolver;
    } else {
#if HTOKI_RESOLVER
        htoki_lookup_init(&net->lookup, allocator, &net->resolver);
#endif
    }
    (void)allocator;
    transport->provides_tls = false;
    transport->context = net;
    transport->open = htoki_net_open;
    transport->connect = htoki_net_connect;
    transport->send = htoki_net_send;
    transport->receive = htoki_net_receive;
    transport->close = htoki_net_close;
    transport->wait = htoki_net_wait;
}

#endif /* HTOKI_SOCKETS */

/* >>system ----------------------------------------------------------------------------------------------- */
/* The default hooks: clock, entropy, files, allocator; the wait of the blocking calls; where trusted
   certificates lie. Takes nothing; fills hooks. Must not know: who uses them. */

#if HTOKI_CLOCK

/* A device that was never told the time says 1970 or the year it was built. */
#define HTOKI_CLOCK_LEAST INT64_C(1577836800) /* 2020-01-01T00:00:00Z */

static uint64_t htoki_clock_monotonic_ms(void *context)
{
#if HTOKI_WINDOWS
    (void)context;
    return GetTickCount64();
#else
    struct timespec now;
    (void)context;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        return 0;
    }
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
#endif
}

static bool htoki_clock_unix_seconds(void *context, int64_t *seconds)
{
    int64_t now;
#if HTOKI_WINDOWS
    FILETIME since_1601;
    GetSystemTimeAsFileTime(&since_1601);
    now = (int64_t)((uint64_t)since_1601.dwHighDateTime << 32 | since_1601.dwLowDateTime);
    now = now / 10000000 - INT64_C(11644473600);
#else
    struct timespec today;
    if (clock_gettime(CLOCK_REALTIME, &today) != 0) {
        return false;
    }
    now = (int64_t)today.tv_sec;
#endif
    (void)context;
    *seconds = now;
    return now >= HTOKI_CLOCK_LEAST;
}

static void htoki_system_clock(htok_clock *clock)
{
    clock->context = NULL;
    clock->monotonic_ms = htoki_clock_monotonic_ms;
    clock->unix_seconds = htoki_clock_unix_seconds;
}

#endif

#if HTOKI_ENTROPY

#if HTOKI_WINDOWS

static bool htoki_entropy_fill(void *context, void *bytes, size_t len)
{
    unsigned char *to = (unsigned char *)bytes;
    (void)context;
    while (len != 0) {
        size_t part = len < 0x10000 ? len : 0x10000;
        if (!RtlGenRandom(to, (ULONG)part)) {
            return false;
        }
        to += part;
        len -= part;
    }
    return true;
}

#else

static bool htoki_entropy_device(unsigned char *to, size_t len)
{
    unsigned interrupts = 0;
#ifdef O_CLOEXEC
    int device = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
#else
    int device = open("/dev/urandom", O_RDONLY);
    if (device >= 0) {
        (void)fcntl(device, F_SETFD, FD_CLOEXEC);
    }
#endif
    if (device < 0) {
        return false;
    }
    while (len != 0) {
        ssize_t moved = read(device, to, len < 256 ? len : 256);
        if (moved > 0) {
            to += moved;
            len -= (size_t)moved;
        } else if (moved == 0 || errno != EINTR || ++interrupts > HTOKI_INTERRUPTS) {
            break;
        }
    }
    close(device);
    return len == 0;
}

/* The system call first: it needs no descriptor and no /dev. */
static bool htoki_entropy_fill(void *context, void *bytes, size_t len)
{
    unsigned char *to = (unsigned char *)bytes;
#if HTOKI_GETRANDOM
    unsigned interrupts = 0;
    while (len != 0) {
        ssize_t moved = getrandom(to, len < 256 ? len : 256, GRND_NONBLOCK);
        if (moved > 0) {
            to += moved;
            len -= (size_t)moved;
        } else if (moved < 0 && errno == EAGAIN) {
            return false; /* not seeded since boot, and the device would hide that */
        } else if (moved == 0 || errno != EINTR || ++interrupts > HTOKI_INTERRUPTS) {
            break;
        }
    }
#elif HTOKI_GETENTROPY
    while (len != 0) {
        size_t part = len < 256 ? len : 256;
        if (getentropy(to, part) != 0) {
            break;
        }
        to += part;
        len -= part;
    }
#endif
    (void)context;
    return len == 0 || htoki_entropy_device(to, len);
}

#endif

static void htoki_system_entropy(htok_entropy *entropy)
{
    entropy->context = NULL;
    entropy->fill = htoki_entropy_fill;
}

#endif

#if HTOKI_FILES

static int64_t htoki_file_read(void *context, const char *path, void *buffer, size_t size, int *os_error)
{
    FILE *file;
    size_t got;
    bool more;
#if HTOKI_WINDOWS
    wchar_t wide[1024]; /* fopen() would take the path for text of a code page */
    int fits = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, (int)HTOKI_COUNT(wide));
#endif
    (void)context;
    errno = 0;
#if HTOKI_WINDOWS
    file = fits ? _wfsopen(wide, L"rb", _SH_DENYNO) : NULL;
    errno = fits ? errno : EINVAL;
#elif defined(__unix__) || defined(__APPLE__)
    file = fopen(path, "rbe"); /* e: no child process inherits it; ignored where it is unknown */
#else
    file = fopen(path, "rb");
#endif
    if (!file) {
        *os_error = errno;
        return -1;
    }
    got = fread(buffer, 1, size, file);
    more = got == size && fgetc(file) != EOF;
    /* The rest of a pipe is no file: read into more memory it would lack its beginning. */
    *os_error = !ferror(file) && (!more || fseek(file, 0, SEEK_SET) == 0) ? 0
                : errno != 0                                              ? errno
                                                                          : EIO; /* C promises no errno */
    fclose(file);
    return *os_error ? -1 : (int64_t)got + more;
}

static void htoki_system_files(htok_files *files)
{
    files->context = NULL;
    files->read = htoki_file_read;
}

#endif

#if HTOKI_STDLIB

static void *htoki_malloc(void *context, size_t bytes)
{
    (void)context;
    return malloc(bytes);
}

static void htoki_free(void *context, void *memory, size_t bytes)
{
    (void)context;
    (void)bytes;
    free(memory);
}

static void htoki_system_allocator(htok_allocator *allocator)
{
    allocator->context = NULL;
    allocator->allocate = htoki_malloc;
    allocator->release = htoki_free;
}

#endif

#if HTOKI_BLOCKING

/* Waits until wait is satisfied or its time is up; a signal ends it early. False when it would never end: no
   direction of a descriptor to wait for and no time, or the system refuses to wait. */
static bool htoki_system_wait(const htok_wait *wait)
{
    bool any = wait->descriptor != -1 && (wait->readable || wait->writable);
    bool timed = wait->timeout_ms != UINT32_MAX;
#if HTOKI_WINDOWS
    fd_set one, none, readable, writable, failed;
    struct timeval limit;
    one.fd_count = 1;
    one.fd_array[0] = (SOCKET)wait->descriptor;
    none.fd_count = 0;
    if (!any) {
        if (timed) {
            Sleep(wait->timeout_ms);
        }
        return timed;
    }
    readable = wait->readable ? one : none;
    writable = wait->writable ? one : none;
    failed = writable; /* where a refused connect shows */
    limit.tv_sec = (long)(wait->timeout_ms / 1000);
    limit.tv_usec = (long)(wait->timeout_ms % 1000 * 1000);
    return select(0, &readable, &writable, &failed, timed ? &limit : NULL) >= 0 ||
           WSAGetLastError() == WSAEINTR;
#else
    struct pollfd entry;
    int limit = !timed ? -1 : wait->timeout_ms < 0x7fffffff ? (int)wait->timeout_ms : 0x7fffffff;
    if (!any && !timed) {
        return false;
    }
    entry.fd = any ? (int)wait->descriptor : -1;
    entry.events = (short)((wait->readable ? POLLIN : 0) | (wait->writable ? POLLOUT : 0));
    entry.revents = 0;
    return poll(&entry, any ? 1 : 0, limit) >= 0 || errno == EINTR;
#endif
}

#endif

#if HTOKI_SOCKETS || HTOKI_FILES

#define HTOKI_OS_ERROR(code, text) \
    {                              \
        code, #code ", " text      \
    }

/* The usual system errors by name, with words of our own: strerror() is not for threads, and speaks other
   languages. Empty for others. */
static const char *htoki_os_error_text(int os_error, htok_phase phase)
{
    static const struct {
        int code;
        const char *text;
    } texts[] = {
#if HTOKI_SOCKETS && HTOKI_WINDOWS
        HTOKI_OS_ERROR(WSAECONNREFUSED, "connection refused"),
        HTOKI_OS_ERROR(WSAETIMEDOUT, "timed out"),
        HTOKI_OS_ERROR(WSAENETUNREACH, "network unreachable"),
        HTOKI_OS_ERROR(WSAEHOSTUNREACH, "host unreachable"),
        HTOKI_OS_ERROR(WSAECONNRESET, "connection reset by peer"),
        HTOKI_OS_ERROR(WSAECONNABORTED, "connection aborted"),
        HTOKI_OS_ERROR(WSAEACCES, "permission denied"),
        HTOKI_OS_ERROR(WSAEADDRNOTAVAIL, "address not available"),
        HTOKI_OS_ERROR(WSAEMFILE, "too many open sockets"),
#elif HTOKI_SOCKETS
        HTOKI_OS_ERROR(ECONNREFUSED, "connection refused"),
        HTOKI_OS_ERROR(ETIMEDOUT, "timed out"),
        HTOKI_OS_ERROR(ENETUNREACH, "network unreachable"),
        HTOKI_OS_ERROR(ENETDOWN, "network down"),
        HTOKI_OS_ERROR(EHOSTUNREACH, "host unreachable"),
        HTOKI_OS_ERROR(ECONNRESET, "connection reset by peer"),
        HTOKI_OS_ERROR(ECONNABORTED, "connection aborted"),
        HTOKI_OS_ERROR(EPIPE, "connection closed by peer"),
        HTOKI_OS_ERROR(EADDRNOTAVAIL, "address not available"),
        HTOKI_OS_ERROR(EAFNOSUPPORT, "address family not supported"),
        HTOKI_OS_ERROR(ENOBUFS, "no buffer space"),
        HTOKI_OS_ERROR(EPERM, "not permitted"),
#endif
        HTOKI_OS_ERROR(EACCES, "permission denied"),
        HTOKI_OS_ERROR(EMFILE, "too many open descriptors"),
        HTOKI_OS_ERROR(ENFILE, "too many open files in the system"),
        HTOKI_OS_ERROR(ENOMEM, "out of memory"),
        HTOKI_OS_ERROR(ENOENT, "no such file"),
        HTOKI_OS_ERROR(EISDIR, "it is a directory"),
        HTOKI_OS_ERROR(EIO, "input/output error")
    };
#if HTOKI_RESOLVER
    static const struct {
        int code;
        const char *text;
    } lookups[] = {HTOKI_OS_ERROR(EAI_NONAME, "no such name"),
                   HTOKI_OS_ERROR(EAI_AGAIN, "temporary failure, try again later"),
                   HTOKI_OS_ERROR(EAI_FAIL, "the name servers failed"),
                   HTOKI_OS_ERROR(EAI_MEMORY, "out of memory")};
#endif
    size_t i;
#if HTOKI_RESOLVER
    for (i = 0; phase == HTOK_PHASE_LOOKUP && i < HTOKI_COUNT(lookups); i++) {
        if (lookups[i].code == os_error) {
            return lookups[i].text;
        }
    }
#endif
    for (i = 0; phase != HTOK_PHASE_LOOKUP && i < HTOKI_COUNT(texts); i++) {
        if (texts[i].code == os_error) {
            return texts[i].text;
        }
    }
    return "";
}

#endif

#if HTOKI_TLS

/* Where systems keep their trusted certificates as one PEM file. Windows has a store instead, and Android's own
   are many files. */
static const char *const htoki_trust_paths[] = {
#if defined(__ANDROID__)
    "/data/data/com.termux/files/usr/etc/tls/cert.pem", /* Termux */
#elif defined(__linux__)
    "/etc/ssl/certs/ca-certificates.crt", /* Debian, Ubuntu, Alpine, Arch, Gentoo, NixOS, Void */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* Fedora, RHEL, Amazon Linux */
    "/etc/pki/tls/certs/ca-bundle.crt",                  /* the same, older */
    "/var/lib/ca-certificates/ca-bundle.pem",            /* openSUSE */
    "/etc/ssl/ca-bundle.pem",                            /* the same, older */
    "/etc/ssl/cert.pem",                                 /* Alpine, OpenWrt */
    "/etc/ssl/certs/ca-bundle.crt",                      /* NixOS, older */
    "/etc/pki/tls/cacert.pem",                           /* LibreELEC */
#elif !defined(_WIN32)
    "/etc/ssl/cert.pem",                            /* macOS, OpenBSD, FreeBSD */
    "/usr/local/etc/ssl/cert.pem",                  /* FreeBSD's package */
    "/usr/local/share/certs/ca-root-nss.crt",       /* the same, older, and DragonFly BSD */
    "/etc/openssl/certs/ca-certificates.crt",       /* NetBSD */
    "/etc/ssl/certs/ca-certificates.crt",           /* GNU/Hurd, SmartOS */
    "/etc/certs/ca-certificates.crt",               /* Solaris */
    "/etc/ssl/cacert.pem",                          /* OmniOS */
    "/boot/system/data/ssl/CARootCertificates.pem", /* Haiku */
#endif
    NULL};

/* For an error: where trusted certificates were looked for. */
static void htoki_put_trust_places(htoki_writer *w)
{
    size_t i;
    if (HTOKI_ROOT_STORE) {
        htoki_put_text(w, "looked into the ROOT store of Windows");
    }
    for (i = 0; htoki_trust_paths[i] != NULL; i++) {
        htoki_put_text(w, i == 0 ? "looked for " : ", ");
        htoki_put_text(w, htoki_trust_paths[i]);
    }
}

#if HTOKI_ROOT_STORE

/* What the system allows a root for stands in it and in properties that its owner set beside it. */
static bool htoki_root_store_allows(PCCERT_CONTEXT root)
{
    union {
        CERT_ENHKEY_USAGE list;
        unsigned char room[4096];
    } usages;
    DWORD bytes = sizeof usages, i;
    if (!CertGetEnhancedKeyUsage(root, 0, &usages.list, &bytes)) {
        return false;
    }
    if (usages.list.cUsageIdentifier == 0) { /* not found: for all; found and empty: for none */
        return GetLastError() == (DWORD)CRYPT_E_NOT_FOUND;
    }
    for (i = 0; i < usages.list.cUsageIdentifier; i++) {
        if (strcmp(usages.list.rgpszUsageIdentifier[i], szOID_PKIX_KP_SERVER_AUTH) == 0 ||
            strcmp(usages.list.rgpszUsageIdentifier[i], "2.5.29.37.0") == 0) {
            return true;
        }
    }
    return false;
}

static bool htoki_root_store_has(HCERTSTORE store, PCCERT_CONTEXT root)
{
    PCCERT_CONTEXT found =
        store ? CertFindCertificateInStore(store, X509_ASN_ENCODING, 0, CERT_FIND_EXISTING, root, NULL)
              : NULL;
    CertFreeCertificateContext(found);
    return found != NULL;
}

/* The roots of one store that may vouch for a server and are not in the other, in DER one after the other. Returns
   how many bytes they take, writing those that fit into size. A root that is of no use here does not spoil the
   others. */
static size_t htoki_root_store_copy(HCERTSTORE roots, HCERTSTORE distrusted, unsigned char *out, size_t size)
{
    PCCERT_CONTEXT root = NULL;
    size_t len = 0;
    while ((root = CertEnumCertificatesInStore(roots, root)) != NULL) {
        htok_view der = htoki_view((const char *)root->pbCertEncoded, root->cbCertEncoded);
        htok_error ignored;
        htoki_error_clear(&ignored);
        if ((root->dwCertEncodingType & X509_ASN_ENCODING) != 0 &&
            htoki_trust_check(der, false, 0, &ignored) == HTOK_OK && htoki_root_store_allows(root) &&
            !htoki_root_store_has(distrusted, root)) {
            if (len <= size && der.len <= size - len) {
                memcpy(out + len, der.ptr, der.len);
            }
            len += der.len;
        }
    }
    return len;
}

/* The same of the system's stores. */
static size_t htoki_root_store_read(unsigned char *out, size_t size)
{
    HCERTSTORE roots = CertOpenSystemStoreW(0, L"ROOT"), distrusted = CertOpenSystemStoreW(0, L"Disallowed");
    size_t len = roots ? htoki_root_store_copy(roots, distrusted, out, size) : 0;
    if (roots) {
        CertCloseStore(roots, 0);
    }
    if (distrusted) {
        CertCloseStore(distrusted, 0);
    }
    return len;
}

#endif

#endif

/* >>client ----------------------------------------------------------------------------------------------- */
/* One client: its memory, its connection, the call in progress. Takes options and hooks; joins operation, TLS
   and transport under deadlines, with connection reuse, retries and cancel. Must not know: HTTP's or JSON's
   grammar. */

typedef enum htoki_stage {
    HTOKI_STAGE_IDLE,
    HTOKI_STAGE_BEGIN, /* an attempt is to begin */
    HTOKI_STAGE_CONNECT,
    HTOKI_STAGE_TUNNEL,
    HTOKI_STAGE_HANDSHAKE,
    HTOKI_STAGE_EXCHANGE,
    HTOKI_STAGE_WAIT, /* for the next attempt */
    HTOKI_STAGE_ENDED
} htoki_stage;

/* Bytes between begin and end of a buffer wait for somebody. */
typedef struct htoki_span {
    unsigned char *buffer;
    size_t size, begin, end;
} htoki_span;

/* The work buffer also holds what the tunnel and the handshake alone need. */
#if HTOKI_TLS
enum { HTOKI_WORK_BYTES_MIN = (int)sizeof(htoki_x509) };
HTOKI_STATIC_ASSERT(sizeof(htoki_tunnel) <= sizeof(htoki_x509), tunnel_fits_work) HTOKI_UNUSED;
#else
enum { HTOKI_WORK_BYTES_MIN = 512 };
#endif

/* Steps of each kind that one poll makes at most. */
enum { HTOKI_RECEIVES_PER_POLL = 4, HTOKI_SENDS_PER_POLL = 16 };

struct htok_client {
    /* Small members come first: the nearer to the beginning, the shorter the instructions. */
    htoki_stage stage;
    htok_state verdict;
    bool open, looking_up, over_tls, reused, send_failed; /* the connection */
    bool replayed;                                        /* a stale connection was replaced once */
    bool maybe_done;                                      /* an attempt may have taken effect */
    bool again;                                           /* the last poll stopped with work left */
    bool sent_any;  /* a byte of the request was handed to the network, in this attempt */
    bool got_bytes; /* of an answer, in this attempt */
    bool has_item, wiped;
    int send_error;
    uint32_t attempt; /* from 0 */
    char *work;
    size_t work_used; /* what was ever written of it */
    htoki_span in,
        out; /* the TLS engine's record buffers; without TLS, received and unsent bytes; in a handshake
                           the span of the first one is a flight to be sent, in the part that is free */
    uint32_t timeout_ms, connect_timeout_ms;
    uint64_t started_ms, attempt_ms, wait_until_ms, seen_ms; /* seen_ms: the last poll's time */
    htok_clock clock;
    htok_entropy entropy;
    htok_transport transport;
    htok_allocator allocator;
    void *owned_block, *owned_trust; /* what htok_client_create() took */
    size_t owned_block_bytes, owned_trust_bytes;
#if HTOKI_TLS
    htoki_identity *identity; /* at the block's end; NULL: options.client_chain is not set */
#endif
    htok_retry retry;            /* of the call */
    htok_client_options options; /* in force */
    htok_error error;
    htoki_op op;
    htoki_url url; /* of the call, and so of the connection once it is open */
#if HTOKI_SOCKETS
    htoki_net net;
#endif
#if HTOKI_TLS
    htoki_tls tls;
#endif
};

#if HTOKI_LOG
static void htoki_log_end(const htok_client *c, htoki_writer *w)
{
    htoki_writer_end(w);
    c->options.logger->line(c->options.logger->context, w->out);
}

static void htoki_log(const htok_client *c, const char *before, const char *text, const char *after)
{
    char line[320];
    htoki_writer w = htoki_writer_make(line, sizeof line, 0);
    if (c->options.logger) {
        htoki_put_text(&w, before);
        htoki_put_printable(&w, htoki_text(text));
        htoki_put_text(&w, after);
        htoki_log_end(c, &w);
    }
}

static void htoki_log_number(const htok_client *c, const char *before, uint64_t number, const char *after)
{
    char digits[24];
    htoki_writer w = htoki_writer_make(digits, sizeof digits, 0);
    htoki_put_decimal(&w, number);
    htoki_writer_end(&w);
    htoki_log(c, before, digits, after);
}

/* The request line, and the names of the fields that the caller set; no value of theirs. */
static void htoki_log_request(const htok_client *c)
{
    const htoki_headers *lists[2];
    char line[320];
    size_t i, n;
    htoki_writer w = htoki_writer_make(line, sizeof line, 0);
    if (!c->options.logger) {
        return;
    }
    htoki_put_text(&w, "> ");
    htoki_put_text(&w, htoki_request_method(&c->op.request));
    htoki_put_char(&w, ' ');
    htoki_put_target(&w, &c->op.request);
    htoki_put_text(&w, " HTTP/1.1");
    htoki_log_end(c, &w);
    if (c->op.request.token.ptr) {
        htoki_log(c, "> Authorization: [redacted]", "", "");
    }
    lists[0] = &c->op.request.own;
    lists[1] = &c->op.request.client;
    for (i = 0; i < 2; i++) {
        for (n = 0; n < lists[i]->count; n++) {
            htoki_log(c, "> ", lists[i]->list[n].name, ": [redacted]");
        }
    }
}

static void htoki_log_answer(const htok_client *c)
{
    if (!c->op.http.final) {
        return;
    }
    htoki_log_number(c, "< HTTP/1.1 ", (uint64_t)c->op.http.status, "");
    htoki_log_number(c, "< body of ", c->op.http.body_received, " bytes");
}
#else
#define htoki_log(c, before, text, after)          ((void)0)
#define htoki_log_number(c, before, number, after) ((void)0)
#define htoki_log_request(c)                       ((void)0)
#define htoki_log_answer(c)                        ((void)0)
#endif

static uint64_t htoki_now_ms(const htok_client *c)
{
    return c->clock.monotonic_ms(c->clock.context);
}

static bool htoki_unix_seconds(const htok_client *c, int64_t *seconds)
{
    *seconds = 0;
    return c->clock.unix_seconds && c->clock.unix_seconds(c->clock.context, seconds);
}

/* Only https goes through the proxy; http is for loopback addresses. */
static bool htoki_has_proxy(const htok_client *c)
{
    return HTOKI_PROXY && c->url.secure && c->options.proxy;
}

static bool htoki_in_tunnel(const htok_client *c)
{
    return HTOKI_PROXY && c->stage == HTOKI_STAGE_TUNNEL;
}

#if HTOKI_TLS
/* In the work buffer while the tunnel is being opened. */
static htoki_tunnel *htoki_tunnel_at_hand(const htok_client *c)
{
    return (htoki_tunnel *)(void *)c->work;
}
#endif

/* Where in an attempt the client is. */
static htok_phase htoki_phase_at_hand(const htok_client *c)
{
    switch (c->stage) {
    case HTOKI_STAGE_CONNECT: return c->looking_up ? HTOK_PHASE_LOOKUP : HTOK_PHASE_CONNECT;
    case HTOKI_STAGE_TUNNEL: return HTOK_PHASE_PROXY;
    case HTOKI_STAGE_HANDSHAKE: return HTOK_PHASE_HANDSHAKE;
    default: return c->op.http.final ? HTOK_PHASE_BODY : HTOK_PHASE_HEAD;
    }
}

static htoki_http_limits htoki_limits(const htok_client *c)
{
    htoki_http_limits limits;
    limits.head_bytes = c->options.max_head_bytes;
    limits.fields = c->options.max_fields;
    limits.interim = c->options.max_interim;
    limits.body_bytes = c->options.max_body_bytes;
    return limits;
}

static bool htoki_is_connecting(const htok_client *c)
{
    return c->stage == HTOKI_STAGE_CONNECT || htoki_in_tunnel(c) || c->stage == HTOKI_STAGE_HANDSHAKE;
}

static size_t htoki_span_len(const htoki_span *s)
{
    return s->end - s->begin;
}

static void htoki_span_take(htoki_span *s, size_t count)
{
    s->begin += count;
    if (s->begin == s->end) {
        s->begin = s->end = 0;
    }
}

static htok_io_detail htoki_io_detail_none(void)
{
    htok_io_detail detail;
    memset(&detail, 0, sizeof detail);
    return detail;
}

/* One send to the transport. AGAIN when nothing moved. A failure is remembered and not yet one of the call:
   the server may have answered before it closed. */
static htok_io htoki_send(htok_client *c, const void *bytes, size_t len, size_t *moved)
{
    htok_io_detail detail = htoki_io_detail_none();
    htok_io io =
        c->send_failed ? HTOK_IO_AGAIN : c->transport.send(c->transport.context, bytes, len, &detail);
    *moved = 0;
    if (io == HTOK_IO_OK) {
        *moved = detail.moved < len ? detail.moved : len;
        c->sent_any = c->sent_any || (*moved && c->stage == HTOKI_STAGE_EXCHANGE);
    } else if (io != HTOK_IO_AGAIN) {
        c->send_failed = true;
        c->send_error = detail.os_error;
    }
    return *moved ? HTOK_IO_OK : HTOK_IO_AGAIN;
}

/* Ends the connection, with a close_notify if it leaves at once. Where no byte of the request has left, the request would
   leave with it. */
static void htoki_disconnect(htok_client *c)
{
    if (!c->open) {
        return;
    }
#if HTOKI_TLS
    if (c->over_tls && c->sent_any && (c->stage == HTOKI_STAGE_EXCHANGE || c->stage == HTOKI_STAGE_ENDED)) {
        size_t len, moved;
        unsigned char *bytes;
        htoki_tls_close(&c->tls);
        bytes = htoki_tls_wire_out(&c->tls, &len);
        if (bytes) {
            htoki_send(c, bytes, len, &moved);
        }
    }
#endif
    c->transport.close(c->transport.context);
#if HTOKI_TLS
    if (htoki_in_tunnel(c)) {
        htoki_wipe(c->work, sizeof(htoki_tunnel)); /* a proxy may answer with what it was sent */
    }
#endif
#if HTOKI_CLIENT_CERTIFICATE
    if (c->identity) {
        htoki_identity_forget(c->identity);
    }
#endif
    c->open = c->reused = false;
    htoki_wipe(c->in.buffer, c->in.size);
    htoki_wipe(c->out.buffer, c->out.size);
    c->in.begin = c->in.end = c->out.begin = c->out.end = 0;
    htoki_log(c, "connection closed", "", "");
}

static size_t htoki_work_used(const htok_client *c)
{
    return c->op.work_used > c->work_used ? c->op.work_used : c->work_used;
}

/* What the server may have sent back of the request's secrets, or a part of a created token, and nobody is shown. */
static void htoki_forget_answer(htok_client *c)
{
    htoki_wipe(c->op.http.retry_after, sizeof c->op.http.retry_after);
    if (c->error.kind != HTOK_OK && !c->error.message.ptr && !c->error.body.ptr) {
        htoki_wipe(c->work, htoki_work_used(c));
    }
}

/* The call is over. The connection stays open only after an answer that left nothing behind. */
static void htoki_end(htok_client *c, bool keep)
{
    if (!keep) {
        htoki_disconnect(c);
    }
    htoki_forget_answer(c);
    c->stage = HTOKI_STAGE_ENDED;
    c->verdict = c->error.kind == HTOK_OK ? HTOK_STATE_DONE : HTOK_STATE_FAILED;
    c->again = false;
}

static uint32_t htoki_random(const htok_client *c)
{
    uint32_t value = UINT32_MAX / 2;
    if (c->entropy.fill && !c->entropy.fill(c->entropy.context, &value, sizeof value)) {
        value = UINT32_MAX / 2;
    }
    return value;
}

static bool htoki_is_certificate_reason(htok_reason reason)
{
    return reason >= HTOK_REASON_CERTIFICATE_INVALID && reason <= HTOK_REASON_CLIENT_CERTIFICATE_REFUSED;
}

/* A proxy's 4xx is about the request, which does not change; but for the two that say "later". */
static bool htoki_is_final_refusal(int status)
{
    return status / 100 == 4 && status != 408 && status != 429;
}

/* Remembers, over all attempts, whether the request may have changed something. */
static void htoki_note_effect(htok_client *c)
{
    c->maybe_done = c->maybe_done || (c->stage == HTOKI_STAGE_EXCHANGE && c->sent_any &&
                                      htoki_op_may_have_taken_effect(&c->op));
}

static bool htoki_call_may_repeat(const htok_client *c)
{
    return htoki_may_repeat(c->retry.repeat, c->op.request.operation != HTOKI_CREATE_ORG_TOKEN, c->sent_any);
}

/* The attempt has come to an end that is no success: another attempt, or the call's end. */
static void htoki_attempt_failed(htok_client *c, bool keep)
{
    htoki_outcome outcome;
    int64_t wait, seconds;
    uint64_t now = htoki_now_ms(c);
    bool time_known = htoki_unix_seconds(c, &seconds);
    htok_error *e = &c->error;
    const htoki_http *answer = c->stage == HTOKI_STAGE_EXCHANGE ? &c->op.http : NULL;
#if HTOKI_TLS
    answer = htoki_in_tunnel(c) ? &htoki_tunnel_at_hand(c)->http : answer;
#endif
    e->retry_after_ms = answer ? htoki_http_retry_after_ms(answer, time_known, seconds) : -1;
    htoki_note_effect(c);
    e->may_have_taken_effect = c->maybe_done;
    outcome.kind = e->kind;
    outcome.status = e->status;
    outcome.retry_after_ms = e->retry_after_ms;
    outcome.permanent = htoki_is_certificate_reason(e->reason) || htoki_is_final_refusal(e->proxy_status);
    outcome.may_repeat = htoki_call_may_repeat(c) && c->op.item_count == 0;
    wait = htoki_retry_wait_ms(&c->retry, &outcome, c->attempt, now > c->started_ms ? now - c->started_ms : 0,
                               htoki_random(c));
    if (wait < 0) {
        htoki_end(c, keep);
        return;
    }
    if (!keep) {
        htoki_disconnect(c);
    }
    htoki_forget_answer(c);
    htoki_log_number(c, "trying again in ", (uint64_t)wait, " ms");
    c->attempt++;
    c->replayed = false;
    c->wait_until_ms = now + (uint64_t)wait;
    c->stage = HTOKI_STAGE_WAIT;
}

static void htoki_attempt_fail(htok_client *c, htok_reason reason, htok_phase phase)
{
    htoki_fail(&c->error, reason, phase);
    htoki_attempt_failed(c, false);
}

static void htoki_attempt_fail_os(htok_client *c, htok_reason reason, htok_phase phase, int os_error)
{
    htoki_writer w = htoki_writer_make(c->error.detail, sizeof c->error.detail, 0);
    const char *text = "", *host = "";
    bool to_proxy = htoki_has_proxy(c) && (c->stage == HTOKI_STAGE_CONNECT || htoki_in_tunnel(c));
#if HTOKI_SOCKETS
    text = htoki_os_error_text(os_error, phase);
#endif
    c->error.os_error = os_error;
    if (phase == HTOK_PHASE_LOOKUP) {
        host = to_proxy ? c->options.proxy->host : c->url.host;
    }
    htoki_put_text(&w, to_proxy ? "proxy" : "");
    htoki_put_text(&w, to_proxy && (*host || *text) ? ": " : "");
    htoki_put_text(&w, host);
    htoki_put_text(&w, *host && *text ? ": " : "");
    htoki_put_text(&w, text);
    (void)htoki_writer_end(&w);
    htoki_attempt_fail(c, reason, phase);
}

/* A connection that was kept open turns out dead before a byte of the answer: it is replaced once, if the request may
   be repeated. */
static bool htoki_replace_stale(htok_client *c)
{
    if (!c->reused || c->replayed || c->got_bytes || !htoki_call_may_repeat(c)) {
        return false;
    }
    c->replayed = true;
    htoki_note_effect(c);
    htoki_error_clear(&c->error);
    c->error.attempts = (unsigned)(c->attempt + 1);
    htoki_disconnect(c);
    c->stage = HTOKI_STAGE_BEGIN;
    c->again = true;
    return true;
}

static htok_io htoki_receive(htok_client *c, void *bytes, size_t size, size_t *moved)
{
    htok_io_detail detail = htoki_io_detail_none();
    htok_io io = c->transport.receive(c->transport.context, bytes, size, &detail);
    *moved = io == HTOK_IO_OK ? (detail.moved < size ? detail.moved : size) : 0;
    if (io == HTOK_IO_FAILED) {
        if (c->send_failed) {
            detail.os_error = c->send_error;
        }
        if (!htoki_replace_stale(c)) {
            htoki_attempt_fail_os(c, c->send_failed ? HTOK_REASON_SEND_FAILED : HTOK_REASON_RECEIVE_FAILED,
                                  c->send_failed && c->stage == HTOKI_STAGE_EXCHANGE ? HTOK_PHASE_SEND
                                                                                     : htoki_phase_at_hand(c),
                                  detail.os_error);
        }
    }
    return io;
}

/* Acts on what the operation found. True when the poll is over. */
static bool htoki_op_event_done(htok_client *c, htoki_op_event event, bool unread)
{
    bool keep;
    if (event == HTOKI_OP_MORE) {
        return false;
    }
    if (event == HTOKI_OP_ITEM) {
        c->has_item = c->again = true;
        return true;
    }
    htoki_log_answer(c);
    /* What a failed send left behind is still to be sent. */
    keep = htoki_http_keeps_connection(&c->op.http) && htoki_op_sent_all(&c->op) && !unread &&
           htoki_span_len(&c->out) == 0;
#if HTOKI_TLS
    if (c->over_tls) {
        size_t len = 0;
        htoki_tls_wire_out(&c->tls, &len);
        keep = keep && len == 0 && htoki_span_len(&c->in) == 0 && !htoki_tls_is_ahead(&c->tls) &&
               !htoki_tls_closed(&c->tls);
    }
#endif
    if (event == HTOKI_OP_DONE) {
        htoki_end(c, keep);
    } else {
        htoki_attempt_failed(c, keep && (c->error.kind == HTOK_API_ERROR || c->error.kind == HTOK_SDK_ERROR));
    }
    return true;
}

/* Gives received bytes to the operation. All but the body of a list or revoke is wiped once read: it may hold a created
   token, or what the server sends back of the request. */
static bool htoki_feed(htok_client *c, unsigned char *bytes, size_t len, size_t *consumed)
{
    bool harmless = c->op.wanted && c->op.request.operation != HTOKI_CREATE_ORG_TOKEN;
    htoki_op_event event = htoki_op_input(&c->op, (const char *)bytes, len, consumed);
    c->got_bytes = true; /* at once, or before an item */
    if (!harmless) {
        htoki_wipe(bytes, *consumed);
    }
    return htoki_op_event_done(c, event, *consumed < len);
}

/* The stream has ended. */
static void htoki_feed_end(htok_client *c, bool clean)
{
    if (!c->op.http.final && (htoki_replace_stale(c) || c->send_failed)) {
        if (c->stage == HTOKI_STAGE_EXCHANGE) {
            htoki_attempt_fail_os(c, HTOK_REASON_SEND_FAILED, HTOK_PHASE_SEND, c->send_error);
        }
        return;
    }
    htoki_op_event_done(c, htoki_op_eof(&c->op, clean), true);
}

/* The next bytes of the request, to the proxy or to the server. */
static size_t htoki_output_plain(htok_client *c)
{
    size_t len;
#if HTOKI_TLS
    if (htoki_in_tunnel(c)) {
        return htoki_tunnel_output(htoki_tunnel_at_hand(c), c->out.buffer, c->out.size);
    }
#endif
    len = htoki_op_output(&c->op, c->out.buffer, c->out.size);
    htoki_op_sent(&c->op, len);
    return len;
}

/* Without TLS: sends what is left of the request. */
static void htoki_send_plain(htok_client *c)
{
    size_t moved;
    int steps;
    for (steps = 0; steps < HTOKI_SENDS_PER_POLL; steps++) {
        if (htoki_span_len(&c->out) == 0) {
            c->out.end = htoki_output_plain(c);
        }
        if (htoki_span_len(&c->out) == 0 ||
            htoki_send(c, c->out.buffer + c->out.begin, htoki_span_len(&c->out), &moved) != HTOK_IO_OK) {
            break;
        }
        htoki_wipe(c->out.buffer + c->out.begin, moved);
        htoki_span_take(&c->out, moved);
    }
    c->again = steps == HTOKI_SENDS_PER_POLL;
}

/* Without TLS: sends, then receives, then reads. */
static void htoki_exchange_plain(htok_client *c)
{
    size_t moved, used;
    int steps;
    htoki_send_plain(c);
    for (steps = 0; steps < HTOKI_RECEIVES_PER_POLL; steps++) {
        htok_io io;
        if (htoki_span_len(&c->in) != 0 || c->op.item_count != 0) {
            if (htoki_feed(c, c->in.buffer + c->in.begin, htoki_span_len(&c->in), &used)) {
                htoki_span_take(&c->in, c->open ? used : 0);
                return;
            }
            htoki_span_take(&c->in, used);
        }
        io = htoki_receive(c, c->in.buffer, c->in.size, &moved);
        if (io == HTOK_IO_CLOSED) {
            htoki_feed_end(c, true);
        }
        if (io != HTOK_IO_OK) {
            return;
        }
        c->in.begin = 0;
        c->in.end = moved;
    }
    c->again = true;
}

#if HTOKI_TLS
static void htoki_tls_attempt_failed(htok_client *c, htok_phase phase)
{
    if (htoki_replace_stale(c)) {
        return;
    }
    htoki_tls_failure(&c->tls, phase, &c->error);
    htoki_attempt_failed(c, false);
}

/* Gathers the records of a handshake's flight, for one send, behind what has come ahead. */
static void htoki_tls_gather(htok_client *c)
{
    size_t len = 0;
    unsigned char *bytes = htoki_tls_wire_out(&c->tls, &len);
    if (htoki_span_len(&c->in) == 0) {
        c->in.begin = c->in.end = htoki_tls_record_in_used(&c->tls);
    }
    while (len != 0 && len <= c->in.size - c->in.end) {
        memcpy(c->in.buffer + c->in.end, bytes, len);
        c->in.end += len;
        htoki_tls_wire_out_done(&c->tls, len);
        bytes = htoki_tls_wire_out(&c->tls, &len);
    }
}

/* Sends what the engine has ready. */
static void htoki_tls_send(htok_client *c)
{
    for (;;) {
        size_t len = 0, moved;
        unsigned char *bytes;
        if (c->stage == HTOKI_STAGE_HANDSHAKE || htoki_span_len(&c->in) != 0) {
            htoki_tls_gather(c);
        }
        len = htoki_span_len(&c->in);
        if (len != 0) {
            if (htoki_send(c, c->in.buffer + c->in.begin, len, &moved) != HTOK_IO_OK) {
                return;
            }
            htoki_span_take(&c->in, moved);
            continue;
        }
        bytes = htoki_tls_wire_out(&c->tls, &len);
        if (!bytes || htoki_send(c, bytes, len, &moved) != HTOK_IO_OK) {
            return;
        }
        htoki_tls_wire_out_done(&c->tls, moved);
    }
}

/* Moves the request into the engine and out, as far as both take it. */
static void htoki_tls_send_request(htok_client *c)
{
    int steps;
    for (steps = 0; !c->send_failed && !htoki_op_sent_all(&c->op); steps++) {
        size_t room = 0, len;
        unsigned char *buffer = htoki_tls_data_out(&c->tls, &room);
        if (!buffer) {
            break;
        }
        if (steps == HTOKI_SENDS_PER_POLL) {
            c->again = true;
            break;
        }
        len = htoki_op_output(&c->op, buffer, room);
        htoki_tls_data_out_done(&c->tls, len);
        htoki_op_sent(&c->op, len);
        if (htoki_op_sent_all(&c->op)) {
            htoki_tls_flush(&c->tls);
        }
        htoki_tls_send(c);
    }
    htoki_tls_send(c);
}

/* Gives decrypted bytes to the operation. True when the poll is over. */
static bool htoki_tls_read(htok_client *c)
{
    size_t len = 0, used = 0;
    unsigned char *bytes = htoki_tls_data_in(&c->tls, &len);
    if (!bytes) {
        if (c->op.item_count == 0) {
            return false;
        }
        bytes = c->in.buffer; /* nothing new; the answer may have ended with the last item */
        len = 0;
    }
    if (htoki_feed(c, bytes, len, &used)) {
        if (c->open && used) {
            htoki_tls_data_in_done(&c->tls, used);
        }
        return true;
    }
    if (used) {
        htoki_tls_data_in_done(&c->tls, used);
    }
    return false;
}

/* One receive into the engine, or one record that has come ahead. True when the poll is over. */
static bool htoki_tls_receive(htok_client *c)
{
    size_t room = 0, moved;
    unsigned char *buffer;
    bool handshake = c->stage == HTOKI_STAGE_HANDSHAKE;
    htok_io io;
    if (htoki_tls_advance(&c->tls)) {
        return false;
    }
    buffer = htoki_tls_wire_in(&c->tls, &room);
    if (htoki_tls_closed_cleanly(&c->tls)) {
        htoki_feed_end(c, true);
        return true;
    }
    if (htoki_tls_closed(&c->tls)) {
        htoki_tls_attempt_failed(c, htoki_phase_at_hand(c));
        return true;
    }
    if (!buffer || (htoki_span_len(&c->in) != 0 && !c->send_failed)) {
        return true;
    }
    io = htoki_receive(c, buffer, room, &moved);
    if (io == HTOK_IO_OK) {
        htoki_tls_wire_in_done(&c->tls, moved);
        return false;
    }
    if (io == HTOK_IO_CLOSED && handshake) {
        htoki_error_text(c->error.detail, sizeof c->error.detail, htoki_text(htoki_tls_asked(&c->tls)));
        htoki_attempt_fail(c, HTOK_REASON_TLS_CLOSED, HTOK_PHASE_HANDSHAKE);
    } else if (io == HTOK_IO_CLOSED) {
        htoki_feed_end(c, false);
    }
    return true;
}

static void htoki_exchange_tls(htok_client *c)
{
    int steps;
    for (steps = 0; steps < 2 * HTOKI_RECEIVES_PER_POLL; steps++) {
        htoki_tls_send_request(c);
        if (htoki_tls_read(c) || htoki_tls_receive(c)) {
            return;
        }
    }
    c->again = true;
}

/* At most one message is taken in, for each may ask for public-key operations. */
static void htoki_handshake(htok_client *c)
{
    htoki_tls_send(c);
    if (!htoki_tls_established(&c->tls)) {
        if (htoki_tls_receive(c)) {
            return;
        }
        /* The flight that ends a resumed handshake leaves together with the request. */
        htoki_tls_gather(c);
        if (!htoki_tls_established(&c->tls)) {
            htoki_tls_send(c);
        }
    }
    c->again = true; /* a loop of edges is not told again of bytes that are left with the transport */
    if (htoki_tls_established(&c->tls)) {
        htoki_log(c, "TLS established with ", c->url.host, c->tls.resumed ? ", session resumed" : "");
        c->stage = HTOKI_STAGE_EXCHANGE;
    }
}

/* What decides whether a server's certificates are good; the rest is zero. */
static void htoki_fill_trust(const htok_client *c, const htoki_url *url, htoki_tls_config *config)
{
    memset(config, 0, sizeof *config);
    config->host = url->host;
    config->trust = c->options.trust;
    config->expired_roots = c->options.expired_roots;
    config->identity = c->identity;
    config->pins = c->options.pins;
    config->pin_count = c->options.pin_count;
}

static void htoki_begin_handshake(htok_client *c)
{
    unsigned char entropy[32];
    htoki_tls_config config;
    bool ok;
    htoki_fill_trust(c, &c->url, &config);
    config.address = c->url.address.length ? c->url.address.bytes : NULL;
    config.address_len = c->url.address.length;
    config.time_known = htoki_unix_seconds(c, &config.unix_seconds);
    config.entropy = entropy;
    config.entropy_len = sizeof entropy;
    config.record_in = c->in.buffer;
    config.record_in_size = c->in.size;
    config.record_out = c->out.buffer;
    config.record_out_size = c->out.size;
    config.scratch = c->work;
    config.scratch_size = (size_t)c->options.work_bytes;
    config.resume = true; /* a session of another origin is forgotten at the start of the call */
    if (!c->entropy.fill(c->entropy.context, entropy, sizeof entropy)) {
        htoki_attempt_fail(c, HTOK_REASON_ENTROPY_MISSING, HTOK_PHASE_HANDSHAKE);
        return;
    }
    ok = htoki_tls_start(&c->tls, &config, &c->error);
    htoki_wipe(entropy, sizeof entropy);
    if (!ok) {
        htoki_attempt_failed(c, false);
        return;
    }
    c->stage = HTOKI_STAGE_HANDSHAKE;
}

static void htoki_begin_tunnel(htok_client *c)
{
    htoki_http_limits limits = htoki_limits(c);
    htoki_tunnel_begin(htoki_tunnel_at_hand(c), &c->url, c->options.proxy, htoki_text(c->options.user_agent),
                       &limits);
    htoki_log(c, "> CONNECT ", c->url.host, "");
    c->stage = HTOKI_STAGE_TUNNEL;
}

/* What the tunnel's state came to. True when the poll is over. */
static bool htoki_tunnel_event_done(htok_client *c, htoki_tunnel_event event)
{
    if (event == HTOKI_TUNNEL_FAILED) {
        if (c->error.proxy_status) {
            htoki_log_number(c, "< proxy: HTTP/1.1 ", (uint64_t)c->error.proxy_status, "");
        }
        htoki_attempt_failed(c, false);
    } else if (event == HTOKI_TUNNEL_OPEN) {
        htoki_log(c, "tunnel opened to ", c->url.host, "");
        htoki_wipe(c->work, sizeof(htoki_tunnel));
        c->again = true;
        htoki_begin_handshake(c);
    }
    return event != HTOKI_TUNNEL_MORE;
}

/* CONNECT and its answer. */
static void htoki_tunnel_exchange(htok_client *c)
{
    htoki_tunnel *t = htoki_tunnel_at_hand(c);
    htoki_tunnel_event event;
    int steps;
    htoki_send_plain(c);
    for (steps = 0; steps < HTOKI_RECEIVES_PER_POLL; steps++) {
        size_t moved;
        htok_io io = htoki_receive(c, c->in.buffer, c->in.size, &moved);
        if (io == HTOK_IO_CLOSED && c->send_failed) {
            htoki_attempt_fail_os(c, HTOK_REASON_SEND_FAILED, HTOK_PHASE_PROXY, c->send_error);
        } else if (io == HTOK_IO_CLOSED) {
            (void)htoki_tunnel_event_done(c, htoki_tunnel_eof(t, &c->error));
        }
        if (io != HTOK_IO_OK) {
            return;
        }
        event = htoki_tunnel_input(t, (const char *)c->in.buffer, moved, htoki_span_len(&c->out), &c->error);
        htoki_wipe(c->in.buffer, moved);
        if (htoki_tunnel_event_done(c, event)) {
            return;
        }
    }
    c->again = true;
}
#endif

/* The transport is connected. */
static void htoki_connected(htok_client *c)
{
    htoki_log(c, "connected to ", htoki_has_proxy(c) ? c->options.proxy->host : c->url.host, "");
    c->again = true;
#if HTOKI_TLS
    if (c->over_tls) {
        if (htoki_has_proxy(c)) {
            htoki_begin_tunnel(c);
        } else {
            htoki_begin_handshake(c);
        }
        return;
    }
#endif
    c->stage = HTOKI_STAGE_EXCHANGE;
}

/* The transport could not connect, or not even begin. */
static void htoki_not_connected(htok_client *c, const htok_io_detail *detail)
{
    bool lookup = detail->phase == HTOK_PHASE_LOOKUP;
    htoki_attempt_fail_os(c, lookup ? HTOK_REASON_LOOKUP_FAILED : HTOK_REASON_CONNECT_FAILED,
                          lookup ? HTOK_PHASE_LOOKUP : HTOK_PHASE_CONNECT, detail->os_error);
}

static void htoki_connect(htok_client *c, uint64_t now)
{
    htok_io_detail detail = htoki_io_detail_none();
    htok_io io = c->transport.connect(c->transport.context, now, &detail);
    c->looking_up = detail.phase == HTOK_PHASE_LOOKUP;
    if (io == HTOK_IO_OK) {
        htoki_connected(c);
    } else if (io != HTOK_IO_AGAIN) {
        htoki_not_connected(c, &detail);
    }
}

/* An idle connection on which anything happened is of no more use: a close, or bytes that nobody asked for, which
   would be taken for the answer. */
static bool htoki_idle_is_alive(htok_client *c)
{
    htok_io_detail detail = htoki_io_detail_none();
    unsigned char probe[1];
    return c->transport.receive(c->transport.context, probe, sizeof probe, &detail) == HTOK_IO_AGAIN;
}

/* The token for this attempt. */
static bool htoki_take_token(htok_client *c, htoki_request *request)
{
    htok_view token = htoki_text(c->options.token);
    if (c->options.token_provider) {
        token = htoki_view(NULL, 0);
        if (!c->options.token_provider(c->options.token_context, &token)) {
            htoki_fail(&c->error, HTOK_REASON_TOKEN_PROVIDER, HTOK_PHASE_OPTION);
            return false;
        }
    }
    request->token = token;
    return !token.ptr || htoki_check_token(&c->error, token) == HTOK_OK;
}

static void htoki_begin_attempt(htok_client *c, uint64_t now)
{
    htok_io_detail detail = htoki_io_detail_none();
    htoki_request request = c->op.request;
    htoki_http_limits limits = htoki_limits(c);
    bool proxied = htoki_has_proxy(c);
    htoki_error_clear(&c->error);
    c->error.attempts = (unsigned)(c->attempt + 1);
    c->sent_any = c->got_bytes = c->send_failed = false;
    c->attempt_ms = c->replayed ? c->attempt_ms : now;
    if (!htoki_take_token(c, &request)) {
        c->error.may_have_taken_effect = c->maybe_done;
        htoki_end(c, false);
        return;
    }
    htoki_op_begin(&c->op, &request, &limits, c->options.max_error_body_bytes, c->options.max_element_bytes,
                   c->work, (size_t)c->options.work_bytes, &c->error);
    if (c->open && !htoki_idle_is_alive(c)) {
        htoki_disconnect(c);
    }
    htoki_log_request(c);
    c->reused = c->open;
    c->again = true;
    if (c->open) {
        c->stage = HTOKI_STAGE_EXCHANGE;
        return;
    }
    c->over_tls = c->url.secure && !c->transport.provides_tls;
    c->open = true;
    c->stage = HTOKI_STAGE_CONNECT;
    if (c->transport.open(c->transport.context, proxied ? c->options.proxy->host : c->url.host,
                          proxied ? c->options.proxy->port : c->url.port, &detail) == HTOK_IO_FAILED) {
        htoki_not_connected(c, &detail);
    }
    c->looking_up = detail.phase == HTOK_PHASE_LOOKUP;
}

/* Milliseconds from now to a point that is after_ms after base; UINT32_MAX for "none". */
static uint32_t htoki_left_ms(uint64_t base, uint32_t after_ms, uint64_t now)
{
    uint64_t passed = now > base ? now - base : 0;
    return after_ms == HTOK_NO_TIMEOUT ? UINT32_MAX : passed >= after_ms ? 0 : (uint32_t)(after_ms - passed);
}

static bool htoki_in_attempt(const htok_client *c)
{
    return htoki_is_connecting(c) || c->stage == HTOKI_STAGE_EXCHANGE;
}

/* True when a deadline has passed and the attempt with it. */
static bool htoki_is_late(htok_client *c, uint64_t now)
{
    htok_phase phase = htoki_phase_at_hand(c);
    if (!htoki_in_attempt(c)) {
        return false;
    }
    if (htoki_left_ms(c->attempt_ms, c->timeout_ms, now) == 0) {
        htoki_attempt_fail(c, HTOK_REASON_TIMEOUT, phase);
        return true;
    }
    if (htoki_is_connecting(c) && htoki_left_ms(c->attempt_ms, c->connect_timeout_ms, now) == 0) {
        htoki_attempt_fail(c, HTOK_REASON_CONNECT_TIMEOUT, phase);
        return true;
    }
    return false;
}

/* A clock that goes back, against its contract, shall not hold a call: all points of time go back with it. */
static void htoki_follow_clock(htok_client *c, uint64_t now)
{
    uint64_t *points[3];
    size_t i;
    points[0] = &c->started_ms;
    points[1] = &c->attempt_ms;
    points[2] = &c->wait_until_ms;
    for (i = 0; i < 3 && now < c->seen_ms; i++) {
        *points[i] -= *points[i] > c->seen_ms - now ? c->seen_ms - now : *points[i];
    }
    c->seen_ms = now;
}

static htok_state htoki_poll(htok_client *c)
{
    uint64_t now;
    if (c->stage == HTOKI_STAGE_IDLE || c->stage == HTOKI_STAGE_ENDED) {
        return c->verdict;
    }
    now = htoki_now_ms(c);
    htoki_follow_clock(c, now);
    c->has_item = c->again = false;
    if (!htoki_is_late(c, now)) {
        switch (c->stage) {
        case HTOKI_STAGE_WAIT:
            if (now < c->wait_until_ms) {
                break;
            }
            htoki_begin_attempt(c, now);
            break;
        case HTOKI_STAGE_BEGIN: htoki_begin_attempt(c, now); break;
        case HTOKI_STAGE_CONNECT: htoki_connect(c, now); break;
#if HTOKI_TLS
        case HTOKI_STAGE_TUNNEL:
            if (HTOKI_PROXY) {
                htoki_tunnel_exchange(c);
            }
            break;
        case HTOKI_STAGE_HANDSHAKE: htoki_handshake(c); break;
#endif
        default:
#if HTOKI_TLS
            if (c->over_tls) {
                htoki_exchange_tls(c);
                break;
            }
#endif
            htoki_exchange_plain(c);
            break;
        }
    }
    c->work_used = htoki_work_used(c);
    return c->has_item ? HTOK_STATE_ITEM : c->stage == HTOKI_STAGE_ENDED ? c->verdict : HTOK_STATE_PENDING;
}

static htok_wait htoki_wait(const htok_client *c)
{
    htok_wait wait;
    uint64_t now = htoki_now_ms(c);
    wait.readable = wait.writable = false;
    wait.descriptor = -1;
    wait.timeout_ms = UINT32_MAX;
    if (c->stage == HTOKI_STAGE_WAIT) {
        uint64_t left = c->wait_until_ms > now ? c->wait_until_ms - now : 0;
        wait.timeout_ms = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX - 1;
    } else if (htoki_in_attempt(c)) {
        uint32_t left = htoki_left_ms(c->attempt_ms, c->timeout_ms, now);
        uint32_t connect_left =
            htoki_is_connecting(c) ? htoki_left_ms(c->attempt_ms, c->connect_timeout_ms, now) : UINT32_MAX;
        wait.timeout_ms = left < connect_left ? left : connect_left;
        if (c->stage != HTOKI_STAGE_CONNECT) {
            wait.readable = true;
            wait.writable = htoki_span_len(&c->out) != 0;
#if HTOKI_TLS
            if (c->over_tls && !htoki_in_tunnel(c)) {
                size_t len = 0;
                bool unsent = htoki_span_len(&c->in) != 0; /* nothing is received before it has left */
                htoki_tls_wire_out((htoki_tls *)&c->tls, &len);
                wait.readable = !unsent || c->send_failed;
                wait.writable = len != 0 || unsent;
            }
#endif
            wait.writable = wait.writable && !c->send_failed;
        }
        if (c->transport.wait) {
            c->transport.wait(c->transport.context, &wait);
        }
    }
    if (c->again || c->stage == HTOKI_STAGE_BEGIN || c->stage == HTOKI_STAGE_ENDED ||
        c->stage == HTOKI_STAGE_IDLE) {
        wait.timeout_ms = 0;
    }
    return wait;
}

/* >>public ----------------------------------------------------------------------------------------------- */
/* Bodies of the functions in >>api: fill defaults, check, forward. */

static uint32_t htoki_default(uint32_t value, uint32_t fallback)
{
    return value ? value : fallback;
}

/* Fills the zeros of a retry policy and checks it. */
static htok_kind htoki_check_retry(htok_error *e, htok_retry *r)
{
    bool match;
    r->strategy = r->strategy == HTOK_RETRY_DEFAULT ? HTOK_RETRY_NONE : r->strategy;
    r->repeat = r->repeat == HTOK_REPEAT_DEFAULT ? HTOK_REPEAT_IDEMPOTENT : r->repeat;
    r->initial_interval_ms = htoki_default(r->initial_interval_ms, 500);
    r->max_interval_ms = htoki_default(r->max_interval_ms, 60000);
    r->max_elapsed_ms = htoki_default(r->max_elapsed_ms, 3600000);
    r->exponent_thousandths = htoki_default(r->exponent_thousandths, 1500);
    r->codes = r->codes ? r->codes : "429,500,502,503,504";
    if (r->strategy != HTOK_RETRY_NONE && r->strategy != HTOK_RETRY_BACKOFF) {
        return htoki_fail_option(e, HTOK_REASON_OPTION_RANGE, "retry.strategy");
    }
    if (r->repeat != HTOK_REPEAT_IDEMPOTENT && r->repeat != HTOK_REPEAT_UNSENT &&
        r->repeat != HTOK_REPEAT_ALWAYS) {
        return htoki_fail_option(e, HTOK_REASON_OPTION_RANGE, "retry.repeat");
    }
    if (r->exponent_thousandths > 10000) {
        return htoki_fail_option(e, HTOK_REASON_OPTION_RANGE, "retry.exponent_thousandths");
    }
    if (!htoki_codes_match(r->codes, 0, &match)) {
        return htoki_fail_option(e, HTOK_REASON_RETRY_CODES, "retry.codes");
    }
    return HTOK_OK;
}

#define HTOKI_RECORD_BYTES 16384
#define HTOKI_SEND_BYTES   1024
/* Where size_t has 16 bits, what a block cannot overflow it with. */
#define HTOKI_WORK_BYTES_MAX ((uint32_t)1 << (sizeof(size_t) > 2 ? 30 : 14))
#define HTOKI_PEM_BYTES_MAX  (sizeof(size_t) > 2 ? 65536 : 2048)

/* The size that is out of range, by its name; NULL when none is. */
static const char *htoki_wrong_size(const htok_client_options *o)
{
    return o->record_bytes < 512 || o->record_bytes > 16384                               ? "record_bytes"
           : o->send_bytes < 512 || o->send_bytes > 16384                                 ? "send_bytes"
           : o->client_chain.len > HTOKI_PEM_BYTES_MAX                                    ? "client_chain"
           : o->client_key.len > HTOKI_PEM_BYTES_MAX                                      ? "client_key"
           : o->work_bytes < HTOKI_WORK_BYTES_MIN || o->work_bytes > HTOKI_WORK_BYTES_MAX ? "work_bytes"
                                                                                          : NULL;
}

static void htoki_fill_sizes(htok_client_options *o)
{
    o->record_bytes = htoki_default(o->record_bytes, HTOKI_RECORD_BYTES);
    o->send_bytes = htoki_default(o->send_bytes, HTOKI_SEND_BYTES);
    o->work_bytes = htoki_default(o->work_bytes, HTOK_WORK_BYTES);
}

/* Copies the options and fills their zeros. */
static void htoki_fill_options(htok_client_options *o, const htok_client_options *given)
{
    if (given) {
        *o = *given;
    } else {
        memset(o, 0, sizeof *o);
    }
    htoki_fill_sizes(o);
    o->max_element_bytes = htoki_default(o->max_element_bytes, o->work_bytes);
    o->timeout_ms = htoki_default(o->timeout_ms, 30000);
    o->connect_timeout_ms = htoki_default(o->connect_timeout_ms, 10000);
    o->max_head_bytes = htoki_default(o->max_head_bytes, 65536);
    o->max_fields = htoki_default(o->max_fields, 100);
    o->max_interim = htoki_default(o->max_interim, 16);
    o->max_error_body_bytes = htoki_default(o->max_error_body_bytes, 65536);
    o->max_body_bytes = o->max_body_bytes ? o->max_body_bytes : (uint64_t)1 << 30;
    o->server_url = o->server_url ? o->server_url : HTOK_DEFAULT_SERVER_URL;
    o->user_agent = o->user_agent ? o->user_agent : HTOK_DEFAULT_USER_AGENT;
}

/* The record buffers, with what BearSSL wants beside the payload. */
#if HTOKI_TLS
#define HTOKI_RECORD_IN_BYTES(payload)  HTOKI_TLS_RECORD_IN_BYTES(payload)
#define HTOKI_RECORD_OUT_BYTES(payload) HTOKI_TLS_RECORD_OUT_BYTES(payload)
#else
#define HTOKI_RECORD_IN_BYTES(payload)  (payload)
#define HTOKI_RECORD_OUT_BYTES(payload) (payload)
#endif
#define HTOKI_BLOCK_ALIGNMENT 16
#define HTOKI_ALIGNED(bytes)  (((bytes) + (HTOKI_BLOCK_ALIGNMENT - 1)) & ~(size_t)(HTOKI_BLOCK_ALIGNMENT - 1))
/* The client, its buffers one after the other, and what an unaligned block loses. */
#define HTOKI_BLOCK_BYTES(work, record, send)                                                          \
    (HTOKI_ALIGNED(sizeof(struct htok_client)) + HTOKI_ALIGNED(work) + HTOKI_RECORD_IN_BYTES(record) + \
     HTOKI_RECORD_OUT_BYTES(send) + HTOKI_BLOCK_ALIGNMENT - 1)

static size_t htoki_block_bytes(const htok_client_options *o)
{
    size_t bytes = HTOKI_BLOCK_BYTES((size_t)o->work_bytes, (size_t)o->record_bytes, (size_t)o->send_bytes);
#if HTOKI_CLIENT_CERTIFICATE
    if (o->client_chain.len != 0) {
        bytes += HTOKI_BLOCK_ALIGNMENT + htoki_identity_bytes(o->client_chain.len, o->client_key.len);
    }
#endif
    return bytes;
}

HTOKI_STATIC_ASSERT(HATHORA_TOKENS_MAX_DEPTH > 512 ||
                        HTOKI_BLOCK_BYTES(HTOK_WORK_BYTES, HTOKI_RECORD_BYTES, HTOKI_SEND_BYTES) <=
                            HTOK_CLIENT_BYTES,
                    client_bytes)
HTOKI_UNUSED;
#if HTOKI_SOCKETS
/* While it connects, the buffer of received bytes holds the addresses. */
HTOKI_STATIC_ASSERT(sizeof(htoki_race) <= HTOKI_RECORD_IN_BYTES(512), race_fits_buffer) HTOKI_UNUSED;
#endif

HATHORA_TOKENS_API size_t htok_client_bytes(const htok_client_options *options)
{
    htok_client_options o;
    htoki_fill_options(&o, options);
    return htoki_wrong_size(&o) ? 0 : htoki_block_bytes(&o);
}

static htok_kind htoki_check_sizes(htok_error *e, const htok_client_options *o)
{
    const char *name = htoki_wrong_size(o);
    return name ? htoki_fail_option(e, HTOK_REASON_OPTION_RANGE, name) : HTOK_OK;
}

static htok_kind htoki_check_pins(htok_error *e, const htok_client_options *o)
{
#if HTOKI_TLS
    unsigned char hash[32];
    size_t i;
    if (o->pin_count != 0 && !o->pins) {
        return htoki_fail_option(e, HTOK_REASON_ARGUMENT_NULL, "pins");
    }
    for (i = 0; i < o->pin_count; i++) {
        if (!o->pins[i] || !htoki_pin_parse(htoki_text(o->pins[i]), hash)) {
            return htoki_fail_option(e, HTOK_REASON_PIN_MALFORMED, "pins");
        }
    }
    return HTOK_OK;
#else
    return o->pin_count ? htoki_fail_option(e, HTOK_REASON_HOOK_MISSING, "pins") : HTOK_OK;
#endif
}

static htok_kind htoki_check_proxy(htok_error *e, const htok_client_options *o)
{
    const htok_proxy *proxy = o->proxy;
    htok_view host, user;
    htok_address address;
    const char *colon;
    if (!proxy) {
        return HTOK_OK;
    }
    if (!HTOKI_PROXY || (o->transport && o->transport->provides_tls)) {
        return htoki_fail_option(e, HTOKI_PROXY ? HTOK_REASON_OPTION_CONFLICT : HTOK_REASON_HOOK_MISSING,
                                 "proxy");
    }
    if (!proxy->host) {
        return htoki_fail_option(e, HTOK_REASON_ARGUMENT_NULL, "proxy.host");
    }
    host = htoki_text(proxy->host);
    if (host.len > 253 || (!htoki_address_parse(host, &address) && !htoki_host_name_ok(host))) {
        return htoki_fail_option(e, HTOK_REASON_URL_HOST, "proxy.host");
    }
    if (proxy->port == 0) {
        return htoki_fail_option(e, HTOK_REASON_OPTION_RANGE, "proxy.port");
    }
    if (!proxy->user) {
        return proxy->password ? htoki_fail_option(e, HTOK_REASON_OPTION_CONFLICT, "proxy.password")
                               : HTOK_OK;
    }
    user = htoki_text(proxy->user);
    colon = user.len ? (const char *)memchr(user.ptr, ':', user.len) : NULL;
    if (colon) {
        return htoki_fail_option_at(e, HTOK_REASON_PROXY_USER, "proxy.user", (size_t)(colon - user.ptr));
    }
    return htoki_check_controls(e, user, "proxy.user", '\0') != HTOK_OK
               ? e->kind
               : htoki_check_controls(e, htoki_text(proxy->password), "proxy.password", '\0');
}

static htok_kind htoki_check_client_certificate(htok_error *e, const htok_client_options *o)
{
    if ((o->client_chain.len != 0) != (o->client_key.len != 0)) {
        return htoki_fail_option(e, HTOK_REASON_TEXT_EMPTY,
                                 o->client_key.len == 0 ? "client_key" : "client_chain");
    }
    return HTOKI_CLIENT_CERTIFICATE || o->client_chain.len == 0
               ? HTOK_OK
               : htoki_fail_option(e, HTOK_REASON_HOOK_MISSING, "client_chain");
}

/* What does not depend on hooks. */
static htok_kind htoki_check_options(htok_error *e, const htok_client_options *o, htoki_url *url)
{
    htok_kind kind = htoki_check_sizes(e, o);
    if (kind == HTOK_OK && o->org_id) {
        kind = htoki_check_id(e, htoki_text(o->org_id), "org_id");
    }
    if (kind == HTOK_OK && o->token) {
        kind = o->token_provider ? htoki_fail_option(e, HTOK_REASON_OPTION_CONFLICT, "token_provider")
                                 : htoki_check_token(e, htoki_text(o->token));
    }
    if (kind == HTOK_OK) {
        kind = htoki_check_field_value(e, htoki_text(o->user_agent), "user_agent");
    }
    if (kind == HTOK_OK) {
        kind = htoki_check_headers(e, o->headers, o->header_count);
    }
    if (kind == HTOK_OK) {
        kind = htoki_check_pins(e, o);
    }
    if (kind == HTOK_OK) {
        kind = htoki_check_client_certificate(e, o);
    }
    if (kind == HTOK_OK) {
        kind = htoki_check_proxy(e, o);
    }
    if (kind == HTOK_OK && !htoki_url_parse(htoki_text(o->server_url), url, e)) {
        kind = e->kind;
    }
    return kind;
}

/* Hooks as given, or this build's own. */
static htok_kind htoki_set_hooks(htok_client *c, htok_error *e)
{
    const htok_client_options *o = &c->options;
#if HTOKI_CLOCK
    htoki_system_clock(&c->clock);
#endif
#if HTOKI_ENTROPY
    htoki_system_entropy(&c->entropy);
#endif
#if HTOKI_STDLIB
    htoki_system_allocator(&c->allocator);
#endif
    if (o->clock) {
        c->clock = *o->clock;
    }
    if (o->entropy) {
        c->entropy = *o->entropy;
    }
    if (o->allocator) {
        c->allocator = *o->allocator;
    }
#if HTOKI_SOCKETS
    htoki_net_init(&c->net, o->resolver, &c->allocator, (htoki_race *)(void *)c->in.buffer, &c->transport);
#endif
    if (o->transport) {
        c->transport = *o->transport;
    }
    if (!c->clock.monotonic_ms) {
        return htoki_fail_option(e, HTOK_REASON_HOOK_MISSING, "clock");
    }
    if (!c->transport.open || !c->transport.connect || !c->transport.send || !c->transport.receive ||
        !c->transport.close) {
        return htoki_fail_option(e, HTOK_REASON_HOOK_MISSING, "transport");
    }
#if HTOKI_TLS
    if (!c->entropy.fill && !c->transport.provides_tls) {
        return htoki_fail_option(e, HTOK_REASON_HOOK_MISSING, "entropy");
    }
#endif
    return HTOK_OK;
}

/* Places the client and its buffers in a block that is large enough. */
static htok_client *htoki_place(void *memory, const htok_client_options *o)
{
    size_t slack =
        (HTOKI_BLOCK_ALIGNMENT - (size_t)((uintptr_t)memory % HTOKI_BLOCK_ALIGNMENT)) % HTOKI_BLOCK_ALIGNMENT;
    char *at = (char *)memory + slack;
    htok_client *c = (htok_client *)(void *)at;
    memset(c, 0, sizeof *c);
    c->options = *o;
    at += HTOKI_ALIGNED(sizeof *c);
    c->work = at;
    c->work_used = HTOKI_WORK_BYTES_MIN; /* for handshakes */
    at += HTOKI_ALIGNED(o->work_bytes);
    c->in.buffer = (unsigned char *)at;
    c->in.size = HTOKI_RECORD_IN_BYTES((size_t)o->record_bytes);
    at += c->in.size;
    c->out.buffer = (unsigned char *)at;
    c->out.size = HTOKI_RECORD_OUT_BYTES((size_t)o->send_bytes);
#if HTOKI_CLIENT_CERTIFICATE
    if (o->client_chain.len != 0) {
        at = (char *)c + HTOKI_ALIGNED((size_t)(at - (char *)c) + c->out.size);
        c->identity = (htoki_identity *)(void *)at;
        htoki_identity_begin(c->identity, htoki_identity_bytes(o->client_chain.len, o->client_key.len),
                             o->client_chain, o->client_key);
    }
#endif
    return c;
}

static htok_kind htoki_check_trust(htok_client *c, htok_error *e)
{
#if HTOKI_TLS
    int64_t seconds;
    bool known = htoki_unix_seconds(c, &seconds) && !c->options.expired_roots;
    if (c->options.trust.len != 0 && htoki_trust_check(c->options.trust, known, seconds, e) != HTOK_OK) {
        return e->kind;
    }
#else
    (void)c;
    (void)e;
#endif
    return HTOK_OK;
}

static htok_kind htoki_check_identity(htok_client *c, htok_error *e)
{
#if HTOKI_CLIENT_CERTIFICATE
    if (c->identity) {
        return htoki_identity_check(c->identity, e);
    }
#else
    (void)c;
    (void)e;
#endif
    return HTOK_OK;
}

/* A transport with a TLS of its own must not pass over what was asked of ours. */
static htok_kind htoki_check_tls_options(htok_client *c, htok_error *e)
{
    const htok_client_options *o = &c->options;
    return !c->transport.provides_tls || (o->pin_count == 0 && o->client_chain.len == 0)
               ? HTOK_OK
               : htoki_fail_option(e, HTOK_REASON_OPTION_CONFLICT,
                                   o->pin_count != 0 ? "pins" : "client_chain");
}

static htok_kind htoki_init(htok_client **client, void *memory, size_t bytes, const htok_client_options *o,
                            htok_error *e)
{
    htoki_url url;
    htok_retry retry = o->retry;
    htok_client *c;
    if (!memory) {
        return htoki_fail_option(e, HTOK_REASON_ARGUMENT_NULL, "memory");
    }
    if (htoki_check_options(e, o, &url) != HTOK_OK || htoki_check_retry(e, &retry) != HTOK_OK) {
        return e->kind;
    }
    if (bytes < htoki_block_bytes(o)) {
        return htoki_fail_option_at(e, HTOK_REASON_MEMORY_TOO_SMALL, "memory", htoki_block_bytes(o));
    }
    c = htoki_place(memory, o);
    c->options.retry = retry;
    htoki_error_clear(&c->error);
    if (htoki_set_hooks(c, e) != HTOK_OK || htoki_check_tls_options(c, e) != HTOK_OK ||
        htoki_check_trust(c, e) != HTOK_OK || htoki_check_identity(c, e) != HTOK_OK) {
        htoki_wipe(c, sizeof *c);
        return e->kind;
    }
    *client = c;
    return HTOK_OK;
}

HATHORA_TOKENS_API htok_kind htok_client_init(htok_client **client, void *memory, size_t bytes,
                                              const htok_client_options *options, htok_error *error)
{
    htok_client_options o;
    htok_error local;
    htok_error *e = error ? error : &local;
    htoki_error_clear(e);
    if (!client) {
        return htoki_fail_option(e, HTOK_REASON_ARGUMENT_NULL, "client");
    }
    *client = NULL;
    htoki_fill_options(&o, options);
    if (o.trust_file) {
        return htoki_fail_option(e, HTOK_REASON_OPTION_CONFLICT, "trust_file");
    }
    return htoki_init(client, memory, bytes, &o, e);
}

#if HTOKI_TLS
/* Reads a file of certificates into memory of its own. False with *os_error, or 0 when it is too large. */
static htok_kind htoki_read_trust_file(const htok_files *files, const htok_allocator *allocator,
                                       const char *path, void **memory, size_t *bytes, size_t *len,
                                       int *os_error, htok_error *e)
{
    const size_t most = (size_t)16 * 1024 * 1024;
    size_t size = (size_t)256 * 1024;
    *os_error = 0;
    for (;;) {
        int64_t got;
        void *block = allocator->allocate(allocator->context, size);
        if (!block) {
            return htoki_fail_option(e, HTOK_REASON_ALLOCATION_FAILED, "trust_file");
        }
        got = files->read(files->context, path, block, size, os_error);
        if (got >= 0 && (uint64_t)got <= size) {
            *memory = block;
            *bytes = size;
            *len = (size_t)got;
            return HTOK_OK;
        }
        allocator->release(allocator->context, block, size);
        if (got < 0 || size >= most) {
            *memory = NULL;
            return HTOK_OK;
        }
        size *= 4;
    }
}

/* Names the file in front of what the detail says already. */
static void htoki_put_file(htok_error *e, const char *file)
{
    char detail[sizeof e->detail];
    htoki_writer w = htoki_writer_make(detail, sizeof detail, 0);
    htoki_put_text(&w, file);
    htoki_put_text(&w, e->detail[0] != '\0' ? ": " : "");
    htoki_put_text(&w, e->detail);
    (void)htoki_writer_end(&w);
    memcpy(e->detail, detail, sizeof detail);
}

/* reads: files could be read at all. */
static htok_kind htoki_no_trust(htok_error *e, bool reads)
{
    htoki_writer w = htoki_writer_make(e->detail, sizeof e->detail, 0);
    if (reads || HTOKI_ROOT_STORE) {
        htoki_put_trust_places(&w);
    } else {
        htoki_put_text(&w, HTOKI_SAY("this build reads no files: set options.trust"));
    }
    (void)htoki_writer_end(&w);
    return htoki_fail_option(e, HTOK_REASON_TRUST_EMPTY, "trust");
}

/* Reads options->trust from trust_file. */
static htok_kind htoki_load_trust_file(htok_client_options *o, const htok_files *files,
                                       const htok_allocator *allocator, void **memory, size_t *bytes,
                                       htok_error *e)
{
    size_t len = 0;
    int os_error = 0;
    if (htoki_read_trust_file(files, allocator, o->trust_file, memory, bytes, &len, &os_error, e) !=
        HTOK_OK) {
        return e->kind;
    }
    if (!*memory) {
        e->os_error = os_error;
#if HTOKI_FILES
        htoki_error_text(
            e->detail, sizeof e->detail,
            htoki_text(os_error ? htoki_os_error_text(os_error, HTOK_PHASE_OPTION) : "too large"));
#endif
        htoki_put_file(e, o->trust_file);
        return htoki_fail_option(e, HTOK_REASON_TRUST_UNREADABLE, "trust_file");
    }
    o->trust = htoki_view((const char *)*memory, len);
    if (htoki_trust_check(o->trust, false, 0, e) != HTOK_OK) {
        htoki_put_file(e, o->trust_file);
    }
    return e->kind;
}

/* Reads options->trust from the system: the first bundle that holds a certificate of use. One that is malformed
   is told and not passed over. */
static htok_kind htoki_load_trust(htok_client_options *o, const htok_files *files,
                                  const htok_allocator *allocator, void **memory, size_t *bytes,
                                  htok_error *e)
{
    size_t len = 0, i;
    int os_error = 0;
#if HTOKI_ROOT_STORE
    *bytes = htoki_root_store_read(NULL, 0);
    if (*bytes != 0) {
        *memory = allocator->allocate(allocator->context, *bytes);
        if (!*memory) {
            return htoki_fail_option(e, HTOK_REASON_ALLOCATION_FAILED, "trust");
        }
        len = htoki_root_store_read((unsigned char *)*memory, *bytes);
        o->trust = htoki_view((const char *)*memory, len < *bytes ? len : *bytes);
        return htoki_trust_check(o->trust, false, 0, e); /* the store may have changed in between */
    }
#endif
    for (i = 0; files->read != NULL && htoki_trust_paths[i] != NULL; i++) {
        const char *file = htoki_trust_paths[i];
        if (htoki_read_trust_file(files, allocator, file, memory, bytes, &len, &os_error, e) != HTOK_OK) {
            return e->kind;
        }
        o->trust = htoki_view((const char *)*memory, len);
        if (*memory && htoki_trust_check(o->trust, false, 0, e) == HTOK_OK) {
            return HTOK_OK;
        }
        if (e->reason == HTOK_REASON_TRUST_MALFORMED) {
            htoki_put_file(e, file);
            return e->kind;
        }
        if (*memory) {
            htoki_error_clear(e);
            allocator->release(allocator->context, *memory, *bytes);
            *memory = NULL;
        }
    }
    o->trust = htoki_view(NULL, 0);
    return htoki_no_trust(e, files->read != NULL);
}

/* Whether calls go to an https URL unless their own options say otherwise. */
static bool htoki_is_secure(const htok_client_options *o)
{
    htok_error ignored;
    htoki_url url;
    htoki_error_clear(&ignored);
    memset(&url, 0, sizeof url);
    return htoki_url_parse(htoki_text(o->server_url), &url, &ignored) && url.secure;
}
#endif

HATHORA_TOKENS_API htok_kind htok_client_create(htok_client **client, const htok_client_options *options,
                                                htok_error *error)
{
    htok_client_options o;
    htok_allocator allocator;
    htok_error local;
    htok_error *e = error ? error : &local;
    void *block, *trust = NULL;
    size_t bytes, trust_bytes = 0;
    htoki_error_clear(e);
    memset(&allocator, 0, sizeof allocator);
    if (!client) {
        return htoki_fail_option(e, HTOK_REASON_ARGUMENT_NULL, "client");
    }
    *client = NULL;
    htoki_fill_options(&o, options);
#if HTOKI_STDLIB
    htoki_system_allocator(&allocator);
#endif
    if (o.allocator) {
        allocator = *o.allocator;
    }
    if (!allocator.allocate || !allocator.release) {
        return htoki_fail_option(e, HTOK_REASON_HOOK_MISSING, "allocator");
    }
    if (o.trust_file && (o.trust.len != 0 || *o.trust_file == '\0')) {
        return htoki_fail_option(e, o.trust.len != 0 ? HTOK_REASON_OPTION_CONFLICT : HTOK_REASON_TEXT_EMPTY,
                                 "trust_file");
    }
    if (htoki_check_sizes(e, &o) != HTOK_OK) {
        return e->kind;
    }
#if HTOKI_TLS
    if (o.trust.len == 0 && !(o.transport && o.transport->provides_tls)) {
        htok_files files;
        memset(&files, 0, sizeof files);
#if HTOKI_FILES
        htoki_system_files(&files);
#endif
        if (o.files) {
            files = *o.files;
        }
        if (o.trust_file && !files.read) {
            return htoki_fail_option(e, HTOK_REASON_HOOK_MISSING, "files");
        }
        if ((o.trust_file ? htoki_load_trust_file(&o, &files, &allocator, &trust, &trust_bytes, e)
                          : htoki_load_trust(&o, &files, &allocator, &trust, &trust_bytes, e)) != HTOK_OK) {
            if (trust) {
                allocator.release(allocator.context, trust, trust_bytes);
            }
            if (o.trust_file || e->reason == HTOK_REASON_ALLOCATION_FAILED || htoki_is_secure(&o)) {
                return e->kind;
            }
            htoki_error_clear(e); /* http:// needs none */
            o.trust = htoki_view(NULL, 0);
            trust = NULL;
        }
    }
#endif
    bytes = htoki_block_bytes(&o);
    block = allocator.allocate(allocator.context, bytes);
    if (!block) {
        htoki_fail_option(e, HTOK_REASON_ALLOCATION_FAILED, "allocator");
    } else if (htoki_init(client, block, bytes, &o, e) != HTOK_OK) {
        allocator.release(allocator.context, block, bytes);
    }
    if (!*client) {
        if (trust) {
            allocator.release(allocator.context, trust, trust_bytes);
        }
        return e->kind;
    }
    (*client)->owned_block = block;
    (*client)->owned_block_bytes = bytes;
    (*client)->owned_trust = trust;
    (*client)->owned_trust_bytes = trust_bytes;
    return HTOK_OK;
}

HATHORA_TOKENS_API void htok_client_close(htok_client *client)
{
    htok_allocator allocator;
    void *block, *trust;
    size_t block_bytes, trust_bytes;
    if (!client) {
        return;
    }
    htoki_disconnect(client);
#if HTOKI_RESOLVER
    htoki_lookup_end(&client->net.lookup);
#endif
    allocator = client->allocator;
    block = client->owned_block;
    block_bytes = client->owned_block_bytes;
    trust = client->owned_trust;
    trust_bytes = client->owned_trust_bytes;
    htoki_wipe(client->work, htoki_work_used(client));
    htoki_wipe(client->in.buffer, client->in.size);
    htoki_wipe(client->out.buffer, client->out.size);
    htoki_wipe(client, sizeof *client);
    if (trust) {
        allocator.release(allocator.context, trust, trust_bytes);
    }
    if (block) {
        allocator.release(allocator.context, block, block_bytes);
    }
}

HATHORA_TOKENS_API const htok_client_options *htok_client_effective_options(const htok_client *client)
{
    return client ? &client->options : NULL;
}

HATHORA_TOKENS_API void htok_client_wipe(htok_client *client)
{
    if (client && (client->stage == HTOKI_STAGE_ENDED || client->stage == HTOKI_STAGE_IDLE)) {
        /* An ApiError's message is read to behind the answer. */
        htoki_wipe(client->work, client->error.message.ptr ? htoki_work_used(client) : client->op.filled);
        htoki_wipe(&client->op.created, sizeof client->op.created);
        client->error.message = client->error.body = htoki_view(NULL, 0);
        client->wiped = true;
    }
}

/* The retry policy of a call: its own, with the client's in place of its zeros, or the client's. */
static htok_retry htoki_call_retry(const htok_client *c, const htok_call_options *o)
{
    htok_retry r = o->retry;
    const htok_retry *d = &c->options.retry;
    if (r.strategy == HTOK_RETRY_DEFAULT) {
        r.strategy = d->strategy;
        r.retry_connection_errors = r.retry_connection_errors || d->retry_connection_errors;
    }
    r.repeat = r.repeat == HTOK_REPEAT_DEFAULT ? d->repeat : r.repeat;
    r.initial_interval_ms = htoki_default(r.initial_interval_ms, d->initial_interval_ms);
    r.max_interval_ms = htoki_default(r.max_interval_ms, d->max_interval_ms);
    r.max_elapsed_ms = htoki_default(r.max_elapsed_ms, d->max_elapsed_ms);
    r.exponent_thousandths = htoki_default(r.exponent_thousandths, d->exponent_thousandths);
    r.codes = r.codes ? r.codes : d->codes;
    return r;
}

static bool htoki_same_origin(const htoki_url *a, const htoki_url *b)
{
    return a->secure == b->secure && a->port == b->port && htoki_is(htoki_text(a->host), b->host);
}

/* The checks of a start that all operations share; fills the request. */
static htok_kind htoki_prepare(htok_client *c, htoki_request *request, const htok_call_options *o,
                               htoki_url *url)
{
    htok_error *e = &c->error;
    const char *org_id = o->org_id ? o->org_id : c->options.org_id;
    c->retry = htoki_call_retry(c, o);
    if (!org_id) {
        return htoki_fail_option(e, HTOK_REASON_ORG_ID_MISSING, "org_id");
    }
    if (htoki_check_id(e, htoki_text(org_id), "org_id") != HTOK_OK ||
        htoki_check_retry(e, &c->retry) != HTOK_OK ||
        htoki_check_headers(e, o->headers, o->header_count) != HTOK_OK ||
        !htoki_url_parse(htoki_text(o->server_url ? o->server_url : c->options.server_url), url, e)) {
        return e->kind;
    }
    if (url->secure && !c->transport.provides_tls) {
#if HTOKI_TLS
        if (c->options.trust.len == 0) {
            if (c->owned_block) {
                return htoki_no_trust(e, HTOKI_FILES || c->options.files);
            }
            htoki_error_text(e->detail, sizeof e->detail,
                             htoki_text(HTOKI_SAY("htok_client_init() looks for none: set options.trust")));
            return htoki_fail_option(e, HTOK_REASON_TRUST_EMPTY, "trust");
        }
#else
        return htoki_fail_option(e, HTOK_REASON_HOOK_MISSING, "transport");
#endif
    }
    request->url = &c->url;
    request->org_id = htoki_text(org_id);
    request->user_agent = htoki_text(c->options.user_agent);
    request->own.list = o->headers;
    request->own.count = o->header_count;
    request->client.list = c->options.headers;
    request->client.count = c->options.header_count;
    c->timeout_ms = htoki_default(o->timeout_ms, c->options.timeout_ms);
    c->connect_timeout_ms = htoki_default(o->connect_timeout_ms, c->options.connect_timeout_ms);
    return HTOK_OK;
}

static htok_kind htoki_start(htok_client *c, htoki_operation operation,
                             const htok_create_org_token_request *create, const char *org_token_id,
                             const htok_call_options *options)
{
    htok_call_options none;
    htoki_request request;
    htoki_url url;
    if (!c || (c->stage != HTOKI_STAGE_IDLE && c->stage != HTOKI_STAGE_ENDED)) {
        return HTOK_INVALID_REQUEST_ERROR; /* a call in progress keeps its own error record */
    }
    memset(&none, 0, sizeof none);
    memset(&request, 0, sizeof request);
    memset(&url, 0, sizeof url);
    htok_client_wipe(c);
    memset(&c->op, 0, sizeof c->op);
    htoki_error_clear(&c->error);
    c->has_item = c->wiped = c->replayed = c->maybe_done = false;
    c->attempt = 0;
    request.operation = operation;
    if (operation == HTOKI_CREATE_ORG_TOKEN && !create) {
        htoki_fail_option(&c->error, HTOK_REASON_ARGUMENT_NULL, "request");
    } else if (operation == HTOKI_REVOKE_ORG_TOKEN && !org_token_id) {
        htoki_fail_option(&c->error, HTOK_REASON_ARGUMENT_NULL, "org_token_id");
    } else if (htoki_prepare(c, &request, options ? options : &none, &url) == HTOK_OK) {
        if (create) {
            htoki_check_create(&c->error, create);
        } else if (org_token_id) {
            htoki_check_id(&c->error, htoki_text(org_token_id), "org_token_id");
        }
    }
    if (c->error.kind != HTOK_OK) {
        c->stage = HTOKI_STAGE_ENDED;
        c->verdict = HTOK_STATE_FAILED;
        return c->error.kind;
    }
    if (!htoki_same_origin(&url, &c->url)) {
        htoki_disconnect(c);
#if HTOKI_TLS
        htoki_tls_forget(&c->tls);
#endif
    }
    c->url = url;
    request.create = create;
    request.org_token_id = htoki_text(org_token_id);
    c->op.request = request;
    c->started_ms = c->seen_ms = htoki_now_ms(c);
    c->stage = HTOKI_STAGE_BEGIN;
    c->verdict = HTOK_STATE_PENDING;
    return HTOK_OK;
}

#if HTOKI_TLS
static void htoki_session_binding(const htok_client *c, const htoki_url *url, unsigned char binding[32])
{
    htoki_tls_config config;
    htoki_fill_trust(c, url, &config);
    htoki_tls_bind(&config, url->port, binding);
}
#endif

static htok_reason htoki_import_session(htok_client *c, const void *bytes, size_t len)
{
#if HTOKI_TLS
    unsigned char binding[32];
    htok_error ignored;
    htoki_url url;
    int64_t seconds;
    bool known = htoki_unix_seconds(c, &seconds);
    htok_reason reason;
    if (!HTOKI_SESSIONS) {
        return HTOK_REASON_HOOK_MISSING;
    }
    (void)htoki_url_parse(htoki_text(c->options.server_url), &url, &ignored); /* which was checked at init */
    htoki_session_binding(c, &url, binding);
    reason = htoki_session_check(binding, known, seconds, (const unsigned char *)bytes, bytes ? len : 0);
    if (reason == HTOK_REASON_NONE) {
        htoki_disconnect(c);
        htoki_tls_import(&c->tls, (const unsigned char *)bytes);
        c->url = url;
    }
    return reason;
#else
    (void)c;
    (void)bytes;
    (void)len;
    return HTOK_REASON_HOOK_MISSING;
#endif
}

HATHORA_TOKENS_API htok_kind htok_get_org_tokens_start(htok_client *client, const htok_call_options *options)
{
    return htoki_start(client, HTOKI_GET_ORG_TOKENS, NULL, NULL, options);
}

HATHORA_TOKENS_API htok_kind htok_create_org_token_start(htok_client *client,
                                                         const htok_create_org_token_request *request,
                                                         const htok_call_options *options)
{
    return htoki_start(client, HTOKI_CREATE_ORG_TOKEN, request, NULL, options);
}

HATHORA_TOKENS_API htok_kind htok_revoke_org_token_start(htok_client *client, const char *org_token_id,
                                                         const htok_call_options *options)
{
    return htoki_start(client, HTOKI_REVOKE_ORG_TOKEN, NULL, org_token_id, options);
}

HATHORA_TOKENS_API size_t htok_client_export_session(const htok_client *client, void *buffer, size_t size)
{
    size_t len = 0;
#if HTOKI_TLS
    int64_t seconds;
    if (HTOKI_SESSIONS && client && buffer && size >= HTOK_SESSION_BYTES &&
        htoki_unix_seconds(client, &seconds) && htoki_tls_resumable(&client->tls, seconds)) {
        unsigned char binding[32];
        htoki_session_binding(client, &client->url, binding);
        len = htoki_tls_export(&client->tls, binding, (unsigned char *)buffer) ? HTOK_SESSION_BYTES : 0;
    }
#else
    (void)client;
    (void)buffer;
    (void)size;
#endif
    return len;
}

HATHORA_TOKENS_API htok_kind htok_client_import_session(htok_client *client, const void *bytes, size_t len)
{
    htok_reason reason;
    if (!client || (client->stage != HTOKI_STAGE_IDLE && client->stage != HTOKI_STAGE_ENDED)) {
        return HTOK_INVALID_REQUEST_ERROR;
    }
    reason = htoki_import_session(client, bytes, len);
    if (reason == HTOK_REASON_NONE) {
        return HTOK_OK;
    }
    if (client->error.message.ptr) {
        htok_client_wipe(client); /* later nothing tells where the message is */
    }
    htoki_error_clear(&client->error);
    return htoki_fail_option(&client->error, reason, "session");
}

HATHORA_TOKENS_API htok_state htok_client_poll(htok_client *client)
{
    return client ? htoki_poll(client) : HTOK_STATE_FAILED;
}

HATHORA_TOKENS_API htok_wait htok_client_wait(const htok_client *client)
{
    htok_wait wait;
    if (client) {
        return htoki_wait(client);
    }
    memset(&wait, 0, sizeof wait);
    wait.descriptor = -1;
    return wait;
}

HATHORA_TOKENS_API void htok_client_cancel(htok_client *client)
{
    unsigned attempts;
    if (!client || client->stage == HTOKI_STAGE_IDLE || client->stage == HTOKI_STAGE_ENDED) {
        return;
    }
    htoki_note_effect(client);
    attempts = client->error.attempts;
    htoki_error_clear(&client->error);
    client->error.attempts = attempts;
    client->error.may_have_taken_effect = client->maybe_done;
    htoki_fail(&client->error, HTOK_REASON_CANCELLED,
               client->stage == HTOKI_STAGE_WAIT ? HTOK_PHASE_WAIT : HTOK_PHASE_NONE);
    client->has_item = false;
    htoki_end(client, false);
}

HATHORA_TOKENS_API const htok_error *htok_client_error(const htok_client *client)
{
    static const htok_error no_client = {HTOK_INVALID_REQUEST_ERROR,
                                         HTOK_REASON_ARGUMENT_NULL,
                                         HTOK_PHASE_OPTION,
                                         0,
                                         0,
                                         0,
                                         0,
                                         0,
                                         false,
                                         false,
                                         -1,
                                         -1,
                                         "client",
                                         "",
                                         {NULL, 0},
                                         {NULL, 0}};
    return client ? &client->error : &no_client;
}

HATHORA_TOKENS_API const htok_org_token *htok_client_item(const htok_client *client)
{
    return client && client->has_item ? &client->op.created.org_token : NULL;
}

static bool htoki_is_done(const htok_client *c, htoki_operation operation)
{
    return c && c->stage == HTOKI_STAGE_ENDED && c->verdict == HTOK_STATE_DONE &&
           c->op.request.operation == operation && !c->wiped;
}

HATHORA_TOKENS_API const htok_created_org_token *htok_client_created(const htok_client *client)
{
    return htoki_is_done(client, HTOKI_CREATE_ORG_TOKEN) ? &client->op.created : NULL;
}

HATHORA_TOKENS_API bool htok_client_revoked(const htok_client *client)
{
    return htoki_is_done(client, HTOKI_REVOKE_ORG_TOKEN) && client->op.boolean == 't';
}

#ifndef HATHORA_TOKENS_NO_BLOCKING
/* Goes on until the next item or the call's end. */
static htok_state htoki_poll_blocking(htok_client *c)
{
    for (;;) {
        htok_state state = htoki_poll(c);
#if HTOKI_SOCKETS
        htok_wait wait;
#endif
        if (state != HTOK_STATE_PENDING) {
            return state;
        }
#if HTOKI_SOCKETS
        wait = htoki_wait(c);
        if (wait.timeout_ms == 0 || htoki_system_wait(&wait)) {
            continue;
        }
#endif
#if HTOKI_SOCKETS
        c->error.os_error = htoki_net_errno();
#endif
        htoki_note_effect(c);
        c->error.may_have_taken_effect = c->maybe_done;
        htoki_fail(&c->error, HTOK_REASON_WAIT_FAILED, HTOK_PHASE_WAIT);
        htoki_end(c, false);
        return c->verdict;
    }
}

/* Ends a call that has just begun and cannot go on. */
static htok_kind htoki_refuse_started(htok_client *c, htok_kind started, htok_reason reason, const char *name)
{
    if (started == HTOK_OK) {
        started = htoki_fail_option(&c->error, reason, name);
        htoki_end(c, false);
    }
    return started;
}

/* A blocking call needs something to wait on. */
static htok_kind htoki_started_blocking(htok_client *c, htok_kind started)
{
    return started == HTOK_OK && (!HTOKI_SOCKETS || !c->transport.wait)
               ? htoki_refuse_started(c, started, HTOK_REASON_HOOK_MISSING, "transport.wait")
               : started;
}

HATHORA_TOKENS_API htok_kind htok_get_org_tokens(htok_client *client, const htok_call_options *options,
                                                 bool (*each)(void *context, const htok_org_token *token),
                                                 void *context)
{
    htok_kind kind = htoki_started_blocking(client, htok_get_org_tokens_start(client, options));
    if (kind != HTOK_OK) {
        return kind;
    }
    while (htoki_poll_blocking(client) == HTOK_STATE_ITEM) {
        if (each && !each(context, &client->op.created.org_token)) {
            htok_client_cancel(client);
        }
    }
    return client->error.kind;
}

/* A list being copied: tokens grow from the front, their texts and scopes from the back. */
typedef struct htoki_collector {
    htok_org_token_list *list;
    size_t front, back; /* free space lies between */
} htoki_collector;

static htok_view htoki_collect_text(htoki_collector *k, htok_view text)
{
    char *copy = NULL;
    k->list->bytes_needed += text.len + 1;
    if (k->list->tokens && k->back - k->front > text.len) {
        k->back -= text.len + 1;
        copy = (char *)k->list->memory + k->back;
        memcpy(copy, text.ptr, text.len);
        copy[text.len] = '\0';
    } else {
        k->list->tokens = NULL;
    }
    return htoki_view(copy, text.len);
}

static void htoki_collect_scopes(htoki_collector *k, htok_org_token *t)
{
    size_t bytes = t->scope_count * sizeof(htok_view), i;
    const htok_view *from = t->scopes;
    htok_view *to = NULL;
    k->list->bytes_needed += bytes + sizeof(void *);
    if (k->list->tokens && k->back - k->front >= bytes + sizeof(void *)) {
        k->back = (k->back - bytes) / sizeof(void *) * sizeof(void *);
        to = (htok_view *)(void *)((char *)k->list->memory + k->back);
    } else {
        k->list->tokens = NULL;
    }
    for (i = 0; i < t->scope_count; i++) {
        htok_view copy = htoki_collect_text(k, from[i]);
        if (k->list->tokens) {
            to[i] = copy;
        }
    }
    t->scopes = to;
}

/* Copies one token; list->tokens becomes NULL once one did not fit, and then bytes are only counted. */
static bool htoki_collect(void *context, const htok_org_token *token)
{
    htoki_collector *k = (htoki_collector *)context;
    htok_org_token *t;
    htok_org_token copy = *token;
    k->list->bytes_needed += sizeof copy;
    if (k->list->tokens && k->back - k->front >= sizeof copy) {
        t = &k->list->tokens[k->list->count];
        k->front += sizeof copy;
    } else {
        k->list->tokens = NULL;
        t = &copy;
    }
    copy.org_token_id = htoki_collect_text(k, token->org_token_id);
    copy.org_id = htoki_collect_text(k, token->org_id);
    copy.name = htoki_collect_text(k, token->name);
    copy.status_text = htoki_collect_text(k, token->status_text);
    copy.last_four_chars_of_key = htoki_collect_text(k, token->last_four_chars_of_key);
    copy.created_by = htoki_collect_text(k, token->created_by);
    copy.created_at = htoki_collect_text(k, token->created_at);
    if (copy.scope_count != 0) {
        htoki_collect_scopes(k, &copy);
    }
    copy.scopes = copy.scope_count != 0 ? copy.scopes : NULL;
    *t = copy;
    k->list->count++;
    return true;
}

HATHORA_TOKENS_API htok_kind htok_collect_org_tokens(htok_client *client, const htok_call_options *options,
                                                     htok_org_token_list *list)
{
    htoki_collector k;
    htok_kind kind;
    if (!list || (!list->memory && list->bytes != 0)) {
        return htoki_refuse_started(client, htok_get_org_tokens_start(client, options),
                                    HTOK_REASON_ARGUMENT_NULL, list ? "list.memory" : "list");
    }
    k.list = list;
    k.front = 0;
    k.back = list->bytes;
    list->tokens = (htok_org_token *)list->memory;
    list->count = 0;
    list->bytes_needed = sizeof(void *);
    kind = htok_get_org_tokens(client, options, htoki_collect, &k);
    if (kind == HTOK_OK && list->count != 0 && !list->tokens) {
        kind = htoki_fail(&client->error, HTOK_REASON_LIST_FULL, HTOK_PHASE_NONE);
        client->verdict = HTOK_STATE_FAILED;
    }
    if (kind != HTOK_OK) {
        list->tokens = NULL;
        list->count = 0;
    }
    return kind;
}

HATHORA_TOKENS_API htok_kind htok_create_org_token(htok_client *client,
                                                   const htok_create_org_token_request *request,
                                                   const htok_call_options *options,
                                                   const htok_created_org_token **created)
{
    htok_kind kind = htoki_started_blocking(client, htok_create_org_token_start(client, request, options));
    if (kind == HTOK_OK) {
        htoki_poll_blocking(client);
        kind = client->error.kind;
    }
    if (created) {
        *created = htok_client_created(client);
    }
    return kind;
}

HATHORA_TOKENS_API htok_kind htok_revoke_org_token(htok_client *client, const char *org_token_id,
                                                   const htok_call_options *options, bool *revoked)
{
    htok_kind kind =
        htoki_started_blocking(client, htok_revoke_org_token_start(client, org_token_id, options));
    if (kind == HTOK_OK) {
        htoki_poll_blocking(client);
        kind = client->error.kind;
    }
    if (revoked) {
        *revoked = htok_client_revoked(client);
    }
    return kind;
}
#endif

HATHORA_TOKENS_API const char *htok_kind_name(htok_kind kind)
{
    static const char names[] = "OK\0"
                                "ApiError\0"
                                "SDKError\0"
                                "ResponseValidationError\0"
                                "InvalidRequestError\0"
                                "ConnectionError\0"
                                "RequestTimeoutError\0"
                                "RequestAbortedError\0"
                                "UnexpectedClientError";
    return (size_t)kind <= HTOK_UNEXPECTED_CLIENT_ERROR ? htoki_nth_text(names, (size_t)kind)
                                                        : "unknown kind";
}

HATHORA_TOKENS_API const char *htok_phase_name(htok_phase phase)
{
    static const char names[] =
        "\0option\0look-up\0connect\0proxy\0handshake\0send\0head\0body\0JSON\0model\0wait";
    return (size_t)phase <= HTOK_PHASE_WAIT ? htoki_nth_text(names, (size_t)phase) : "unknown phase";
}

HATHORA_TOKENS_API const char *htok_reason_name(htok_reason reason)
{
#if HTOKI_STRINGS
#define HTOKI_REASON_NAME(name, kind, text) #name "\0"
    static const char names[] = HTOK_REASONS(HTOKI_REASON_NAME);
#undef HTOKI_REASON_NAME
    return (size_t)reason < HTOK_REASON_COUNT ? htoki_nth_text(names, (size_t)reason) : "unknown reason";
#else
    (void)reason;
    return "";
#endif
}

HATHORA_TOKENS_API const char *htok_reason_text(htok_reason reason)
{
    return htoki_reason_text(reason);
}

HATHORA_TOKENS_API const char *htok_tls_error_name(int tls_error)
{
#if HTOKI_TLS
    return htoki_tls_error_name(tls_error);
#else
    (void)tls_error;
    return "";
#endif
}

HATHORA_TOKENS_API const char *htok_tls_error_text(int tls_error)
{
#if HTOKI_TLS
    return htoki_tls_error_sentence(tls_error);
#else
    (void)tls_error;
    return "";
#endif
}

static void htoki_put_labelled(htoki_writer *w, const char *label, uint64_t number)
{
    htoki_put_text(w, label);
    htoki_put_decimal(w, number);
}

HATHORA_TOKENS_API size_t htok_error_format(const htok_error *error, char *buffer, size_t size)
{
    htoki_writer w = htoki_writer_make(buffer, size, 0);
    const htok_error *e = error ? error : htok_client_error(NULL);
    htoki_put_text(&w, htok_kind_name(e->kind));
    htoki_put_text(&w, ": ");
    if (e->path[0]) {
        htoki_put_printable(&w, htoki_text(e->path));
        htoki_put_text(&w, ": ");
    }
    if (e->kind == HTOK_API_ERROR) {
        htoki_put_printable(&w, e->message);
    } else if (HTOKI_STRINGS) {
        htoki_put_text(&w, htok_reason_text(e->reason));
    } else {
        htoki_put_labelled(&w, "reason ", (uint64_t)e->reason);
    }
    if (e->detail[0]) {
        htoki_put_text(&w, ": ");
        htoki_put_printable(&w, htoki_text(e->detail));
    }
    if (e->status) {
        htoki_put_labelled(&w, " (status ", (uint64_t)e->status);
        htoki_put_char(&w, ')');
    }
    if (e->proxy_status) {
        htoki_put_labelled(&w, " (the proxy's status ", (uint64_t)e->proxy_status);
        htoki_put_char(&w, ')');
    }
    if (e->tls_error) {
        htoki_put_text(&w, e->tls_error / 256 == 1 ? " [alert received: " : " [");
        htoki_put_text(&w, htok_tls_error_name(e->tls_error));
        htoki_put_labelled(&w, " ", (uint64_t)(unsigned)e->tls_error);
        htoki_put_char(&w, ']');
    }
    if (e->os_error) {
        htoki_put_text(&w, " [system error ");
        htoki_put_text(&w, e->os_error < 0 ? "-" : "");
        htoki_put_decimal(&w, (uint64_t)(e->os_error < 0 ? -(int64_t)e->os_error : e->os_error));
        htoki_put_char(&w, ']');
    }
    if (e->reason == HTOK_REASON_MEMORY_TOO_SMALL) {
        htoki_put_labelled(&w, ", bytes needed: ", (uint64_t)e->offset);
    } else if (e->offset >= 0) {
        htoki_put_labelled(&w, ", at byte ", (uint64_t)e->offset);
    }
    if (e->attempts > 1) {
        htoki_put_labelled(&w, ", after attempts: ", e->attempts);
    }
    if (e->may_have_taken_effect) {
        htoki_put_text(&w, "; the request may have taken effect: list the tokens before trying again");
    }
#if HTOKI_TLS
    if (*htoki_tls_hint(e)) {
        htoki_put_text(&w, "; ");
        htoki_put_text(&w, htoki_tls_hint(e));
    }
#endif
    return htoki_writer_end(&w);
}

HATHORA_TOKENS_API size_t htok_printable(htok_view text, char *buffer, size_t size)
{
    htoki_writer w = htoki_writer_make(buffer, size, 0);
    htoki_put_printable(&w, text);
    return htoki_writer_end(&w);
}

HATHORA_TOKENS_API size_t htok_json_string(htok_view text, char *buffer, size_t size)
{
    htoki_writer w = htoki_writer_make(buffer, size, 0);
    htoki_put_json_string(&w, text);
    return htoki_writer_end(&w);
}

HATHORA_TOKENS_API size_t htok_org_token_json(const htok_org_token *token, char *buffer, size_t size)
{
    htoki_writer w = htoki_writer_make(buffer, size, 0);
    htoki_put_org_token(&w, token);
    return htoki_writer_end(&w);
}

HATHORA_TOKENS_API size_t htok_created_org_token_json(const htok_created_org_token *created, char *buffer,
                                                      size_t size)
{
    htoki_writer w = htoki_writer_make(buffer, size, 0);
    htoki_put_json_member(&w, "{\"plainTextToken\":", created->plain_text_token);
    htoki_put_text(&w, ",\"orgToken\":");
    htoki_put_org_token(&w, &created->org_token);
    htoki_put_char(&w, '}');
    return htoki_writer_end(&w);
}

#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

/* No private macro outlives the implementation. */
#undef HTOKI_ADDRESSES
#undef HTOKI_ALERT_NAME
#undef HTOKI_ALERT_NUMBER
#undef HTOKI_ALERT_SENTENCE
#undef HTOKI_ALIGNED
#undef HTOKI_ASSERT
#undef HTOKI_BLOCKING
#undef HTOKI_BLOCK_ALIGNMENT
#undef HTOKI_BLOCK_BYTES
#undef HTOKI_CHAIN_MAX
#undef HTOKI_CLIENT_CERTIFICATE
#undef HTOKI_CLOCK
#undef HTOKI_CLOCK_LEAST
#undef HTOKI_COUNT
#undef HTOKI_DER_DEPTH
#undef HTOKI_EC
#undef HTOKI_ECDSA_SIGN
#undef HTOKI_ENTROPY
#undef HTOKI_ERROR_NAME
#undef HTOKI_ERROR_SENTENCE
#undef HTOKI_EXTENSION_BIT
#undef HTOKI_FILES
#undef HTOKI_GETENTROPY
#undef HTOKI_GETRANDOM
#undef HTOKI_HEAD_START_MS
#undef HTOKI_INTERRUPTS
#undef HTOKI_JOIN
#undef HTOKI_JOIN2
#undef HTOKI_LOG
#undef HTOKI_LOOKUPS
#undef HTOKI_NAMES_BYTES
#undef HTOKI_NET_ERROR
#undef HTOKI_NO_SOCKET
#undef HTOKI_OWN_LEAN
#undef HTOKI_OWN_NOMINMAX
#undef HTOKI_PEM_BYTES_MAX
#undef HTOKI_WORK_BYTES_MAX
#undef HTOKI_PROXY
#undef HTOKI_PTHREADS
#undef HTOKI_REASON_KIND
#undef HTOKI_REASON_NAME
#undef HTOKI_REASON_ROOM
#undef HTOKI_REASON_TEXT
#undef HTOKI_RECORD_BYTES
#undef HTOKI_RECORD_IN_BYTES
#undef HTOKI_RECORD_OUT_BYTES
#undef HTOKI_RESOLVER
#undef HTOKI_ROOT_KEY_BYTES
#undef HTOKI_ROOT_STORE
#undef HTOKI_RSA_BYTES_MAX
#undef HTOKI_RSA_SIGN
#undef HTOKI_SEEN_PINS
#undef HTOKI_SAY
#undef HTOKI_SESSIONS
#undef HTOKI_SESSION_SECONDS
#undef HTOKI_SEND_BYTES
#undef HTOKI_SMALL
#undef HTOKI_SOCKETS
#undef HTOKI_SHORTCUTS
#undef HTOKI_SSE2
#undef HTOKI_STATIC_ASSERT
#undef HTOKI_STDLIB
#undef HTOKI_STEP_MS
#undef HTOKI_STRINGS
#undef HTOKI_THREADS
#undef HTOKI_TLS
#undef HTOKI_TLS_ALERTS
#undef HTOKI_TLS_ERRORS
#undef HTOKI_TLS_RECORD_IN_BYTES
#undef HTOKI_TLS_RECORD_OUT_BYTES
#undef HTOKI_UNUSED
#undef HTOKI_USER_JSMN_API
#undef HTOKI_USER_JSMN_H
#undef HTOKI_USER_JSMN_HEADER
#undef HTOKI_USER_JSMN_PARENT_LINKS
#undef HTOKI_USER_JSMN_STATIC
#undef HTOKI_USER_JSMN_STRICT
#undef HTOKI_NAME
#undef HTOKI_OS_ERROR
#undef HTOKI_WINDOWS
#undef htoki_op_begin_outline
#undef htoki_op_outlines
#undef htoki_log
#undef htoki_log_answer
#undef htoki_log_number
#undef htoki_log_request
#endif /* HATHORA_TOKENS_IMPLEMENTATION */

/* ------------------------------------------------------------------------------------------------------------
   This software is available under two licenses; choose the one you prefer.
   ------------------------------------------------------------------------------------------------------------
   ALTERNATIVE A: MIT License

   Copyright (c) 2026 the hathora_tokens.h authors

   Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
   documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
   rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to
   permit persons to whom the Software is furnished to do so, subject to the following conditions:

   The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
   Software.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
   WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
   COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
   OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
   ------------------------------------------------------------------------------------------------------------
   ALTERNATIVE B: Public Domain (www.unlicense.org)

   This is free and unencumbered software released into the public domain.

   Anyone is free to copy, modify, publish, use, compile, sell, or distribute this software, either in source code form
   or as a compiled binary, for any purpose, commercial or non-commercial, and by any means.

   In jurisdictions that recognize copyright laws, the author or authors of this software dedicate any and all copyright
   interest in the software to the public domain. We make this dedication for the benefit of the public at large and to
   the detriment of our heirs and successors. We intend this dedication to be an overt act of relinquishment in
   perpetuity of all present and future rights to this software under copyright law.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
   WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS BE
   LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
   OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
   ------------------------------------------------------------------------------------------------------------ */
