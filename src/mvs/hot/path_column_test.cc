#include "mvs/hot/path_column.h"

#include <gtest/gtest.h>

#include "mvs/hot/column_filter.h"
#include "mvs/hot/field_reader.h"
#include "mvs/test_table.h"
#include "mvs/warm/row_encoder.h"

namespace quarry::mvs {
namespace {

using test::DocumentSource;

constexpr size_t kRows = 800;

// Rows of members that no column holds.
std::shared_ptr<const Segment> segment_of(const std::function<json::object(size_t i)>& payload, size_t rows = kRows) {
  const auto schema = std::make_shared<const TableSchema>(*TableSchema::from_spec(test::full_spec()));
  RowEncoder encoder(schema, rows);
  for (size_t i = 0; i < rows; ++i) {
    Document d;
    d.document_id = fmt::format("doc_{:06}", i);
    d.payload = payload(i);
    EXPECT_TRUE(encoder.append(d).ok());
  }
  return std::make_shared<const Segment>(1, *RowBlock::make(schema, *encoder.finish()));
}

Filter condition(std::string_view field, std::string_view op, json::value operand) {
  return *parse_filter({{"field", field}, {"operator", op}, {"value", std::move(operand)}});
}

std::string random_time(DocumentSource& source) {
  static constexpr const char* kForms[] = {"20{:02}-0{}-15", "20{:02}-0{}-15T10:30:00Z", "20{:02}-0{}-15T12:30:00+02:00",
                                           "20{:02}-0{}-15T10:30:00.000001Z"};
  return fmt::format(fmt::runtime(kForms[source.below(4)]), source.below(30), 1 + source.below(9));
}

json::value random_number(DocumentSource& source) {
  switch (source.below(5)) {
    case 0: return -0.0;
    case 1: return double(source.below(400));
    case 2: return int64_t(source.below(400)) - 50;
    case 3: return int64_t{1} << (40 + source.below(23));
    default: return double(source.below(4000)) / 8 - 50;
  }
}

// One of fields whose values mostly are of one kind, and mostly differ.
json::value random_value(DocumentSource& source, std::string_view field) {
  if (field == "id") return json::string(fmt::format("id-{:03}", source.below(600)));
  if (field == "serial") return (int64_t{1} << 53) + int64_t(source.below(300)) - 2;
  if (field == "price") return random_number(source);
  if (field == "seen") return json::string(random_time(source));
  return source.one_in(2);
}

constexpr const char* kFields[] = {"id", "serial", "price", "seen", "sold"};

// Now and then a value of another kind, null, or none.
json::object random_offer(DocumentSource& source) {
  json::object out;
  for (const char* field : kFields) {
    if (source.one_in(20)) continue;
    out[field] = source.one_in(40) ? source.any() : source.one_in(20) ? json::value() : random_value(source, field);
  }
  return out;
}

// Mostly "offer": {...}; also through arrays, under names with dots in them, and none.
json::object random_payload(DocumentSource& source) {
  if (source.one_in(30)) return {{"offer", json::array{random_offer(source), random_offer(source)}}};
  if (source.one_in(30)) return {{"offer", json::array{json::object{{"id", nullptr}}, random_offer(source)}}};
  if (source.one_in(30)) return {{"offer.id", random_value(source, "id")}, {"offer", random_offer(source)}};
  if (source.one_in(30)) return {{"offer", source.any()}};
  return {{"offer", random_offer(source)}};
}

json::value random_condition(DocumentSource& source) {
  static constexpr const char* kOps[] = {"eq",       "ne",          "gt",        "lt",     "gte",     "lte",  "in",   "nin",
                                         "contains", "starts_with", "ends_with", "exists", "is_null", "text", "regex"};
  const std::string field = kFields[source.below(std::size(kFields))], op = kOps[source.below(std::size(kOps))];
  const auto operand = [&] { return source.one_in(10) ? source.any() : random_value(source, field); };
  json::object out{{"field", "offer." + field}, {"operator", op}};
  if (op == "in" || op == "nin")
    out["value"] = json::array{operand(), operand(), operand()};
  else if (op == "exists" || op == "is_null")
    out["value"] = source.one_in(2);
  else if (op == "contains" || op == "ends_with" || op == "text" || op == "regex" || op == "starts_with")
    out["value"] = source.one_in(2) ? json::string("id-1") : json::string(std::to_string(source.below(30)));
  else
    out["value"] = operand();
  if (source.one_in(2)) out["case_sensitive"] = true;
  return out;
}

class PathColumnRandom : public ::testing::TestWithParam<uint64_t> {};

TEST_P(PathColumnRandom, AnswersAsDocumentsDo) {
  DocumentSource source(GetParam());
  const auto segment = segment_of([&](size_t) { return random_payload(source); });
  std::vector<json::object> documents;
  for (size_t row = 0; row < kRows; ++row) documents.push_back(*segment->block().filter_document(row));
  size_t found = 0;
  for (int i = 0; i < 400; ++i) {
    const json::value text = random_condition(source);
    const auto filter = parse_filter(text);
    if (!filter.ok()) continue;  // an operand the operator does not take
    Bitmap candidates(kRows);
    for (size_t row = 0; row < kRows; ++row)
      if (!source.one_in(4)) candidates.set(row);
    const auto rows = filter_rows(*filter, *segment, candidates, IndexUse::kAlways);
    ASSERT_TRUE(rows.ok()) << rows.error().message;
    found += rows->count();
    for (size_t row = 0; row < kRows; ++row)
      ASSERT_EQ(rows->test(row), candidates.test(row) && matches(*filter, documents[row]))
          << "seed " << GetParam() << "\nfilter " << json::serialize(text) << "\nrow " << json::serialize(documents[row]);
  }
  EXPECT_GT(found, 10'000u);
  const std::pair<const char*, ColumnKind> kinds[] = {{"offer.id", ColumnKind::kString},
                                                      {"offer.serial", ColumnKind::kInt64},
                                                      {"offer.price", ColumnKind::kNumber},
                                                      {"offer.sold", ColumnKind::kBoolean}};
  for (const auto& [path, kind] : kinds) {
    const PathColumn* made = segment->path_column(path, PathReading::kValues, IndexUse::kAlways);
    ASSERT_NE(made, nullptr) << path;
    EXPECT_EQ(made->column().kind, kind) << path;
    EXPECT_FALSE(made->column().overridden->none()) << path;
  }
  EXPECT_NE(segment->path_column("offer.seen", PathReading::kTimes, IndexUse::kAlways), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Seeds, PathColumnRandom, ::testing::Range<uint64_t>(1, 9));

TEST(PathColumnTest, TheSecondQuestionMakesItAndItsMemoryCounts) {
  const auto segment = segment_of([](size_t i) { return json::object{{"serial", i}}; });
  const Filter low = condition("serial", "lt", 300);
  const Bitmap all(kRows, true);
  const uint64_t before = segment->memory_bytes();
  EXPECT_EQ(filter_rows(low, *segment, all)->count(), 300u);
  EXPECT_EQ(segment->memory_bytes(), before);
  EXPECT_EQ(filter_rows(low, *segment, all)->count(), 300u);
  const uint64_t after = segment->memory_bytes();
  const PathColumn* made = segment->path_column("serial", PathReading::kValues, IndexUse::kWhenWorth);
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(after, before + made->memory_bytes());
  EXPECT_GE(made->memory_bytes(), kRows * (sizeof(int64_t) + 2 * sizeof(uint32_t)));  // values, their order and where each begins
  EXPECT_EQ(made->index().groups(), kRows);
}

TEST(PathColumnTest, IsNotMadeWhereManyRowsHoldSomethingElse) {
  const auto segment = segment_of([](size_t i) {
    const json::value serial = int64_t(i);
    return json::object{{"mixed", i % 10 == 0 ? json::value(json::string("none")) : serial},
                        {"rarely", i % 20 == 0 ? json::value(json::string("none")) : serial},
                        {"lists", json::array{serial}},
                        {"long", std::string(300, 'x') + std::to_string(i)}};
  });
  const auto make = [&](const char* path) { return PathColumn::make(segment->block(), path, PathReading::kValues); };
  for (const char* path : {"mixed", "lists", "long"}) EXPECT_EQ(make(path), nullptr) << path;
  EXPECT_EQ(PathColumn::make(segment->block(), "rarely", PathReading::kTimes), nullptr);
  const auto rarely = make("rarely");
  ASSERT_NE(rarely, nullptr);
  EXPECT_EQ(rarely->column().overridden->count(), kRows / 20);
  const Bitmap all(kRows, true);
  for (const char* path : {"mixed", "rarely"})
    EXPECT_EQ(filter_rows(condition(path, "gte", 0), *segment, all, IndexUse::kAlways)->count(),
              path == std::string("mixed") ? 720u : 760u);
}

TEST(PathColumnTest, KnowsWhichValuesItHoldsInAnotherForm) {
  const auto segment = segment_of([](size_t i) {
    const json::value mixed = i % 4 == 0 ? json::value(double(i)) : i % 4 == 1 ? json::value(i) : json::value(double(i) + 0.5);
    return json::object{{"whole", double(i)}, {"mixed", mixed}, {"parts", json::array{json::object{{"id", i}}}}};
  });
  const auto rewritten = [&](const char* path) {
    const auto made = PathColumn::make(segment->block(), path, PathReading::kValues);
    EXPECT_TRUE(made->column().overridden->none()) << path;
    for (size_t row = 0; row < kRows; ++row) {
      if (made->as_written().overridden->test(row)) continue;
      EXPECT_TRUE(test::identical(made->as_written().value(row), *FieldReader(*segment, path).value(row).value())) << path << " " << row;
    }
    return made->as_written().overridden->count();
  };
  EXPECT_EQ(rewritten("whole"), 0u);
  EXPECT_EQ(rewritten("mixed"), kRows / 4);
  EXPECT_EQ(rewritten("parts.id"), kRows);  // is read as a list of one
}

TEST(PathColumnTest, OfSixteenPathsASegmentAndNoMore) {
  const auto segment = segment_of([](size_t i) {
    json::object out;
    for (int f = 0; f < 20; ++f) out["field_" + std::to_string(f)] = i * 20 + size_t(f);
    return out;
  });
  const Bitmap all(kRows, true);
  int made = 0;
  for (int f = 0; f < 20; ++f) {
    const std::string path = "field_" + std::to_string(f);
    for (int question = 0; question < 3; ++question)
      EXPECT_EQ(filter_rows(condition(path, "lt", 2000), *segment, all)->count(), 100u) << path;
    made += segment->path_column(path, PathReading::kValues, IndexUse::kWhenWorth) != nullptr;
  }
  EXPECT_EQ(made, 16);
}

}  // namespace
}  // namespace quarry::mvs
