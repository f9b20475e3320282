#include "service/keys.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "base/rng.h"
#include "model/ids.h"
#include "service/json_access.h"

namespace quarry::service {
namespace {

struct PermissionName {
  Permission bit;
  std::string_view name;
};
constexpr PermissionName kPermissions[] = {{kRead, "read"}, {kWrite, "write"}, {kDelete, "delete"}, {kAdmin, "admin"}};

Status insert_hash(catalog::Session& session, const catalog::Resource& key, std::string_view hash, TimestampUs now) {
  catalog::Resource row;
  row.kind = kApiKeyHashKind;
  row.id = std::string(hash);
  row.body = {{"key_id", key.id}, {"organization_id", key.organization_id}};
  row.created_at = row.updated_at = now;
  Status inserted = session.insert(row);
  if (!inserted.ok() && inserted.error().kind == ErrorKind::kAlreadyExists) return already_exists("this key's text is in use already");
  return inserted;
}

Status remove_hash(catalog::Session& session, const catalog::Resource& key) {
  Status removed = session.remove(kApiKeyHashKind, {}, string_member(key.body, "key_hash"));
  if (!removed.ok() && removed.error().kind == ErrorKind::kNotFound) return Ok{};
  return removed;
}

void set_text(json::object& body, std::string_view text) {
  body["key_hash"] = sha256_hex(text);
  body["key_prefix"] = text.substr(0, 7);
}

}  // namespace

std::string new_key_text() { return "qk_" + secure_token(40); }

Result<uint8_t> parse_permissions(const json::array& names) {
  uint8_t bits = 0;
  for (const auto& name : names) {
    uint8_t bit = 0;
    for (const auto& p : kPermissions)
      if (name.is_string() && name.get_string() == p.name) bit = p.bit;
    if (bit == 0) return validation_error("enum", {"body", "permissions"}, "a permission is one of read, write, delete, admin");
    bits |= bit;
  }
  return bits;
}

json::array permission_names(uint8_t bits) {
  json::array out;
  for (const auto& p : kPermissions)
    if (bits & p.bit) out.emplace_back(p.name);
  return out;
}

uint8_t role_permissions(std::string_view role) {
  if (role == "admin") return kRead | kWrite | kDelete | kAdmin;
  if (role == "member") return kRead | kWrite | kDelete;
  return kRead;
}

Result<catalog::Resource> store_key(catalog::Session& session, const KeyOwner& owner, std::string_view text, json::object attributes,
                                    TimestampUs now) {
  catalog::Resource key;
  key.kind = catalog::kind::kApiKey;
  key.id = new_id("key");
  key.organization_id = owner.organization_id;
  key.parent_id = owner.user_id;
  key.name = std::string(string_member(attributes, "name"));
  key.created_at = key.updated_at = now;
  key.body = std::move(attributes);
  key.body["key_id"] = key.id;
  key.body["key_type"] = "standard";
  key.body["is_internal"] = false;
  key.body["organization_id"] = owner.organization_id;
  key.body["user_id"] = owner.user_id;
  key.body["created_by"] = owner.user_email;
  key.body["status"] = "active";
  set_text(key.body, text);
  QUARRY_RETURN_IF_ERROR(session.insert(key));
  QUARRY_RETURN_IF_ERROR(insert_hash(session, key, string_member(key.body, "key_hash"), now));
  return key;
}

Status revoke_key(catalog::Session& session, catalog::Resource key, std::string_view revoked_by, TimestampUs now) {
  QUARRY_RETURN_IF_ERROR(remove_hash(session, key));
  key.name.clear();
  key.body["status"] = "revoked";
  key.body["revoked_at"] = format_timestamp(now);
  key.body["revoked_by"] = revoked_by;
  key.updated_at = now;
  return session.replace(key);
}

Result<catalog::Resource> replace_key_text(catalog::Session& session, catalog::Resource key, std::string_view text, TimestampUs now) {
  QUARRY_RETURN_IF_ERROR(remove_hash(session, key));
  set_text(key.body, text);
  key.updated_at = now;
  QUARRY_RETURN_IF_ERROR(insert_hash(session, key, string_member(key.body, "key_hash"), now));
  QUARRY_RETURN_IF_ERROR(session.replace(key));
  return key;
}

Status remove_key(catalog::Session& session, const catalog::Resource& key) {
  QUARRY_RETURN_IF_ERROR(remove_hash(session, key));
  return session.remove(catalog::kind::kApiKey, {key.organization_id, ""}, key.id);
}

Result<std::vector<catalog::Resource>> keys_of_user(catalog::Session& session, const KeyQuery& wanted) {
  catalog::ListQuery query;
  query.kind = catalog::kind::kApiKey;
  query.scope = {wanted.organization_id, ""};
  query.parent_id = wanted.user_id;
  query.descending = false;
  query.limit = 1'000;
  if (!wanted.with_revoked) {
    QUARRY_ASSIGN_OR_RETURN(query.filter, condition("status", FilterOp::kNe, "revoked"));
  }
  std::vector<catalog::Resource> keys;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(auto page, session.list(query));
    for (auto& key : page.items) keys.push_back(std::move(key));
    if (!page.has_more) return keys;
    query.after = page.last;
  }
}

Result<catalog::Resource> find_key(catalog::Session& session, const catalog::Resource& user, std::string_view id_or_name) {
  auto found = session.find(catalog::kind::kApiKey, {user.organization_id, ""}, id_or_name, user.id);
  bool absent = !found.ok() && found.error().kind == ErrorKind::kNotFound;
  if (absent || (found.ok() && found->parent_id != user.id))
    return not_found(fmt::format("user '{}' has no active API key '{}'", user.name, id_or_name));
  return found;
}

}  // namespace quarry::service
