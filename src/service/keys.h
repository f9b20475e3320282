// API keys in the catalog. A key's text is shown once, when it is made; kept is its SHA-256, as the id of an `api_key_hash` row that names
// the key's own row. A revoked key keeps its row (without a name, so that the name is free again) and loses its hash row.
#pragma once

#include "service/service.h"

namespace quarry::service {

inline constexpr std::string_view kApiKeyHashKind = "api_key_hash";
inline constexpr size_t kMinPresetKeyBytes = 16;
inline constexpr size_t kMaxKeyBytes = 512;

// "qk_" and 40 random characters (about 207 bits).
std::string new_key_text();

// The bits of ["read", "write", ...]; unknown names are 422.
Result<uint8_t> parse_permissions(const json::array& names);
json::array permission_names(uint8_t bits);
// What a user of that role may do at most: admin everything, member no administration, viewer reads.
uint8_t role_permissions(std::string_view role);

struct KeyOwner {
  std::string organization_id, user_id, user_email;
};

// In the caller's transaction. `attributes` holds name, description, permissions, scopes, expires_at, ... as the contract has them; the
// stored row is returned. kAlreadyExists if the owner has an active key of that name, or the text is in use.
Result<catalog::Resource> store_key(catalog::Session& session, const KeyOwner& owner, std::string_view text, json::object attributes,
                                    TimestampUs now);
Status revoke_key(catalog::Session& session, catalog::Resource key, std::string_view revoked_by, TimestampUs now);
// A new text for an active key; the old one stops working.
Result<catalog::Resource> replace_key_text(catalog::Session& session, catalog::Resource key, std::string_view text, TimestampUs now);
Status remove_key(catalog::Session& session, const catalog::Resource& key);

struct KeyQuery {
  std::string organization_id, user_id;
  bool with_revoked = true;
};
// Every key of a user, oldest first.
Result<std::vector<catalog::Resource>> keys_of_user(catalog::Session& session, const KeyQuery& query);
// By id, or by name among the active ones; kNotFound.
Result<catalog::Resource> find_key(catalog::Session& session, const catalog::Resource& user, std::string_view id_or_name);

}  // namespace quarry::service
