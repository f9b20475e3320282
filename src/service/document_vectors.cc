// Vectors that clients send.
#include <fmt/format.h>

#include <cmath>

#include "service/documents.h"

namespace quarry::service {
namespace {

// NaN for what is not a number.
inline float as_float(const json::value& v) {
  if (v.is_double()) return static_cast<float>(v.get_double());
  if (v.is_int64()) return static_cast<float>(v.get_int64());
  if (v.is_uint64()) return static_cast<float>(v.get_uint64());
  return std::nanf("");
}

Error bad_element(const CollectionVector& column, size_t at, const json::value& value) {
  if (value.is_array()) return {ErrorKind::kNotImplemented, fmt::format("vector '{}': multi-vectors are not built yet", column.name)};
  return bad_request(fmt::format("vector '{}': element {} is not a finite number that fits a 32-bit float", column.name, at));
}

}  // namespace

Error unknown_vector(const Collection& collection, std::string_view name) {
  json::array known;
  std::string listed;
  for (const auto& vector : collection.vectors) {
    known.emplace_back(vector.name);
    listed += (listed.empty() ? "" : ", ") + vector.name;
  }
  return bad_request(
      fmt::format("collection '{}' has no vector '{}'; it has: {}", collection.name, name.substr(0, 200), listed.empty() ? "none" : listed),
      {{"vector", name.substr(0, 200)}, {"vectors", std::move(known)}});
}

Status append_vector(const CollectionVector& column, const json::value& value, std::vector<DenseVector>& out) {
  if (value.is_object())
    return Error{ErrorKind::kNotImplemented, fmt::format("vector '{}': sparse vectors are not built yet", column.name)};
  const json::array* values = value.if_array();
  if (!values) return bad_request(fmt::format("vector '{}' must be a list of numbers", column.name));
  if (values->size() != column.dimension) {
    if (!values->empty() && values->front().is_array()) return bad_element(column, 0, values->front());
    return bad_request(
        fmt::format("vector '{}' has {} dimensions where the collection has {}", column.name, values->size(), column.dimension),
        {{"vector", column.name}, {"expected_dimension", column.dimension}, {"actual_dimension", values->size()}});
  }
  DenseVector& vector = out.emplace_back();
  vector.name = column.name;
  vector.values.resize(values->size());
  float* to = vector.values.data();
  for (size_t i = 0; i < values->size(); ++i) {
    to[i] = as_float((*values)[i]);
    if (!std::isfinite(to[i])) return bad_element(column, i, (*values)[i]);
  }
  return Ok{};
}

Result<std::vector<DenseVector>> parse_vectors(const Collection& collection, const json::object& vectors) {
  std::vector<DenseVector> out;
  out.reserve(vectors.size());
  for (const auto& member : vectors) {
    const CollectionVector* column = collection.find_vector(member.key());
    if (!column) return unknown_vector(collection, member.key());
    QUARRY_RETURN_IF_ERROR(append_vector(*column, member.value(), out));
  }
  return out;
}

}  // namespace quarry::service
