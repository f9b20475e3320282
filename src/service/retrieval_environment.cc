#include "service/retrieval_environment.h"

#include <fmt/format.h>

#include "base/log.h"
#include "service/collections.h"
#include "service/internals.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

constexpr int64_t kUrlLifetimeSeconds = 3'600;

std::string_view header(const Request& request, std::string_view name) {
  auto it = request.headers.find(name);
  return it == request.headers.end() ? std::string_view() : std::string_view(it->second);
}

}  // namespace

retrieval::Environment retrieval_environment(const Dependencies& deps) {
  retrieval::Environment env;
  env.catalog = deps.catalog;
  env.vectors = deps.vectors;
  env.models = deps.models;
  env.executor = deps.executor;
  env.find_collections = [&deps](const RequestContext& context, const std::vector<std::string>& identifiers) {
    std::string key = fmt::format("{}\n{}", context.organization_id, context.namespace_id);
    for (const std::string& identifier : identifiers) key += fmt::format("\n{}:{}", identifier.size(), identifier);
    return deps.internals->collections.get(*deps.catalog, key, [&]() -> Result<retrieval::Collections> {
      QUARRY_ASSIGN_OR_RETURN(auto loaded, retrieval::load_collections(context, *deps.catalog, identifiers));
      return std::make_shared<const std::vector<Collection>>(std::move(loaded));
    });
  };
  env.open_collection = [&deps](const RequestContext& context, const Collection& collection) {
    const Status opened = deps.internals->tables.ensure(deps, collection, context.internal_id);
    if (!opened.ok()) log_warn("a table was not opened", {{"table", collection.collection_id}, {"reason", opened.error().message}});
  };
  env.note_query = [&deps](const Collection& collection) { note_query(deps, collection); };
  env.presign = [&deps](const RequestContext&, std::string_view key) { return presign(deps, "GET", key, kUrlLifetimeSeconds); };
  env.object_url = [&deps](const Lineage& lineage) {
    return fmt::format("{}/v1/buckets/{}/objects/{}", deps.public_url(), lineage.root_bucket_id, lineage.root_object_id);
  };
  return env;
}

bool wants_stage_map(const Request& request) {
  return header(request, "x-response-shape") == "contract" || header(request, "user-agent").starts_with("OpenAPI-Generator/");
}

Reply with_documents(json::object body) {
  Reply reply(std::move(body));
  reply.alias = {"results", "documents"};
  return reply;
}

Status settle_collections(const RequestContext& context, const Dependencies& deps, retrieval::ParsedRetriever& retriever) {
  if (!retriever.collection_ids.empty()) return Ok{};
  QUARRY_ASSIGN_OR_RETURN(auto all, open_collections(context, deps, {}));
  for (const auto& opened : all) retriever.collection_ids.push_back(opened.resource.id);
  return Ok{};
}

}  // namespace quarry::service
