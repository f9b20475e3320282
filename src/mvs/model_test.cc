// A random trace of operations, with upkeep and restarts in between, mirrored in a plain map; every read is compared with the map's answer.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <set>

#include "mvs/hot/kernels.h"
#include "mvs/mvs.h"
#include "mvs/test_table.h"
#include "mvs/write_group.h"

namespace quarry::mvs {
namespace {

using test::as_json;
using test::DocumentSource;
using test::identical;

constexpr uint64_t kIds = 60;
constexpr const char* kTable = "col_a";

using Model = std::map<std::string, Document>;

json::object filter_view(const Document& d) {
  json::object out = d.payload;
  out["document_id"] = d.document_id;
  const Lineage& l = d.lineage;
  const std::pair<const char*, const std::string*> lineage[] = {{"root_object_id", &l.root_object_id},
                                                                {"root_bucket_id", &l.root_bucket_id},
                                                                {"source_type", &l.source_type},
                                                                {"source_object_id", &l.source_object_id},
                                                                {"source_collection_id", &l.source_collection_id},
                                                                {"source_document_id", &l.source_document_id},
                                                                {"lineage_path", &l.lineage_path}};
  for (const auto& [name, text] : lineage) {
    if (text->empty())
      out.erase(name);
    else
      out[name] = *text;
  }
  out["processing_tier"] = l.processing_tier;
  out["created_at"] = format_timestamp(d.created_at);
  out["updated_at"] = format_timestamp(d.updated_at);
  return out;
}

std::string source_of(const Document& d) {
  return d.lineage.source_document_id.empty() ? d.lineage.source_object_id : d.lineage.source_document_id;
}

// The definition of a score in the face header, written a second time.
float oracle_score(Metric metric, const std::vector<float>& q, const std::vector<float>& x) {
  if (metric == Metric::kEuclidean) return 1.0f / (1.0f + std::sqrt(reference_squared_distance(q.data(), x.data(), q.size())));
  const float dot = reference_dot(q.data(), x.data(), q.size());
  if (metric == Metric::kDot) return dot;
  const float norms = std::sqrt(reference_dot(q.data(), q.data(), q.size())) * std::sqrt(reference_dot(x.data(), x.data(), x.size()));
  return norms > 0 ? dot / norms : 0.0f;
}

float oracle_sparse(const SparseVector& q, const SparseVector& x, bool& shares) {
  std::map<uint32_t, float> row;
  for (size_t i = 0; i < x.indices.size(); ++i) row[x.indices[i]] = x.values[i];
  float sum = 0;
  double wide = 0;
  for (size_t i = 0; i < q.indices.size(); ++i) {
    const auto it = row.find(q.indices[i]);
    if (it == row.end()) continue;
    shares = true;
    const float product = q.values[i] * it->second;
    sum = sum + product;
    wide += double(q.values[i]) * double(it->second);
  }
  constexpr float kMax = std::numeric_limits<float>::max();
  return std::isfinite(sum) ? sum : float(std::clamp<double>(wide, -kMax, kMax));
}

float oracle_max_sim(Metric metric, size_t dimension, const std::vector<float>& q, const std::vector<float>& x) {
  const auto token = [&](const std::vector<float>& v, size_t t) {
    return std::vector<float>(v.begin() + ptrdiff_t(t * dimension), v.begin() + ptrdiff_t((t + 1) * dimension));
  };
  float sum = 0;
  for (size_t i = 0; i < q.size() / dimension; ++i) {
    float best = -std::numeric_limits<float>::infinity();
    for (size_t j = 0; j < x.size() / dimension; ++j) best = std::max(best, oracle_score(metric, token(q, i), token(x, j)));
    sum = sum + best;
  }
  return sum;
}

class ModelRun {
 public:
  ModelRun(uint64_t seed, objects::ObjectStore& store, Executor* executor)
      : source_(seed),
        objects_(store),
        executor_(executor),
        cold_cache_bytes_(seed % 3 == 0 ? 1 << 20 : 0),
        sidecar_min_rows_(seed % 4 == 0 ? 4096 : 1) {
    open();
  }

  void run(int steps) {
    ASSERT_QUARRY_OK(store_->create_table(test::full_spec()));
    for (int i = 0; i < steps && !::testing::Test::HasFatalFailure(); ++i) step();
    if (!::testing::Test::HasFatalFailure()) compare_all();
  }

