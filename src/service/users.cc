// Users of the organization. Their role bounds what their keys may do.
#include <fmt/format.h>

#include "base/ascii.h"
#include "model/ids.h"
#include "service/binding.h"
#include "service/internals.h"
#include "service/json_access.h"
#include "service/keys.h"
#include "service/organizations.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

constexpr size_t kMaxUsers = 10'000;  // read when roles are counted

json::object show_user(const catalog::Resource& user) { return show(user); }

// An address as far as a lookup key needs it: one '@' with something on both sides, nothing that would not survive a path.
Status check_email(std::string_view email) {
  size_t at = email.find('@');
  bool good = is_safe_name(email, 254) && at != std::string_view::npos && at > 0 && at + 1 < email.size() &&
              email.find('@', at + 1) == std::string_view::npos && email.find_first_of(" \t?#%") == std::string_view::npos;
  if (good) return Ok{};
  return validation_error("email", {"body", "email"}, fmt::format("'{}' is not an email address", email));
}

Result<Reply> create_user(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(require_whole_organization(context));
  std::string email = ascii_lower(string_member(request.object(), "email"));
  QUARRY_RETURN_IF_ERROR(check_email(email));
  json::object body{{"organization_id", context.organization_id}, {"email", email}, {"role", "member"}, {"status", "active"}};
  copy_members(body, request.object(), {"user_name", "avatar_url", "role", "status", "metadata"});
  catalog::Resource user = make_resource(context, catalog::kind::kUser, new_id("usr"), email, std::move(body));
  user.namespace_id.clear();
  user.body["user_id"] = user.id;
  Status inserted = deps.catalog->insert(user);
  if (!inserted.ok() && inserted.error().kind == ErrorKind::kAlreadyExists)
    return already_exists(fmt::format("user '{}' exists already", email));
  QUARRY_RETURN_IF_ERROR(inserted);
  return Reply(show_user(user));
}

Result<Reply> list_users(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(require_whole_organization(context));
  catalog::ListQuery query;
  query.kind = catalog::kind::kUser;
  query.scope = organization_scope(context);
  query.descending = false;
  query.offset = static_cast<size_t>(integer_member(request.query, "skip").value_or(0));
  query.limit = static_cast<size_t>(integer_member(request.query, "limit").value_or(100));
  query.with_total = true;
  std::vector<Filter> filters;
  for (std::string_view member : {"role", "status"})
    if (auto wanted = string_member(request.query, member); !wanted.empty())
      filters.push_back(equals(std::string(member), json::value(wanted)));
  query.filter = all_of(std::move(filters));
  QUARRY_ASSIGN_OR_RETURN(auto page, deps.catalog->list(query));
  json::array users;
  for (const auto& user : page.items) users.push_back(show_user(user));
  json::object reply{{"results", users}, {"users", std::move(users)}};
  reply["total"] = page.total.value_or(0);
  reply["skip"] = query.offset;
  reply["limit"] = query.limit;
  return Reply(std::move(reply));
}

Result<Reply> get_user(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(require_whole_organization(context));
  QUARRY_ASSIGN_OR_RETURN(auto user, find_user(context, deps, request.param("user_email")));
  return Reply(show_user(user));
}

// kBadRequest when nobody but `user` could administer the organization.
Status check_not_last_admin(catalog::Session& session, const catalog::Resource& user) {
  catalog::ListQuery query;
  query.kind = catalog::kind::kUser;
  query.scope = {user.organization_id, ""};
  query.limit = kMaxUsers;
  query.filter = all_of({equals("role", "admin"), equals("status", "active")});
  QUARRY_ASSIGN_OR_RETURN(auto admins, session.list(query));
  for (const auto& admin : admins.items)
    if (admin.id != user.id) return Ok{};
  return bad_request(fmt::format("'{}' is the organization's last active administrator", user.name));
}

Result<Reply> update_user(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(require_whole_organization(context));
  QUARRY_ASSIGN_OR_RETURN(auto found, find_user(context, deps, request.param("user_email")));
  catalog::Resource stored;
  Status written = deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(stored, session.get(catalog::kind::kUser, organization_scope(context), found.id));
    copy_members(stored.body, request.object(), {"user_name", "avatar_url", "role", "status", "metadata"});
    if (string_member(stored.body, "role") != "admin" || string_member(stored.body, "status") != "active")
      QUARRY_RETURN_IF_ERROR(check_not_last_admin(session, stored));
    stored.updated_at = deps.clock->now_us();
    return session.replace(stored);
  });
  deps.internals->authenticator.forget();
  QUARRY_RETURN_IF_ERROR(written);
  return Reply(show_user(stored));
}

Result<Reply> delete_user(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(require_whole_organization(context));
  QUARRY_ASSIGN_OR_RETURN(auto user, find_user(context, deps, request.param("user_email")));
  Status removed = deps.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_RETURN_IF_ERROR(check_not_last_admin(session, user));
    QUARRY_ASSIGN_OR_RETURN(auto keys, keys_of_user(session, {context.organization_id, user.id}));
    for (const auto& key : keys) QUARRY_RETURN_IF_ERROR(remove_key(session, key));
    return session.remove(catalog::kind::kUser, organization_scope(context), user.id);
  });
  deps.internals->authenticator.forget();
  QUARRY_RETURN_IF_ERROR(removed);
  return Reply(json::object{{"success", true}, {"message", fmt::format("user '{}' and its keys were deleted", user.name)}});
}

}  // namespace

Result<catalog::Resource> find_user(const RequestContext& context, const Dependencies& deps, std::string_view email) {
  auto user = deps.catalog->find(catalog::kind::kUser, organization_scope(context),
                                 email.starts_with("usr_") ? std::string(email) : ascii_lower(email));
  if (!user.ok() && user.error().kind == ErrorKind::kNotFound) return not_found(fmt::format("user '{}' does not exist", email));
  return user;
}

void bind_users(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "create_user_organizations", create_user);
  bind_operation(table, deps, "list_users_organizations", list_users);
  bind_operation(table, deps, "get_user_organizations_email", get_user);
  bind_operation(table, deps, "update_user_organizations_email", update_user);
  bind_operation(table, deps, "delete_user_organizations_email", delete_user);
}

}  // namespace quarry::service
