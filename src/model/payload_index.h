// Payload indexes of a namespace: fields that get a column of their own in the tables of its collections, beside those of their schemas.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/schema.h"

namespace quarry {

inline constexpr size_t kMaxPayloadIndexes = 100;  // of one namespace, and columns that one collection takes over from them

struct PayloadIndex {
  std::string field;
  FieldType type = FieldType::kString;
};

// {field_name, type}: keyword, uuid, text, integer, float, bool or datetime. nullopt: it asks for no column: geo, or nothing known here.
std::optional<PayloadIndex> read_payload_index(const json::value& entry);
// Those among `payload_indexes` of a namespace's or a collection's body.
std::vector<PayloadIndex> read_payload_indexes(const json::object& body);

}  // namespace quarry
