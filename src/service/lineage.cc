// Where documents come from and what came of an object.
#include <fmt/format.h>

#include <set>

#include "service/binding.h"
#include "service/documents.h"
#include "service/json_access.h"
#include "service/object_view.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

constexpr size_t kMaxDepth = 32;
constexpr size_t kMaxDocuments = 1'000;     // listed in one reply
constexpr size_t kMaxDocumentIds = 10'000;  // of one branch of a tree
constexpr size_t kMaxNodes = 10'000;        // of a tree

struct Place {
  OpenCollection opened;
  Document document;
};

// The document itself, then its source document, and so on up to one that came from an object or from nowhere.
Result<std::vector<Place>> path_to_root(const RequestContext& context, const Dependencies& deps, OpenCollection opened,
                                        const std::string& document_id) {
  std::vector<Place> path;
  QUARRY_ASSIGN_OR_RETURN(auto document, find_document(deps, opened, document_id, {}));
  path.push_back({std::move(opened), std::move(document)});
  while (path.size() < kMaxDepth) {
    const Lineage& lineage = path.back().document.lineage;
    if (lineage.source_document_id.empty() || lineage.source_collection_id.empty()) break;
    auto parent_collection = open_collection(context, deps, lineage.source_collection_id);
    if (!parent_collection.ok()) break;  // deleted since
    auto parent = find_document(deps, *parent_collection, lineage.source_document_id, {});
    if (!parent.ok()) break;
    path.push_back({std::move(*parent_collection), std::move(*parent)});
  }
  return path;
}

Result<std::vector<Place>> path_of_request(const RequestContext& context, const Request& request, const Dependencies& deps,
                                           std::string_view collection_parameter) {
  QUARRY_ASSIGN_OR_RETURN(auto opened, open_collection(context, deps, request.param(collection_parameter)));
  QUARRY_RETURN_IF_ERROR(check_readable(opened.collection));
  return path_to_root(context, deps, std::move(opened), request.param("document_id"));
}

json::object step_of(const Place& place) {
  const ExtractorConfig& extractor = place.opened.collection.extractor;
  return {{"collection_id", place.opened.resource.id},
          {"feature_extractor_id", fmt::format("{}_{}", extractor.name, extractor.version)},
          {"document_id", place.document.document_id},
          {"timestamp", format_timestamp(place.document.created_at)}};
}

Result<Reply> get_lineage(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto path, path_of_request(context, request, deps, "collection_id"));
  json::object shown = show_document(context, deps, path.front().opened.collection, path.front().document, {});
  json::object lineage;
  copy_members(lineage, shown,
               {"root_object_id", "root_bucket_id", "source_type", "source_object_id", "source_document_id", "source_collection_id",
                "lineage_path", "processing_tier"});
  json::array chain;
  for (auto place = path.rbegin(); place != path.rend(); ++place) chain.push_back(step_of(*place));
  json::object reply{{"document_id", path.front().document.document_id}, {"collection_id", path.front().opened.resource.id}};
  reply["depth"] = path.size() - 1;
  reply["total_steps"] = chain.size();
  bool broken = !path.back().document.lineage.source_document_id.empty();
  if (broken) reply["message"] = "the chain is incomplete: a source document was deleted";
  lineage["lineage_chain"] = std::move(chain);
  reply["lineage"] = std::move(lineage);
  return Reply(std::move(reply));
}

Result<Reply> get_ancestors(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto path, path_of_request(context, request, deps, "collection_identifier"));
  json::array shown;
  for (size_t i = 1; i < path.size(); ++i) shown.push_back(show_document(context, deps, path[i].opened.collection, path[i].document, {}));
  return Reply(std::move(shown));
}

// Documents made from any of `parents`, in every collection that takes documents of `collection_id`.
Result<std::vector<Place>> children_of(const Dependencies& deps, const std::vector<OpenCollection>& collections,
                                       const std::string& collection_id, const std::vector<std::string>& parents, size_t limit) {
  std::vector<Place> out;
  json::array ids = to_array(parents);
  QUARRY_ASSIGN_OR_RETURN(Filter from, condition("source_document_id", FilterOp::kIn, std::move(ids)));
  for (const auto& opened : collections) {
    const auto& sources = opened.collection.source.collection_ids;
    if (std::find(sources.begin(), sources.end(), collection_id) == sources.end() || out.size() >= limit) continue;
    mvs::ScanRequest scan;
    scan.table_id = opened.collection.table_id();
    scan.filter = from;
    scan.limit = limit - out.size();
    QUARRY_ASSIGN_OR_RETURN(auto found, deps.vectors->scan(scan));
    for (auto& document : found.documents) out.push_back({opened, std::move(document)});
  }
  return out;
}

// Level by level; at most kMaxDocuments in all.
Result<Reply> get_descendants(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto opened, open_collection(context, deps, request.param("collection_identifier")));
  QUARRY_ASSIGN_OR_RETURN(auto document, find_document(deps, opened, request.param("document_id"), {}));
  QUARRY_ASSIGN_OR_RETURN(auto collections, open_collections(context, deps, {}));
  std::map<std::string, std::vector<std::string>> level{{opened.resource.id, {document.document_id}}};
  json::array shown;
  for (size_t depth = 0; depth < kMaxDepth && !level.empty() && shown.size() < kMaxDocuments; ++depth) {
    std::map<std::string, std::vector<std::string>> next;
    for (const auto& [collection_id, parents] : level) {
      QUARRY_ASSIGN_OR_RETURN(auto children, children_of(deps, collections, collection_id, parents, kMaxDocuments - shown.size()));
      for (const auto& child : children) {
        shown.push_back(show_document(context, deps, child.opened.collection, child.document, {}));
        next[child.opened.resource.id].push_back(child.document.document_id);
      }
    }
    level = std::move(next);
  }
  return Reply(std::move(shown));
}

