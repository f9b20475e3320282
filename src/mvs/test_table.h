// A table with every kind of column, and documents for it. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "mvs/mvs.h"

namespace quarry::mvs::test {

inline TableSpec full_spec() {
  return {"col_a",
          "org/ns/col_a",
          {{"text", "mixpeek://text_extractor@v1/m", 4, Metric::kCosine},
           {"image/v2", "mixpeek://image@v2/m", 3, Metric::kEuclidean},
           {"words", "mixpeek://words@v1/m", 0, Metric::kDot, VectorKind::kSparse},
           {"tokens", "mixpeek://tokens@v1/m", 3, Metric::kCosine, VectorKind::kMulti}},
          {{"title", FieldType::kString},
           {"pages", FieldType::kInteger},
           {"price", FieldType::kNumber},
           {"ratio", FieldType::kFloat},
           {"ok", FieldType::kBoolean},
           {"when", FieldType::kDatetime},
           {"day", FieldType::kDate}}};
}

// Draws documents whose values collide often: few words, small numbers, ties between scores, values of the wrong type.
class DocumentSource {
 public:
  explicit DocumentSource(uint64_t seed) : rng_(seed) {}

  uint64_t below(uint64_t n) { return rng_() % n; }
  bool one_in(uint64_t n) { return below(n) == 0; }

  std::string id(uint64_t range) { return "doc_" + std::to_string(below(range)); }
  std::string source() { return "obj_" + std::to_string(below(8)); }
  std::string word() { return kWords[below(std::size(kWords))]; }

  json::value number() {
    switch (below(6)) {
      case 0: return int64_t(below(5));
      case 1: return double(below(5));
      case 2: return double(below(20)) / 4 - 1;
      case 3: return -0.0;
      case 4: return int64_t(9007199254740993) + int64_t(below(3));
      default: return uint64_t(18446744073709551615u) - below(2);
    }
  }

  std::string time() {
    static constexpr const char* kTimes[] = {"2026-01-31T12:00:00.000000Z",
                                             "2026-01-31T12:00:00Z",
                                             "2026-01-31T14:00:00+02:00",
                                             "2025-12-31",
                                             "2026-01-31T12:00:00.000001Z",
                                             "2026-02-01T00:00:00Z",
                                             "not a time"};
    return kTimes[below(std::size(kTimes))];
  }

  json::value value(std::string_view field) {
    if (one_in(12)) return any();
    if (field == "title") return json::value(json::string(word()));
    if (field == "pages" || field == "price" || field == "ratio") return number();
    if (field == "ok") return below(2) == 0;
    if (field == "when" || field == "day") return json::value(json::string(time()));
    return any();
  }

  json::value any() {
    switch (below(8)) {
      case 0: return nullptr;
      case 1: return below(2) == 0;
      case 2: return number();
      case 3: return json::value(json::string(time()));
      case 4: return json::array{json::string(word()), number(), nullptr};
      case 5: return json::object{{"title", word()}, {"pages", number()}, {"deep", {{"title", word()}}}};
      case 6: return json::array{json::object{{"title", word()}}, json::object{{"pages", number()}}};
      default: return json::value(json::string(word()));
    }
  }

  json::object payload() {
    json::object out;
    for (const char* field : kFields)
      if (!one_in(3)) out[field] = value(field);
    return out;
  }

  std::vector<float> vector(size_t dimension) {
    std::vector<float> v(dimension);
    for (auto& x : v) x = float(int(below(5)) - 2);
    return v;
  }

