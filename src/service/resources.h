// What the resource files share: scopes, bodies, timestamps, identifiers, presigned URLs.
#pragma once

#include "service/service.h"

namespace quarry::service {

inline catalog::Scope namespace_scope(const RequestContext& c) { return {c.organization_id, c.namespace_id}; }
inline catalog::Scope organization_scope(const RequestContext& c) { return {c.organization_id, ""}; }

// A resource of `kind` in the context's namespace (or organization, where it has none), stamped with the context's clock.
catalog::Resource make_resource(const RequestContext& context, std::string_view kind, std::string id, std::string name, json::object body);

// Inserts a resource of the context's namespace; kNotFound if the namespace was deleted after the request was admitted, kBadRequest if it
// has `limit` resources of that kind already. `also` takes part in the transaction.
Status insert_in_namespace(const RequestContext& context, const Dependencies& deps, const catalog::Resource& resource,
                           uint64_t limit = UINT64_MAX, const std::function<Status(catalog::Session&)>& also = {});

// The body as the API shows it: with created_at and updated_at.
json::object show(const catalog::Resource& resource);

// Resource by id or name; the kNotFound message names the kind and the identifier, never whose it is.
Result<catalog::Resource> find_resource(const RequestContext& context, const Dependencies& deps, std::string_view kind,
                                        std::string_view identifier);

// 422 unless `name` is a safe name that is not a reserved path segment ("list", "features", "standalone", ...) of its kind's routes.
Status check_resource_name(std::string_view kind, std::string_view name, size_t min_length, size_t max_length);

// Copies members of `from` over `to`; a null removes the member.
void merge_patch(json::object& to, const json::object& from);

// Signs "method key expires" with HMAC-SHA256; the URL works without a key until it expires.
std::string presign(const Dependencies& deps, std::string_view method, std::string_view key, int64_t lifetime_seconds);
// kForbidden when the signature is wrong or the time is over.
Status check_presigned(const Dependencies& deps, std::string_view method, std::string_view key, std::string_view expires,
                       std::string_view signature);

}  // namespace quarry::service
