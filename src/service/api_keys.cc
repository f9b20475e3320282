// API keys of a user: made, listed, changed, rotated, revoked.
#include <fmt/format.h>

#include "service/binding.h"
#include "service/internals.h"
#include "service/json_access.h"
#include "service/keys.h"
#include "service/organizations.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

json::object show_key(const RequestContext& context, const catalog::Resource& key) {
  json::object shown = key.body;
  shown["internal_id"] = context.internal_id;  // the contract's schema demands it
  shown["created_at"] = format_timestamp(key.created_at);
  return shown;
}

Status not_built(std::string_view what) {
  return Error{ErrorKind::kNotImplemented, fmt::format("an API key with {} is not built yet", what)};
}

// Limits that would not be enforced are refused rather than stored.
Status check_scope(const RequestContext& context, const Dependencies& deps, json::object& scope) {
  std::string_view type = string_member(scope, "resource_type"), id = string_member(scope, "resource_id");
  for (const auto& operation : strings_member(scope, "operations"))
    if (operation != "read_data" && operation != "write_data" && operation != "delete_data")
      return not_built(fmt::format("scopes with the operation '{}'", operation));
  if (type == "namespace") {
    auto found = deps.catalog->find(catalog::kind::kNamespace, organization_scope(context), id);
    if (!found.ok()) return not_found(fmt::format("namespace '{}' does not exist", id));
    scope["resource_id"] = found->id;
    return Ok{};
  }
  if (type == "organization" && strings_member(scope, "operations").empty()) {
    if (id == context.organization_id) return Ok{};
    return not_found(fmt::format("organization '{}' does not exist", id));
  }
  return not_built(fmt::format("scopes over a {}", type));
}

// Checks and normalises what a create or an update may set.
Status check_attributes(const RequestContext& context, const Dependencies& deps, const catalog::Resource& user, json::object& attributes) {
  if (const json::array* origins = array_member(attributes, "allowed_origins"); origins && !origins->empty())
    return not_built("allowed_origins");
  if (!string_member(attributes, "principal_id").empty()) return not_built("a principal_id");
  if (const json::array* names = array_member(attributes, "permissions")) {
    QUARRY_ASSIGN_OR_RETURN(uint8_t bits, parse_permissions(*names));
    if (bits == 0) return validation_error("too_short", {"body", "permissions"}, "a key needs at least one permission");
    if (bits & ~role_permissions(string_member(user.body, "role")))
      return Error{ErrorKind::kForbidden, fmt::format("a key of '{}' cannot have more permissions than the role '{}'", user.name,
                                                      string_member(user.body, "role"))};
    attributes["permissions"] = permission_names(bits);
  }
  if (auto expires = string_member(attributes, "expires_at"); !expires.empty()) {
    auto at = parse_timestamp(expires);
    if (!at.ok()) return validation_error("datetime", {"body", "expires_at"}, "expires_at is not a date and time");
    if (*at <= deps.clock->now_us()) return validation_error("datetime_future", {"body", "expires_at"}, "expires_at lies in the past");
    attributes["expires_at"] = format_timestamp(*at);
  }
  if (json::value* scopes = attributes.if_contains("scopes"); scopes && scopes->is_array())
    for (auto& scope : scopes->get_array())
      if (scope.is_object()) QUARRY_RETURN_IF_ERROR(check_scope(context, deps, scope.get_object()));
  return Ok{};
}

Result<Reply> create_key(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(require_whole_organization(context));
  QUARRY_ASSIGN_OR_RETURN(auto user, find_user(context, deps, request.param("user_email")));
  json::object attributes{{"description", ""},
                          {"permissions", permission_names(role_permissions(string_member(user.body, "role")))},
                          {"scopes", json::array{}}};
  copy_members(attributes, request.object(),
               {"name", "description", "permissions", "scopes", "rate_limit_override", "expires_at", "principal_id", "allowed_origins"});
  QUARRY_RETURN_IF_ERROR(check_attributes(context, deps, user, attributes));
  std::string text = new_key_text();
  catalog::Resource key;
  Status written = deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(key, store_key(session, {context.organization_id, user.id, user.name}, text, attributes, deps.clock->now_us()));
    return Ok{};
  });
  if (!written.ok() && written.error().kind == ErrorKind::kAlreadyExists)
    return already_exists(fmt::format("user '{}' has an API key '{}' already", user.name, string_member(attributes, "name")));
  QUARRY_RETURN_IF_ERROR(written);
  json::object reply = show_key(context, key);
  reply["key"] = text;
  return Reply(std::move(reply));
}