  // Few indices, so that vectors share some, and the largest of all.
  SparseVector sparse() {
    SparseVector v{"words", {}, {}};
    for (const uint32_t index : {0u, 1u, 2u, 7u, 30'000u, 4'000'000'000u, 4'294'967'295u})
      if (one_in(2)) v.indices.push_back(index);
    if (v.indices.empty()) v.indices.push_back(uint32_t(below(8)));
    v.values = vector(v.indices.size());
    if (one_in(10)) v.values[0] = 3e38f;
    return v;
  }

  MultiVector multi() { return {"tokens", vector(3 * (1 + below(5)))}; }

  Document document(uint64_t id_range) {
    Document d;
    d.document_id = id(id_range);
    d.lineage.root_object_id = source();
    d.lineage.source_object_id = d.lineage.root_object_id;
    if (one_in(4)) d.lineage.source_document_id = "doc_of_" + std::to_string(below(4));
    d.lineage.source_type = one_in(2) ? "bucket" : "";
    d.payload = payload();
    if (!one_in(5)) d.vectors.push_back({"text", vector(4)});
    if (one_in(2)) d.vectors.push_back({"image/v2", vector(3)});
    if (!one_in(3)) d.sparse_vectors.push_back(sparse());
    if (!one_in(4)) d.multi_vectors.push_back(multi());
    d.created_at = 1'700'000'000'000'000 + int64_t(below(1000));
    d.updated_at = d.created_at + int64_t(below(1000));
    return d;
  }

  static constexpr const char* kFields[] = {"title", "pages", "price", "ratio", "ok",          "when",
                                            "day",   "meta",  "tags",  "Title", "document_id", "a.b"};
  static constexpr const char* kWords[] = {"red", "Red", "green", "blue", "blue sky", "", "äöü", "a\"quote", "title", "2026-01-31"};

 private:
  std::mt19937_64 rng_;
};

inline uint64_t number_from_environment(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : fallback;
}

inline uint64_t seeds_from_environment(uint64_t fallback) { return number_from_environment("QUARRY_MODEL_SEEDS", fallback); }

// Of every document of a table, by id, what `told` says of it. None is there twice.
template <class Told>
auto read_each(VectorStore& store, const std::string& table_id, const Projection& projection, const Told& told) {
  std::map<std::string, decltype(told(std::declval<const Document&>()))> out;
  const auto status = store.for_each(table_id, {}, projection, [&](const Document& d) {
    EXPECT_TRUE(out.emplace(d.document_id, told(d)).second) << d.document_id << " is there twice";
    return true;
  });
  EXPECT_TRUE(status.ok()) << (status.ok() ? "" : status.error().message);
  return out;
}

// Every document of a table, by id.
inline std::map<std::string, json::value> read_all(VectorStore& store, const std::string& table_id) {
  return read_each(store, table_id, {.payload = true, .vectors = true},
                   [](const Document& d) { return json::value(json::object{{"payload", d.payload}}); });
}

// Tables of one number, "n", and one small vector, which several servers and programs write.
inline TableSpec numbers_spec(std::string table_id, Tier tier = Tier::kActive) {
  TableSpec out{std::move(table_id), "t", {{"v", "", 2, Metric::kDot}}, {{"n", FieldType::kInteger}}};
  out.tier = tier;
  return out;
}

inline Document number_row(std::string id, int64_t n) {
  Document d;
  d.document_id = std::move(id);
  d.payload = {{"n", n}};
  d.vectors = {{"v", {float(n), 1}}};
  return d;
}

inline std::map<std::string, int64_t> read_numbers(VectorStore& store, const std::string& table_id) {
  return read_each(store, table_id, {}, [](const Document& d) { return d.payload.at("n").as_int64(); });
}

inline json::value as_json(const Document& d) {
  json::object vectors;
  for (const auto& v : d.vectors) vectors[v.name] = json::array(v.values.begin(), v.values.end());
  for (const auto& v : d.multi_vectors) vectors[v.name] = json::array(v.values.begin(), v.values.end());
  for (const auto& v : d.sparse_vectors)
    vectors[v.name] = {{"indices", json::array(v.indices.begin(), v.indices.end())},
                       {"values", json::array(v.values.begin(), v.values.end())}};
  const Lineage& l = d.lineage;
  return json::object{{"id", d.document_id},
                      {"payload", d.payload},
                      {"vectors", vectors},
                      {"lineage", json::array{l.root_object_id, l.root_bucket_id, l.source_type, l.source_object_id, l.source_collection_id,
                                              l.source_document_id, l.lineage_path, l.processing_tier}},
                      {"created_at", d.created_at},
                      {"updated_at", d.updated_at}};
}

// Equal in kind too: 3 is not 3.0 and -0.0 is not 0.0. Order of members is free.
inline bool identical(const json::value& a, const json::value& b) {
  if (a.is_object() && b.is_object()) {
    if (a.get_object().size() != b.get_object().size()) return false;
    for (const auto& member : a.get_object()) {
      const auto* other = b.get_object().if_contains(member.key());
      if (other == nullptr || !identical(member.value(), *other)) return false;
    }
    return true;
  }
  if (a.is_array() && b.is_array())
    return std::equal(a.get_array().begin(), a.get_array().end(), b.get_array().begin(), b.get_array().end(), identical);
  return a.kind() == b.kind() && json::serialize(a) == json::serialize(b);
}

#define ASSERT_QUARRY_OK(expr)                                        \
  do {                                                                \
    const auto& quarry_result = (expr);                               \
    ASSERT_TRUE(quarry_result.ok()) << quarry_result.error().message; \
  } while (false)

}  // namespace quarry::mvs::test
