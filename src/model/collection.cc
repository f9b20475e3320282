#include "model/collection.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "model/feature_uri.h"

namespace quarry {
namespace {

constexpr size_t kMaxMappings = 1'000;
constexpr std::pair<LifecycleState, std::string_view> kLifecycleNames[] = {{LifecycleState::kActive, "active"},
                                                                           {LifecycleState::kCold, "cold"},
                                                                           {LifecycleState::kArchived, "archived"},
                                                                           {LifecycleState::kFrozen, "frozen"}};

// The member, or null when it is absent or a JSON null.
const json::value* member(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

const json::value* member_of(const json::object& object, std::initializer_list<std::string_view> names) {
  for (std::string_view name : names)
    if (const json::value* value = member(object, name)) return value;
  return nullptr;
}

std::string text_of(const json::value* value) {
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::vector<std::string> texts_of(const json::value* value) {
  std::vector<std::string> out;
  if (value == nullptr || !value->is_array()) return out;
  for (const json::value& item : value->get_array())
    if (item.is_string()) out.emplace_back(item.get_string());
  return out;
}

Error bad_config(std::string_view where, std::string message) {
  return validation_error("value_error", {"body", "feature_extractor", where}, fmt::format("feature_extractor.{}: {}", where, message));
}

// "content", or an object that names the path.
std::string mapped_path(const json::value& value) {
  if (const json::object* object = value.if_object()) return text_of(member_of(*object, {"path", "source_path", "source", "field"}));
  return text_of(&value);
}

Status read_mapping(std::string_view input, const json::value& path, ExtractorConfig& out) {
  std::string property = mapped_path(path);
  if (input.empty() || property.empty()) return bad_config("input_mappings", "each entry maps an input's name to a property's name");
  out.input_mappings[std::string(input)] = std::move(property);
  return Ok{};
}

Status read_mappings(const json::value& source, ExtractorConfig& out) {
  size_t size = source.is_object() ? source.get_object().size() : source.is_array() ? source.get_array().size() : kMaxMappings + 1;
  if (size > kMaxMappings)
    return bad_config("input_mappings", fmt::format("must be an object or a list of at most {} entries", kMaxMappings));
  if (const json::object* object = source.if_object()) {
    for (const auto& entry : *object) QUARRY_RETURN_IF_ERROR(read_mapping(entry.key(), entry.value(), out));
    return Ok{};
  }
  for (const json::value& entry : source.get_array()) {
    if (!entry.is_object()) return bad_config("input_mappings", "each entry of the list must be an object {input_key, path}");
    std::string input = text_of(member_of(entry.get_object(), {"input_key", "target_input", "input", "target"}));
    QUARRY_RETURN_IF_ERROR(read_mapping(input, entry, out));
  }
  return Ok{};
}

Status read_passthrough(const json::value& source, ExtractorConfig& out) {
  const json::array* list = source.if_array();
  if (list == nullptr || list->size() > kMaxMappings)
    return bad_config("field_passthrough", fmt::format("must be a list of at most {} entries", kMaxMappings));
  for (const json::value& entry : *list) {
    FieldPassthrough field;
    if (const json::object* object = entry.if_object()) {
      field.source_path = text_of(member(*object, "source_path"));
      field.target_path = text_of(member(*object, "target_path"));
      if (const json::value* fallback = member(*object, "default")) field.default_value = *fallback;
      if (const json::value* required = member(*object, "required")) field.required = required->is_bool() && required->get_bool();
    } else {
      field.source_path = text_of(&entry);
    }
    if (field.source_path.empty()) return bad_config("field_passthrough", "each entry needs a source_path");
    out.field_passthrough.push_back(std::move(field));
  }
  return Ok{};
}

Error not_a_collection(const json::object& body, std::string_view what) {
  return internal_error(fmt::format("collection {}: its stored body has {}", text_of(member(body, "collection_id")), what));
}

Result<CollectionSource> parse_source(const json::object& body) {
  CollectionSource out;
  const json::value* value = member(body, "source");
  const json::object* source = value == nullptr ? nullptr : value->if_object();
  if (source == nullptr) return not_a_collection(body, "no source");
  out.type = text_of(member(*source, "type"));
  if (out.type == "direct_upsert") out.type = "none";
  out.bucket_ids = texts_of(member(*source, "bucket_ids"));
  out.collection_ids = texts_of(member(*source, "collection_ids"));
  std::string single = text_of(member(*source, "collection_id"));
  if (!single.empty() && std::find(out.collection_ids.begin(), out.collection_ids.end(), single) == out.collection_ids.end())
    out.collection_ids.push_back(single);
  const json::value* filters = member(*source, "source_filters");
  if (filters == nullptr) return out;
  const json::object* wrapper = filters->if_object();
  const json::value* inner = wrapper == nullptr ? nullptr : wrapper->if_contains("filters");
  QUARRY_ASSIGN_OR_RETURN(out.filter, parse_filter(inner == nullptr ? *filters : *inner));
  return out;
}

Result<CollectionVector> parse_vector(const json::object& body, const json::value& entry) {
  const json::object* object = entry.if_object();
  const json::value* index_value = object == nullptr ? nullptr : member(*object, "index");
  const json::object* index = index_value == nullptr ? nullptr : index_value->if_object();
  const json::value* dimensions = index == nullptr ? nullptr : member_of(*index, {"dimensions", "dimension"});
  CollectionVector out;
  if (dimensions != nullptr) {
    boost::system::error_code failed;
    out.dimension = dimensions->to_number<uint32_t>(failed);
    if (failed) out.dimension = 0;
  }
  if (index != nullptr) {
    out.name = text_of(member(*object, "name"));
    out.feature_uri = text_of(member(*object, "feature_uri"));
    if (std::string type = text_of(member(*object, "type")); !type.empty()) out.type = std::move(type);
    if (std::string metric = text_of(member_of(*index, {"distance", "metric"})); !metric.empty()) out.metric = std::move(metric);
  }
  if ((out.dimension == 0) != (out.type == "sparse") || out.name.empty())
    return not_a_collection(body, "a vector index without name or dimensions");
  return out;
}

Status read_vectors(const json::object& body, Collection& out) {
  const json::value* list = member(body, "vector_indexes");
  if (list == nullptr) return Ok{};
  if (!list->is_array()) return not_a_collection(body, "vector_indexes that are no list");
  for (const json::value& entry : list->get_array()) {
    QUARRY_ASSIGN_OR_RETURN(CollectionVector vector, parse_vector(body, entry));
    out.vectors.push_back(std::move(vector));
  }
  return Ok{};
}

// What the server keeps of where the documents are, beside the lifecycle that it shows (docs/formats/catalog.md).
const json::value* storage_member(const json::object& body, std::string_view name) {
  const json::value* internal = member(body, "_internal");
  const json::value* storage = internal != nullptr && internal->is_object() ? member(internal->get_object(), "storage") : nullptr;
  return storage != nullptr && storage->is_object() ? member(storage->get_object(), name) : nullptr;
}

Status read_state(const json::object& body, Collection& out) {
  if (const json::value* schema = member(body, "output_schema")) {
    QUARRY_ASSIGN_OR_RETURN(out.output_schema, parse_schema(*schema));
  }
  if (const json::value* language = member(body, "text_language"))
    out.text_language = text_of(language);
  else if (const json::value* of_extractor = member(out.extractor.parameters, "language"))
    out.text_language = text_of(of_extractor);
  out.payload_indexes = read_payload_indexes(body);
  if (const json::value* state = member(body, "lifecycle_state")) {
    QUARRY_ASSIGN_OR_RETURN(out.lifecycle, parse_lifecycle_state(text_of(state)));
  }
  out.transitioned_at = text_of(member(body, "last_transitioned_at"));
  out.restored_by = text_of(storage_member(body, "restored_by"));
  const bool was_cold = text_of(storage_member(body, "tier")) == "cold";
  out.is_cold = out.lifecycle == LifecycleState::kCold || (out.lifecycle == LifecycleState::kFrozen && was_cold);
  out.tiering = read_tiering_rules(body);
  out.archive_announced = storage_member(body, "archive_notice") != nullptr;
  if (const json::value* enabled = member(body, "enabled")) out.enabled = !enabled->is_bool() || enabled->get_bool();
  return Ok{};
}

Status read_body(const json::object& body, Collection& out) {
  QUARRY_ASSIGN_OR_RETURN(out.source, parse_source(body));
  const json::value* extractor = member(body, "feature_extractor");
  if (extractor == nullptr || !extractor->is_object()) return not_a_collection(body, "no feature_extractor");
  QUARRY_ASSIGN_OR_RETURN(out.extractor, parse_extractor_config(extractor->get_object()));
  QUARRY_RETURN_IF_ERROR(read_vectors(body, out));
  return read_state(body, out);
}

}  // namespace

std::string_view to_string(LifecycleState state) {
  for (const auto& [value, name] : kLifecycleNames)
    if (value == state) return name;
  return "active";
}

Result<LifecycleState> parse_lifecycle_state(std::string_view name) {
  for (const auto& [value, text] : kLifecycleNames)
    if (text == name) return value;
  return bad_request(fmt::format("'{}' is no lifecycle state; there are active, cold, archived and frozen", name.substr(0, 100)));
}

json::object CollectionVector::to_json() const {
  json::object index{{"distance", metric}};
  if (type != "sparse") index["dimensions"] = dimension;
  return {{"name", name}, {"feature_uri", feature_uri}, {"type", type}, {"index", std::move(index)}};
}

std::string Collection::table_id() const { return restored_by.empty() ? collection_id : collection_id + "@" + restored_by; }

const CollectionVector* Collection::find_vector(std::string_view feature_uri) const {
  for (const CollectionVector& vector : vectors)
    if (vector.name == feature_uri) return &vector;
  auto wanted = parse_feature_uri(feature_uri);
  if (!wanted.ok()) return nullptr;
  const std::string canonical = wanted->to_string();
  const CollectionVector* first_of_extractor = nullptr;
  for (const CollectionVector& vector : vectors) {
    auto uri = parse_feature_uri(vector.feature_uri);
    if (!uri.ok()) continue;
    if (uri->to_string() == canonical) return &vector;
    if (first_of_extractor == nullptr && uri->extractor == wanted->extractor && uri->version == wanted->version)
      first_of_extractor = &vector;
  }
  return wanted->output == "embedding" ? first_of_extractor : nullptr;
}

Result<ExtractorConfig> parse_extractor_config(const json::object& source) {
  ExtractorConfig out;
  std::string name = text_of(member(source, "feature_extractor_name"));
  if (name.empty()) return bad_config("feature_extractor_name", "must name an extractor");
  ExtractorName normal = normalize_extractor(name, text_of(member(source, "version")));
  out.name = std::move(normal.name), out.version = std::move(normal.version);
  if (const json::value* parameters = member_of(source, {"parameters", "params"})) {
    if (!parameters->is_object()) return bad_config("parameters", "must be an object");
    out.parameters = parameters->get_object();
  }
  if (const json::value* mappings = member(source, "input_mappings")) QUARRY_RETURN_IF_ERROR(read_mappings(*mappings, out));
  if (const json::value* fields = member(source, "field_passthrough")) QUARRY_RETURN_IF_ERROR(read_passthrough(*fields, out));
  const json::value* all = member(source, "include_all_source_fields");
  out.include_all_source_fields =
      all != nullptr ? all->is_bool() && all->get_bool() : out.name == "passthrough_extractor" && out.field_passthrough.empty();
  return out;
}

Result<Collection> parse_collection(const json::object& body, std::string_view organization_id, std::string_view namespace_id) {
  Collection out;
  out.collection_id = text_of(member(body, "collection_id"));
  out.name = text_of(member(body, "collection_name"));
  out.organization_id = organization_id;
  out.namespace_id = namespace_id;
  if (out.collection_id.empty()) return not_a_collection(body, "no collection_id");
  Status read = read_body(body, out);
  if (read.ok()) return out;
  if (read.error().kind == ErrorKind::kInternal) return std::move(read).error();
  return not_a_collection(body, fmt::format("a fault: {}", read.error().message));
}

}  // namespace quarry