 private:
  void open() {
    store_.reset();
    store_ = *VectorStore::open({.store = &objects_,
                                 .executor = executor_,
                                 .cold_cache_bytes = cold_cache_bytes_,
                                 .sidecar_min_rows = sidecar_min_rows_,
                                 .commit_window_us = 0,
                                 .checkpoint_interval = 4,
                                 .target_file_bytes = 40'000,
                                 .file_retention_us = 0,
                                 .log_retention_us = 0});
  }

  void attach() {
    TableSpec spec = test::full_spec();
    spec.tier = tier_;
    ASSERT_QUARRY_OK(store_->attach_table(spec));
  }

  void move() {
    tier_ = tier_ == Tier::kActive ? Tier::kCold : Tier::kActive;
    ASSERT_QUARRY_OK(store_->set_tier(kTable, tier_));
    if (tier_ == Tier::kActive || executor_ != nullptr) return;  // there upkeep may be running, and holds the rows until it is done
    EXPECT_EQ(store_->usage().front().memory_bytes, 0u);
  }

  void step() {
    switch (source_.below(16)) {
      case 0:
      case 1:
      case 2:
      case 3: return upsert();
      case 4:
      case 5: return patch();
      case 6: return erase();
      case 7: return erase_matching();
      case 8: return replace();
      case 9: return mixed();
      case 10: {
        ASSERT_QUARRY_OK(store_->maintain(kTable));
        return;
      }
      case 11: {
        open();
        return attach();
      }
      case 12: return move();
      case 13: return compare_search();
      default: return compare_scan();
    }
  }

  std::vector<Document> draw(uint64_t most) {
    std::vector<Document> out;
    for (uint64_t i = 0; i <= source_.below(most); ++i) out.push_back(source_.document(kIds));
    return out;
  }

  void model_upsert(const std::vector<Document>& documents) {
    for (const auto& d : documents) model_[d.document_id] = d;
  }

  void upsert() {
    auto documents = draw(12);
    const size_t before = model_.size();
    model_upsert(documents);
    const auto result = store_->write(kTable, {.upserts = documents});
    ASSERT_QUARRY_OK(result);
    EXPECT_EQ(result->inserted, model_.size() - before);
  }

  DocumentPatch draw_patch() {
    DocumentPatch p;
    p.document_id = source_.id(kIds);
    p.replace_payload = source_.one_in(6);
    for (uint64_t i = 0; i <= source_.below(3); ++i) {
      static constexpr const char* kPaths[] = {"title", "pages", "price",         "meta.title", "meta.deep.x",
                                               "a.b",   "tags",  "new.path.deep", "when"};
      const std::string path = kPaths[source_.below(std::size(kPaths))];
      p.set[path] = source_.value(path);
    }
    if (source_.one_in(3)) p.unset = {source_.one_in(2) ? "title" : "meta.deep", "ratio", "no.such"};
    if (source_.one_in(4)) p.vectors = {{"text", source_.vector(4)}};
    if (source_.one_in(4)) p.sparse_vectors = {source_.sparse()};
    if (source_.one_in(4)) p.multi_vectors = {source_.multi()};
    return p;
  }

  void model_patch(const DocumentPatch& p) {
    const auto it = model_.find(p.document_id);
    if (it == model_.end()) return;
    Document& d = it->second;
    if (p.replace_payload) d.payload = {};
    for (const auto& m : p.set) {
      if (p.replace_payload)
        d.payload[m.key()] = m.value();
      else
        set_path(d.payload, m.key(), m.value());
    }
    for (const auto& path : p.unset) unset_path(d.payload, path);
    for (const auto& v : p.vectors) {
      std::erase_if(d.vectors, [&](const auto& known) { return known.name == v.name; });
      d.vectors.push_back(v);
    }
    if (!p.sparse_vectors.empty()) d.sparse_vectors = p.sparse_vectors;  // the table has one column of each
    if (!p.multi_vectors.empty()) d.multi_vectors = p.multi_vectors;
    patched_.insert(d.document_id);
  }

