#include "retrieval/result_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "model/vector_json.h"

namespace quarry::retrieval {
namespace {

// What the pipeline keeps for itself in a payload.
constexpr std::string_view kSourceBlobs = "source_blobs";
constexpr std::string_view kInternal = "_internal";

std::string_view blob_type(std::string_view content_type) {
  for (std::string_view type : {"image", "audio", "video", "text"})
    if (content_type.starts_with(type)) return type;
  return content_type == "application/pdf" ? "pdf" : content_type == "application/json" ? "json" : "other";
}

// Only what lies under the namespace's own prefix, whatever a payload says: clients may write payloads.
bool is_own_key(std::string_view key, const RequestContext& request) {
  std::string prefix = fmt::format("{}/{}/", request.internal_id, request.namespace_id);
  return prefix.size() > 2 && key.starts_with(prefix) && key.find("..") == std::string_view::npos;
}

json::object show_blob(const json::object& blob, const Lineage& lineage, const RequestContext& request, const Environment& env,
                       bool presigned_too) {
  std::string key = text_of(blob, "key"), url = text_of(blob, "url"), content_type = text_of(blob, "content_type");
  json::object out{
      {"field", text_of(blob, "property", "content")}, {"role", "source"}, {"type", text_of(blob, "type", blob_type(content_type))}};
  bool wants_signed = presigned_too && env.presign && is_own_key(key, request);
  std::string presigned = wants_signed ? env.presign(request, key) : "";
  if (url.empty()) url = presigned;
  if (url.empty() && env.object_url && !lineage.root_object_id.empty()) url = env.object_url(lineage);
  if (!url.empty()) out["url"] = url;
  for (std::string_view name : {"filename", "content_type", "size_bytes", "checksum", "created_at"})
    if (const json::value* v = blob.if_contains(name); v != nullptr && !v->is_null()) out[name] = *v;
  if (const json::value* id = blob.if_contains("blob_id")) out["source_blob_id"] = *id;
  if (!presigned.empty()) out["presigned_url"] = presigned;
  return out;
}

const json::array* source_blobs(const json::object& payload) {
  const json::value* list = payload.if_contains(kSourceBlobs);
  if (list == nullptr)
    if (const json::value* internal = payload.if_contains(kInternal); internal != nullptr && internal->is_object())
      list = internal->get_object().if_contains(kSourceBlobs);
  return list == nullptr ? nullptr : list->if_array();
}

json::object feature_scores(const Row& row) {
  json::object out;
  for (const FeatureScore& score : row.feature_scores) out[score.feature_uri] = score.score;
  return out;
}

json::object present_row(Row& row, const Execution& execution) {
  json::object out;
  out.reserve(row.document.payload.size() + 16);
  out["document_id"] = row.document.document_id;
  out["collection_id"] = row.collection->collection_id;
  out["score"] = row.score;
  out["_source_tier"] = row.tier;
  write_document_members(row.document, out);
  json::array blobs = show_source_blobs(row.document, execution.request, execution.env, execution.options.return_presigned_urls);
  for (auto& member : row.document.payload) {
    if (member.key() == kSourceBlobs || member.key() == kInternal || is_result_member(member.key())) continue;
    out.emplace(member.key(), std::move(member.value()));
  }
  add_source_url(row.document, execution.env, out);
  if (!blobs.empty()) out["document_blobs"] = std::move(blobs);
  if (row.is_fused) out["_feature_scores"] = feature_scores(row);
  return out;
}

void add_vectors(const std::vector<Row>& rows, const Execution& execution, std::vector<json::object>& out,
                 std::vector<std::string>& warnings) {
  std::map<const Collection*, std::map<std::string_view, size_t>> places;
  for (size_t i = 0; i < rows.size(); ++i) places[rows[i].collection][rows[i].document.document_id] = i;
  mvs::Projection projection{.payload = false, .vectors = true, .vector_names = {}, .fields = {}};
  for (const auto& [collection, by_id] : places) {
    std::vector<std::string> ids;
    for (const auto& [id, index] : by_id) ids.emplace_back(id);
    Result<std::vector<Document>> found = execution.env.vectors->get(collection->table_id(), ids, projection);
    if (!found.ok()) {
      warnings.push_back(fmt::format("Vectors of collection {} could not be read: {}", collection->collection_id, found.error().message));
      continue;
    }
    for (const Document& document : *found) {
      out[by_id.at(document.document_id)]["vectors"] = show_vectors(*collection, document);
    }
  }
}

}  // namespace

json::array show_source_blobs(const Document& document, const RequestContext& request, const Environment& env, bool presigned) {
  json::array out;
  if (const json::array* blobs = source_blobs(document.payload))
    for (const json::value& blob : *blobs)
      if (blob.is_object()) out.push_back(show_blob(blob.get_object(), document.lineage, request, env, presigned));
  return out;
}

void add_source_url(const Document& document, const Environment& env, json::object& shown) {
  json::value* source = shown.if_contains("source");
  if (source == nullptr || !source->is_object() || source->get_object().contains("url")) return;
  if (env.object_url && !document.lineage.root_object_id.empty()) source->get_object()["url"] = env.object_url(document.lineage);
}

std::vector<json::object> present(std::vector<Row> rows, const Execution& execution, std::vector<std::string>& warnings) {
  std::vector<json::object> out;
  out.reserve(rows.size());
  for (Row& row : rows) out.push_back(present_row(row, execution));
  if (execution.options.return_vectors) add_vectors(rows, execution, out, warnings);
  return out;
}

}  // namespace quarry::retrieval
