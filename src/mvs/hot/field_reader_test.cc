// Sorts, facets and groups mean what documents mean, whether they read these, columns, or what a segment makes of either.
#include "mvs/hot/field_reader.h"

#include <gtest/gtest.h>

#include <map>

#include "mvs/hot/column_filter.h"
#include "mvs/hot/facet.h"
#include "mvs/hot/scan.h"
#include "mvs/hot/top_rows.h"
#include "mvs/test_table.h"
#include "mvs/warm/row_encoder.h"

namespace quarry::mvs {
namespace {

using test::DocumentSource;

constexpr size_t kRows = 700;
constexpr const char* kDeclared[] = {"title", "pages", "price", "ratio", "ok", "when", "day"};
constexpr const char* kFields[] = {"kind",       "tags",       "shape.sides", "shape.colour", "offer.id", "offer.serial", "offer.price",
                                   "offer.seen", "offer.sold", "offer.0.id",  "offer",        "nowhere",  "created_at",   "title",
                                   "pages",      "price",      "ratio",       "ok",           "when",     "day"};

// Of few values, whatever their kinds.
json::value random_kind(DocumentSource& source) {
  const json::value kinds[] = {"a",
                               "b",
                               "",
                               1,
                               1.0,
                               0,
                               0.0,
                               -0.0,
                               true,
                               nullptr,
                               "2026-01-31",
                               "2026-01-31T01:00:00+01:00",
                               json::array{"a", nullptr, "b"},
                               json::array{"b", 1},
                               json::array{},
                               json::object{{"x", 1.0}},
                               json::object{{"x", 1}}};
  return kinds[source.below(std::size(kinds))];
}

json::object random_shape(DocumentSource& source) {
  json::object out{{"sides", source.below(4)}};
  if (source.one_in(3)) out["colour"] = source.one_in(2) ? "red" : "blue";
  return out;
}

json::value random_price(DocumentSource& source) {
  switch (source.below(8)) {
    case 0: return -0.0;
    case 1: return 0;
    case 2: return double(source.below(400));
    case 3: return int64_t(source.below(400)) - 50;
    default: return double(source.below(4000)) / 8 - 50;
  }
}

// Nearly every one another.
json::object random_offer(DocumentSource& source) {
  json::object out{{"id", fmt::format("id-{:03}", source.below(600))},
                   {"serial", (int64_t{1} << 53) + int64_t(source.below(300)) - 2},
                   {"price", random_price(source)},
                   {"seen", fmt::format("20{:02}-0{}-15{}", source.below(30), 1 + source.below(9), source.one_in(3) ? "T10:30:00Z" : "")},
                   {"sold", source.one_in(2)}};
  for (const char* field : {"id", "serial", "price", "seen", "sold"}) {
    if (source.one_in(40)) out[field] = source.any();
    if (source.one_in(40)) out.erase(field);
  }
  if (source.one_in(60)) out["id"] = std::string(300, 'x');
  return out;
}

json::object random_payload(DocumentSource& source) {
  json::object out{{"offer", random_offer(source)}};
  for (const char* field : kDeclared)
    if (!source.one_in(4)) out[field] = source.value(field);
  if (!source.one_in(9)) out["kind"] = random_kind(source);
  if (!source.one_in(4)) out["tags"] = source.one_in(2) ? json::array{"red", "green"} : json::array{"red", nullptr, source.one_in(3)};
  out["shape"] = source.one_in(8) ? json::value(json::array{random_shape(source), json::object{{"sides", 3}}}) : random_shape(source);
  if (source.one_in(9)) out["shape.sides"] = "many";
  if (source.one_in(40)) out["offer"] = json::array{random_offer(source)};  // one value, read as a list
  if (source.one_in(40)) out["offer"] = json::array{nullptr, json::object{{"0", json::object{{"id", "inner"}}}}, random_offer(source)};
  return out;
}

std::shared_ptr<const Segment> random_segment(DocumentSource& source, uint32_t uid) {
  const auto schema = std::make_shared<const TableSchema>(*TableSchema::from_spec(test::full_spec()));
  RowEncoder encoder(schema, kRows);
  for (size_t i = 0; i < kRows; ++i) {
    Document d;
    d.document_id = fmt::format("doc_{:04}_{}", i * 389 % kRows, uid);
    d.payload = random_payload(source);
    d.created_at = d.updated_at = 1'700'000'000'000'000 + int64_t(source.below(50));
    EXPECT_TRUE(encoder.append(d).ok());
  }
  return std::make_shared<const Segment>(uid, *RowBlock::make(schema, *encoder.finish()));
}

// A live row and its document.
struct Read {
  const SegmentView* view;
  uint32_t row;
  json::object document;

