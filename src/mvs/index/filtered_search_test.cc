// Filtered search: how it is gone about, and what it finds at every share of matching rows, wherever these lie from the query.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "mvs/index/filtered_plan.h"
#include "mvs/index/graph.h"
#include "mvs/test_table.h"

namespace quarry::mvs {
namespace {

constexpr size_t kDimension = 32, kBest = 10;
constexpr double kShares[] = {0.5, 0.35, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.001};

TEST(FilteredPlanTest, GoesByTheWayThatTakesLeast) {
  using Way = FilteredPlan::Way;
  struct Case {
    FilteredLoad load;
    Way way;
    bool two_hops;
  };
  for (const auto& [load, way, two_hops] : std::initializer_list<Case>{
           {{100'000, 100'000, 384, 64}, Way::kWalk, false},   // nothing is filtered out
           {{100'000, 90'000, 384, 64}, Way::kWalk, false},    // hardly anything
           {{100'000, 50'000, 384, 64}, Way::kWalk, true},
           {{1'000'000, 100'000, 384, 64}, Way::kWalk, true},
           {{100'000, 10'000, 384, 64}, Way::kScan, true},
           {{100'000, 100, 384, 64}, Way::kScore, false},
           {{10'000'000, 50, 768, 64}, Way::kScore, false},
           {{100'000, 50'000, 384, 4096}, Way::kScan, true},   // a walk that wide would see them all
           {{5'000, 0, 384, 64}, Way::kScore, false}}) {
    const FilteredPlan plan = plan_filtered(load);
    EXPECT_EQ(plan.way, way) << load.nodes << " " << load.matching << " " << load.effort;
    if (way != Way::kWalk) continue;
    EXPECT_EQ(plan.two_hops, two_hops) << load.nodes << " " << load.matching;
    EXPECT_GE(plan.max_hops, load.effort);
  }
}

// Rows of a few hundred clusters and, for each of them, a place along the direction in which the clusters differ most by construction.
struct Rows {
  std::vector<std::vector<float>> vectors;
  std::vector<double> places;
};

Rows draw(size_t count, uint64_t seed, uint64_t clusters_seed) {
  std::mt19937_64 clusters(clusters_seed), random(seed);
  std::normal_distribution<float> normal;
  std::vector<std::array<float, 12>> centres(200);
  std::vector<std::array<float, kDimension>> basis(12);
  for (auto& c : centres)
    for (auto& v : c) v = normal(clusters);
  for (auto& c : centres) c[0] *= 3;
  for (auto& b : basis)
    for (auto& v : b) v = normal(clusters);
  Rows out;
  for (size_t i = 0; i < count; ++i) {
    std::array<float, 12> at = centres[random() % centres.size()];
    for (auto& v : at) v += 0.5f * normal(random);
    std::vector<float> vector(kDimension);
    for (size_t d = 0; d < kDimension; ++d) {
      for (size_t b = 0; b < 12; ++b) vector[d] += at[b] * basis[b][d];
      vector[d] += 0.3f * normal(random);
    }
    out.vectors.push_back(std::move(vector));
    out.places.push_back(at[0]);
  }
  return out;
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += double(a[i]) * b[i];
    aa += double(a[i]) * a[i];
    bb += double(b[i]) * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

enum class Side { kAnywhere, kOfQuery, kOther };

class FilteredWalk : public ::testing::TestWithParam<Side> {
 protected:
  static void SetUpTestSuite() {
    rows_ = new Rows(draw(12'000, 1, 7));
    queries_ = new Rows(draw(30, 2, 7));
    std::vector<const float*> pointers;
    for (const auto& v : rows_->vectors) pointers.push_back(v.data());
    Executor executor("walk-test", 2, 64);
    graph_ = new Graph(std::make_shared<const Quantizer>(Metric::kCosine, kDimension, pointers));
    ASSERT_TRUE(graph_->append(pointers, &executor));
    graph_->link(uint32_t(pointers.size()), &executor);
  }
  static void TearDownTestSuite() {
    delete rows_;
    delete queries_;
    delete graph_;
  }

  // The share of the rows that is nearest to that end of the main direction, or one at random.
  static Bitmap wanted(Side side, size_t query, double share, std::mt19937_64& random) {
    std::vector<uint32_t> order(rows_->places.size());
    std::iota(order.begin(), order.end(), 0u);
    if (side == Side::kAnywhere) {
      std::shuffle(order.begin(), order.end(), random);
    } else {
      const bool high = (queries_->places[query] > 0) == (side == Side::kOfQuery);
      std::sort(order.begin(), order.end(),
                [&](uint32_t a, uint32_t b) { return high ? rows_->places[a] > rows_->places[b] : rows_->places[a] < rows_->places[b]; });
    }
    Bitmap out(order.size());
    for (size_t i = 0; i < size_t(share * double(order.size())); ++i) out.set(order[i]);
    return out;
  }

  static std::vector<uint32_t> nearest(const std::vector<float>& query, const Bitmap& wanted) {
    std::vector<std::pair<double, uint32_t>> all;
    wanted.for_each([&](size_t row) { all.emplace_back(-cosine(query, rows_->vectors[row]), uint32_t(row)); });
    std::sort(all.begin(), all.end());
    std::vector<uint32_t> out;
    for (size_t i = 0; i < std::min(kBest, all.size()); ++i) out.push_back(all[i].second);
    return out;
  }

  static inline Rows *rows_ = nullptr, *queries_ = nullptr;
  static inline Graph* graph_ = nullptr;
};

TEST_P(FilteredWalk, FindsTheNearestAtEveryShare) {
  std::mt19937_64 random(5);
  for (const double share : kShares) {
    if (share < 0.05) continue;  // scans are for fewer
    size_t asked = 0;
    double walked = 0, scanned = 0;
    for (size_t q = 0; q < queries_->vectors.size(); ++q) {
      const auto& query = queries_->vectors[q];
      const Bitmap wanted = this->wanted(GetParam(), q, share, random);
      const auto truth = nearest(query, wanted);
      QueryCodes codes;
      graph_->quantizer().prepare(query.data(), codes);
      std::vector<Candidate> found;
      const auto hits = [&] {
        size_t n = 0;
        for (const auto& c : found) {
          EXPECT_TRUE(wanted.test(c.node));
          n += size_t(std::count(truth.begin(), truth.end(), c.node));
        }
        return double(n) / double(truth.size());
      };
      const NodeFilter filter{wanted};
      if (graph_->search(codes, 64, &filter, found)) {
        walked += hits();
        ++asked;
      }
      graph_->scan(codes, 0, graph_->size(), 20, &wanted, found);
      scanned += hits();
    }
    EXPECT_GE(walked, 0.95 * double(asked)) << "walk, share " << share;
    if (GetParam() == Side::kAnywhere) {
      EXPECT_GE(asked, queries_->vectors.size() * 9 / 10) << "share " << share;  // chance alone may put some far off
    }
    EXPECT_GE(scanned / double(queries_->vectors.size()), 0.95) << "scan, share " << share;
  }
}

INSTANTIATE_TEST_SUITE_P(Sides, FilteredWalk, ::testing::Values(Side::kAnywhere, Side::kOfQuery, Side::kOther));

class FilteredStore : public ::testing::TestWithParam<Side> {};

// Through the store: conditions on columns, deleted rows, every way of going about it.
TEST_P(FilteredStore, RecallAtEveryShare) {
  const Rows rows = draw(6000, 3, 9), queries = draw(20, 4, 9);
  const auto objects = objects::make_memory_store();
  const auto store =
      std::move(VectorStore::open({.store = objects.get(), .executor = nullptr, .commit_window_us = 0, .index_min_rows = 1000})).value();
  const TableSpec spec{"col_a", "org/ns/col_a", {{"v", "uri", kDimension, Metric::kCosine}}, {{"at", FieldType::kFloat}, {"n", FieldType::kInteger}}};
  ASSERT_TRUE(store->create_table(spec).ok());
  std::mt19937_64 random(11);
  WriteBatch batch;
  for (size_t i = 0; i < rows.vectors.size(); ++i) {
    Document d;
    d.document_id = fmt::format("doc_{:06}", i);
    d.payload = {{"at", rows.places[i]}, {"n", int64_t(random() % 1'000'000)}};
    d.vectors = {{"v", rows.vectors[i]}};
    batch.upserts.push_back(std::move(d));
  }
  ASSERT_QUARRY_OK(store->write("col_a", std::move(batch)));
  ASSERT_TRUE(store->maintain("col_a").ok());
  WriteBatch gone;
  for (size_t i = 0; i < 6000; i += 50) gone.deletes.push_back(fmt::format("doc_{:06}", i));
  ASSERT_QUARRY_OK(store->write("col_a", std::move(gone)));
  std::vector<double> sorted = rows.places;
  std::sort(sorted.begin(), sorted.end());
  for (const double share : kShares) {
    size_t found = 0, wanted = 0;
    for (size_t q = 0; q < queries.vectors.size(); ++q) {
      const bool high = (queries.places[q] > 0) == (GetParam() == Side::kOfQuery);
      const auto n = size_t(share * double(sorted.size()));
      const json::object condition =
          GetParam() == Side::kAnywhere ? json::object{{"field", "n"}, {"operator", "lt"}, {"value", int64_t(share * 1'000'000)}}
          : high                        ? json::object{{"field", "at"}, {"operator", "gte"}, {"value", sorted[sorted.size() - n]}}
                                        : json::object{{"field", "at"}, {"operator", "lt"}, {"value", sorted[n]}};
      SearchRequest r;
      r.table_id = "col_a";
      r.vector_name = "v";
      r.query = DenseQuery{queries.vectors[q]};
      r.filter = *parse_filter(condition);
      const auto quick = store->search(r);
      r.exact = true;
      const auto exact = store->search(r);
      ASSERT_TRUE(quick.ok() && exact.ok());
      ASSERT_EQ(quick->hits.size(), exact->hits.size()) << share;
      wanted += exact->hits.size();
      for (const auto& hit : quick->hits)
        found += std::any_of(exact->hits.begin(), exact->hits.end(), [&](const Hit& e) {
          return e.document.document_id == hit.document.document_id && e.score == hit.score;
        });
    }
    EXPECT_GE(double(found), 0.95 * double(wanted)) << share;
  }
}

INSTANTIATE_TEST_SUITE_P(Sides, FilteredStore, ::testing::Values(Side::kAnywhere, Side::kOfQuery, Side::kOther));

}  // namespace
}  // namespace quarry::mvs
