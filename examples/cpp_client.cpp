/* A C++ class around the client: it closes itself and reports failures as exceptions. Creates a token, finds it in the
   list and revokes it.

   c++ -std=c++11 -I. examples/cpp_client.cpp -lbearssl -o cpp_client
   ./cpp_client NAME
   The environment is that of list_tokens.c. */
#define HATHORA_TOKENS_IMPLEMENTATION
#include "hathora_tokens.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

static void check(htok_kind kind, const htok_error *error)
{
    if (kind != HTOK_OK) {
        char line[512];
        htok_error_format(error, line, sizeof line);
        throw std::runtime_error(line);
    }
}

class Tokens
{
  public:
    explicit Tokens(const htok_client_options &options) : client(nullptr, htok_client_close)
    {
        htok_client *made = nullptr;
        htok_error error;
        ::check(htok_client_create(&made, &options, &error), &error);
        client.reset(made);
    }
    /* Returns the new token's id. The plain text is for use() alone and wiped after it. */
    template <typename Use> std::string create(const char *name, const char *scope, Use use)
    {
        htok_create_org_token_request request{};
        const htok_created_org_token *created = nullptr;
        request.name = name;
        request.scopes = &scope;
        request.scope_count = 1;
        check(htok_create_org_token(client.get(), &request, nullptr, &created));
        std::string id(created->org_token.org_token_id.ptr, created->org_token.org_token_id.len);
        use(created->plain_text_token);
        htok_client_wipe(client.get());
        return id;
    }
    /* each is called from the library, so it must not throw. */
    template <typename Each> void list(Each each)
    {
        check(htok_get_org_tokens(
            client.get(), nullptr,
            [](void *context, const htok_org_token *token) {
                return (*static_cast<Each *>(context))(*token);
            },
            &each));
    }
    bool revoke(const std::string &id)
    {
        bool revoked = false;
        check(htok_revoke_org_token(client.get(), id.c_str(), nullptr, &revoked));
        return revoked;
    }

  private:
    void check(htok_kind kind)
    {
        ::check(kind, htok_client_error(client.get()));
    }
    std::unique_ptr<htok_client, void (*)(htok_client *)> client;
};

int main(int argc, char **argv)
try {
    htok_client_options options{};
    options.org_id = std::getenv("HATHORA_ORG_ID");
    options.token = std::getenv("HATHORA_TOKEN");
    options.server_url = std::getenv("HATHORA_CLOUD_ENDPOINT");
    options.trust_file = std::getenv("SSL_CERT_FILE");
    Tokens tokens(options);
    bool found = false;
    const std::string id =
        tokens.create(argc > 1 ? argv[1] : "cpp-example", "tokens:read", [](htok_view text) {
            std::printf("a token of %lu characters\n", static_cast<unsigned long>(text.len));
        });
    tokens.list([&](const htok_org_token &token) {
        found =
            found || id.compare(0, std::string::npos, token.org_token_id.ptr, token.org_token_id.len) == 0;
        return true;
    });
    const bool revoked = tokens.revoke(id);
    std::printf("%s: %s, %s\n", id.c_str(), found ? "listed" : "not listed",
                revoked ? "revoked" : "not revoked");
    return found && revoked ? 0 : 1;
} catch (const std::exception &error) {
    std::fprintf(stderr, "cpp_client: %s\n", error.what());
    return 1;
}
