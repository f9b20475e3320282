#include <fmt/format.h>

#include "model/collection.h"
#include "pipeline/pipeline.h"

namespace quarry::pipeline {
namespace {

constexpr size_t kPage = 500;

Result<std::vector<Collection>> collections_with_lineage(catalog::Catalog& catalog, const catalog::Scope& scope) {
  std::vector<Collection> out;
  catalog::ListQuery query;
  query.kind = catalog::kind::kCollection;
  query.scope = scope;
  query.limit = kPage;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(catalog::ResourcePage page, catalog.list(query));
    for (const catalog::Resource& resource : page.items) {
      QUARRY_ASSIGN_OR_RETURN(Collection collection, parse_collection(resource.body, scope.organization_id, scope.namespace_id));
      bool holds_documents = collection.lifecycle != LifecycleState::kArchived && collection.source.type != "none";
      if (holds_documents) out.push_back(std::move(collection));
    }
    if (!page.has_more || page.items.empty()) return out;
    query.after = page.last;
  }
}

// A frozen collection refuses the loss of documents like any other write, before anything else has lost some.
Status check_none_is_frozen(mvs::VectorStore& vectors, const std::vector<Collection>& collections, const Filter& filter,
                            std::string_view internal_id) {
  for (const Collection& collection : collections) {
    if (collection.lifecycle != LifecycleState::kFrozen) continue;
    QUARRY_RETURN_IF_ERROR(vectors.attach_table(table_spec(collection, internal_id)));
    QUARRY_ASSIGN_OR_RETURN(const uint64_t held, vectors.count(collection.table_id(), filter));
    if (held > 0)
      return bad_request(fmt::format("collection '{}' is frozen and holds {} documents of what is to be deleted", collection.name, held),
                         {{"collection_id", collection.collection_id}});
  }
  return Ok{};
}

}  // namespace

Status delete_object_documents(catalog::Catalog& catalog, mvs::VectorStore& vectors, const catalog::Scope& scope,
                               std::string_view internal_id, const std::vector<std::string>& object_ids) {
  if (object_ids.empty()) return Ok{};
  QUARRY_ASSIGN_OR_RETURN(std::vector<Collection> collections, collections_with_lineage(catalog, scope));
  json::object condition{{"field", "root_object_id"}, {"operator", "in"}, {"value", json::value_from(object_ids)}};
  QUARRY_ASSIGN_OR_RETURN(Filter filter, parse_filter(condition));
  QUARRY_RETURN_IF_ERROR(check_none_is_frozen(vectors, collections, filter, internal_id));
  for (const Collection& collection : collections) {
    if (collection.lifecycle == LifecycleState::kFrozen) continue;
    auto attached = vectors.attach_table(table_spec(collection, internal_id));
    if (!attached.ok() && attached.error().kind == ErrorKind::kNotFound) continue;  // never written to
    if (!attached.ok()) return attached;
    auto deleted = vectors.delete_where(collection.table_id(), filter);
    if (!deleted.ok() && deleted.error().kind != ErrorKind::kNotFound)
      return std::move(deleted).error().with_context(fmt::format("removing documents from collection '{}'", collection.name));
  }
  return Ok{};
}

}  // namespace quarry::pipeline
