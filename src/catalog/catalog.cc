#include "catalog/catalog.h"

namespace quarry::catalog {

Result<Resource> Catalog::get(std::string_view kind, const Scope& scope, std::string_view id) {
  Result<Resource> out = internal_error("the catalog did not run the read");
  QUARRY_RETURN_IF_ERROR(read([&](Session& session) -> Status {
    out = session.get(kind, scope, id);
    return out.ok() ? Status(Ok{}) : Status(out.error());
  }));
  return out;
}

Result<Resource> Catalog::find(std::string_view kind, const Scope& scope, std::string_view id_or_name) {
  Result<Resource> out = internal_error("the catalog did not run the read");
  QUARRY_RETURN_IF_ERROR(read([&](Session& session) -> Status {
    out = session.find(kind, scope, id_or_name);
    return out.ok() ? Status(Ok{}) : Status(out.error());
  }));
  return out;
}

Status Catalog::insert(const Resource& resource) {
  return write([&](Session& session) { return session.insert(resource); });
}

Result<ResourcePage> Catalog::list(const ListQuery& query) {
  Result<ResourcePage> out = internal_error("the catalog did not run the read");
  QUARRY_RETURN_IF_ERROR(read([&](Session& session) -> Status {
    out = session.list(query);
    return out.ok() ? Status(Ok{}) : Status(out.error());
  }));
  return out;
}

Result<Resource> Catalog::update(std::string_view kind, const Scope& scope, std::string_view id,
                                 const std::function<Status(Resource&)>& change) {
  Result<Resource> out = internal_error("the catalog did not run the update");
  QUARRY_RETURN_IF_ERROR(write([&](Session& session) -> Status {
    QUARRY_ASSIGN_OR_RETURN(Resource resource, session.get(kind, scope, id));
    QUARRY_RETURN_IF_ERROR(change(resource));
    QUARRY_RETURN_IF_ERROR(session.replace(resource));
    out = session.get(kind, scope, id);
    return out.ok() ? Status(Ok{}) : Status(out.error());
  }));
  return out;
}

}  // namespace quarry::catalog
