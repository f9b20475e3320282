// What retrieval's tests stand on: a brute-force store that can fail and be slow, and a model whose vectors a reader can compute. Tests
// only.
#pragma once

#include <atomic>
#include <cmath>
#include <map>
#include <set>

#include "extract/extract.h"
#include "model/context.h"
#include "mvs/mvs.h"
#include "retrieval/row_order.h"

namespace quarry::retrieval {

// Tables of documents whose vectors are compared one by one. `clock` moves by `slow_us[table]` at each read.
class FakeStore final : public mvs::VectorStore {
 public:
  explicit FakeStore(ManualClock& clock) : clock_(clock) {}

  std::map<std::string, std::vector<Document>> tables;
  std::map<std::string, mvs::Metric> metrics;
  std::map<std::string, Error> failures;
  std::map<std::string, int64_t> slow_us;
  std::set<std::string> cold;
  std::atomic<int> searches = 0, gets = 0, scans = 0;
  std::atomic<size_t> effort = 0;  // of the last search
  std::atomic<size_t> payloads_read = 0;

  Result<mvs::SearchResult> search(const mvs::SearchRequest& request) override {
    ++searches;
    effort = request.effort;
    QUARRY_RETURN_IF_ERROR(touch(request.table_id, request.deadline_us));
    mvs::SearchResult out;
    out.tier = cold.contains(request.table_id) ? mvs::Tier::kCold : mvs::Tier::kActive;
    const std::vector<float>& query = std::get<mvs::DenseQuery>(request.query).values;
    for (const Document& document : tables.at(request.table_id)) {
      const DenseVector* vector = find_vector(document, request.vector_name);
      if (vector == nullptr || !matches(request.filter, whole(document))) continue;
      if (vector->values.size() != query.size()) return bad_request("dimension");
      ++out.rows_scored;
      float score = score_of(request, query, vector->values);
      if (!request.min_score || score >= *request.min_score) out.hits.push_back({score, document});
    }
    std::sort(out.hits.begin(), out.hits.end(), [](const mvs::Hit& a, const mvs::Hit& b) {
      return a.score != b.score ? a.score > b.score : a.document.document_id < b.document.document_id;
    });
    if (request.group)
      keep_groups(*request.group, out.hits);
    else if (out.hits.size() > request.k)
      out.hits.resize(request.k);
    for (mvs::Hit& hit : out.hits) project(hit.document, request.projection);
    return out;
  }

  Result<std::vector<Document>> get(std::string_view table, const std::vector<std::string>& ids,
                                    const mvs::Projection& projection) override {
    ++gets;
    QUARRY_RETURN_IF_ERROR(touch(std::string(table), INT64_MAX));
    std::vector<Document> out;
    for (const std::string& id : ids)
      for (const Document& document : tables.at(std::string(table)))
        if (document.document_id == id) {
          out.push_back(document);
          project(out.back(), projection);
        }
    return out;
  }

  Result<mvs::ScanResult> scan(const mvs::ScanRequest& request) override {
    ++scans;
    QUARRY_RETURN_IF_ERROR(touch(request.table_id, INT64_MAX));
    std::vector<Document> found;
    for (const Document& document : tables.at(request.table_id))
      if (matches(request.filter, whole(document))) found.push_back(document);
    std::sort(found.begin(), found.end(), [](const Document& a, const Document& b) { return a.document_id < b.document_id; });
    if (request.sort) sort(found, *request.sort);
    mvs::ScanResult out;
    out.total = found.size();
    if (found.size() > request.limit) found.resize(request.limit);
    for (Document& document : found) project(document, request.projection);
    out.documents = std::move(found);
    return out;
  }

  Status for_each(std::string_view table, const Filter& filter, const mvs::Projection&,
                  const std::function<bool(const Document&)>& visit) override {
    QUARRY_RETURN_IF_ERROR(touch(std::string(table), INT64_MAX));
    for (const Document& document : tables.at(std::string(table)))
      if (matches(filter, whole(document)) && !visit(document)) break;
    return Ok{};
  }

