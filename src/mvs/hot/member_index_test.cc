#include "mvs/hot/member_index.h"

#include <gtest/gtest.h>

#include "mvs/hot/column_filter.h"
#include "mvs/test_table.h"
#include "mvs/warm/row_encoder.h"

namespace quarry::mvs {
namespace {

constexpr size_t kRows = 4'000;

// Fields that have no column: "colour" of three values and here and there none, "shape.sides" within an object, "serial" of its own in each row.
std::shared_ptr<const RowBlock> painted_rows() {
  static constexpr const char* kColours[] = {"red", "green", "blue"};
  const auto schema = std::make_shared<const TableSchema>(*TableSchema::from_spec(test::full_spec()));
  RowEncoder encoder(schema, kRows);
  test::DocumentSource source(7);
  for (size_t i = 0; i < kRows; ++i) {
    Document d = source.document(1'000'000);
    d.document_id += "_" + std::to_string(i);
    d.payload = {{"serial", i}, {"shape", {{"sides", i % 5}}}};
    if (i % 10 != 9) d.payload["colour"] = kColours[i % 3];
    EXPECT_TRUE(encoder.append(d).ok());
  }
  return *RowBlock::make(schema, *encoder.finish());
}

Filter condition(std::string_view field, std::string_view op, json::value operand) {
  return *parse_filter({{"field", field}, {"operator", op}, {"value", std::move(operand)}});
}

std::vector<size_t> rows_in(const Bitmap& bits) {
  std::vector<size_t> out;
  bits.for_each([&](size_t row) { out.push_back(row); });
  return out;
}

TEST(MemberIndexTest, GroupsRowsByWhatLiesAtThePath) {
  const auto block = painted_rows();
  const auto colours = MemberIndex::make(*block, "colour");
  ASSERT_NE(colours, nullptr);
  EXPECT_EQ(colours->groups(), 4u);  // and the rows that have none
  EXPECT_GT(colours->memory_bytes(), kRows * sizeof(uint32_t));
  Bitmap red(kRows);
  colours->add_rows(condition("colour", "eq", "red"), red);
  for (size_t i = 0; i < kRows; ++i) EXPECT_EQ(red.test(i), i % 3 == 0 && i % 10 != 9) << i;
  const auto sides = MemberIndex::make(*block, "shape.sides");
  ASSERT_NE(sides, nullptr);
  Bitmap three_or_more(kRows);
  sides->add_rows(condition("shape.sides", "gte", 3), three_or_more);
  for (size_t i = 0; i < kRows; ++i) EXPECT_EQ(three_or_more.test(i), i % 5 >= 3) << i;
}

TEST(MemberIndexTest, IsNotMadeWhereItWouldSpareNothing) {
  const auto block = painted_rows();
  EXPECT_EQ(MemberIndex::make(*block, "serial"), nullptr);  // as many values as rows
  EXPECT_EQ(MemberIndex::make(*block, "title"), nullptr);   // a column
}

TEST(MemberIndexTest, TheSecondQuestionMakesItAndAllAnswersAreTheSame) {
  const Segment segment(1, painted_rows());
  const Bitmap all(kRows, true);
  const Filter filters[] = {condition("colour", "eq", "red"), condition("colour", "ne", "red"), condition("serial", "lt", 100),
                            condition("shape.sides", "in", json::array{1, 2})};
  for (const Filter& filter : filters) {
    const auto expected = rows_in(*filter_rows(filter, segment, all, IndexUse::kNever));
    EXPECT_FALSE(expected.empty());
    for (int question = 0; question < 3; ++question) EXPECT_EQ(rows_in(*filter_rows(filter, segment, all)), expected);
  }
  EXPECT_NE(segment.member_index("colour", IndexUse::kWhenWorth), nullptr);
  EXPECT_EQ(segment.member_index("serial", IndexUse::kWhenWorth), nullptr);
  EXPECT_EQ(segment.member_index("new", IndexUse::kWhenWorth), nullptr);  // the first question
}

}  // namespace
}  // namespace quarry::mvs