Result<Reply> list_keys(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(require_whole_organization(context));
  QUARRY_ASSIGN_OR_RETURN(auto user, find_user(context, deps, request.param("user_email")));
  if (!context.may(kAdmin) && user.name != context.user_email)
    return Error{ErrorKind::kForbidden, "only an administrator sees the API keys of others"};
  bool with_revoked = bool_member(request.query, "include_revoked");
  json::array shown;
  QUARRY_RETURN_IF_ERROR(deps.catalog->read([&](catalog::Session& session) -> Status {
    shown.clear();
    QUARRY_ASSIGN_OR_RETURN(auto keys, keys_of_user(session, {context.organization_id, user.id, with_revoked}));
    for (const auto& key : keys) shown.push_back(show_key(context, key));
    return Ok{};
  }));
  return Reply(std::move(shown));
}

Result<Reply> delete_key(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(require_whole_organization(context));
  QUARRY_ASSIGN_OR_RETURN(auto user, find_user(context, deps, request.param("user_email")));
  bool force = bool_member(request.query, "force");
  Status removed = deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(auto key, find_key(session, user, request.param("key_name")));
    if (force) return remove_key(session, key);
    if (string_member(key.body, "status") == "revoked") return Ok{};
    return revoke_key(session, std::move(key), context.user_email, deps.clock->now_us());
  });
  deps.internals->authenticator.forget();
  QUARRY_RETURN_IF_ERROR(removed);
  return Reply(json::object{{"success", true}, {"message", force ? "the API key was deleted" : "the API key was revoked"}});
}

Status apply_update(catalog::Resource& key, const json::object& changes) {
  if (string_member(key.body, "status") == "revoked") return bad_request("a revoked key cannot be changed; create a new one");
  copy_members(key.body, changes, {"name", "description", "permissions", "scopes", "rate_limit_override", "expires_at"});
  key.name = std::string(string_member(key.body, "name"));
  return Ok{};
}

Result<Reply> update_key(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(require_whole_organization(context));
  QUARRY_ASSIGN_OR_RETURN(auto user, find_user(context, deps, request.param("user_email")));
  json::object changes = request.object();
  QUARRY_RETURN_IF_ERROR(check_attributes(context, deps, user, changes));
  std::string_view status = string_member(changes, "status");
  if (status == "expired")
    return validation_error("enum", {"body", "status"}, "a key expires by its expires_at; status can be set to revoked");
  catalog::Resource key;
  Status written = deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(key, find_key(session, user, request.param("key_name")));
    QUARRY_RETURN_IF_ERROR(apply_update(key, changes));
    key.updated_at = deps.clock->now_us();
    std::string id = key.id;
    QUARRY_RETURN_IF_ERROR(status == "revoked" ? revoke_key(session, std::move(key), context.user_email, deps.clock->now_us())
                                               : session.replace(key));
    QUARRY_ASSIGN_OR_RETURN(key, session.get(catalog::kind::kApiKey, organization_scope(context), id));
    return Ok{};
  });
  deps.internals->authenticator.forget();
  QUARRY_RETURN_IF_ERROR(written);
  return Reply(show_key(context, key));
}

Result<Reply> rotate_key(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(require_whole_organization(context));
  QUARRY_ASSIGN_OR_RETURN(auto user, find_user(context, deps, request.param("user_email")));
  std::string text = new_key_text();
  catalog::Resource key;
  Status written = deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(auto old, find_key(session, user, request.param("key_name")));
    if (string_member(old.body, "status") == "revoked") return bad_request("a revoked key cannot be rotated; create a new one");
    QUARRY_ASSIGN_OR_RETURN(key, replace_key_text(session, std::move(old), text, deps.clock->now_us()));
    return Ok{};
  });
  deps.internals->authenticator.forget();
  QUARRY_RETURN_IF_ERROR(written);
  json::object reply = show_key(context, key);
  reply["key"] = text;
  return Reply(std::move(reply));
}

}  // namespace

void bind_api_keys(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "create_key_organizations_users_email", create_key);
  bind_operation(table, deps, "list_keys_organizations_users_email", list_keys);
  bind_operation(table, deps, "delete_key_organizations_users_email_name", delete_key);
  bind_operation(table, deps, "update_key_organizations_users_email_name", update_key);
  bind_operation(table, deps, "rotate_key_organizations_users_email_name", rotate_key);
}

}  // namespace quarry::service