  void patch() {
    WriteBatch batch;
    for (uint64_t i = 0; i <= source_.below(4); ++i) batch.patches.push_back(draw_patch());
    std::vector<std::string> missing;
    for (const auto& p : batch.patches)
      if (!model_.contains(p.document_id)) missing.push_back(p.document_id);
    for (const auto& p : batch.patches) model_patch(p);
    const auto result = store_->write(kTable, std::move(batch));
    ASSERT_QUARRY_OK(result);
    EXPECT_EQ(result->missing, missing);
    learn_update_times();
  }

  // A patch stamps updated_at with the store's clock: the only thing the model takes from the store.
  void learn_update_times() {
    for (const auto& id : patched_) {
      if (!model_.contains(id)) continue;
      const auto got = store_->get(kTable, {id}, {});
      ASSERT_QUARRY_OK(got);
      ASSERT_EQ(got->size(), 1u) << id;
      EXPECT_GE(got->front().updated_at, model_[id].updated_at);
      model_[id].updated_at = got->front().updated_at;
    }
    patched_.clear();
  }

  void erase() {
    WriteBatch batch;
    uint64_t there = 0;
    for (uint64_t i = 0; i <= source_.below(8); ++i) batch.deletes.push_back(source_.id(kIds));
    for (const auto& id : batch.deletes) there += model_.erase(id);
    const auto result = store_->write(kTable, std::move(batch));
    ASSERT_QUARRY_OK(result);
    EXPECT_EQ(result->deleted, there);
  }

  void erase_matching() {
    const Filter filter = equals("title", json::string(source_.word()));
    const uint64_t n = std::erase_if(model_, [&](const auto& m) { return matches(filter, filter_view(m.second)); });
    const auto result = store_->delete_where(kTable, filter);
    ASSERT_QUARRY_OK(result);
    EXPECT_EQ(*result, n);
  }

  void replace() {
    WriteBatch batch{.upserts = draw(6)};
    batch.replace = SourceReplacement{{source_.source(), source_.source(), "doc_of_" + std::to_string(source_.below(4))}};
    apply_replacement(batch);
    ASSERT_QUARRY_OK(store_->write(kTable, std::move(batch)));
  }

  void apply_replacement(const WriteBatch& batch) {
    std::set<std::string> written;
    for (const auto& d : batch.upserts) written.insert(d.document_id);
    for (const auto& p : batch.patches) written.insert(p.document_id);
    model_upsert(batch.upserts);
    for (const auto& p : batch.patches) model_patch(p);
    const auto& sources = batch.replace->source_ids;
    std::erase_if(model_, [&](const auto& m) {
      return !written.contains(m.first) && std::find(sources.begin(), sources.end(), source_of(m.second)) != sources.end();
    });
  }

  // Everything in one batch, with a transaction that is then repeated.
  void mixed() {
    WriteBatch batch{.upserts = draw(5)};
    for (int i = 0; i < 2; ++i) batch.patches.push_back(draw_patch());
    batch.replace = SourceReplacement{{source_.source()}};
    batch.deletes = {source_.id(kIds), source_.id(kIds)};
    batch.txn_app = "task_" + std::to_string(source_.below(3));
    batch.txn_version = ++txn_version_;
    apply_replacement(batch);
    for (const auto& id : batch.deletes) model_.erase(id);
    const auto first = store_->write(kTable, batch);
    ASSERT_QUARRY_OK(first);
    EXPECT_FALSE(first->repeated);
    if (source_.one_in(2)) {
      open();
      attach();
    }
    const auto second = store_->write(kTable, batch);
    ASSERT_QUARRY_OK(second);
    EXPECT_TRUE(second->repeated);
    EXPECT_GE(second->version, first->version);
    learn_update_times();
  }

  Filter draw_filter() {
    switch (source_.below(4)) {
      case 0: return equals("title", json::string(source_.word()));
      case 1: return *parse_filter(json::object{{"field", "pages"}, {"operator", "gte"}, {"value", 2}});
      case 2:
        return *parse_filter(
            json::object{{"NOT", json::array{json::object{{"field", "meta.title"}, {"operator", "exists"}, {"value", true}}}}});
      default: return {};
    }
  }

  using Score = std::function<std::optional<float>(const Document&)>;

  Score draw_dense(SearchRequest& r, std::string name, Metric metric, size_t dimension) {
    r.vector_name = name;
    r.query = DenseQuery{source_.vector(dimension)};
    return [=, query = std::get<DenseQuery>(r.query).values](const Document& d) -> std::optional<float> {
      for (const auto& v : d.vectors)
        if (v.name == name) return oracle_score(metric, query, v.values);
      return std::nullopt;
    };
  }

