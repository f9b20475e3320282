// Which extractors there are, and how a source's fields pass into documents.
#include <fmt/format.h>

#include "extract/extract.h"
#include "extract/extractors/passthrough_extractor.h"
#include "extract/extractors/text_extractor.h"
#include "model/feature_uri.h"
#include "model/filter.h"

namespace quarry::extract {
namespace {

constexpr std::string_view kPayloadPrefix = "payload.";
constexpr int kMaxDepth = 16;

const json::value* find_source(const json::object& fields, std::string_view path) {
  const json::value* found = find_path(fields, path);
  if (found == nullptr && path.starts_with(kPayloadPrefix)) found = find_path(fields, path.substr(kPayloadPrefix.size()));
  return found;
}

// "a.b.c" makes objects on the way; where something else stands, the rest of the path is a key of its own.
void set_path(json::object& target, std::string_view path, json::value value, int depth = 0) {
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == path.size() || depth >= kMaxDepth) {
    target[path] = std::move(value);
    return;
  }
  json::value& inner = target.emplace(path.substr(0, dot), json::object()).first->value();
  if (!inner.is_object()) {
    target[path] = std::move(value);
    return;
  }
  set_path(inner.get_object(), path.substr(dot + 1), std::move(value), depth + 1);
}

bool drops_metadata(const ExtractorConfig& config) {
  const json::value* preserve = config.parameters.if_contains("preserve_metadata");
  return config.name == passthrough_extractor().name() && preserve != nullptr && preserve->is_bool() && !preserve->get_bool();
}

}  // namespace

std::vector<const Extractor*> list_extractors() { return {&passthrough_extractor(), &text_extractor()}; }

Result<const Extractor*> find_extractor(std::string_view name, std::string_view version) {
  const ExtractorName wanted = normalize_extractor(name, version);
  json::array known;
  std::string names;
  for (const Extractor* extractor : list_extractors()) {
    if (extractor->name() == wanted.name && extractor->version() == wanted.version) return extractor;
    known.emplace_back(fmt::format("{}@{}", extractor->name(), extractor->version()));
    names += fmt::format("{}{}@{}", names.empty() ? "" : ", ", extractor->name(), extractor->version());
  }
  return bad_request(
      fmt::format("extractor '{}@{}' is not known; there are {}", wanted.name.substr(0, 200), wanted.version.substr(0, 50), names),
      {{"known_extractors", std::move(known)}});
}

json::object passthrough_fields(const ExtractorConfig& config, const json::object& source_fields) {
  json::object out;
  if (config.include_all_source_fields) out = source_fields;
  if (drops_metadata(config)) out.erase("metadata");
  for (const FieldPassthrough& field : config.field_passthrough) {
    const json::value* value = find_source(source_fields, field.source_path);
    if (value == nullptr && !field.default_value.is_null()) value = &field.default_value;
    if (value != nullptr) set_path(out, field.target_path.empty() ? field.source_path : field.target_path, *value);
  }
  return out;
}

Status check_required_fields(const ExtractorConfig& config, const json::object& source_fields) {
  for (const FieldPassthrough& field : config.field_passthrough) {
    if (!field.required || !field.default_value.is_null()) continue;
    const json::value* value = find_source(source_fields, field.source_path);
    if (value == nullptr || value->is_null())
      return bad_request(fmt::format("the source lacks the field '{}', which field_passthrough requires", field.source_path));
  }
  return Ok{};
}

}  // namespace quarry::extract
