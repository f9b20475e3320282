// Search by words against an oracle that scores every document as mvs.h says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>

#include "mvs/mvs.h"
#include "mvs/simulation/text_oracle.h"
#include "mvs/test_table.h"

namespace quarry::mvs {
namespace {

constexpr const char* kTable = "col_t";
constexpr uint64_t kNeverMerge = 2, kMerge = 64ull << 20;  // target_file_bytes

TableSpec spec(std::string language = "english") {
  return {kTable,
          "org/ns/col_t",
          {},
          {{"body", FieldType::kText}, {"title", FieldType::kString}, {"pages", FieldType::kInteger}, {"photo", FieldType::kImage}},
          Tier::kActive,
          std::move(language)};
}

using OracleHit = simulation::TextOracle::Hit;

// Of all that `store` holds.
simulation::TextOracle oracle_of(VectorStore& store, std::string_view language) {
  std::vector<Document> documents;
  const auto status = store.for_each(kTable, {}, {}, [&](const Document& d) {
    documents.push_back(d);
    return true;
  });
  EXPECT_TRUE(status.ok());
  return {std::move(documents), language, {"body", "title"}};
}

// Texts whose words are drawn so that few are common and many are rare.
class TextSource {
 public:
  explicit TextSource(uint64_t seed) : rng_(seed) {}

  uint64_t below(uint64_t n) { return rng_() % n; }
  std::string word() {
    const double u = double(below(1 << 20) + 1) / (1 << 20);
    const auto rank = uint64_t(std::pow(400.0, 1 - u));
    std::string out;
    for (uint64_t r = rank + 7; r > 0; r /= 5) out += "aeiou"[r % 5], out += "nrstl"[(r / 2) % 5];
    if (below(4) == 0) out += "ing";
    if (below(6) == 0) out[0] = char(out[0] - 32);
    if (below(40) == 0) out += "é";
    return out;
  }
  std::string text(uint64_t most) {
    std::string out;
    for (uint64_t n = below(most + 1); n > 0; --n) out += word() + (below(9) == 0 ? ". " : " ");
    return out;
  }
  Document document(const std::string& id) {
    Document d;
    d.document_id = id;
    if (below(12) != 0) d.payload["body"] = text(below(8) == 0 ? 300 : 30);
    if (below(3) == 0) d.payload["title"] = text(4);
    if (below(15) == 0) d.payload["title"] = json::array{text(3), 7, text(5)};
    if (below(20) == 0) d.payload["title"] = 17;
    d.payload["pages"] = int64_t(below(5));
    return d;
  }
  SearchRequest request() {
    SearchRequest r;
    r.table_id = kTable;
    TextQuery q;
    const uint64_t words = 1 + below(6);
    for (uint64_t i = 0; i < words; ++i) q.text += word() + " ";
    if (below(3) == 0) q.fields = {below(2) == 0 ? "body" : "title"};
    if (below(5) == 0) q.match = TextQuery::Match::kAll;
    if (below(5) == 0) {
      q.match = TextQuery::Match::kPhrase;
      q.text = word() + " " + word();
    }
    if (below(6) == 0) {
      q.prefix = true;
      q.text = q.text.substr(0, q.text.size() - 2 - below(2));
    }
    if (below(4) == 0) r.filter = condition("pages", FilterOp::kLt, int64_t(3)).value();
    r.k = below(3) == 0 ? 100'000 : 1 + below(12);
    if (below(6) == 0) r.min_score = float(below(40)) / 10;
    r.query = std::move(q);
    return r;
  }

 private:
  std::mt19937_64 rng_;
};

std::string describe(const SearchRequest& r) {
  const auto& q = std::get<TextQuery>(r.query);
  return "'" + q.text + "' match " + std::to_string(int(q.match)) + " prefix " + std::to_string(q.prefix) + " fields " +
         std::to_string(q.fields.size()) + " k " + std::to_string(r.k);
}

uint32_t bits(float x) {
  uint32_t out;
  std::memcpy(&out, &x, sizeof out);
  return out;
}

class TextSearchTest : public ::testing::Test {
 protected:
  std::unique_ptr<VectorStore> open(uint64_t target, Executor* executor = nullptr) {
    return std::move(VectorStore::open({.store = objects_.get(), .executor = executor, .commit_window_us = 0, .target_file_bytes = target}))
        .value();
  }

