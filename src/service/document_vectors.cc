// Vectors that clients send.
#include <fmt/format.h>

#include <cmath>

#include "model/vector_json.h"
#include "service/documents.h"

namespace quarry::service {
namespace {

Error at_vector(const CollectionVector& column, Error error) {
  error.details["vector"] = column.name;
  return std::move(error).with_context(fmt::format("vector '{}'", column.name));
}

Error wrong_dimension(const CollectionVector& column, size_t given) {
  return bad_request(fmt::format("vector '{}' has {} dimensions where the collection has {}", column.name, given, column.dimension),
                     {{"vector", column.name}, {"expected_dimension", column.dimension}, {"actual_dimension", given}});
}

std::string_view shape_of(const json::value& value) {
  if (value.is_object()) return "sparse";
  return value.is_array() && !value.get_array().empty() && value.get_array().front().is_array() ? "multi_dense" : "dense";
}

Status append_dense(const CollectionVector& column, const json::value& value, OwnVectors& out) {
  const json::array* values = value.if_array();
  if (values != nullptr && values->size() != column.dimension) return wrong_dimension(column, values->size());
  DenseVector& vector = out.dense.emplace_back();
  vector.name = column.name;
  return read_dense(value, vector);
}

Status append_multi(const CollectionVector& column, const json::value& value, OwnVectors& out) {
  MultiVector& vector = out.multi.emplace_back();
  vector.name = column.name;
  size_t dimension = 0;
  QUARRY_RETURN_IF_ERROR(read_multi(value, vector, dimension));
  return dimension == column.dimension ? Status(Ok{}) : wrong_dimension(column, dimension);
}

Status append_sparse(const CollectionVector& column, const json::value& value, OwnVectors& out) {
  SparseVector& vector = out.sparse.emplace_back();
  vector.name = column.name;
  return read_sparse(value, vector);
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

Status append_vector(const CollectionVector& column, const json::value& value, OwnVectors& out) {
  const bool is_list = value.is_object() || value.is_array();
  if (is_list && shape_of(value) != column.type && !(column.type == "multi_dense" && value.is_array()))
    return bad_request(fmt::format("vector '{}' is {}; a {} one was given", column.name, column.type, shape_of(value)),
                       {{"vector", column.name}, {"expected_type", column.type}});
  Status added = column.type == "sparse"        ? append_sparse(column, value, out)
                 : column.type == "multi_dense" ? append_multi(column, value, out)
                                                : append_dense(column, value, out);
  if (added.ok() || added.error().details.contains("actual_dimension")) return added;
  return at_vector(column, std::move(added).error());
}

Result<OwnVectors> parse_vectors(const Collection& collection, const json::object& vectors) {
  OwnVectors out;
  out.dense.reserve(vectors.size());
  for (const auto& member : vectors) {
    const CollectionVector* column = collection.find_vector(member.key());
    if (!column) return unknown_vector(collection, member.key());
    QUARRY_RETURN_IF_ERROR(append_vector(*column, member.value(), out));
  }
  return out;
}

}  // namespace quarry::service
