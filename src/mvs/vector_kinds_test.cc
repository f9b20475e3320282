// Sparse and multi-vector columns through the store: every score has the bits of the definition in mvs.h, whatever way it is computed.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "mvs/hot/kernels.h"
#include "mvs/mvs.h"
#include "mvs/test_table.h"

namespace quarry::mvs {
namespace {

constexpr size_t kTokenDimension = 5;

TableSpec kinds_spec() {
  return {"col_k",
          "org/ns/col_k",
          {{"words", "", 0, Metric::kDot, VectorKind::kSparse},
           {"tokens", "", kTokenDimension, Metric::kDot, VectorKind::kMulti},
           {"plain", "", 2, Metric::kCosine}},
          {{"shelf", FieldType::kInteger}}};
}

class VectorKindsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    open();
    ASSERT_QUARRY_OK(store_->create_table(kinds_spec()));
  }

  void open() {
    store_.reset();
    store_ = *VectorStore::open({.store = objects_.get(), .executor = &executor_, .commit_window_us = 0});
  }

  void reopen() {
    open();
    ASSERT_QUARRY_OK(store_->attach_table(kinds_spec()));
  }

  float weight() { return std::uniform_real_distribution<float>(-1, 1)(rng_); }

  SparseVector draw_sparse(size_t entries, uint32_t range) {
    std::set<uint32_t> indices;
    while (indices.size() < entries) indices.insert(uint32_t(rng_() % range));
    SparseVector v{"words", {indices.begin(), indices.end()}, {}};
    for (size_t i = 0; i < entries; ++i) v.values.push_back(weight());
    return v;
  }

  MultiVector draw_multi(size_t tokens) {
    MultiVector v{"tokens", {}};
    for (size_t i = 0; i < tokens * kTokenDimension; ++i) v.values.push_back(weight());
    return v;
  }

  void fill(int documents) {
    std::vector<Document> out;
    for (int i = 0; i < documents; ++i) {
      Document d;
      d.document_id = "doc_" + std::to_string(i);
      d.payload = {{"shelf", i % 100}};
      if (i % 7 != 0) d.sparse_vectors = {draw_sparse(1 + rng_() % 12, 300)};
      if (i % 5 != 0) d.multi_vectors = {draw_multi(1 + rng_() % 9)};
      documents_[d.document_id] = d;
      out.push_back(std::move(d));
    }
    ASSERT_QUARRY_OK(store_->write("col_k", {.upserts = std::move(out)}));
  }

  std::optional<float> score_of(const SparseQuery& q, const Document& d) const {
    if (d.sparse_vectors.empty()) return std::nullopt;
    const SparseVector& x = d.sparse_vectors[0];
    float sum = 0;
    bool shares = false;
    for (size_t i = 0; i < q.indices.size(); ++i)
      for (size_t j = 0; j < x.indices.size(); ++j) {
        if (q.indices[i] != x.indices[j]) continue;
        const float product = q.values[i] * x.values[j];
        sum = sum + product;
        shares = true;
      }
    return shares ? std::optional(sum) : std::nullopt;
  }

  std::optional<float> score_of(const MultiVectorQuery& q, const Document& d) const {
    if (d.multi_vectors.empty()) return std::nullopt;
    const auto& x = d.multi_vectors[0].values;
    float sum = 0;
    for (size_t i = 0; i < q.values.size(); i += kTokenDimension) {
      float best = -INFINITY;
      for (size_t j = 0; j < x.size(); j += kTokenDimension) best = std::max(best, reference_dot(&q.values[i], &x[j], kTokenDimension));
      sum = sum + best;
    }
    return sum;
  }

