// One document of a collection: create, read, change, delete.
#include "service/documents.h"

#include <fmt/format.h>

#include "model/ids.h"
#include "service/binding.h"
#include "service/json_access.h"
#include "service/payload_indexes.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

Result<OpenCollection> opened_for(const RequestContext& context, const Request& request, const Dependencies& deps, bool to_write) {
  const std::string_view identifier = request.param("collection_identifier");
  if (to_write) return open_to_write(context, deps, identifier);
  QUARRY_ASSIGN_OR_RETURN(auto opened, open_collection(context, deps, identifier));
  QUARRY_RETURN_IF_ERROR(check_readable(opened.collection));
  note_query(deps, opened.collection);
  return opened;
}

Lineage read_lineage(const json::object& body, const Collection& collection) {
  Lineage lineage;
  lineage.root_object_id = string_member(body, "root_object_id");
  lineage.root_bucket_id = string_member(body, "root_bucket_id");
  lineage.source_type = string_member(body, "source_type", "direct_upsert");
  lineage.source_object_id = string_member(body, "source_object_id");
  lineage.source_collection_id = string_member(body, "source_collection_id");
  lineage.source_document_id = string_member(body, "source_document_id");
  lineage.lineage_path = string_member(body, "lineage_path", collection.collection_id);
  return lineage;
}

// `features` is the older way to send payload and vectors, grouped by the extractor that made them.
Status add_features(const json::array& features, const Collection& collection, Document& document) {
  for (const auto& entry : features) {
    const json::object* feature = entry.if_object();
    if (!feature) continue;
    if (const json::object* payload = object_member(*feature, "payload")) {
      QUARRY_RETURN_IF_ERROR(check_reserved(*payload, nullptr));
      for (const auto& member : *payload) document.payload[member.key()] = member.value();
    }
    const json::object* vectors = object_member(*feature, "vectors");
    if (!vectors) continue;
    QUARRY_ASSIGN_OR_RETURN(auto parsed, parse_vectors(collection, *vectors));
    parsed.move_into(document);
  }
  return Ok{};
}

Result<Document> read_new_document(const RequestContext& context, const OpenCollection& opened, const json::object& body) {
  Document document;
  document.document_id = string_member(body, "document_id");
  if (document.document_id.empty()) document.document_id = new_id("doc");
  if (!is_safe_name(document.document_id))
    return validation_error("value_error", {"body", "document_id"}, "document_id must be a plain name without '/' or control characters");
  if (auto other = string_member(body, "collection_id"); !other.empty() && other != opened.resource.id && other != opened.resource.name)
    return bad_request(fmt::format("the body names collection '{}', the path '{}'", other, opened.resource.id));
  document.lineage = read_lineage(body, opened.collection);
  document.created_at = document.updated_at = context.clock->now_us();
  for (const auto& member : body)
    if (!is_reserved_member(member.key()) && member.key() != "vectors" && member.key() != "features")
      document.payload[member.key()] = member.value();
  if (const json::object* vectors = object_member(body, "vectors")) {
    QUARRY_ASSIGN_OR_RETURN(auto parsed, parse_vectors(opened.collection, *vectors));
    parsed.move_into(document);
  }
  if (const json::array* features = array_member(body, "features"))
    QUARRY_RETURN_IF_ERROR(add_features(*features, opened.collection, document));
  return document;
}

Result<Reply> create_document(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto opened, opened_for(context, request, deps, true));
  QUARRY_ASSIGN_OR_RETURN(auto document, read_new_document(context, opened, request.object()));
  const std::string id = document.document_id;
  json::object shown = show_document(context, deps, opened.collection, document, {});
  mvs::WriteBatch batch;
  batch.upserts.push_back(std::move(document));
  batch.must_be_absent.push_back(id);
  auto written = deps.vectors->write(opened.collection.table_id(), std::move(batch));
  if (!written.ok() && written.error().kind == ErrorKind::kAlreadyExists)
    return already_exists(fmt::format("collection '{}' has a document '{}' already", opened.collection.name, id));
  QUARRY_RETURN_IF_ERROR(written);
  return Reply(std::move(shown));
}

Result<Reply> get_document(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto opened, opened_for(context, request, deps, false));
  QUARRY_ASSIGN_OR_RETURN(auto view, read_view_options({}, request.query));
  QUARRY_ASSIGN_OR_RETURN(auto document, find_document(deps, opened, request.param("document_id"), projection_of(view)));
  return Reply(show_document(context, deps, opened.collection, document, view));
}

Result<Reply> patch_document(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto opened, opened_for(context, request, deps, true));
  QUARRY_ASSIGN_OR_RETURN(json::object shown,
                          change_document(context, deps, opened, request.param("document_id"), request.object(), false));
  return Reply(std::move(shown));
}

Result<Reply> put_document(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto opened, opened_for(context, request, deps, true));
  QUARRY_ASSIGN_OR_RETURN(json::object shown, change_document(context, deps, opened, request.param("document_id"), request.object(), true));
  return Reply(std::move(shown));
}

