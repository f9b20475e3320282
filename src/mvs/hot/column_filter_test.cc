// Columns must mean what documents mean: random filters over random rows, answered both ways.
#include "mvs/hot/column_filter.h"

#include <gtest/gtest.h>

#include "mvs/hot/field_reader.h"
#include "mvs/test_table.h"
#include "mvs/warm/row_encoder.h"

namespace quarry::mvs {
namespace {

using test::DocumentSource;

std::shared_ptr<const Segment> random_segment(DocumentSource& source, size_t rows, const TableSpec& spec) {
  const auto schema = std::make_shared<const TableSchema>(*TableSchema::from_spec(spec));
  RowEncoder encoder(schema, rows);
  for (size_t i = 0; i < rows; ++i) {
    Document d = source.document(1'000'000);
    d.document_id += "_" + std::to_string(i);
    EXPECT_TRUE(encoder.append(d).ok());
  }
  auto block = RowBlock::make(schema, *encoder.finish());
  EXPECT_TRUE(block.ok());
  return std::make_shared<const Segment>(1, *block);
}

json::value random_filter(DocumentSource& source, int depth) {
  static constexpr const char* kOps[] = {"eq",  "ne",       "gt",          "lt",        "gte",    "lte",    "in",
                                         "nin", "contains", "starts_with", "ends_with", "exists", "is_null"};
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
  else if (op == "starts_with" || op == "ends_with" || op == "contains")
    out["value"] = source.word();
  else
    out["value"] = field == "created_at" || field == "updated_at" ? json::value(json::string(format_timestamp(1'700'000'000'000'500)))
                                                                  : source.value(field);
  if (source.one_in(3)) out["case_sensitive"] = true;
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
    const auto rows = filter_rows(*filter, *segment, candidates);
    ASSERT_TRUE(rows.ok()) << rows.error().message;
    for (size_t row = 0; row < segment->rows(); ++row) {
      const json::object document = *segment->block().filter_document(row);
      ASSERT_EQ(rows->test(row), candidates.test(row) && matches(*filter, document))
          << "seed " << GetParam() << "\nfilter " << json::serialize(text) << "\nrow " << json::serialize(document);
    }
  }
  EXPECT_GT(asked, 100);
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
