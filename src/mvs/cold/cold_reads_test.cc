// Cold tables read in parts: how much is found, how many round trips it takes, and what a broken or stale sidecar does. That the answers are
// the right ones, cold_tier_test.cc and model_test.cc hold too.
#include "mvs/cold/cold_reads.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <set>

#include "mvs/test_table.h"
#include "objects/counting_store.h"

namespace quarry::mvs {
namespace {

constexpr size_t kDimension = 48, kRows = 12'000;
constexpr const char* kTable = "col_a";

class ColdReadsTest : public ::testing::Test {
 protected:
  static TableSpec spec_of(Metric metric, Tier tier = Tier::kActive) {
    TableSpec spec{kTable, "org/ns/col_a", {{"text", "mixpeek://text_extractor@v1/m", kDimension, metric}}, {}};
    spec.fields = {{"title", FieldType::kText}, {"bucket", FieldType::kInteger}, {"colour", FieldType::kString}};
    spec.tier = tier;
    return spec;
  }

  std::unique_ptr<VectorStore> open(objects::ObjectStore& objects, uint64_t cache_bytes = 1 << 30) {
    return VectorStore::open({.store = &objects,
                              .executor = &executor_,
                              .cold_cache_bytes = cache_bytes,
                              .sidecar_min_rows = 1000,
                              .commit_window_us = 0,
                              .target_file_bytes = 1 << 20})  // several files, none of which is merged again
        .value();
  }

  // Near one of 60 centres that lie off the origin.
  std::vector<float> draw_vector() {
    std::normal_distribution<float> normal;
    std::vector<float> v = centres_[random_() % centres_.size()];
    for (float& x : v) x += 0.6f * normal(random_);
    return v;
  }

  Document draw(size_t number) {
    static constexpr const char* kColours[] = {"red", "green", "blue"};
    Document d;
    d.document_id = fmt::format("doc_{:05}", number);
    d.payload = {{"title", fmt::format("the {} story of {}", kColours[random_() % 3], random_() % 500)},
                 {"bucket", int64_t(random_() % 1000)},
                 {"colour", kColours[random_() % 3]}};
    d.vectors = {{"text", draw_vector()}};
    return d;
  }

  void fill(VectorStore& store, Metric metric) {
    std::normal_distribution<float> normal;
    centres_.assign(60, std::vector<float>(kDimension));
    for (auto& centre : centres_)
      for (float& x : centre) x = 1 + normal(random_);
    ASSERT_QUARRY_OK(store.create_table(spec_of(metric)));
    for (size_t first = 0; first < kRows; first += 4000) {
      WriteBatch batch;
      for (size_t i = 0; i < 4000; ++i) batch.upserts.push_back(draw(first + i));
      ASSERT_QUARRY_OK(store.write(kTable, std::move(batch)));
    }
    WriteBatch gone;
    for (size_t i = 0; i < kRows; i += 17) gone.deletes.push_back(fmt::format("doc_{:05}", i));
    ASSERT_QUARRY_OK(store.write(kTable, std::move(gone)));
    ASSERT_QUARRY_OK(store.maintain(kTable));  // so that no upkeep changes the files while a test looks at them
  }

  SearchRequest draw_request() {
    SearchRequest r{.table_id = kTable, .vector_name = "text", .query = DenseQuery{draw_vector()}, .k = 10};
    r.projection.vectors = true;
    return r;
  }

  static Filter below(int64_t limit) {
    return parse_filter(json::object{{"field", "bucket"}, {"operator", "lt"}, {"value", limit}}).value();
  }

  using Scores = std::map<std::string, uint32_t>;
  static Scores scores_of(const SearchResult& result) {
    Scores out;
    for (const auto& hit : result.hits) out[hit.document.document_id] = std::bit_cast<uint32_t>(hit.score);
    return out;
  }

  static json::array show(const SearchResult& result) {
    json::array out;
    for (const auto& hit : result.hits) out.push_back(json::array{std::bit_cast<uint32_t>(hit.score), test::as_json(hit.document)});
    return out;
  }

  std::vector<objects::ObjectInfo> sidecars() { return objects_->list("org/ns/col_a/_quarry/cold/", "", 1000).value(); }

