// Documents as replies show them.
#include <fmt/format.h>

#include <array>
#include <set>

#include "model/lineage_texts.h"
#include "model/vector_json.h"
#include "service/documents.h"
#include "service/json_access.h"
#include "service/resources.h"
#include "service/retrieval_environment.h"

namespace quarry::service {
namespace {

constexpr std::array<std::string_view, 10> kOwnMembers{"document_id", "collection_id", "internal_id",  "processing_tier", "created_at",
                                                       "updated_at",  "_internal",     "_source_tier", "document_blobs",  "source_blobs"};

void add_vectors(const Collection& collection, const Document& document, bool names_only, json::object& shown) {
  if (!names_only) {
    shown["vectors"] = show_vectors(collection, document);
    return;
  }
  const auto names = vector_names(document);
  shown["vector_names"] = json::array(names.begin(), names.end());
}

json::object lineage_json(const Document& document) {
  json::object out;
  for (const auto& m : kLineageTexts)
    if (!(document.lineage.*m.member).empty()) out[m.name == "lineage_path" ? "path" : m.name] = document.lineage.*m.member;
  return out;
}

void set_path(json::object& to, std::string_view path, const json::value& value) {
  json::object* level = &to;
  for (size_t dot; (dot = path.find('.')) != std::string_view::npos; path.remove_prefix(dot + 1)) {
    json::value& next = (*level)[path.substr(0, dot)];
    if (!next.is_object()) next = json::object{};
    level = &next.get_object();
  }
  (*level)[path] = value;
}

json::object selected(const json::object& shown, const std::vector<std::string>& select) {
  json::object out;
  copy_members(out, shown, {"document_id", "collection_id"});
  for (const auto& path : select)
    if (const json::value* value = find_path(shown, path)) set_path(out, path, *value);
  copy_members(out, shown, {"vectors", "vector_names"});
  return out;
}

std::vector<std::string> split_names(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    size_t comma = text.find(',');
    if (comma != 0) out.emplace_back(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return out;
}

void read_vector_names(const json::value& value, ViewOptions& view) {
  if (value.is_bool()) view.vector_names_only = value.get_bool();
  if (value.is_array()) view.vector_names = strings_of(&value.get_array());
  if (value.is_string()) {
    std::string_view text = value.get_string();
    if (text == "true" || text == "false")
      view.vector_names_only = text == "true";
    else
      view.vector_names = split_names(text);
  }
}

}  // namespace

Result<ViewOptions> read_view_options(const json::object& body, const json::object& query) {
  ViewOptions view;
  auto flag = [&](std::string_view name) { return bool_member(body, name, bool_member(query, name)); };
  view.presigned_urls = flag("return_presigned_urls");
  view.vectors = flag("return_vectors");
  const json::value* names = body.if_contains("return_vector_names");
  if (!names) names = query.if_contains("return_vector_names");
  if (names) read_vector_names(*names, view);
  if (!view.vector_names.empty()) view.vectors = true;
  if (view.vectors) view.vector_names_only = false;
  view.select = strings_member(body, "select");
  const json::array* expand = array_member(body, "expand");
  if ((expand && !expand->empty()) || !string_member(query, "expand").empty())
    return Error{ErrorKind::kNotImplemented, "'expand' is not built yet"};
  return view;
}

mvs::Projection projection_of(const ViewOptions& view, const std::vector<std::string>& more_fields) {
  mvs::Projection projection;
  projection.vectors = view.vectors || view.vector_names_only;
  projection.vector_names = view.vector_names;
  if (view.select.empty()) return projection;
  std::set<std::string> fields{"source", "source_blobs"};
  for (const auto* paths : {&view.select, &more_fields})
    for (const auto& path : *paths) {
      fields.insert(path);  // a member whose name holds dots
      fields.insert(path.substr(0, path.find('.')));
    }
  projection.fields.assign(fields.begin(), fields.end());
  return projection;
}

json::object show_document(const RequestContext& context, const Dependencies& deps, const Collection& collection, const Document& document,
                           const ViewOptions& view) {
  json::object shown;
  shown.reserve(document.payload.size() + 16);
  shown["document_id"] = document.document_id;
  shown["collection_id"] = collection.collection_id;
  for (const auto& member : document.payload)
    if (!is_reserved_member(member.key())) shown[member.key()] = member.value();
  for (const auto& m : kLineageTexts)
    if (!(document.lineage.*m.member).empty()) shown[m.name] = document.lineage.*m.member;
  shown["processing_tier"] = document.lineage.processing_tier;
  shown["created_at"] = format_timestamp(document.created_at);
  shown["updated_at"] = format_timestamp(document.updated_at);
  const retrieval::Environment env = retrieval_environment(deps);
  retrieval::add_source_url(document, env, shown);
  if (json::array blobs = retrieval::show_source_blobs(document, context, env, view.presigned_urls); !blobs.empty())
    shown["document_blobs"] = std::move(blobs);
  shown["_internal"] = json::object{{"namespace_id", context.namespace_id},      {"document_id", document.document_id},
                                    {"collection_id", collection.collection_id}, {"created_at", shown["created_at"]},
                                    {"updated_at", shown["updated_at"]},         {"lineage", lineage_json(document)}};
  if (view.vectors || view.vector_names_only) add_vectors(collection, document, view.vector_names_only, shown);
  return view.select.empty() ? shown : selected(shown, view.select);
}

bool is_reserved_member(std::string_view name) {
  return std::find(kOwnMembers.begin(), kOwnMembers.end(), name) != kOwnMembers.end() ||
         std::any_of(kLineageTexts.begin(), kLineageTexts.end(), [&](const auto& m) { return m.name == name; });
}

Status check_reserved(const json::object& changes, const json::object* current) {
  for (const auto& member : changes) {
    std::string_view name = member.key();
    std::string_view top = name.substr(0, name.find('.'));
    if (!is_reserved_member(top)) continue;
    const json::value* now = current ? current->if_contains(name) : nullptr;
    if (now && *now == member.value()) continue;
    return validation_error("reserved_field", {"body", name}, fmt::format("'{}' is kept by the system and cannot be written", name));
  }
  return Ok{};
}

}  // namespace quarry::service