  // `documents` in as many data files as `files`.
  std::unique_ptr<VectorStore> store_with(const std::vector<Document>& documents, size_t files, std::string language = "english") {
    objects_ = objects::make_memory_store();
    auto store = open(kNeverMerge);
    EXPECT_TRUE(store->create_table(spec(std::move(language))).ok());
    for (size_t f = 0; f < files; ++f) {
      WriteBatch batch;
      for (size_t i = documents.size() * f / files; i < documents.size() * (f + 1) / files; ++i) batch.upserts.push_back(documents[i]);
      EXPECT_TRUE(store->write(kTable, std::move(batch)).ok());
    }
    EXPECT_EQ(store->stats(kTable)->files, files);
    return store;
  }

  static void expect_as(const std::vector<OracleHit>& wanted, VectorStore& store, const SearchRequest& request) {
    const auto found = store.search(request);
    ASSERT_QUARRY_OK(found);
    ASSERT_EQ(found->hits.size(), std::min(request.k, wanted.size())) << describe(request);
    for (size_t i = 0; i < found->hits.size(); ++i) {
      ASSERT_EQ(found->hits[i].document.document_id, wanted[i].id) << describe(request) << " at " << i;
      ASSERT_EQ(bits(found->hits[i].score), bits(wanted[i].score)) << describe(request) << " at " << i << ": " << wanted[i].score;
    }
  }

  std::unique_ptr<objects::ObjectStore> objects_;
};

std::vector<Document> draw_documents(uint64_t seed, size_t count) {
  TextSource source(seed);
  std::vector<Document> out;
  for (size_t i = 0; i < count; ++i) out.push_back(source.document(fmt::format("doc_{:06}", source.below(1'000'000) * 7 % 1'000'000)));
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.document_id < b.document_id; });
  out.erase(std::unique(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.document_id == b.document_id; }), out.end());
  std::shuffle(out.begin(), out.end(), std::mt19937_64(seed));
  return out;
}

TEST_F(TextSearchTest, OneScoreWhateverTheSegments) {
  const uint64_t seeds = test::seeds_from_environment(2);
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const auto documents = draw_documents(seed, 3000);
    std::vector<std::vector<OracleHit>> wanted;
    for (const size_t files : {1u, 3u, 20u}) {
      SCOPED_TRACE(fmt::format("seed {}, {} files", seed, files));
      auto store = store_with(documents, files);
      TextSource draws(seed + 1000);
      std::vector<SearchRequest> requests;
      for (int i = 0; i < 120; ++i) requests.push_back(draws.request());
      // Some rows are deleted or replaced after the indexes were made.
      SearchRequest first = requests.front();
      ASSERT_QUARRY_OK(store->search(first));
      WriteBatch batch;
      for (size_t i = 0; i < documents.size(); i += 7) batch.deletes.push_back(documents[i].document_id);
      for (size_t i = 3; i < documents.size(); i += 40) batch.upserts.push_back(documents[(i * 5) % documents.size()]);
      for (size_t i = 0; i < batch.upserts.size(); ++i) batch.upserts[i].document_id = documents[3 + 40 * i].document_id;
      ASSERT_QUARRY_OK(store->write(kTable, batch));
      auto oracle = oracle_of(*store, "english");
      if (wanted.empty())
        for (const auto& r : requests) wanted.push_back(oracle.search(r));
      for (size_t i = 0; i < requests.size(); ++i) ASSERT_NO_FATAL_FAILURE(expect_as(wanted[i], *store, requests[i]));
      store.reset();
      Executor executor("text-test", 2, 64);
      store = open(kMerge, &executor);
      ASSERT_QUARRY_OK(store->attach_table(spec()));
      for (size_t i = 0; i < requests.size(); i += 5) ASSERT_NO_FATAL_FAILURE(expect_as(wanted[i], *store, requests[i]));
      ASSERT_QUARRY_OK(store->set_tier(kTable, Tier::kCold));
      for (size_t i = 0; i < requests.size(); i += 20) ASSERT_NO_FATAL_FAILURE(expect_as(wanted[i], *store, requests[i]));
      ASSERT_QUARRY_OK(store->set_tier(kTable, Tier::kActive));
      ASSERT_QUARRY_OK(store->maintain(kTable));
      EXPECT_LT(store->stats(kTable)->files, 8u);
      for (size_t i = 0; i < requests.size(); ++i) ASSERT_NO_FATAL_FAILURE(expect_as(wanted[i], *store, requests[i]));
    }
  }
}