  Score draw_sparse(SearchRequest& r) {
    const SparseVector query = source_.sparse();
    r.vector_name = "words";
    r.query = SparseQuery{query.indices, query.values};
    return [=](const Document& d) -> std::optional<float> {
      if (d.sparse_vectors.empty()) return std::nullopt;
      bool shares = false;
      const float score = oracle_sparse(query, d.sparse_vectors[0], shares);
      return shares ? std::optional(score) : std::nullopt;
    };
  }

  Score draw_multi(SearchRequest& r) {
    const MultiVector query = source_.multi();
    r.vector_name = "tokens";
    r.query = MultiVectorQuery{query.values};
    return [=](const Document& d) -> std::optional<float> {
      if (d.multi_vectors.empty()) return std::nullopt;
      return oracle_max_sim(Metric::kCosine, 3, query.values, d.multi_vectors[0].values);
    };
  }

  Score draw_query(SearchRequest& r) {
    switch (source_.below(4)) {
      case 0: return draw_dense(r, "text", Metric::kCosine, 4);
      case 1: return draw_dense(r, "image/v2", Metric::kEuclidean, 3);
      case 2: return draw_sparse(r);
      default: return draw_multi(r);
    }
  }

  void compare_search() {
    SearchRequest r;
    r.table_id = kTable;
    const Score score_of = draw_query(r);
    r.filter = draw_filter();
    r.k = source_.below(25);
    r.exact = source_.one_in(2);
    r.projection.vectors = true;
    if (source_.one_in(3)) r.min_score = 0.4f;
    std::vector<std::pair<float, std::string>> expected;
    for (const auto& [id, d] : model_) {
      const auto score = score_of(d);
      if (score && matches(r.filter, filter_view(d)) && (!r.min_score || *score >= *r.min_score)) expected.emplace_back(*score, id);
    }
    std::sort(expected.begin(), expected.end(),
              [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
    if (source_.one_in(3)) return compare_groups(r, expected);
    if (expected.size() > r.k) expected.resize(r.k);
    const auto got = store_->search(r);
    ASSERT_QUARRY_OK(got);
    ASSERT_EQ(got->tier, tier_);
    ASSERT_EQ(got->hits.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(got->hits[i].document.document_id, expected[i].second) << i;
      ASSERT_EQ(std::bit_cast<uint32_t>(got->hits[i].score), std::bit_cast<uint32_t>(expected[i].first)) << i;
      ASSERT_TRUE(identical(as_json(got->hits[i].document), as_json(model_[expected[i].second]))) << i;
    }
  }

  void compare_groups(SearchRequest r, const std::vector<std::pair<float, std::string>>& ranked) {
    r.group = GroupSpec{.field = "title", .max_per_group = 1 + source_.below(3), .limit = 1 + source_.below(4)};
    std::vector<std::string> names, expected;
    std::map<std::string, std::vector<std::string>> members;
    for (const auto& [score, id] : ranked) {
      const auto* title = model_[id].payload.if_contains("title");
      if (title == nullptr || title->is_null()) continue;
      const std::string key = json::serialize(*title);
      if (!members.contains(key)) {
        if (names.size() == r.group->limit) continue;
        names.push_back(key);
      }
      if (members[key].size() < r.group->max_per_group) members[key].push_back(id);
    }
    for (const auto& name : names) expected.insert(expected.end(), members[name].begin(), members[name].end());
    const auto got = store_->search(r);
    ASSERT_QUARRY_OK(got);
    std::vector<std::string> ids;
    for (const auto& h : got->hits) ids.push_back(h.document.document_id);
    ASSERT_EQ(ids, expected);
  }

  void compare_scan() {
    const Filter filter = draw_filter();
    std::vector<const Document*> matching;
    for (const auto& [id, d] : model_)
      if (matches(filter, filter_view(d))) matching.push_back(&d);
    ASSERT_EQ(*store_->count(kTable, filter), matching.size());
    ScanRequest r;
    r.table_id = kTable;
    r.filter = filter;
    r.limit = 1 + source_.below(10);
    r.with_total = true;
    const bool sorted = source_.one_in(2);
    if (sorted) {
      static constexpr const char* kSorts[] = {"price", "title", "document_id", "updated_at", "meta.title"};
      r.sort = SortSpec{kSorts[source_.below(std::size(kSorts))], source_.one_in(2), source_.one_in(2)};
      sort_model(*r.sort, matching);
    }
    std::vector<std::string> expected, got;
    for (const auto* d : matching) expected.push_back(d->document_id);
    for (;;) {
      const auto page = store_->scan(r);
      ASSERT_QUARRY_OK(page);
      ASSERT_EQ(*page->total, matching.size());
      for (const auto& d : page->documents) got.push_back(d.document_id);
      if (!page->has_more) break;
      if (sorted)
        r.offset += r.limit;
      else
        r.after_document_id = got.back();
    }
    ASSERT_EQ(got, expected);
    compare_facet(filter, matching);
  }

  static void sort_model(const SortSpec& sort, std::vector<const Document*>& documents) {
    std::stable_sort(documents.begin(), documents.end(), [&](const Document* a, const Document* b) {
      const json::object x = filter_view(*a), y = filter_view(*b);
      json::value at_x, at_y;
      const json::value *v = read_path(x, sort.field, at_x), *w = read_path(y, sort.field, at_y);
      const bool no_v = v == nullptr || v->is_null(), no_w = w == nullptr || w->is_null();
      if (no_v || no_w) return no_v == no_w ? false : no_v == !sort.nulls_last;
      const int c = compare_json(*v, *w);
      return sort.descending ? c > 0 : c < 0;
    });
  }

  static size_t distinct_values(const json::array& list) {
    const auto less = [](const json::value& a, const json::value& b) { return compare_json(a, b) < 0; };
    std::set<json::value, decltype(less)> distinct(list.begin(), list.end(), less);
    distinct.erase(json::value());
    return distinct.size();
  }

  void compare_facet(const Filter& filter, const std::vector<const Document*>& matching) {
    uint64_t expected = 0, got = 0;
    for (const auto* d : matching) {
      const auto* v = d->payload.if_contains("tags");
      if (v == nullptr || v->is_null()) continue;
      if (v->is_array())
        expected += distinct_values(v->as_array());
      else
        ++expected;
    }
    const auto facet = store_->facet(kTable, filter, "tags", 10'000);
    ASSERT_QUARRY_OK(facet);
    for (size_t i = 0; i < facet->size(); ++i) {
      got += (*facet)[i].count;
      EXPECT_TRUE(i == 0 || (*facet)[i - 1].count >= (*facet)[i].count);
    }
    ASSERT_EQ(got, expected);
  }

  void compare_all() {
    std::map<std::string, json::value> got;
    ASSERT_QUARRY_OK(store_->for_each(kTable, {}, {.payload = true, .vectors = true}, [&](const Document& d) {
      EXPECT_TRUE(got.emplace(d.document_id, as_json(d)).second) << d.document_id << " twice";
      return true;
    }));
    ASSERT_EQ(got.size(), model_.size());
    for (const auto& [id, d] : model_)
      ASSERT_TRUE(identical(got[id], as_json(d))) << json::serialize(got[id]) << "\n" << json::serialize(as_json(d));
    EXPECT_EQ(store_->stats(kTable)->documents, model_.size());
  }

  DocumentSource source_;
  objects::ObjectStore& objects_;
  Executor* const executor_;
  const uint64_t cold_cache_bytes_, sidecar_min_rows_;
  std::unique_ptr<VectorStore> store_;
  Tier tier_ = Tier::kActive;
  Model model_;
  std::set<std::string> patched_;
  int64_t txn_version_ = 0;
};

class VectorStoreModel : public ::testing::TestWithParam<uint64_t> {};

TEST_P(VectorStoreModel, AgreesWithAPlainMap) {
  SCOPED_TRACE("seed " + std::to_string(GetParam()));
  const auto objects = objects::make_memory_store();
  Executor executor("mvs-test", 2, 64);
  ModelRun(GetParam(), *objects, GetParam() % 2 == 0 ? &executor : nullptr).run(80);
}

// QUARRY_MODEL_SEEDS=1000 looks longer.
INSTANTIATE_TEST_SUITE_P(Seeds, VectorStoreModel, ::testing::Range<uint64_t>(1, 1 + test::seeds_from_environment(8)));

}  // namespace
}  // namespace quarry::mvs
