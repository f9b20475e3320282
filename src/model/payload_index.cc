#include "model/payload_index.h"

namespace quarry {
namespace {

constexpr std::pair<std::string_view, FieldType> kTypes[] = {
    {"keyword", FieldType::kString}, {"uuid", FieldType::kString},  {"text", FieldType::kText},         {"integer", FieldType::kInteger},
    {"float", FieldType::kFloat},    {"bool", FieldType::kBoolean}, {"datetime", FieldType::kDatetime},
};

std::string_view text_of(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

}  // namespace

std::optional<PayloadIndex> read_payload_index(const json::value& entry) {
  const json::object* object = entry.if_object();
  if (object == nullptr || text_of(*object, "field_name").empty()) return std::nullopt;
  for (const auto& [name, type] : kTypes)
    if (name == text_of(*object, "type")) return PayloadIndex{std::string(text_of(*object, "field_name")), type};
  return std::nullopt;
}

std::vector<PayloadIndex> read_payload_indexes(const json::object& body) {
  std::vector<PayloadIndex> out;
  const json::value* list = body.if_contains("payload_indexes");
  if (list == nullptr || !list->is_array()) return out;
  for (const json::value& entry : list->get_array())
    if (auto index = read_payload_index(entry)) out.push_back(std::move(*index));
  return out;
}

}  // namespace quarry
