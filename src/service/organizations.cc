// The caller's organization.
#include "service/organizations.h"

#include <fmt/format.h>

#include "service/binding.h"
#include "service/json_access.h"

namespace quarry::service {
namespace {

constexpr std::string_view kEditable[] = {"organization_name", "logo_url", "billing_email", "notifications_email", "metadata"};

Result<catalog::Resource> own_organization(const RequestContext& context, const Dependencies& deps) {
  return deps.catalog->get(catalog::kind::kOrganization, {}, context.organization_id);
}

json::object show_organization(const catalog::Resource& r) {
  json::object shown;
  copy_members(shown, r.body, {"organization_id", "organization_name", "logo_url", "billing_email", "notifications_email", "metadata"});
  // Nothing is billed and nothing is limited here; the contract wants the members all the same.
  shown["account_type"] = "enterprise";
  shown["credit_count"] = 0;
  constexpr int kUnlimited = 1'000'000;
  shown["rate_limits"] =
      json::object{{"metadata", kUnlimited}, {"data", kUnlimited}, {"search", kUnlimited}, {"upload", kUnlimited}, {"compute", kUnlimited}};
  shown["auto_billing_enabled"] = false;
  shown["created_at"] = format_timestamp(r.created_at);
  shown["updated_at"] = format_timestamp(r.updated_at);
  return shown;
}

Result<Reply> get_organization(const RequestContext& context, const Request&, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(require_whole_organization(context));
  QUARRY_ASSIGN_OR_RETURN(auto organization, own_organization(context, deps));
  return Reply(show_organization(organization));
}

Result<Reply> update_organization(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_RETURN_IF_ERROR(require_whole_organization(context));
  for (const auto& member : request.object())
    if (std::find(std::begin(kEditable), std::end(kEditable), member.key()) == std::end(kEditable))
      return Error{ErrorKind::kNotImplemented,
                   fmt::format("'{}' of an organization cannot be set here yet", std::string_view(member.key()))};
  std::string_view name = string_member(request.object(), "organization_name");
  if (request.object().contains("organization_name") && (name.empty() || name.size() > 200))
    return validation_error("string_length", {"body", "organization_name"}, "organization_name must have 1 to 200 characters");
  QUARRY_ASSIGN_OR_RETURN(
      auto stored, deps.catalog->update(catalog::kind::kOrganization, {}, context.organization_id, [&](catalog::Resource& r) -> Status {
        for (const auto& member : request.object()) r.body[member.key()] = member.value();
        return Ok{};
      }));
  return Reply(show_organization(stored));
}

}  // namespace

Status require_whole_organization(const RequestContext& context) {
  if (context.grants.empty()) return Ok{};
  return Error{ErrorKind::kForbidden, "this key is limited to namespaces and cannot see or change the organization"};
}

void bind_organizations(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "get_organization", get_organization);
  bind_operation(table, deps, "update_organization", update_organization);
  bind_users(table, deps);
  bind_api_keys(table, deps);
}

}  // namespace quarry::service
