// What users and keys share with the organization's own operations.
#pragma once

#include "service/service.h"

namespace quarry::service {

Result<catalog::Resource> find_user(const RequestContext& context, const Dependencies& deps, std::string_view email);
// kForbidden for a key that is limited to namespaces: it may not change what lies outside them.
Status require_whole_organization(const RequestContext& context);

void bind_users(class OperationTable& table, const Dependencies& deps);
void bind_api_keys(class OperationTable& table, const Dependencies& deps);

}  // namespace quarry::service