// Enough rows for several windows, and lists of many blocks, of which most are pruned.
TEST_F(TextSearchTest, PruningLosesNothing) {
  const auto documents = draw_documents(77, 15'000);
  auto store = store_with(documents, 2);
  WriteBatch batch;
  for (size_t i = 0; i < documents.size(); i += 50) batch.deletes.push_back(documents[i].document_id);
  ASSERT_QUARRY_OK(store->write(kTable, batch));
  auto oracle = oracle_of(*store, "english");
  TextSource draws(78);
  uint64_t scored = 0, matching = 0;
  for (int i = 0; i < 60; ++i) {
    SearchRequest request = draws.request();
    if (i % 2 == 0) {
      request.k = 10;
      request.min_score.reset();
      std::get<TextQuery>(request.query).match = TextQuery::Match::kAny;
    }
    const auto wanted = oracle.search(request);
    ASSERT_NO_FATAL_FAILURE(expect_as(wanted, *store, request));
    if (request.k != 10) continue;
    scored += store->search(request)->rows_scored;
    matching += wanted.size();
  }
  EXPECT_LT(scored, matching / 2) << "rows were scored that could not win";
}

TEST_F(TextSearchTest, MatchesWordsInEveryForm) {
  Document a, b, c;
  a.document_id = "a";
  a.payload = {{"body", "The quick brown fox, RUNNING home."}, {"title", "Foxes"}};
  b.document_id = "b";
  b.payload = {{"body", "A brown, quick run"}, {"title", json::array{"quick", "brown fox"}}};
  c.document_id = "c";
  c.payload = {{"body", "Größe \xef\xbc\xa1\xef\xbc\xa2 日本語 naïve"}, {"photo", "fox.jpg"}};
  auto store = store_with({a, b, c}, 1);
  const auto ids = [&](TextQuery query) {
    SearchRequest r;
    r.table_id = kTable;
    r.query = std::move(query);
    std::set<std::string> out;
    const auto found = store->search(r);
    EXPECT_TRUE(found.ok()) << (found.ok() ? "" : found.error().message);
    if (found.ok())
      for (const auto& hit : found->hits) out.insert(hit.document.document_id);
    return out;
  };
  using Ids = std::set<std::string>;
  using Match = TextQuery::Match;
  EXPECT_EQ(ids({.text = "runs"}), (Ids{"a", "b"}));
  EXPECT_EQ(ids({.text = "FOX"}), (Ids{"a", "b"}));
  EXPECT_EQ(ids({.text = "fox", .fields = {"title"}}), (Ids{"a", "b"}));
  EXPECT_EQ(ids({.text = "fox", .fields = {"body"}}), (Ids{"a"}));
  EXPECT_EQ(ids({.text = "the brown fox", .match = Match::kAll}), (Ids{"a"}));
  EXPECT_EQ(ids({.text = "run fox", .match = Match::kAll}), (Ids{"a", "b"})) << "in whichever fields";
  EXPECT_EQ(ids({.text = "quick brown", .match = Match::kPhrase}), (Ids{"a"})) << "no phrase spans two texts of a list";
  EXPECT_EQ(ids({.text = "brown fox", .match = Match::kPhrase}), (Ids{"a", "b"}));
  EXPECT_EQ(ids({.text = "brown fo", .match = Match::kPhrase, .prefix = true}), (Ids{"a", "b"}));
  EXPECT_EQ(ids({.text = "bro", .prefix = true}), (Ids{"a", "b"}));
  EXPECT_EQ(ids({.text = "running", .prefix = true}), (Ids{"a", "b"})) << "its own term";
  EXPECT_EQ(ids({.text = "GRÖSSE"}), (Ids{"c"}));
  EXPECT_EQ(ids({.text = "ab"}), (Ids{"c"})) << "full-width letters fold";
  EXPECT_EQ(ids({.text = "日本語"}), (Ids{"c"}));
  EXPECT_EQ(ids({.text = ""}), Ids{});
  EXPECT_EQ(ids({.text = "... --"}), Ids{});
  EXPECT_EQ(ids({.text = "absent"}), Ids{});
  EXPECT_EQ(ids({.text = "absent fox", .match = Match::kAll}), Ids{});
}

TEST_F(TextSearchTest, FieldsThatAppearLaterAreSearchedInOldRowsToo) {
  Document a;
  a.document_id = "a";
  a.payload = {{"body", "one"}, {"note", "a late field"}};
  auto store = store_with({a}, 1);
  SearchRequest r;
  r.table_id = kTable;
  r.query = TextQuery{.text = "late", .fields = {"note"}};
  EXPECT_EQ(store->search(r).error().kind, ErrorKind::kBadRequest);
  TableSpec more = spec();
  more.fields.push_back({"note", FieldType::kText});
  ASSERT_QUARRY_OK(store->extend_table(more));
  ASSERT_EQ(store->search(r)->hits.size(), 1u);
  std::get<TextQuery>(r.query).fields.clear();
  EXPECT_EQ(store->search(r)->hits.size(), 1u);
}

TEST_F(TextSearchTest, RefusesWhatItCannotAnswer) {
  auto store = store_with(draw_documents(5, 50), 1);
  SearchRequest r;
  r.table_id = kTable;
  for (const char* field : {"pages", "photo", "absent", "document_id"}) {
    r.query = TextQuery{.text = "x", .fields = {field}};
    const auto found = store->search(r);
    ASSERT_FALSE(found.ok()) << field;
    EXPECT_EQ(found.error().kind, ErrorKind::kBadRequest);
    EXPECT_NE(found.error().message.find("body, title"), std::string::npos) << found.error().message;
  }
  std::string long_text;
  for (int i = 0; i < 513; ++i) long_text += fmt::format("word{} ", i);
  r.query = TextQuery{.text = long_text};
  EXPECT_EQ(store->search(r).error().kind, ErrorKind::kBadRequest);
  r.query = TextQuery{.text = "an"};
  r.deadline_us = system_clock().steady_us() - 1;
  EXPECT_EQ(store->search(r).error().kind, ErrorKind::kTimeout);
  TableSpec klingon = spec("klingon");
  klingon.table_id = "col_k";
  EXPECT_EQ(store->create_table(klingon).error().kind, ErrorKind::kBadRequest);
}

TEST_F(TextSearchTest, TheTableKeepsItsLanguage) {
  Document a;
  a.document_id = "a";
  a.payload = {{"body", "running"}};
  auto store = store_with({a}, 1, "none");
  SearchRequest r;
  r.table_id = kTable;
  r.query = TextQuery{.text = "run"};
  EXPECT_EQ(store->search(r)->hits.size(), 0u);
  store = open(kMerge);
  ASSERT_QUARRY_OK(store->attach_table(spec("english")));
  EXPECT_EQ(store->search(r)->hits.size(), 0u);
  r.query = TextQuery{.text = "running"};
  EXPECT_EQ(store->search(r)->hits.size(), 1u);
}

TEST_F(TextSearchTest, GroupsHoldTheBestOfAField) {
  const auto documents = draw_documents(9, 600);
  auto store = store_with(documents, 3);
  auto oracle = oracle_of(*store, "english");
  SearchRequest r;
  r.table_id = kTable;
  r.query = TextQuery{.text = TextSource(3).text(6) + " anen"};
  const auto all = oracle.search(r);
  std::map<std::string, int64_t> pages;
  for (const auto& d : documents) pages[d.document_id] = d.payload.at("pages").as_int64();
  std::vector<int64_t> order;
  std::map<int64_t, std::vector<std::string>> members;
  for (const auto& hit : all) {
    auto& group = members[pages[hit.id]];
    if (group.empty()) order.push_back(pages[hit.id]);
    if (group.size() < 3) group.push_back(hit.id);
  }
  ASSERT_GE(order.size(), 3u);
  std::vector<std::string> wanted, found;
  for (size_t g = 0; g < 3; ++g) wanted.insert(wanted.end(), members[order[g]].begin(), members[order[g]].end());
  r.group = GroupSpec{"pages", 3, 3};
  const auto result = store->search(r);
  ASSERT_QUARRY_OK(result);
  for (const auto& hit : result->hits) found.push_back(hit.document.document_id);
  EXPECT_EQ(found, wanted);
}

}  // namespace
}  // namespace quarry::mvs
