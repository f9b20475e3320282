// Orders of rows, and indexes over columns that other programs have filled.
#include "mvs/hot/value_index.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <thread>

#include "mvs/hot/column_filter.h"
#include "mvs/test_table.h"
#include "mvs/warm/row_encoder.h"

namespace quarry::mvs {
namespace {

TEST(RowOrderTest, AnyStretchAsBits) {
  std::mt19937_64 random(3);
  for (const size_t count : {0, 1, 100, 4095, 4096, 4097, 10'000}) {
    const size_t rows = count + count / 2 + 1;
    std::vector<uint32_t> order(rows);
    std::iota(order.begin(), order.end(), 0u);
    std::shuffle(order.begin(), order.end(), random);
    order.resize(count);
    const RowOrder kept(order, rows);
    for (int i = 0; i < 60; ++i) {
      size_t first = random() % (count + 1), last = i == 0 ? count : random() % (count + 1);
      if (i == 0) first = 0;
      if (first > last) std::swap(first, last);
      Bitmap expected(rows), found(rows);
      for (size_t p = first; p < last; ++p) expected.set(order[p]);
      kept.add(first, last, found);
      for (size_t row = 0; row < rows; ++row) ASSERT_EQ(found.test(row), expected.test(row)) << count << " " << first << " " << last;
    }
  }
}

// A segment whose columns hold the arrays; document ids are made.
std::shared_ptr<const Segment> segment_of(std::vector<FieldSpec> fields, std::vector<std::shared_ptr<arrow::Array>> arrays) {
  TableSpec spec;
  spec.table_id = "t";
  spec.fields = fields;
  const auto schema = std::make_shared<const TableSchema>(*TableSchema::from_spec(spec));
  RowEncoder encoder(schema, size_t(arrays.front()->length()));
  for (int64_t i = 0; i < arrays.front()->length(); ++i) {
    Document d;
    d.document_id = fmt::format("doc_{:04}", i);
    EXPECT_TRUE(encoder.append(d).ok());
  }
  auto batch = *encoder.finish();
  for (size_t f = 0; f < fields.size(); ++f) {
    const int at = batch->schema()->GetFieldIndex(fields[f].name);
    batch = *batch->SetColumn(at, batch->schema()->field(at), arrays[f]);
  }
  auto block = RowBlock::make(schema, batch);
  EXPECT_TRUE(block.ok());
  return std::make_shared<const Segment>(1, *block);
}

TEST(ValueIndexTest, ValuesWithoutAPlaceInTheOrderAreLookedAtOneByOne) {
  arrow::DoubleBuilder doubles;
  arrow::TimestampBuilder times(arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"), arrow::default_memory_pool());
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(doubles.Append(i == 7 ? std::numeric_limits<double>::quiet_NaN() : i % 10).ok());
    ASSERT_TRUE(times.Append(i == 9 ? 300'000'000'000'000'000 : i).ok());
  }
  const auto segment = segment_of({{"ratio", FieldType::kFloat}, {"at", FieldType::kDatetime}}, {*doubles.Finish(), *times.Finish()});
  for (const char* text : {R"({"field":"ratio","operator":"gte","value":4})", R"({"field":"ratio","operator":"eq","value":3})",
                           R"({"field":"at","operator":"gt","value":"1970-01-01T00:00:00.000100Z"})"}) {
    const Filter filter = *parse_filter(json::parse(text));
    const Bitmap all(segment->rows(), true);
    const Bitmap scanned = *filter_rows(filter, *segment, all, IndexUse::kNever);
    const Bitmap indexed = *filter_rows(filter, *segment, all, IndexUse::kAlways);
    EXPECT_GT(scanned.count(), 0u);
    for (size_t row = 0; row < segment->rows(); ++row) ASSERT_EQ(scanned.test(row), indexed.test(row)) << text << row;
  }
  EXPECT_EQ(segment->value_index(segment->block().schema().find("ratio"), IndexUse::kAlways), nullptr);
}

TEST(ValueIndexTest, IsMadeForColumnsThatAreAskedAgain) {
  arrow::Int64Builder numbers;
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(numbers.Append(i * 37 % 1000).ok());
  const auto segment = segment_of({{"n", FieldType::kInteger}}, {*numbers.Finish()});
  const Filter filter = *parse_filter(json::object{{"field", "n"}, {"operator", "lt"}, {"value", 250}});
  const int column = segment->block().schema().find("n");
  const Bitmap all(segment->rows(), true);
  EXPECT_EQ(filter_rows(filter, *segment, all)->count(), 1250u);
  const uint64_t before = segment->memory_bytes();
  EXPECT_EQ(segment->value_index(column, IndexUse::kNever), nullptr);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(filter_rows(filter, *segment, all)->count(), 1250u);
  const ValueIndex* made = segment->value_index(column, IndexUse::kWhenWorth);
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(made->groups(), 1000u);
  EXPECT_EQ(segment->memory_bytes(), before + made->memory_bytes());
}

TEST(ValueIndexTest, OneThreadMakesItWhileOthersGoOn) {
  arrow::StringBuilder texts;
  for (int i = 0; i < 20'000; ++i) ASSERT_TRUE(texts.Append(fmt::format("name_{}", i * 37 % 501)).ok());
  const auto segment = segment_of({{"name", FieldType::kString}}, {*texts.Finish()});
  const Filter filter = *parse_filter(json::object{{"field", "name"}, {"operator", "eq"}, {"value", "name_7"}});
  const Bitmap all(segment->rows(), true);
  const size_t expected = filter_rows(filter, *segment, all, IndexUse::kNever)->count();
  std::atomic<size_t> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) wrong += filter_rows(filter, *segment, all)->count() != expected;
    });
  for (auto& thread : threads) thread.join();
  EXPECT_GT(expected, 0u);
  EXPECT_EQ(wrong, 0u);
  EXPECT_NE(segment->value_index(segment->block().schema().find("name"), IndexUse::kWhenWorth), nullptr);
}

}  // namespace
}  // namespace quarry::mvs