  std::mt19937_64 random_{11};
  std::vector<std::vector<float>> centres_;
  Executor executor_{"mvs-test", 2, 64};
  std::unique_ptr<objects::ObjectStore> objects_ = objects::make_memory_store();
};

class ColdRecallTest : public ColdReadsTest, public ::testing::WithParamInterface<Metric> {};

TEST_P(ColdRecallTest, FindsTheNearestAtEverySelectivity) {
  const auto store = open(*objects_);
  fill(*store, GetParam());
  ASSERT_QUARRY_OK(store->set_tier(kTable, Tier::kCold));
  EXPECT_EQ(sidecars().size(), 3 * 5u);
  for (const int64_t limit : {1000, 500, 100, 10, 1}) {
    size_t found = 0, wanted = 0;
    uint64_t scored = 0;
    for (int q = 0; q < 25; ++q) {
      SearchRequest request = draw_request();
      if (limit < 1000) request.filter = below(limit);
      const auto cold = store->search(request);
      ASSERT_QUARRY_OK(cold);
      ASSERT_EQ(cold->tier, Tier::kCold);
      scored += cold->rows_scored;
      request.exact = true;
      const auto exact = store->search(request);
      ASSERT_QUARRY_OK(exact);
      const Scores right = scores_of(*exact);
      wanted += right.size();
      for (const auto& [id, score] : scores_of(*cold)) {
        if (!right.contains(id)) continue;
        ++found;
        ASSERT_EQ(score, right.at(id)) << id;
      }
    }
    EXPECT_GE(double(found), 0.95 * double(wanted)) << "of " << limit << " in 1000";
    EXPECT_LT(scored, 25u * 200) << "candidates were chosen by codes";
  }
}

INSTANTIATE_TEST_SUITE_P(Metrics, ColdRecallTest, ::testing::Values(Metric::kCosine, Metric::kDot, Metric::kEuclidean),
                         [](const auto& metric) { return std::string(to_string(metric.param)); });

TEST_F(ColdReadsTest, EveryCapabilityAnswersAsInMemory) {
  const auto store = open(*objects_);
  fill(*store, Metric::kCosine);
  std::vector<SearchRequest> requests;
  for (int q = 0; q < 6; ++q) {
    SearchRequest request = draw_request();
    request.exact = true;
    if (q % 2 == 1) request.filter = below(300);
    requests.push_back(request);
    request.group = GroupSpec{.field = "colour", .max_per_group = 2, .limit = 3};
    requests.push_back(request);
    request.group.reset();
    for (const auto match : {TextQuery::Match::kAny, TextQuery::Match::kAll, TextQuery::Match::kPhrase}) {
      request.query = TextQuery{.text = "the red story", .fields = q < 3 ? std::vector<std::string>{"title"} : std::vector<std::string>(),
                                .match = match, .prefix = q % 3 == 0};
      requests.push_back(request);
    }
  }
  const auto answers = [&] {
    json::array out;
    for (const auto& request : requests) {
      const auto found = store->search(request);
      EXPECT_TRUE(found.ok()) << found.error().message;
      if (found.ok()) out.push_back(show(*found));
    }
    ScanRequest scan{.table_id = kTable, .filter = below(20), .sort = SortSpec{.field = "bucket", .descending = true}, .offset = 3};
    scan.limit = 40;
    const auto page = store->scan(scan).value();  // held while it is walked
    for (const auto& d : page.documents) out.push_back(test::as_json(d));
    for (const auto& f : store->facet(kTable, below(500), "colour", 10).value()) out.push_back(json::array{f.value, f.count});
    out.push_back(store->count(kTable, below(77)).value());
    for (const auto& d : store->get(kTable, {"doc_00001", "doc_00017", "doc_11111"}, {.payload = true, .vectors = true}).value())
      out.push_back(test::as_json(d));
    return out;
  };
  const json::array hot = answers();
  ASSERT_QUARRY_OK(store->set_tier(kTable, Tier::kCold));
  EXPECT_EQ(answers(), hot);
}

TEST_F(ColdReadsTest, DenseQueryTakesTwoRoundTripsAndFewBytes) {
  fill(*open(*objects_), Metric::kCosine);
  ASSERT_QUARRY_OK(open(*objects_)->attach_table(spec_of(Metric::kCosine)));
  {
    const auto store = open(*objects_);
    ASSERT_QUARRY_OK(store->attach_table(spec_of(Metric::kCosine)));
    ASSERT_QUARRY_OK(store->set_tier(kTable, Tier::kCold));
  }
  constexpr int64_t kTripUs = 60'000;
  objects::CountingStore counted(*objects_);
  const auto far = objects::make_faulty_store(counted, {.latency_us = kTripUs});
  const auto store = open(*far);
  ASSERT_QUARRY_OK(store->attach_table(spec_of(Metric::kCosine, Tier::kCold)));
  ASSERT_QUARRY_OK(store->search(draw_request()));  // log, indexes
  int64_t best_us = INT64_MAX;
  for (int q = 0; q < 8; ++q) {
    const SearchRequest request = draw_request();
    counted.reset();
    const int64_t began_us = system_clock().steady_us();
    const auto found = store->search(request);
    best_us = std::min(best_us, system_clock().steady_us() - began_us);
    ASSERT_QUARRY_OK(found);
    ASSERT_EQ(found->hits.size(), 10u);
    EXPECT_LT(counted.counts().bytes_read, kRows * kDimension * sizeof(float) / 2);
  }
  EXPECT_GE(best_us, 2 * kTripUs);
  EXPECT_LT(best_us, 3 * kTripUs);
}

TEST_F(ColdReadsTest, ASearchByWordsReadsTheirPostingsAndTheRows) {
  {
    const auto store = open(*objects_);
    fill(*store, Metric::kCosine);
    ASSERT_QUARRY_OK(store->set_tier(kTable, Tier::kCold));
  }
  constexpr int64_t kTripUs = 60'000;
  const auto far = objects::make_faulty_store(*objects_, {.latency_us = kTripUs});
  const auto store = open(*far);
  ASSERT_QUARRY_OK(store->attach_table(spec_of(Metric::kCosine, Tier::kCold)));
  SearchRequest request{.table_id = kTable, .query = TextQuery{.text = "7"}};
  ASSERT_QUARRY_OK(store->search(request));  // log, indexes, word lists
  int64_t best_us = INT64_MAX;
  for (const char* words : {"red", "story", "green", "blue", "of", "the"}) {
    request.query = TextQuery{.text = words};
    const int64_t began_us = system_clock().steady_us();
    ASSERT_QUARRY_OK(store->search(request));
    best_us = std::min(best_us, system_clock().steady_us() - began_us);
  }
  EXPECT_LT(best_us, 3 * kTripUs) << "postings, then rows";
  for (int q = 0; q < 6; ++q) {
    const int64_t began_us = system_clock().steady_us();
    ASSERT_QUARRY_OK(store->search(request));
    best_us = std::min(best_us, system_clock().steady_us() - began_us);
  }
  EXPECT_LT(best_us, 2 * kTripUs) << "the postings are held";
}

TEST_F(ColdReadsTest, SeesWhatAnotherProcessCommitted) {
  const auto writer = open(*objects_);
  fill(*writer, Metric::kCosine);
  ASSERT_QUARRY_OK(writer->set_tier(kTable, Tier::kCold));
  const auto reader = open(*objects_);
  ASSERT_QUARRY_OK(reader->attach_table(spec_of(Metric::kCosine, Tier::kCold)));
  SearchRequest request = draw_request();
  ASSERT_QUARRY_OK(reader->search(request));
  for (int i = 0; i < 5; ++i) {
    Document d = draw(90'000 + size_t(i));
    d.vectors[0].values = std::get<DenseQuery>(request.query).values;  // the nearest there can be
    ASSERT_QUARRY_OK(writer->write(kTable, {.upserts = {d}}));
    EXPECT_EQ(reader->search(request)->hits.at(0).document.document_id, "doc_90000");
    EXPECT_EQ(reader->get(kTable, {d.document_id}, {})->size(), 1u);
  }
  ASSERT_QUARRY_OK(writer->write(kTable, {.deletes = {"doc_90000"}}));
  EXPECT_EQ(reader->search(request)->hits.at(0).document.document_id, "doc_90001");
}

TEST_F(ColdReadsTest, BrokenSidecarIsFoundAndMadeAnew) {
  {
    const auto store = open(*objects_);
    fill(*store, Metric::kCosine);
    ASSERT_QUARRY_OK(store->set_tier(kTable, Tier::kCold));
  }
  SearchRequest dense = draw_request(), words = dense;
  words.query = TextQuery{.text = "red story of 77"};
  const auto answers = [&](objects::ObjectStore& objects) {
    const auto store = open(objects);
    EXPECT_TRUE(store->attach_table(spec_of(Metric::kCosine, Tier::kCold)).ok());
    SearchRequest exact = dense;
    exact.exact = true;
    json::array out;
    for (const SearchRequest& request : {exact, words}) {
      const auto found = store->search(request);
      EXPECT_TRUE(found.ok()) << found.error().message;
      if (found.ok()) out.push_back(show(*found));
    }
    const auto near = store->search(dense);  // by lists and pages; a file that is read whole gives no fewer
    EXPECT_TRUE(near.ok()) << near.error().message;
    EXPECT_TRUE(store->maintain(kTable).ok());
    return out;
  };
  const json::array right = answers(*objects_);
  std::mt19937_64 random(5);
  for (const auto& object : sidecars()) {
    const std::string whole = objects_->get(object.key).value();
    for (int i = 0; i < 3; ++i) {
      std::string broken = whole;
      broken[random() % broken.size()] ^= char(1 << (random() % 8));
      if (i == 2) broken.resize(random() % broken.size());
      ASSERT_QUARRY_OK(objects_->put(object.key, broken));
      EXPECT_EQ(answers(*objects_), right) << object.key;
    }
    ASSERT_QUARRY_OK(objects_->put(object.key, whole));
  }
  const std::string index = sidecars().front().key;
  ASSERT_TRUE(index.ends_with("/index"));
  ASSERT_QUARRY_OK(objects_->put(index, "no index at all"));
  EXPECT_EQ(answers(*objects_), right);
  EXPECT_GT(objects_->head(index)->size, 1000u) << "upkeep makes it anew";
}

// Its checksum is right, and it speaks of another column than the schema does.
TEST_F(ColdReadsTest, ASidecarOfAnotherColumnIsNoUse) {
  const auto filled = open(*objects_);
  fill(*filled, Metric::kCosine);
  ASSERT_QUARRY_OK(filled->set_tier(kTable, Tier::kCold));
  const std::string key = sidecars().front().key;
  const ColdIndex whole = ColdIndex::decode(*objects_->get(key), key).value();
  SearchRequest request = draw_request();
  const auto right = filled->search(request)->hits.front();
  const auto expect_dropped = [&](const ColdIndex& index) {
    ASSERT_TRUE(ColdIndex::decode(index.encode(), key).ok());
    ASSERT_QUARRY_OK(objects_->put(key, index.encode()));
    const auto store = open(*objects_);
    ASSERT_QUARRY_OK(store->attach_table(spec_of(Metric::kCosine, Tier::kCold)));
    const auto found = store->search(request);
    ASSERT_QUARRY_OK(found);
    EXPECT_EQ(found->hits.front().document.document_id, right.document.document_id);
    EXPECT_EQ(objects_->head(key).error().kind, ErrorKind::kNotFound);
  };
  ColdIndex other = whole;
  other.lists[0].metric = Metric::kDot;
  expect_dropped(other);
  other = whole;
  other.lists[0].dimension = kDimension / 2;
  other.lists[0].origin.resize(kDimension / 2);
  other.lists[0].centres.resize(other.lists[0].sizes.size() * kDimension / 2);
  expect_dropped(other);
}

TEST(ColdIndexTest, GoldenBytes) {
  ColdIndex index;
  index.layout = {.file_bytes = 99, .footer = "foot", .chunks = {{{4, 10}, 0x01020304}}};
  index.rows = 2;
  index.rows_per_page = 2;
  index.page_schema = "schema";
  index.positions = {1, 0};
  index.page_bytes = {77};
  index.lists = {{"text", Metric::kDot, 1, 2.0f, {0.5f}, {1.0f, -1.0f}, {1, 1}, {1, 0}}};
  index.texts = {{"title", 5}};
  const std::string bytes = index.encode();
  std::string hex;
  for (const char c : bytes) hex += fmt::format("{:02x}", uint8_t(c));
  EXPECT_EQ(hex,
            "515259434c443031630000000000000004000000666f6f740100000004000000000000000a000000000000000403020102000000020000"
            "0006000000736368656d61020000000100000000000000010000004d000000010000000400000074657874010000000100000000000040"
            "010000000000003f020000000000803f000080bf0200000001000000010000000200000001000000000000000100000005000000746974"
            "6c650500000000000000abb57818");
  const auto back = ColdIndex::decode(bytes, "here");
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->encode(), bytes);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string broken = bytes;
    broken[i] ^= 0x10;
    EXPECT_FALSE(ColdIndex::decode(broken, "here").ok()) << i;
    EXPECT_FALSE(ColdIndex::decode(std::string_view(bytes).substr(0, i), "here").ok()) << i;
  }
}

}  // namespace
}  // namespace quarry::mvs