  Result<uint64_t> count(std::string_view table, const Filter& filter) override {
    QUARRY_RETURN_IF_ERROR(touch(std::string(table), INT64_MAX));
    uint64_t n = 0;
    for (const Document& document : tables.at(std::string(table))) n += matches(filter, whole(document));
    return n;
  }

  Result<std::vector<mvs::FacetValue>> facet(std::string_view table, const Filter& filter, const std::string& field,
                                             size_t limit) override {
    QUARRY_RETURN_IF_ERROR(touch(std::string(table), INT64_MAX));
    std::map<std::string, mvs::FacetValue> counts;
    json::value scratch;
    for (const Document& document : tables.at(std::string(table))) {
      const json::value* value = read_path(document.payload, field, scratch);
      if (!matches(filter, whole(document)) || value == nullptr) continue;
      std::map<std::string, json::value> distinct;
      for (const json::value& one : value->is_array() ? value->get_array() : json::array{*value}) distinct[json::serialize(one)] = one;
      for (auto& [key, one] : distinct) {
        mvs::FacetValue& entry = counts[key];
        entry.value = one;
        ++entry.count;
      }
    }
    std::vector<mvs::FacetValue> out;
    for (auto& [key, entry] : counts) out.push_back(std::move(entry));
    std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.count > b.count; });
    if (out.size() > limit) out.resize(limit);
    return out;
  }

  Result<mvs::TableStats> stats(std::string_view table) override {
    mvs::TableStats out;
    out.documents = tables.at(std::string(table)).size();
    return out;
  }

  // Not what retrieval calls.
  Status create_table(const mvs::TableSpec&) override { return unused(); }
  Status attach_table(const mvs::TableSpec&) override { return unused(); }
  Status extend_table(const mvs::TableSpec&) override { return unused(); }
  Status drop_table(std::string_view) override { return unused(); }
  Result<mvs::WriteResult> write(std::string_view, mvs::WriteBatch) override { return unused(); }
  Result<uint64_t> delete_where(std::string_view, const Filter&) override { return unused(); }
  Status set_tier(std::string_view, mvs::Tier) override { return unused(); }
  std::vector<mvs::TableUsage> usage() override { return {}; }
  Status maintain(std::string_view) override { return unused(); }

 private:
  static Error unused() { return internal_error("retrieval does not write"); }

  Status touch(const std::string& table, int64_t deadline_us) {
    if (auto failed = failures.find(table); failed != failures.end()) return failed->second;
    if (!tables.contains(table)) return not_found("no table " + table);
    if (auto slow = slow_us.find(table); slow != slow_us.end()) clock_.advance_us(slow->second);
    if (clock_.steady_us() >= deadline_us) return Error{ErrorKind::kTimeout, "the search ran past its deadline"};
    return Ok{};
  }

  static const DenseVector* find_vector(const Document& document, const std::string& name) {
    for (const DenseVector& vector : document.vectors)
      if (vector.name == name) return &vector;
    return nullptr;
  }

  // System columns as the store's filters see them.
  static json::object whole(const Document& document) {
    json::object out = document.payload;
    out["document_id"] = document.document_id;
    if (!document.lineage.root_object_id.empty()) out["root_object_id"] = document.lineage.root_object_id;
    return out;
  }

  void project(Document& document, const mvs::Projection& projection) {
    payloads_read += projection.payload && projection.fields.empty();
    if (!projection.payload) document.payload.clear();
    if (projection.payload && !projection.fields.empty()) {
      json::object kept;
      for (const std::string& field : projection.fields)
        if (const json::value* v = document.payload.if_contains(field)) kept[field] = *v;
      document.payload = std::move(kept);
    }
    if (!projection.vectors) document.vectors.clear();
    if (!projection.vector_names.empty())
      std::erase_if(document.vectors, [&](const DenseVector& v) {
        return std::find(projection.vector_names.begin(), projection.vector_names.end(), v.name) == projection.vector_names.end();
      });
  }

  float score_of(const mvs::SearchRequest& request, const std::vector<float>& query, const std::vector<float>& x) const {
    double dot = 0, q2 = 0, x2 = 0, d2 = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      dot += query[i] * x[i];
      q2 += query[i] * query[i];
      x2 += x[i] * x[i];
      d2 += (query[i] - x[i]) * (query[i] - x[i]);
    }
    auto metric = metrics.find(request.table_id);
    if (metric != metrics.end() && metric->second == mvs::Metric::kDot) return static_cast<float>(dot);
    if (metric != metrics.end() && metric->second == mvs::Metric::kEuclidean) return static_cast<float>(1 / (1 + std::sqrt(d2)));
    return q2 == 0 || x2 == 0 ? 0 : static_cast<float>(dot / std::sqrt(q2 * x2));
  }

  static void keep_groups(const mvs::GroupSpec& spec, std::vector<mvs::Hit>& hits) {
    std::vector<std::pair<std::string, std::vector<mvs::Hit>>> groups;
    for (mvs::Hit& hit : hits) {
      json::object document = whole(hit.document);
      json::value scratch;
      const json::value* value = read_path(document, spec.field, scratch);
      if (value == nullptr) continue;
      std::string key = json::serialize(*value);
      auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == key; });
      if (group == groups.end() && groups.size() == spec.limit) continue;
      if (group == groups.end()) group = groups.insert(groups.end(), {key, {}});
      if (group->second.size() < spec.max_per_group) group->second.push_back(hit);
    }
    hits.clear();
    for (auto& [key, members] : groups) hits.insert(hits.end(), members.begin(), members.end());
  }

  static void sort(std::vector<Document>& found, const mvs::SortSpec& spec) {
    std::vector<Row> rows(found.size());
    for (size_t i = 0; i < found.size(); ++i) rows[i].document = std::move(found[i]);
    sort_rows(rows, {spec.field, spec.descending, spec.nulls_last, spec.fallback_field});
    for (size_t i = 0; i < found.size(); ++i) found[i] = std::move(rows[i].document);
  }

  ManualClock& clock_;
};