  template <class Q>
  void compare(const SearchRequest& request, const Q& query, int64_t shelf_below = 100) {
    std::vector<std::pair<float, std::string>> expected;
    for (const auto& [id, d] : documents_) {
      const auto score = score_of(query, d);
      if (score && d.payload.at("shelf").as_int64() < shelf_below && (!request.min_score || *score >= *request.min_score))
        expected.emplace_back(*score, id);
    }
    std::sort(expected.begin(), expected.end(),
              [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
    const size_t scored = expected.size();
    if (expected.size() > request.k) expected.resize(request.k);
    const auto got = store_->search(request);
    ASSERT_QUARRY_OK(got);
    if (!request.min_score) {
      EXPECT_EQ(got->rows_scored, scored);
    }
    ASSERT_EQ(got->hits.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(got->hits[i].document.document_id, expected[i].second) << i;
      ASSERT_EQ(std::bit_cast<uint32_t>(got->hits[i].score), std::bit_cast<uint32_t>(expected[i].first)) << i;
    }
  }

  SearchRequest request_for(std::string vector, Query query) {
    SearchRequest r;
    r.table_id = "col_k";
    r.vector_name = std::move(vector);
    r.query = std::move(query);
    r.k = 50;
    return r;
  }

  Filter shelf_below(int64_t n) { return *parse_filter(json::object{{"field", "shelf"}, {"operator", "lt"}, {"value", n}}); }

  std::unique_ptr<objects::ObjectStore> objects_ = objects::make_memory_store();
  Executor executor_{"mvs-test", 2, 64};
  std::unique_ptr<VectorStore> store_;
  std::mt19937_64 rng_{11};
  std::map<std::string, Document> documents_;
};

// 20,000 documents of 6 entries go by inverted lists, those of a few shelves and those of small segments row by row.
TEST_F(VectorKindsTest, SparseScoresAreTheDefinitionsHoweverComputed) {
  fill(20'000);
  for (int round = 0; round < 12; ++round) {
    const SparseVector q = draw_sparse(1 + rng_() % 20, 310);
    SearchRequest r = request_for("words", SparseQuery{q.indices, q.values});
    compare(r, SparseQuery{q.indices, q.values});
    r.filter = shelf_below(3);
    compare(r, SparseQuery{q.indices, q.values}, 3);
    r.filter = shelf_below(60);
    r.min_score = 0.5f;
    compare(r, SparseQuery{q.indices, q.values}, 60);
  }
  for (int i = 0; i < 500; ++i) {
    const std::string id = "doc_" + std::to_string(rng_() % 20'000);
    documents_.erase(id);
    ASSERT_QUARRY_OK(store_->write("col_k", {.deletes = {id}}));
    if (i % 100 == 0) {
      Document d;
      d.document_id = "late_" + std::to_string(i);
      d.payload = {{"shelf", 1}};
      d.sparse_vectors = {draw_sparse(9, 300)};
      documents_[d.document_id] = d;
      ASSERT_QUARRY_OK(store_->write("col_k", {.upserts = {d}}));
    }
  }
  const SparseVector q = draw_sparse(15, 300);
  const SearchRequest r = request_for("words", SparseQuery{q.indices, q.values});
  compare(r, SparseQuery{q.indices, q.values});
  ASSERT_QUARRY_OK(store_->maintain("col_k"));
  compare(r, SparseQuery{q.indices, q.values});
  reopen();
  compare(r, SparseQuery{q.indices, q.values});
}

TEST_F(VectorKindsTest, MaxSimIsTheDefinitions) {
  fill(2'000);
  for (int round = 0; round < 10; ++round) {
    const MultiVector q = draw_multi(1 + rng_() % 40);
    SearchRequest r = request_for("tokens", MultiVectorQuery{q.values});
    compare(r, MultiVectorQuery{q.values});
    r.filter = shelf_below(5);
    r.min_score = 1.0f;
    compare(r, MultiVectorQuery{q.values}, 5);
  }
  // More tokens than one call of the kernel takes.
  Document d;
  d.document_id = "long";
  d.payload = {{"shelf", 0}};
  d.multi_vectors = {draw_multi(1000)};
  documents_["long"] = d;
  ASSERT_QUARRY_OK(store_->write("col_k", {.upserts = {d}}));
  const MultiVector q = draw_multi(3);
  compare(request_for("tokens", MultiVectorQuery{q.values}), MultiVectorQuery{q.values});
  reopen();
  compare(request_for("tokens", MultiVectorQuery{q.values}), MultiVectorQuery{q.values});
}

TEST_F(VectorKindsTest, ScoresStayFiniteAndNothingSharedIsNoHit) {
  const auto document = [](std::string id, std::vector<uint32_t> indices, std::vector<float> values) {
    Document d;
    d.document_id = std::move(id);
    d.sparse_vectors = {{"words", std::move(indices), std::move(values)}};
    return d;
  };
  ASSERT_QUARRY_OK(store_->write(
      "col_k", {.upserts = {document("high", {1, 2}, {3e38f, 3e38f}), document("cancels", {1, 2}, {3e38f, -3e38f}),
                            document("zero", {1}, {0}), document("apart", {5}, {1}), document("low", {1, 2}, {-3e38f, -3e38f})}}));
  const auto found = store_->search(request_for("words", SparseQuery{{1, 2, 4'294'967'295u}, {10, 10, 1}}));
  ASSERT_QUARRY_OK(found);
  ASSERT_EQ(found->hits.size(), 4u);
  EXPECT_EQ(found->hits[0].document.document_id, "high");
  EXPECT_EQ(found->hits[0].score, std::numeric_limits<float>::max());
  EXPECT_EQ(found->hits[1].document.document_id, "cancels");
  EXPECT_EQ(found->hits[1].score, 0);
  EXPECT_EQ(found->hits[2].document.document_id, "zero");
  EXPECT_EQ(found->hits[3].score, -std::numeric_limits<float>::max());
}

TEST_F(VectorKindsTest, GroupsAndDeadlinesHoldForEveryKind) {
  fill(3'000);
  const SparseVector words = draw_sparse(30, 300);
  for (SearchRequest r :
       {request_for("words", SparseQuery{words.indices, words.values}), request_for("tokens", MultiVectorQuery{draw_multi(4).values})}) {
    r.k = 3'000;
    const auto ranked = store_->search(r);
    ASSERT_QUARRY_OK(ranked);
    std::vector<int64_t> shelves;  // in the order of their best member
    for (const auto& hit : ranked->hits) {
      const int64_t shelf = hit.document.payload.at("shelf").as_int64();
      if (std::find(shelves.begin(), shelves.end(), shelf) == shelves.end()) shelves.push_back(shelf);
    }
    r.group = GroupSpec{.field = "shelf", .max_per_group = 1, .limit = 10};
    const auto groups = store_->search(r);
    ASSERT_QUARRY_OK(groups);
    ASSERT_EQ(groups->hits.size(), 10u);
    for (size_t i = 0; i < 10; ++i) EXPECT_EQ(groups->hits[i].document.payload.at("shelf").as_int64(), shelves[i]);
    r.deadline_us = 1;
    EXPECT_EQ(store_->search(r).error().kind, ErrorKind::kTimeout);
  }
}

TEST_F(VectorKindsTest, SaysWhatIsWrong) {
  const auto refused = [&](std::vector<SparseVector> sparse, std::vector<MultiVector> multi, std::string_view part) {
    Document d;
    d.document_id = "bad";
    d.sparse_vectors = std::move(sparse);
    d.multi_vectors = std::move(multi);
    const auto result = store_->write("col_k", {.upserts = {std::move(d)}});
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, ErrorKind::kBadRequest);
    EXPECT_NE(result.error().message.find("document 'bad'"), std::string::npos) << result.error().message;
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  };
  refused({{"words", {1, 2}, {1}}}, {}, "2 indices and 1 values");
  refused({{"words", {}, {}}}, {}, "0 entries: 1 to 65536");
  refused({{"words", {2, 2}, {1, 1}}}, {}, "index 2 does not ascend or is there twice");
  refused({{"words", {3, 2}, {1, 1}}}, {}, "index 2 does not ascend");
  refused({{"words", {1}, {NAN}}}, {}, "not finite");
  refused({{"plain", {1}, {1}}}, {}, "vector 'plain' is dense, not sparse");
  refused({{"nope", {1}, {1}}}, {}, "no vector 'nope'");
  refused({{"words", {1}, {1}}, {"words", {1}, {1}}}, {}, "given twice");
  refused({}, {{"tokens", {}}}, "0 tokens");
  refused({}, {{"tokens", std::vector<float>(7)}}, "7 values: no multiple of its dimension 5");
  refused({}, {{"tokens", std::vector<float>((kMaxTokens + 1) * kTokenDimension)}}, "8193 tokens");
  refused({}, {{"tokens", {0, 0, INFINITY, 0, 0}}}, "not finite");
  const auto bad_query = [&](std::string vector, Query query, std::string_view part) {
    const auto result = store_->search(request_for(std::move(vector), std::move(query)));
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, ErrorKind::kBadRequest);
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  };
  bad_query("words", DenseQuery{{1, 2}}, "vector 'words' is sparse; a dense query can't search it");
  bad_query("plain", SparseQuery{{1}, {1}}, "vector 'plain' is dense; a sparse query");
  bad_query("tokens", DenseQuery{{1, 2, 3, 4, 5}}, "multi_dense");
  bad_query("words", SparseQuery{{}, {}}, "0 entries");
  bad_query("words", SparseQuery{{1, 1}, {1, 1}}, "index 1 does not ascend or is there twice");
  bad_query("words", SparseQuery{{1, 2}, {1}}, "2 indices and 1 values");
  bad_query("words", SparseQuery{{1}, {INFINITY}}, "not finite");
  bad_query("tokens", MultiVectorQuery{{}}, "0 values");
  bad_query("tokens", MultiVectorQuery{{1, 2, 3}}, "takes tokens of 5 values");
  bad_query("tokens", MultiVectorQuery{std::vector<float>((kMaxQueryTokens + 1) * kTokenDimension)}, "2049 tokens; 2048 are allowed");
}

TEST_F(VectorKindsTest, ColumnsAreAddedLaterAndMustAgree) {
  fill(20);
  TableSpec more = kinds_spec();
  more.vectors.push_back({"late", "", 0, Metric::kDot, VectorKind::kSparse});
  ASSERT_QUARRY_OK(store_->extend_table(more));
  Document d;
  d.document_id = "new";
  d.sparse_vectors = {{"late", {9}, {2}}};
  ASSERT_QUARRY_OK(store_->write("col_k", {.upserts = {d}}));
  ASSERT_QUARRY_OK(store_->write("col_k", {.patches = {{.document_id = "doc_1", .sparse_vectors = {{"late", {9}, {3}}}}}}));
  reopen();
  const auto found = store_->search(request_for("late", SparseQuery{{9}, {1}}));
  ASSERT_QUARRY_OK(found);
  ASSERT_EQ(found->hits.size(), 2u);
  EXPECT_EQ(found->hits[0].document.document_id, "doc_1");
  EXPECT_EQ(store_->stats("col_k")->vectors.at("late"), 2u);
  EXPECT_EQ(store_->stats("col_k")->vectors.at("tokens"), 16u);
  for (VectorSpec wrong :
       {VectorSpec{"late", "", 3, Metric::kDot, VectorKind::kMulti}, VectorSpec{"words", "", 0, Metric::kCosine, VectorKind::kSparse},
        VectorSpec{"x", "", 4, Metric::kDot, VectorKind::kSparse}, VectorSpec{"y", "", 0, Metric::kDot, VectorKind::kMulti}}) {
    TableSpec spec = kinds_spec();
    spec.vectors.push_back(wrong);
    EXPECT_EQ(store_->extend_table(spec).error().kind, ErrorKind::kBadRequest) << wrong.name;
  }
}

}  // namespace
}  // namespace quarry::mvs
