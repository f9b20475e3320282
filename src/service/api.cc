// The table of operations, and who may call them.
#include <fmt/format.h>

#include "model/ids.h"
#include "service/internals.h"
#include "service/json_access.h"
#include "service/keys.h"
#include "service/operations.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

constexpr std::string_view kFirstKeyName = "bootstrap";

std::string_view permission_name(Permission permission) {
  switch (permission) {
    case kRead: return "read";
    case kWrite: return "write";
    case kDelete: return "delete";
    case kAdmin: return "admin";
  }
  return "?";
}

json::object first_key_attributes() {
  return {{"name", kFirstKeyName},
          {"description", "Made on first start"},
          {"permissions", permission_names(kRead | kWrite | kDelete | kAdmin)}};
}

Result<std::optional<catalog::Resource>> oldest(catalog::Session& session, std::string_view kind, const catalog::Scope& scope) {
  catalog::ListQuery query;
  query.kind = kind;
  query.scope = scope;
  query.descending = false;
  query.limit = 1;
  QUARRY_ASSIGN_OR_RETURN(auto page, session.list(query));
  if (page.items.empty()) return std::optional<catalog::Resource>();
  return std::optional<catalog::Resource>(std::move(page.items.front()));
}

// The organization's row stands outside every organization, so that the first one can be found.
catalog::Resource new_organization(std::string_view name, TimestampUs now) {
  catalog::Resource r;
  r.kind = catalog::kind::kOrganization;
  r.id = new_id("org");
  r.name = name;
  r.created_at = r.updated_at = now;
  r.body = {{"organization_id", r.id}, {"internal_id", new_internal_id()}, {"organization_name", name}};
  return r;
}

catalog::Resource first_user(const std::string& organization_id, TimestampUs now) {
  catalog::Resource r;
  r.kind = catalog::kind::kUser;
  r.id = new_id("usr");
  r.organization_id = organization_id;
  r.name = "admin@localhost";
  r.created_at = r.updated_at = now;
  r.body = {{"user_id", r.id},   {"organization_id", organization_id}, {"email", r.name}, {"user_name", "Administrator"}, {"role", "admin"},
            {"status", "active"}};
  return r;
}

// With its first user and that user's admin key.
Status insert_organization(catalog::Session& session, const catalog::Resource& organization, const std::string& key) {
  catalog::Resource user = first_user(organization.id, organization.created_at);
  QUARRY_RETURN_IF_ERROR(session.insert(organization));
  QUARRY_RETURN_IF_ERROR(session.insert(user));
  auto stored = store_key(session, {organization.id, user.id, user.name}, key, first_key_attributes(), organization.created_at);
  QUARRY_RETURN_IF_ERROR(stored);
  return Ok{};
}

class ApiImpl final : public Api {
 public:
  explicit ApiImpl(Dependencies dependencies) : deps_(std::move(dependencies)), internals_(deps_) {
    deps_.internals = &internals_;
    bind_all();
  }

  const Handler* find(std::string_view operation_id) const override { return table_.find(std::string(operation_id)); }
  const Gate* find_gate(std::string_view operation_id) const override { return table_.find_gate(std::string(operation_id)); }

  std::vector<std::string> operations() const override {
    std::vector<std::string> ids;
    for (const auto& [id, handler] : table_.all()) ids.push_back(id);
    std::sort(ids.begin(), ids.end());
    return ids;
  }

  Result<RequestContext> admit(const Admission& admission, std::string_view authorization, std::string_view x_namespace) override {
    RequestContext context;
    context.clock = deps_.clock;
    if (admission.scope == Admission::Scope::kPublic) return context;
    QUARRY_ASSIGN_OR_RETURN(auto caller, internals_.authenticator.authenticate(authorization));
    context.organization_id = caller->organization_id;
    context.internal_id = caller->internal_id;
    context.key_id = caller->key_id;
    context.user_email = caller->user_email;
    context.permissions = caller->permissions;
    context.grants = caller->grants;
    // A key limited to namespaces administers nothing outside them; what it may do in one, open_namespace() knows.
    if (!caller->grants.empty()) context.permissions &= static_cast<uint8_t>(~kAdmin);
    if (admission.scope == Admission::Scope::kNamespace) QUARRY_RETURN_IF_ERROR(enter_namespace(context, *caller, x_namespace));
    if (!context.may(admission.permission))
      return Error{ErrorKind::kForbidden, fmt::format("this key lacks the permission '{}'", permission_name(admission.permission))};
    return context;
  }

