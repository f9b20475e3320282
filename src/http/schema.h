// The part of JSON Schema that api/openapi.json uses, compiled once into nodes that a validator walks.
// Beyond the standard: `x-aliases` on an object ({"other_name": "property"}) names members that mean a property.
#pragma once

#include <re2/re2.h>

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

namespace quarry::http {

enum TypeBit : uint8_t {
  kNullType = 1,
  kBoolType = 2,
  kIntegerType = 4,
  kNumberType = 8,
  kStringType = 16,
  kArrayType = 32,
  kObjectType = 64
};
inline constexpr uint8_t kAnyType = 0;

struct Schema;

struct Property {
  std::string_view name;  // all names point into the document, which outlives every schema
  const Schema* schema = nullptr;
  bool required = false;
};

struct Alias {
  std::string_view name;
  size_t property = 0;  // index into Schema::properties
};

// Immutable once compiled. A null pointer among these means "no constraint".
struct Schema {
  uint8_t types = kAnyType;
  bool date_time = false;
  bool open = true;                    // objects: members outside `properties` are allowed
  const Schema* additional = nullptr;  // ... and must be this
  std::vector<Property> properties;    // sorted by name
  std::vector<Alias> aliases;          // sorted by name
  const Schema* items = nullptr;
  std::vector<const Schema*> any_of;
  const json::array* enum_values = nullptr;
  double minimum = -INFINITY, maximum = INFINITY;
  size_t min_length = 0, max_length = SIZE_MAX;  // characters
  size_t min_items = 0, max_items = SIZE_MAX;
  std::unique_ptr<re2::RE2> pattern;

  bool unconstrained() const { return types == kAnyType && any_of.empty() && enum_values == nullptr; }
  bool plain_number() const;  // a number with no bounds
  // Index into properties by name or alias; SIZE_MAX if there is none.
  size_t find(std::string_view member) const;
};

// Compiles schemas of one document on demand and keeps them. Thread-safe. `document` outlives the set.
class SchemaSet {
 public:
  explicit SchemaSet(const json::value& document) : document_(document) {}
  // kInternal naming what of the document this code does not understand.
  Result<const Schema*> compile(const json::value& node);
  size_t size() const;

 private:
  Result<Schema*> compile_locked(const json::value& node, size_t depth);
  Result<const json::value*> resolve(std::string_view reference) const;
  Status fill(Schema& schema, const json::object& node, size_t depth);
  Status fill_object(Schema& schema, const json::object& node, size_t depth);
  Status fill_aliases(Schema& schema, const json::object& node);

  const json::value& document_;
  mutable std::mutex mutex_;
  std::deque<Schema> arena_;                                 // stable addresses
  std::unordered_map<const json::value*, Schema*> by_node_;  // recursion ends here
};

}  // namespace quarry::http