Filter of_object(const std::string& object_id) { return equals("root_object_id", json::value(object_id)); }

Result<Reply> get_documents_of_object(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto object, find_object(context, deps, nullptr, request.param("object_id")));
  QUARRY_ASSIGN_OR_RETURN(auto collections, open_collections(context, deps, strings_member(request.query, "collection_ids")));
  json::array documents;
  json::object by_collection;
  uint64_t total = 0;
  for (const auto& opened : collections) {
    mvs::ScanRequest scan;
    scan.table_id = opened.collection.table_id();
    scan.filter = of_object(object.id);
    scan.limit = kMaxDocuments - documents.size();
    scan.with_total = true;
    QUARRY_ASSIGN_OR_RETURN(auto found, deps.vectors->scan(scan));
    if (found.total.value_or(0) > 0) by_collection[opened.resource.id] = *found.total;
    total += found.total.value_or(0);
    for (const auto& document : found.documents) documents.push_back(show_document(context, deps, opened.collection, document, {}));
  }
  bool truncated = documents.size() < total;
  return Reply(json::object{{"object_id", object.id},
                            {"documents", std::move(documents)},
                            {"total", total},
                            {"by_collection", std::move(by_collection)},
                            {"truncated", truncated}});
}

// ---- decomposition tree ------------------------------------------------------------------------------------------------

// The documents of one object in one collection that came from one source.
struct Branch {
  uint64_t documents = 0;
  int32_t tier = 0;
  json::array document_ids;
};

struct CollectionBranches {
  const OpenCollection* opened = nullptr;
  std::map<std::string, Branch> by_source;  // source collection, empty for the object itself
};

Result<CollectionBranches> read_branches(const Dependencies& deps, const OpenCollection& opened, const std::string& object_id,
                                         bool with_ids) {
  CollectionBranches out{&opened, {}};
  mvs::Projection nothing;
  nothing.payload = false;
  QUARRY_RETURN_IF_ERROR(deps.vectors->for_each(opened.collection.table_id(), of_object(object_id), nothing, [&](const Document& document) {
    Branch& branch = out.by_source[document.lineage.source_collection_id];
    ++branch.documents;
    branch.tier = document.lineage.processing_tier;
    if (with_ids && branch.document_ids.size() < kMaxDocumentIds) branch.document_ids.emplace_back(document.document_id);
    return true;
  }));
  return out;
}

// Lineage is what clients say it is, so the collections may form any graph: what came from a collection hangs under the first of its nodes.
class TreeBuilder {
 public:
  TreeBuilder(const std::vector<CollectionBranches>& all, bool with_ids) : all_(all), with_ids_(with_ids) {}

  json::array nodes_under(const std::string& source, size_t depth = 0) {
    json::array nodes;
    for (const auto& collection : all_) {
      auto branch = collection.by_source.find(source);
      if (branch == collection.by_source.end()) continue;
      if (nodes_ >= kMaxNodes || depth >= kMaxDepth) {
        truncated = true;
        break;
      }
      ++nodes_;
      nodes.push_back(node(*collection.opened, branch->second, depth));
    }
    return nodes;
  }

  bool truncated = false;

 private:
  json::object node(const OpenCollection& opened, const Branch& branch, size_t depth) {
    const std::string& id = opened.resource.id;
    const ExtractorConfig& extractor = opened.collection.extractor;
    json::object node{{"type", "collection"}, {"collection_id", id}, {"collection_name", opened.resource.name}};
    node["feature_extractor_id"] = fmt::format("{}_{}", extractor.name, extractor.version);
    node["processing_tier"] = branch.tier;
    node["document_count"] = branch.documents;
    if (with_ids_) node["document_ids"] = branch.document_ids;
    node["children"] = expanded_.insert(id).second ? nodes_under(id, depth + 1) : json::array();
    return node;
  }

  const std::vector<CollectionBranches>& all_;
  const bool with_ids_;
  std::set<std::string_view> expanded_;
  size_t nodes_ = 0;
};

Result<Reply> get_decomposition_tree(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto object, find_object(context, deps, nullptr, request.param("object_id")));
  QUARRY_ASSIGN_OR_RETURN(auto collections, open_collections(context, deps, {}));
  bool with_ids = bool_member(request.query, "include_document_ids");
  std::vector<CollectionBranches> all;
  uint64_t documents = 0;
  int32_t deepest = 0;
  for (const auto& opened : collections) {
    QUARRY_ASSIGN_OR_RETURN(auto branches, read_branches(deps, opened, object.id, with_ids));
    if (branches.by_source.empty()) continue;
    for (const auto& [source, branch] : branches.by_source) documents += branch.documents, deepest = std::max(deepest, branch.tier);
    all.push_back(std::move(branches));
  }
  TreeBuilder builder(all, with_ids);
  json::object root{{"type", "object"}, {"object_id", object.id}, {"bucket_id", object.parent_id}, {"processing_tier", 0}};
  root["children"] = builder.nodes_under("");
  return Reply(json::object{{"object_id", object.id},
                            {"root_bucket_id", object.parent_id},
                            {"total_documents", documents},
                            {"total_collections", all.size()},
                            {"max_tier", deepest},
                            {"truncated", builder.truncated},
                            {"tree", std::move(root)}});
}

}  // namespace

void bind_lineage(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "get_document_lineage", get_lineage);
  bind_operation(table, deps, "get_document_ancestors", get_ancestors);
  bind_operation(table, deps, "get_document_descendants", get_descendants);
  bind_operation(table, deps, "get_documents_by_object", get_documents_of_object);
  bind_operation(table, deps, "get_decomposition_tree_objects", get_decomposition_tree);
}

}  // namespace quarry::service