// A text's vector counts its letters x, y and z, at unit length.
class LetterEmbedder final : public extract::TextEmbedder {
 public:
  explicit LetterEmbedder(std::string name) : name_(std::move(name)) {}
  const std::string& output_name() const override { return name_; }
  uint32_t dimension() const override { return 3; }
  uint32_t max_tokens() const override { return 100; }
  Result<extract::Embedding> embed(std::string_view text) const override {
    ++embedded;
    extract::Embedding out;
    out.values = {0, 0, 0};
    for (char c : text)
      if (c >= 'x' && c <= 'z') ++out.values[static_cast<size_t>(c - 'x')];
    float norm = std::sqrt(out.values[0] * out.values[0] + out.values[1] * out.values[1] + out.values[2] * out.values[2]);
    for (float& v : out.values) v = norm > 0 ? v / norm : 0;
    out.truncated = text.size() > max_tokens();
    return out;
  }
  mutable std::atomic<int> embedded = 0;

 private:
  std::string name_;
};

class LetterModels final : public extract::ModelRegistry {
 public:
  Result<std::shared_ptr<const extract::TextEmbedder>> text_embedder(std::string_view name) override {
    if (name == "letters_v1") return std::shared_ptr<const extract::TextEmbedder>(letters);
    if (name == "other_v1") return std::shared_ptr<const extract::TextEmbedder>(other);
    return Error{ErrorKind::kInferenceUnavailable, "no such model; there are letters_v1, other_v1", json::object{{"retryable", false}}};
  }
  std::vector<extract::ModelInfo> list() const override { return {}; }

  std::shared_ptr<LetterEmbedder> letters = std::make_shared<LetterEmbedder>("letters_v1");
  std::shared_ptr<LetterEmbedder> other = std::make_shared<LetterEmbedder>("other_v1");
};

}  // namespace quarry::retrieval