Result<Reply> delete_document(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto opened, opened_for(context, request, deps, true));
  mvs::WriteBatch batch;
  batch.deletes.push_back(request.param("document_id"));
  QUARRY_ASSIGN_OR_RETURN(auto written, deps.vectors->write(opened.collection.table_id(), std::move(batch)));
  if (!written.missing.empty())
    return not_found(fmt::format("document '{}' does not exist in collection '{}'", request.param("document_id"), opened.collection.name));
  return Reply(json::object{{"success", true}, {"message", fmt::format("document '{}' was deleted", request.param("document_id"))}});
}

}  // namespace

Result<Document> find_document(const Dependencies& deps, const OpenCollection& opened, const std::string& document_id,
                               const mvs::Projection& projection) {
  QUARRY_ASSIGN_OR_RETURN(auto found, deps.vectors->get(opened.collection.table_id(), {document_id}, projection));
  if (found.empty()) return not_found(fmt::format("document '{}' does not exist in collection '{}'", document_id, opened.collection.name));
  return std::move(found.front());
}

Result<FoundDocument> find_document_anywhere(const RequestContext& context, const Dependencies& deps, const std::string& document_id,
                                             const mvs::Projection& projection) {
  QUARRY_ASSIGN_OR_RETURN(auto collections, open_collections(context, deps, {}));
  for (auto& opened : collections) {
    QUARRY_ASSIGN_OR_RETURN(auto found, deps.vectors->get(opened.collection.table_id(), {document_id}, projection));
    if (!found.empty()) return FoundDocument{std::move(opened), std::move(found.front())};
  }
  return not_found(fmt::format("document '{}' does not exist in this namespace", document_id));
}

Result<mvs::DocumentPatch> make_patch(const Collection& collection, std::string document_id, const json::object& changes) {
  mvs::DocumentPatch patch;
  patch.document_id = std::move(document_id);
  for (const auto& member : changes) {
    std::string_view name = member.key();
    if (is_reserved_member(name.substr(0, name.find('.')))) continue;  // equal to what is there: checked before
    if (name == "vectors") {
      if (!member.value().is_object())
        return validation_error("type_error", {"body", "vectors"}, "vectors is an object of vectors by name");
      QUARRY_ASSIGN_OR_RETURN(auto parsed, parse_vectors(collection, member.value().get_object()));
      parsed.move_into(patch);
    } else if (member.value().is_null()) {
      patch.unset.emplace_back(name);
    } else {
      patch.set[name] = member.value();
    }
  }
  return patch;
}

Result<json::object> change_document(const RequestContext& context, const Dependencies& deps, const OpenCollection& opened,
                                     const std::string& document_id, const json::object& changes, bool replace) {
  QUARRY_ASSIGN_OR_RETURN(auto before, find_document(deps, opened, document_id, {}));
  json::object current = show_document(context, deps, opened.collection, before, {});
  QUARRY_RETURN_IF_ERROR(check_reserved(changes, &current));
  QUARRY_ASSIGN_OR_RETURN(auto patch, make_patch(opened.collection, document_id, changes));
  if (replace) {
    patch.replace_payload = true;
    patch.unset.clear();
    if (const json::value* blobs = before.payload.if_contains("source_blobs"))
      patch.set["source_blobs"] = *blobs;  // what it came from stays
  }
  mvs::WriteBatch batch;
  batch.patches.push_back(std::move(patch));
  QUARRY_ASSIGN_OR_RETURN(auto written, deps.vectors->write(opened.collection.table_id(), std::move(batch)));
  if (!written.missing.empty())
    return not_found(fmt::format("document '{}' does not exist in collection '{}'", document_id, opened.collection.name));
  QUARRY_ASSIGN_OR_RETURN(auto after, find_document(deps, opened, document_id, {}));
  return show_document(context, deps, opened.collection, after, {});
}

Filter settle_collection_id(Filter filter, const Collection& collection) {
  if (filter.kind == Filter::Kind::kCondition) {
    if (filter.field != "collection_id") return filter;
    json::value own(collection.collection_id);
    Filter settled;
    if (matches_condition(filter, &own)) return settled;  // an AND of nothing: everything
    Filter nothing;
    nothing.kind = Filter::Kind::kNot;
    nothing.children.push_back(std::move(settled));
    return nothing;
  }
  for (auto& child : filter.children) child = settle_collection_id(std::move(child), collection);
  return filter;
}

void bind_documents(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "create_document", create_document);
  bind_operation(table, deps, "get_document", get_document);
  bind_operation(table, deps, "patch_document", patch_document);
  bind_operation(table, deps, "update_document", put_document);
  bind_operation(table, deps, "delete_document", delete_document);
  bind_document_lists(table, deps);
  bind_document_bulk(table, deps);
  bind_document_analytics(table, deps);
  bind_namespace_documents(table, deps);
}

}  // namespace quarry::service