  std::string id() const { return std::string(view->segment->block().document_id(row)); }
  json::value at(std::string_view field) const {
    json::value scratch;
    const json::value* found = read_path(document, field, scratch);
    return found == nullptr ? json::value() : *found;
  }
};

class FieldReads : public ::testing::TestWithParam<uint64_t> {
 protected:
  FieldReads() {
    for (uint32_t uid = 1; uid <= 2; ++uid) {
      SegmentView view;
      view.segment = random_segment(source_, uid);
      auto deleted = std::make_shared<Bitmap>(kRows);
      for (size_t row = 0; uid == 2 && row < kRows; row += 3) deleted->set(row);
      view.live = kRows - deleted->count();
      if (uid == 2) view.deleted = deleted;
      snapshot_.views.push_back(std::move(view));
    }
    for (const SegmentView& view : snapshot_.views)
      view.live_rows().for_each([&](size_t row) { reads_.push_back({&view, uint32_t(row), *view.segment->block().filter_document(row)}); });
  }

  std::vector<Read> matching(const Filter& filter) const {
    std::vector<Read> out;
    for (const Read& read : reads_)
      if (matches(filter, read.document)) out.push_back(read);
    return out;
  }

  static Filter some(int i) {
    if (i == 0) return {};
    if (i == 1) return *parse_filter({{"field", "shape.sides"}, {"operator", "gte"}, {"value", 1}});
    return *parse_filter({{"field", "offer.sold"}, {"operator", "eq"}, {"value", true}});
  }

  // That what may be made in memory has been.
  void expect_made() const {
    for (const SegmentView& view : snapshot_.views) {
      for (const char* path : {"kind", "tags", "shape.sides"})
        EXPECT_NE(view.segment->member_index(path, IndexUse::kWhenWorth), nullptr) << path;
      for (const char* path : {"offer.id", "offer.serial", "offer.price", "offer.sold"})
        EXPECT_NE(view.segment->path_column(path, PathReading::kValues, IndexUse::kWhenWorth), nullptr) << path;
    }
  }

  DocumentSource source_{GetParam()};
  Snapshot snapshot_;
  std::vector<Read> reads_;
};

std::optional<TimestampUs> time_of(const json::value& value) {
  if (!value.is_string()) return std::nullopt;
  const auto time = parse_timestamp(value.get_string());
  return time.ok() ? std::optional(*time) : std::nullopt;
}

int compare(const json::value& a, const json::value& b, bool by_time) {
  if (by_time && a.is_string() && b.is_string()) {
    const auto time_a = time_of(a), time_b = time_of(b);
    if (time_a && time_b) return *time_a < *time_b ? -1 : *time_a > *time_b;
    if (time_a || time_b) return time_a ? -1 : 1;
  }
  return compare_json(a, b);
}

std::vector<std::string> sorted_ids(const std::vector<Read>& reads, const SortSpec& spec) {
  std::vector<std::pair<json::value, std::string>> keyed;
  for (const Read& read : reads) {
    json::value key = read.at(spec.field);
    if (key.is_null() && !spec.fallback_field.empty()) key = read.at(spec.fallback_field);
    keyed.emplace_back(std::move(key), read.id());
  }
  std::sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    if (a.first.is_null() != b.first.is_null()) return b.first.is_null() == spec.nulls_last;
    if (const int c = compare(a.first, b.first, spec.by_time); c != 0) return spec.descending ? c > 0 : c < 0;
    return a.second < b.second;
  });
  std::vector<std::string> out;
  for (const auto& [key, id] : keyed) out.push_back(id);
  return out;
}

