#include "http/schema.h"

#include <algorithm>
#include <cmath>

namespace quarry::http {
namespace {

constexpr size_t kMaxDepth = 64;

Error unknown_construct(std::string_view what) { return internal_error("api/openapi.json: a schema uses " + std::string(what)); }

Result<uint8_t> parse_type(std::string_view name) {
  constexpr std::pair<std::string_view, uint8_t> known[] = {
      {"null", kNullType},     {"boolean", kBoolType}, {"integer", kIntegerType}, {"number", kIntegerType | kNumberType},
      {"string", kStringType}, {"array", kArrayType},  {"object", kObjectType}};
  for (auto& [text, bits] : known)
    if (text == name) return bits;
  return unknown_construct("the type " + std::string(name));
}

Result<uint8_t> parse_types(const json::value& type) {
  if (type.is_string()) return parse_type(type.get_string());
  if (!type.is_array()) return unknown_construct("a type that is neither a name nor a list of names");
  uint8_t bits = 0;
  for (const json::value& name : type.get_array()) {
    if (!name.is_string()) return unknown_construct("a type list with something else than names");
    QUARRY_ASSIGN_OR_RETURN(uint8_t bit, parse_type(name.get_string()));
    bits |= bit;
  }
  return bits;
}

void read_number(const json::object& node, std::string_view key, double& out) {
  if (const json::value* v = node.if_contains(key); v != nullptr && v->is_number()) out = v->to_number<double>();
}

void read_size(const json::object& node, std::string_view key, size_t& out) {
  if (const json::value* v = node.if_contains(key); v != nullptr && v->is_int64() && v->get_int64() >= 0)
    out = static_cast<size_t>(v->get_int64());
}

// False for alternatives that lead back to themselves with no object or array between.
bool alternatives_end(const Schema& schema, size_t depth) {
  if (depth > kMaxDepth) return false;
  for (const Schema* branch : schema.any_of)
    if (!alternatives_end(*branch, depth + 1)) return false;
  return true;
}

bool is_required(const json::object& node, std::string_view name) {
  const json::value* required = node.if_contains("required");
  if (required == nullptr || !required->is_array()) return false;
  for (const json::value& item : required->get_array())
    if (item.is_string() && item.get_string() == name) return true;
  return false;
}

}  // namespace

bool Schema::plain_number() const {
  return types == (kIntegerType | kNumberType) && enum_values == nullptr && any_of.empty() && std::isinf(minimum) && std::isinf(maximum);
}

size_t Schema::find(std::string_view member) const {
  auto by_name = [](const auto& entry, std::string_view name) { return entry.name < name; };
  auto property = std::lower_bound(properties.begin(), properties.end(), member, by_name);
  if (property != properties.end() && property->name == member) return static_cast<size_t>(property - properties.begin());
  auto alias = std::lower_bound(aliases.begin(), aliases.end(), member, by_name);
  if (alias != aliases.end() && alias->name == member) return alias->property;
  return SIZE_MAX;
}

Result<const Schema*> SchemaSet::compile(const json::value& node) {
  std::lock_guard lock(mutex_);
  size_t before = arena_.size();
  QUARRY_ASSIGN_OR_RETURN(Schema * schema, compile_locked(node, 0));
  for (size_t i = before; i < arena_.size(); ++i)
    if (!alternatives_end(arena_[i], 0)) return unknown_construct("alternatives that lead back to themselves");
  return static_cast<const Schema*>(schema);
}

size_t SchemaSet::size() const {
  std::lock_guard lock(mutex_);
  return arena_.size();
}

Result<const json::value*> SchemaSet::resolve(std::string_view reference) const {
  constexpr std::string_view prefix = "#/components/schemas/";
  if (!reference.starts_with(prefix)) return unknown_construct("the reference " + std::string(reference));
  const json::value* target = nullptr;
  if (const json::value* components = document_.as_object().if_contains("components"))
    if (const json::value* schemas = components->as_object().if_contains("schemas"))
      target = schemas->as_object().if_contains(reference.substr(prefix.size()));
  if (target == nullptr) return unknown_construct("the unknown reference " + std::string(reference));
  return target;
}

Result<Schema*> SchemaSet::compile_locked(const json::value& node, size_t depth) {
  if (depth > kMaxDepth) return unknown_construct("references that go round without an object between");
  if (!node.is_object()) return unknown_construct("something that is not an object where a schema belongs");
  if (const json::value* reference = node.get_object().if_contains("$ref")) {
    QUARRY_ASSIGN_OR_RETURN(const json::value* target, resolve(reference->as_string()));
    return compile_locked(*target, depth + 1);
  }
  auto [it, inserted] = by_node_.try_emplace(&node, nullptr);
  if (!inserted) return it->second;
  Schema& schema = arena_.emplace_back();
  it->second = &schema;
  QUARRY_RETURN_IF_ERROR(fill(schema, node.get_object(), depth));
  return &schema;
}

Status SchemaSet::fill(Schema& schema, const json::object& node, size_t depth) {
  if (const json::value* type = node.if_contains("type")) {
    QUARRY_ASSIGN_OR_RETURN(schema.types, parse_types(*type));
  }
  if (const json::value* values = node.if_contains("enum")) schema.enum_values = &values->as_array();
  if (const json::value* format = node.if_contains("format")) schema.date_time = *format == "date-time";
  read_number(node, "minimum", schema.minimum);
  read_number(node, "maximum", schema.maximum);
  read_size(node, "minLength", schema.min_length);
  read_size(node, "maxLength", schema.max_length);
  read_size(node, "minItems", schema.min_items);
  read_size(node, "maxItems", schema.max_items);
  if (const json::value* pattern = node.if_contains("pattern")) {
    schema.pattern = std::make_unique<re2::RE2>(std::string_view(pattern->as_string()), re2::RE2::Quiet);
    if (!schema.pattern->ok()) return unknown_construct("the pattern " + std::string(pattern->as_string()));
  }
  if (const json::value* items = node.if_contains("items")) {
    QUARRY_ASSIGN_OR_RETURN(schema.items, compile_locked(*items, depth + 1));
    if (schema.items->unconstrained()) schema.items = nullptr;
  }
  if (const json::value* branches = node.if_contains("anyOf"))
    for (const json::value& branch : branches->as_array()) {
      QUARRY_ASSIGN_OR_RETURN(const Schema* compiled, compile_locked(branch, depth + 1));
      schema.any_of.push_back(compiled);
    }
  return fill_object(schema, node, depth);
}

Status SchemaSet::fill_object(Schema& schema, const json::object& node, size_t depth) {
  if (const json::value* properties = node.if_contains("properties")) {
    schema.open = false;
    for (const auto& member : properties->as_object()) {
      QUARRY_ASSIGN_OR_RETURN(const Schema* compiled, compile_locked(member.value(), depth + 1));
      schema.properties.push_back({member.key(), compiled, is_required(node, member.key())});
    }
    std::sort(schema.properties.begin(), schema.properties.end(), [](auto& a, auto& b) { return a.name < b.name; });
  }
  if (const json::value* additional = node.if_contains("additionalProperties")) {
    schema.open = !additional->is_bool() || additional->get_bool();
    if (additional->is_object()) {
      QUARRY_ASSIGN_OR_RETURN(schema.additional, compile_locked(*additional, depth + 1));
    }
  }
  return fill_aliases(schema, node);
}

Status SchemaSet::fill_aliases(Schema& schema, const json::object& node) {
  const json::value* aliases = node.if_contains("x-aliases");
  if (aliases == nullptr) return Ok{};
  std::vector<Alias> found;
  for (const auto& member : aliases->as_object()) {
    size_t property = schema.find(member.value().as_string());
    if (property == SIZE_MAX) return unknown_construct("an alias of the unknown property " + std::string(member.value().as_string()));
    found.push_back({member.key(), property});
  }
  std::sort(found.begin(), found.end(), [](auto& a, auto& b) { return a.name < b.name; });
  schema.aliases = std::move(found);
  return Ok{};
}

}  // namespace quarry::http
