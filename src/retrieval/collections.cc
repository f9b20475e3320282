#include <fmt/format.h>

#include <algorithm>

#include "retrieval/retrieval.h"

namespace quarry::retrieval {

Result<std::vector<Collection>> load_collections(const RequestContext& context, catalog::Catalog& catalog,
                                                 const std::vector<std::string>& identifiers) {
  std::vector<Collection> out;
  Status status = catalog.read([&](catalog::Session& session) -> Status {
    out.clear();
    for (const std::string& identifier : identifiers) {
      Result<catalog::Resource> found =
          session.find(catalog::kind::kCollection, {context.organization_id, context.namespace_id}, identifier);
      if (!found.ok() && found.error().kind == ErrorKind::kNotFound)
        return not_found(fmt::format("collection '{}' does not exist", identifier.substr(0, 255)));
      if (!found.ok()) return std::move(found).error();
      bool is_known = std::any_of(out.begin(), out.end(), [&](const Collection& c) { return c.collection_id == found->id; });
      if (is_known) continue;
      QUARRY_ASSIGN_OR_RETURN(Collection collection, parse_collection(found->body, context.organization_id, context.namespace_id));
      out.push_back(std::move(collection));
    }
    return Ok{};
  });
  QUARRY_RETURN_IF_ERROR(status);
  return out;
}

}  // namespace quarry::retrieval