TEST_P(FieldReads, SortsAreThoseOfDocuments) {
  for (const char* field : kFields)
    for (int i = 0; i < 8; ++i) {
      ScanRequest request;
      request.filter = some(i % 3);
      request.sort = SortSpec{.field = field, .descending = i % 2 == 1, .nulls_last = i % 4 < 2, .by_time = i > 3};
      if (i > 5) request.sort->fallback_field = kFields[source_.below(std::size(kFields))];
      const std::vector<std::string> expected = sorted_ids(matching(request.filter), *request.sort);
      request.limit = i == 0 ? expected.size() : 1 + source_.below(i % 2 == 0 ? 20 : expected.size());
      for (int question = 0; question < 3; ++question) {
        const auto page = scan_rows(snapshot_, request, nullptr);
        ASSERT_QUARRY_OK(page);
        ASSERT_EQ(page->rows.size(), request.limit);
        for (size_t n = 0; n < page->rows.size(); ++n)
          ASSERT_EQ(page->rows[n].id(), expected[n]) << field << " " << i << " " << question << " " << n;
      }
    }
  expect_made();
}

struct Less {
  bool operator()(const json::value& a, const json::value& b) const { return compare_json(a, b) < 0; }
};

std::vector<FacetValue> counted(const std::vector<Read>& reads, const std::string& field, size_t limit) {
  std::map<json::value, uint64_t, Less> counts;
  for (const Read& read : reads) {
    const json::value value = read.at(field);
    std::map<json::value, bool, Less> once;
    if (const json::array* list = value.if_array())
      for (const auto& element : *list) once.emplace(element, true);
    else
      once.emplace(value, true);
    for (const auto& [each, seen] : once)
      if (!each.is_null()) ++counts[each];
  }
  std::vector<FacetValue> out;
  for (const auto& [value, count] : counts) out.push_back({value, count});
  std::stable_sort(out.begin(), out.end(), [](const FacetValue& a, const FacetValue& b) { return a.count > b.count; });
  out.resize(std::min(out.size(), limit));
  return out;
}

TEST_P(FieldReads, FacetsAreThoseOfDocuments) {
  for (const char* field : kFields)
    for (int i = 0; i < 3; ++i) {
      const Filter filter = some(i);
      const size_t limit = i == 1 ? 5 : 10'000;
      const std::vector<FacetValue> expected = counted(matching(filter), field, limit);
      for (int question = 0; question < 3; ++question) {
        const auto found = facet_rows(snapshot_, filter, field, limit);
        ASSERT_QUARRY_OK(found);
        ASSERT_EQ(found->size(), expected.size()) << field << " " << i << " " << question;
        for (size_t v = 0; v < expected.size(); ++v) {
          ASSERT_EQ((*found)[v].count, expected[v].count) << field << " " << i << " " << question;
          ASSERT_TRUE(test::identical((*found)[v].value, expected[v].value))
              << field << " " << json::serialize((*found)[v].value) << " " << json::serialize(expected[v].value);
        }
      }
    }
  expect_made();
}

