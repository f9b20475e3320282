#include <cstdio>

#include "main/client.h"
#include "main/server_app.h"
#include "main/verbs/verbs.h"

namespace quarry::verbs {

int keys_reset(const Config& config) {
  auto key = reset_admin_key(config);
  if (!key.ok()) return fail(key.error());
  Credentials credentials;
  auto known = find_credentials(config);
  if (known.ok()) credentials = *known;
  if (credentials.url.empty()) credentials.url = "http://" + config.text("listen");
  credentials.api_key = *key;
  auto file = credentials_file(config);
  Status saved = write_credentials(file, credentials);
  if (!saved.ok()) return fail(saved.error());
  std::printf("%s\n", key->c_str());
  std::fprintf(stderr, "The new admin key stands above and in %s; the admin keys made the same way before are revoked.\n", file.c_str());
  return 0;
}

int organizations_add(const Config& config, const std::string& name) {
  auto key = add_organization(config, name);
  if (!key.ok()) return fail(key.error());
  std::printf("%s\n", key->c_str());
  std::fprintf(stderr, "Organization '%s' is made; its admin key stands above, shown only now.\n", name.c_str());
  return 0;
}

}  // namespace quarry::verbs
