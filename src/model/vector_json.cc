#include "model/vector_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace quarry {
namespace {

Status append_floats(const json::array& values, std::vector<float>& out) {
  const size_t first = out.size();
  out.resize(first + values.size());
  float* to = out.data() + first;
  for (size_t i = 0; i < values.size(); ++i) {
    to[i] = float_of(values[i]);
    if (!std::isfinite(to[i])) return bad_request(fmt::format("element {} is not a finite number that fits a 32-bit float", i));
  }
  return Ok{};
}

Result<uint32_t> index_of(const json::value& value, size_t at) {
  if (value.is_int64() && value.get_int64() >= 0 && value.get_int64() <= int64_t(UINT32_MAX)) return uint32_t(value.get_int64());
  return bad_request(fmt::format("index {} is not a whole number from 0 to 4,294,967,295", at));
}

json::array numbers(const float* values, size_t count) {
  json::array out;
  out.reserve(count);
  for (size_t i = 0; i < count; ++i) out.emplace_back(double(values[i]));
  return out;
}

}  // namespace

float float_of(const json::value& value) {
  if (value.is_double()) return float(value.get_double());
  if (value.is_int64()) return float(value.get_int64());
  if (value.is_uint64()) return float(value.get_uint64());
  return std::nanf("");
}

Status read_dense(const json::value& value, DenseVector& out) {
  const json::array* values = value.if_array();
  if (values == nullptr) return bad_request("must be a list of numbers");
  return append_floats(*values, out.values);
}

Status read_sparse(const json::value& value, SparseVector& out) {
  const json::object* object = value.if_object();
  const json::value* indices = object == nullptr ? nullptr : object->if_contains("indices");
  const json::value* values = object == nullptr ? nullptr : object->if_contains("values");
  if (indices == nullptr || values == nullptr || !indices->is_array() || !values->is_array())
    return bad_request("must be {\"indices\": [...], \"values\": [...]}");
  const json::array &from = indices->get_array(), &weights = values->get_array();
  if (from.size() != weights.size()) return bad_request(fmt::format("has {} indices and {} values", from.size(), weights.size()));
  if (from.empty()) return bad_request("has no entries");
  std::vector<float> floats;
  QUARRY_RETURN_IF_ERROR(append_floats(weights, floats));
  std::vector<std::pair<uint32_t, float>> entries;
  entries.reserve(from.size());
  for (size_t i = 0; i < from.size(); ++i) {
    QUARRY_ASSIGN_OR_RETURN(const uint32_t index, index_of(from[i], i));
    entries.emplace_back(index, floats[i]);
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [index, weight] : entries) {
    if (!out.indices.empty() && out.indices.back() == index) return bad_request(fmt::format("has index {} twice", index));
    out.indices.push_back(index);
    out.values.push_back(weight);
  }
  return Ok{};
}

Status read_multi(const json::value& value, MultiVector& out, size_t& dimension) {
  const json::array* tokens = value.if_array();
  if (tokens == nullptr) return bad_request("must be a list of lists of numbers");
  if (tokens->empty()) return bad_request("has no tokens");
  for (size_t t = 0; t < tokens->size(); ++t) {
    const json::array* token = (*tokens)[t].if_array();
    if (token == nullptr) return bad_request(fmt::format("token {} is not a list of numbers", t));
    if (t == 0) dimension = token->size();
    if (token->empty() || token->size() != dimension)
      return bad_request(fmt::format("token {} has {} dimensions where the first has {}", t, token->size(), dimension));
    if (auto read = append_floats(*token, out.values); !read.ok()) return std::move(read).error().with_context(fmt::format("token {}", t));
  }
  return Ok{};
}

json::object show_vectors(const Collection& collection, const Document& document) {
  json::object out;
  for (const DenseVector& v : document.vectors) out[v.name] = numbers(v.values.data(), v.values.size());
  for (const SparseVector& v : document.sparse_vectors)
    out[v.name] = {{"indices", json::array(v.indices.begin(), v.indices.end())}, {"values", numbers(v.values.data(), v.values.size())}};
  for (const MultiVector& v : document.multi_vectors) {
    const CollectionVector* column = collection.find_vector(v.name);
    const size_t dimension = column == nullptr || column->dimension == 0 ? v.values.size() : column->dimension;
    json::array tokens;
    for (size_t at = 0; at + dimension <= v.values.size(); at += dimension) tokens.push_back(numbers(v.values.data() + at, dimension));
    out[v.name] = std::move(tokens);
  }
  return out;
}

std::vector<std::string> vector_names(const Document& document) {
  std::vector<std::string> out;
  for (const auto& v : document.vectors) out.push_back(v.name);
  for (const auto& v : document.sparse_vectors) out.push_back(v.name);
  for (const auto& v : document.multi_vectors) out.push_back(v.name);
  return out;
}

}  // namespace quarry