std::vector<std::string> grouped_ids(const std::vector<Read>& reads, const GroupSpec& spec) {
  std::map<std::string, size_t> numbers;
  std::vector<std::vector<std::string>> groups;
  for (const Read& read : reads) {
    const json::value value = read.at(spec.field);
    if (value.is_null() || (groups.size() == spec.limit && !numbers.contains(json::serialize(value)))) continue;
    const auto [known, is_new] = numbers.try_emplace(json::serialize(value), groups.size());
    if (is_new) groups.emplace_back();
    if (groups[known->second].size() < spec.max_per_group) groups[known->second].push_back(read.id());
  }
  std::vector<std::string> out;
  for (const auto& group : groups) out.insert(out.end(), group.begin(), group.end());
  return out;
}

TEST_P(FieldReads, GroupsAreThoseOfDocuments) {
  std::vector<ScoredRow> scored;
  std::vector<Read> reads = reads_;
  std::shuffle(reads.begin(), reads.end(), std::mt19937_64(GetParam()));
  for (size_t n = 0; n < reads.size(); ++n) scored.push_back({float(reads.size() - n), reads[n].view, reads[n].row});
  for (const char* field : kFields)
    for (const size_t limit : {1, 3, 10'000})
      for (const size_t most : {1, 4, 1'000}) {
        const GroupSpec spec{field, most, limit};
        const std::vector<std::string> expected = grouped_ids(reads, spec);
        const auto found = take_groups(scored, spec);
        ASSERT_QUARRY_OK(found);
        ASSERT_EQ(found->size(), expected.size()) << field << " " << limit << " " << most;
        for (size_t n = 0; n < expected.size(); ++n)
          ASSERT_EQ((*found)[n].view->segment->block().document_id((*found)[n].row), expected[n]) << field << " " << limit << " " << most;
      }
  expect_made();
}

INSTANTIATE_TEST_SUITE_P(Seeds, FieldReads, ::testing::Range<uint64_t>(1, 7));

TEST(FieldReaderTest, MemoryIsThatOfWhatIsMadeAtTheSecondQuestion) {
  DocumentSource source(5);
  Snapshot snapshot;
  snapshot.views.push_back({random_segment(source, 1), nullptr, nullptr, kRows});
  const Segment& segment = *snapshot.views[0].segment;
  std::vector<ScoredRow> rows;
  for (uint32_t row = 0; row < kRows; ++row) rows.push_back({1, &snapshot.views[0], row});
  ScanRequest sort;
  sort.sort = SortSpec{.field = "offer.price"};
  const auto ask = [&] {
    EXPECT_TRUE(scan_rows(snapshot, sort, nullptr).ok());
    EXPECT_TRUE(facet_rows(snapshot, {}, "offer.id", 10).ok());
    EXPECT_TRUE(take_groups(rows, {"kind", 1, 10}).ok());
  };
  const uint64_t before = segment.memory_bytes();
  ask();
  EXPECT_EQ(segment.memory_bytes(), before);
  ask();
  const uint64_t after = segment.memory_bytes();
  ask();
  EXPECT_EQ(segment.memory_bytes(), after);
  const auto* price = segment.path_column("offer.price", PathReading::kValues, IndexUse::kWhenWorth);
  const auto* id = segment.path_column("offer.id", PathReading::kValues, IndexUse::kWhenWorth);
  const auto* kind = segment.member_index("kind", IndexUse::kWhenWorth);
  ASSERT_TRUE(price != nullptr && id != nullptr && kind != nullptr);
  EXPECT_EQ(after, before + price->memory_bytes() + id->memory_bytes() + kind->memory_bytes());
}

TEST(FieldReaderTest, FewRowsAreReadWithoutAsking) {
  DocumentSource source(6);
  const auto segment = random_segment(source, 1);
  const std::string field = "kind";
  for (int question = 0; question < 3; ++question) EXPECT_FALSE(FieldReader(*segment, field, IndexUse::kWhenWorth, kRows / 20).groups());
  EXPECT_FALSE(FieldReader(*segment, field, IndexUse::kWhenWorth, kRows).groups());
  EXPECT_TRUE(FieldReader(*segment, field, IndexUse::kWhenWorth, kRows).groups());
}

}  // namespace
}  // namespace quarry::mvs
