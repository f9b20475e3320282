// Columns must mean what documents mean: random filters over random rows, answered both ways.
#include "mvs/hot/column_filter.h"

#include <gtest/gtest.h>

#include "mvs/hot/facet.h"
#include "mvs/hot/field_reader.h"
#include "mvs/hot/top_rows.h"
#include "mvs/test_table.h"
#include "mvs/warm/row_encoder.h"

namespace quarry::mvs {
namespace {

using test::DocumentSource;

using Change = std::function<void(DocumentSource&, json::object& payload)>;

std::shared_ptr<const Segment> random_segment(DocumentSource& source, size_t rows, const TableSpec& spec, const Change& change = {},
                                              uint32_t uid = 1) {
  const auto schema = std::make_shared<const TableSchema>(*TableSchema::from_spec(spec));
  RowEncoder encoder(schema, rows);
  for (size_t i = 0; i < rows; ++i) {
    Document d = source.document(1'000'000);
    d.document_id += "_" + std::to_string(i);
    if (change) change(source, d.payload);
    EXPECT_TRUE(encoder.append(d).ok());
  }
  auto block = RowBlock::make(schema, *encoder.finish());
  EXPECT_TRUE(block.ok());
  return std::make_shared<const Segment>(uid, *block);
}

json::value random_filter(DocumentSource& source, int depth) {
  static constexpr const char* kOps[] = {"eq",          "ne",        "gt",     "lt",      "gte",  "lte",    "in",    "nin", "contains",
                                         "starts_with", "ends_with", "exists", "is_null", "text", "phrase", "words", "regex"};
  static constexpr const char* kPaths[] = {"title",
                                           "pages",
                                           "price",
                                           "ratio",
                                           "ok",
                                           "when",
                                           "day",
                                           "meta",
                                           "tags",
                                           "Title",
                                           "document_id",
                                           "a.b",
                                           "meta.title",
                                           "tags.title",
                                           "meta.deep.title",
                                           "title.pages",
                                           "created_at",
                                           "updated_at",
                                           "source_object_id",
                                           "source_type",
                                           "processing_tier",
                                           "nowhere",
                                           "payload_json",
                                           "vector_text"};
  if (depth > 0 && !source.one_in(3)) {
    static constexpr const char* kKinds[] = {"AND", "OR", "NOT"};
    json::array children;
    for (uint64_t i = 0; i <= source.below(3); ++i) children.push_back(random_filter(source, depth - 1));
    return json::object{{kKinds[source.below(3)], std::move(children)}};
  }
  const std::string field = kPaths[source.below(std::size(kPaths))];
  const std::string op = kOps[source.below(std::size(kOps))];
  json::object out{{"field", field}, {"operator", op}};
  if (op == "in" || op == "nin")
    out["value"] = json::array{source.value(field), source.value(field), source.any()};
  else if (op == "exists" || op == "is_null")
    out["value"] = source.one_in(2);
  else if (op == "starts_with" || op == "ends_with" || op == "contains" || op == "text" ||
           op == "phrase" || op == "words" || op == "regex")
    out["value"] = source.one_in(3) ? source.word() + " " + source.word() : source.word();
  else
    out["value"] = field == "created_at" || field == "updated_at" ? json::value(json::string(format_timestamp(1'700'000'000'000'500)))
                                                                  : source.value(field);
  if (source.one_in(3)) out["case_sensitive"] = true;
  return out;
}

// Points, lists of points, and what is none; some at the poles and the antimeridian.
json::value random_place(DocumentSource& source) {
  const auto point = [&] {
    const double lat = source.one_in(8) ? 90 - 180 * double(source.below(2)) : double(source.below(1800)) / 10 - 90;
    const double lon = source.one_in(8) ? 180 - 360 * double(source.below(2)) : double(source.below(3600)) / 10 - 180;
    return source.one_in(3) ? json::value(json::array{lon, lat}) : json::value(json::object{{"lat", lat}, {"lon", lon}});
  };
  switch (source.below(8)) {
    case 0: return source.any();
    case 1: return json::array{point(), point()};
    case 2: return json::object{{"type", "Point"}, {"coordinates", json::array{12.5, 41.9}}};
    default: return point();
  }
}

json::value random_geo_filter(DocumentSource& source) {
  const auto degree = [&](int most) { return double(source.below(uint64_t(most) * 20 + 1)) / 10 - most; };
  const auto at = [](double lat, double lon) { return json::object{{"lat", lat}, {"lon", lon}}; };
  json::object out{{"field", source.one_in(4) ? "trip.place" : "place"}};
  switch (source.below(3)) {
    case 0: {
      static constexpr double kRadii[] = {0, 1'000, 500'000, 3'000'000, 9'000'000, 15'000'000, 20'100'000};
      out["operator"] = "geo_radius";
      out["value"] = {{"center", at(degree(90), degree(180))}, {"radius", kRadii[source.below(std::size(kRadii))]}};
      break;
    }
    case 1: {
      const double a = degree(90), b = degree(90);
      out["operator"] = "geo_bounding_box";
      out["value"] = {{"top_left", at(std::max(a, b), degree(180))}, {"bottom_right", at(std::min(a, b), degree(180))}};
      break;
    }
    default: {
      json::array ring;
      for (uint64_t i = 0; i < 3 + source.below(4); ++i) ring.push_back(at(degree(90), degree(180)));
      out["operator"] = "geo_polygon";
      out["value"] = {{"exterior", {{"points", ring}}}};
    }
  }
  return out;
}

class ColumnFilterRandom : public ::testing::TestWithParam<uint64_t> {};

TEST_P(ColumnFilterRandom, AgreesWithDocuments) {
  DocumentSource source(GetParam());
  const auto segment = random_segment(source, 150, test::full_spec());
  int asked = 0;
  for (int i = 0; i < 400; ++i) {
    const json::value text = random_filter(source, 3);
    const auto filter = parse_filter(text);
    if (!filter.ok()) continue;  // an operand the operator does not take
    ++asked;
    Bitmap candidates(segment->rows());
    for (size_t row = 0; row < segment->rows(); ++row)
      if (!source.one_in(4)) candidates.set(row);
    const auto rows = filter_rows(*filter, *segment, candidates, IndexUse::kNever);
    ASSERT_TRUE(rows.ok()) << rows.error().message;
    const auto indexed = filter_rows(*filter, *segment, candidates, IndexUse::kAlways);
    ASSERT_TRUE(indexed.ok()) << indexed.error().message;
    for (size_t row = 0; row < segment->rows(); ++row) {
      const json::object document = *segment->block().filter_document(row);
      const bool expected = candidates.test(row) && matches(*filter, document);
      ASSERT_EQ(rows->test(row), expected)
          << "seed " << GetParam() << "\nfilter " << json::serialize(text) << "\nrow " << json::serialize(document);
      ASSERT_EQ(indexed->test(row), expected)
          << "by index, seed " << GetParam() << "\nfilter " << json::serialize(text) << "\nrow " << json::serialize(document);
    }
  }
  EXPECT_GT(asked, 100);
}

TEST_P(ColumnFilterRandom, PointsAgreeWithDocuments) {
  DocumentSource source(GetParam() + 2000);
  const auto segment = random_segment(source, 600, test::full_spec(), [](DocumentSource& random, json::object& payload) {
    if (!random.one_in(5)) payload["place"] = random_place(random);
    if (random.one_in(2)) payload["trip"] = {{"place", random_place(random)}};
    const auto stop = [&] { return json::object{{"place", random_place(random)}}; };
    if (random.one_in(9)) payload["trip"] = json::array{stop(), stop()};
  });
  const Bitmap all(segment->rows(), true);
  size_t found = 0;
  for (int i = 0; i < 150; ++i) {
    const json::value text = random_geo_filter(source);
    const auto filter = parse_filter(text);
    if (!filter.ok()) continue;  // a ring of equal points
    const auto rows = filter_rows(*filter, *segment, all, IndexUse::kAlways);
    ASSERT_TRUE(rows.ok()) << rows.error().message;
    found += rows->count();
    for (size_t row = 0; row < segment->rows(); ++row) {
      const json::object document = *segment->block().filter_document(row);
      ASSERT_EQ(rows->test(row), matches(*filter, document))
          << "seed " << GetParam() << "\nfilter " << json::serialize(text) << "\nrow " << json::serialize(document);
    }
  }
  EXPECT_GT(found, 1000u);
}

// Of words that meet often: folded, joined by punctuation, long, in other scripts.
std::string random_text(DocumentSource& source, size_t most) {
  static const std::string kWords[] = {"der",   "Der",     "Stra\u00dfe", "strasse", "o'neill", "a@b.example", "3.14", "x_1",
                                       "_", "\u6771\u4eac", "caf\u00e9", "CAFE\u0301", "Baum", "baum", std::string(300, 'w')};
  static constexpr const char* kBetween[] = {" ", ", ", "-", "\n", ": "};
  std::string out;
  for (uint64_t left = source.below(most + 1); left > 0; --left)
    out += kWords[source.below(std::size(kWords))] + kBetween[source.below(std::size(kBetween))];
  return out;
}

TEST_P(ColumnFilterRandom, WordsAgreeWithDocuments) {
  static constexpr const char* kOps[] = {"text", "words", "phrase"};
  DocumentSource source(GetParam() + 4000);
  const auto segment = random_segment(source, 900, test::full_spec(), [](DocumentSource& random, json::object& payload) {
    if (random.one_in(10))
      payload.erase("title");
    else if (random.one_in(12))
      payload["title"] = json::array{random_text(random, 3), random_text(random, 3)};
    else
      payload["title"] = random_text(random, 8);
  });
  size_t found = 0, asked = 0;
  for (int i = 0; i < 150; ++i) {
    const json::object text{{"field", "title"}, {"operator", kOps[source.below(3)]}, {"value", random_text(source, 3)}};
    const auto filter = parse_filter(text);
    if (!filter.ok()) continue;  // no word
    ++asked;
    Bitmap candidates(segment->rows());
    for (size_t row = 0; row < segment->rows(); ++row)
      if (!source.one_in(8)) candidates.set(row);
    const auto rows = filter_rows(*filter, *segment, candidates, IndexUse::kAlways);
    ASSERT_TRUE(rows.ok()) << rows.error().message;
    found += rows->count();
    for (size_t row = 0; row < segment->rows(); ++row) {
      const json::object document = *segment->block().filter_document(row);
      ASSERT_EQ(rows->test(row), candidates.test(row) && matches(*filter, document))
          << "seed " << GetParam() << "\nfilter " << json::serialize(text) << "\nrow " << json::serialize(document);
    }
  }
  EXPECT_GT(asked, 50u);
  EXPECT_GT(found, 1000u);
  const int title = segment->block().schema().find("title");
  EXPECT_NE(segment->word_index(title, IndexUse::kWhenWorth), nullptr);
  EXPECT_EQ(segment->value_index(title, IndexUse::kWhenWorth), nullptr);
}

TEST_P(ColumnFilterRandom, FacetsAreTheSameByIndex) {
  DocumentSource source(GetParam() + 3000);
  Snapshot snapshot;
  for (uint32_t uid = 1; uid <= 2; ++uid) {
    SegmentView view;
    view.segment = random_segment(source, 150, test::full_spec(), {}, uid);
    auto deleted = std::make_shared<Bitmap>(view.segment->rows());
    for (size_t row = 0; uid == 2 && row < view.segment->rows(); row += 3) deleted->set(row);
    view.live = view.segment->rows() - deleted->count();
    if (uid == 2) view.deleted = deleted;
    snapshot.views.push_back(std::move(view));
  }
  for (const char* field : {"title", "pages", "price", "ratio", "ok", "when", "day", "meta", "tags", "document_id", "source_type",
                            "created_at", "nowhere"})
    for (int i = 0; i < 6; ++i) {
      const auto filter = i == 0 ? Result<Filter>(Filter{}) : parse_filter(random_filter(source, 1));
      if (!filter.ok()) continue;
      const auto scanned = facet_rows(snapshot, *filter, field, 1000, IndexUse::kNever);
      const auto indexed = facet_rows(snapshot, *filter, field, 1000, IndexUse::kAlways);
      ASSERT_TRUE(scanned.ok() && indexed.ok());
      ASSERT_EQ(scanned->size(), indexed->size()) << field;
      for (size_t v = 0; v < scanned->size(); ++v) {
        ASSERT_EQ((*scanned)[v].count, (*indexed)[v].count) << field;
        ASSERT_TRUE(test::identical((*scanned)[v].value, (*indexed)[v].value))
            << field << " " << json::serialize((*scanned)[v].value) << " " << json::serialize((*indexed)[v].value);
      }
    }
}

TEST_P(ColumnFilterRandom, GroupsAreTheSameByIndex) {
  DocumentSource source(GetParam() + 5000);
  std::vector<SegmentView> views(2);
  std::vector<ScoredRow> rows;
  for (uint32_t uid = 1; uid <= 2; ++uid) {
    views[uid - 1].segment = random_segment(source, 200, test::full_spec(), {}, uid);
    for (uint32_t row = 0; row < 200; ++row)
      if (!source.one_in(5)) rows.push_back({float(source.below(50)), &views[uid - 1], row});
  }
  for (const char* field : {"title", "pages", "price", "ratio", "ok", "when", "day", "meta", "document_id", "source_type", "nowhere"})
    for (const size_t limit : {1, 3, 1000})
      for (const size_t most : {0, 1, 4, 500}) {
        const GroupSpec spec{field, most, limit};
        const auto read = take_groups(rows, spec, IndexUse::kNever);
        const auto indexed = take_groups(rows, spec, IndexUse::kAlways);
        ASSERT_TRUE(read.ok() && indexed.ok());
        ASSERT_EQ(read->size(), indexed->size()) << field << " " << limit << " " << most;
        for (size_t i = 0; i < read->size(); ++i)
          ASSERT_TRUE((*read)[i].view == (*indexed)[i].view && (*read)[i].row == (*indexed)[i].row) << field << " " << limit << " " << most;
      }
}

TEST_P(ColumnFilterRandom, FieldsReadAsInDocuments) {
  DocumentSource source(GetParam() + 1000);
  const auto segment = random_segment(source, 100, test::full_spec());
  for (const char* field :
       {"title", "pages", "price", "ratio", "ok", "when", "day", "meta", "meta.title", "a.b", "document_id", "created_at", "nowhere"}) {
    const FieldReader reader(*segment, field);
    for (size_t row = 0; row < segment->rows(); ++row) {
      const json::object document = *segment->block().filter_document(row);
      json::value scratch;
      const json::value* expected = read_path(document, field, scratch);
      const auto value = reader.value(row);
      ASSERT_TRUE(value.ok());
      ASSERT_EQ(value->has_value(), expected != nullptr) << field << json::serialize(document);
      if (expected == nullptr) continue;
      ASSERT_TRUE(test::identical(**value, *expected)) << field << " " << json::serialize(document);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ColumnFilterRandom, ::testing::Range<uint64_t>(1, 7));

}  // namespace
}  // namespace quarry::mvs