  Result<std::optional<std::string>> bootstrap(std::string_view preset) override;
  Result<std::string> reset_admin_key() override;
  Result<std::string> add_organization(std::string_view name) override;

 private:
  void bind_all() {
    for (auto bind :
         {bind_health, bind_organizations, bind_namespaces, bind_snapshots, bind_standalone, bind_buckets, bind_objects, bind_uploads,
          bind_batches, bind_tasks, bind_collections, bind_documents, bind_lineage, bind_features, bind_retrievers, bind_resource_search})
      bind(table_, deps_);
  }

  Status enter_namespace(RequestContext& context, const Caller& caller, std::string_view identifier) {
    QUARRY_ASSIGN_OR_RETURN(context.namespace_id, internals_.authenticator.resolve_namespace(caller, identifier));
    if (!context.reaches(context.namespace_id)) return not_found(fmt::format("namespace '{}' does not exist", identifier));
    if (const NamespaceGrant* grant = context.grant_of(context.namespace_id)) context.permissions = grant->permissions;
    return Ok{};
  }

  Dependencies deps_;
  Internals internals_;
  OperationTable table_;
};

Result<std::optional<std::string>> ApiImpl::bootstrap(std::string_view preset) {
  std::optional<std::string> text;
  TimestampUs now = deps_.clock->now_us();
  std::string key = preset.size() >= kMinPresetKeyBytes && preset.size() <= kMaxKeyBytes ? std::string(preset) : new_key_text();
  catalog::Resource organization = new_organization("default", now);
  QUARRY_RETURN_IF_ERROR(deps_.catalog->write([&](catalog::Session& session) -> Status {
    text.reset();
    QUARRY_ASSIGN_OR_RETURN(auto existing, oldest(session, catalog::kind::kOrganization, {}));
    if (existing) return Ok{};
    QUARRY_RETURN_IF_ERROR(insert_organization(session, organization, key));
    text = key;
    return Ok{};
  }));
  return text;
}

Result<std::string> ApiImpl::reset_admin_key() {
  std::string text = new_key_text();
  TimestampUs now = deps_.clock->now_us();
  Status written = deps_.catalog->write([&](catalog::Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(auto organization, oldest(session, catalog::kind::kOrganization, {}));
    if (!organization) return not_found("there is no organization yet: start the server once");
    QUARRY_ASSIGN_OR_RETURN(auto user, oldest(session, catalog::kind::kUser, {organization->id, ""}));
    if (!user) return not_found("the organization has no user");
    auto first_key = find_key(session, *user, kFirstKeyName);
    if (first_key.ok())
      QUARRY_RETURN_IF_ERROR(revoke_key(session, std::move(*first_key), user->name, now));
    else if (first_key.error().kind != ErrorKind::kNotFound)
      return std::move(first_key).error();
    if (string_member(user->body, "status") != "active" || string_member(user->body, "role") != "admin") {
      user->body["status"] = "active";
      user->body["role"] = "admin";
      user->updated_at = now;
      QUARRY_RETURN_IF_ERROR(session.replace(*user));
    }
    auto stored = store_key(session, {organization->id, user->id, user->name}, text, first_key_attributes(), now);
    QUARRY_RETURN_IF_ERROR(stored);
    return Ok{};
  });
  internals_.authenticator.forget();
  QUARRY_RETURN_IF_ERROR(written);
  return text;
}

Result<std::string> ApiImpl::add_organization(std::string_view name) {
  QUARRY_RETURN_IF_ERROR(check_resource_name(catalog::kind::kOrganization, name, 1, 100));
  std::string key = new_key_text();
  catalog::Resource organization = new_organization(name, deps_.clock->now_us());
  QUARRY_RETURN_IF_ERROR(deps_.catalog->write([&](catalog::Session& session) { return insert_organization(session, organization, key); }));
  return key;
}

}  // namespace

const std::string& Request::param(std::string_view name) const {
  auto it = path.find(name);
  QUARRY_CHECK(it != path.end());
  return it->second;
}

const json::object& Request::object() const {
  static const json::object kEmpty;
  return body.is_object() ? body.get_object() : kEmpty;
}

std::unique_ptr<Api> Api::make(Dependencies dependencies) { return std::make_unique<ApiImpl>(std::move(dependencies)); }

}  // namespace quarry::service
