#include "mvs/warm/late_columns.h"

#include <arrow/api.h>
#include <gtest/gtest.h>

#include "mvs/warm/row_encoder.h"

namespace quarry::mvs {
namespace {

TableSchema schema_of(std::vector<FieldSpec> fields) {
  TableSpec spec;
  spec.table_id = "t";
  spec.prefix = "t";
  spec.fields = std::move(fields);
  return TableSchema::from_spec(spec).value();
}

std::shared_ptr<arrow::RecordBatch> encoded(const TableSchema& schema, const std::vector<json::object>& payloads) {
  RowEncoder encoder(std::make_shared<const TableSchema>(schema), payloads.size());
  for (size_t i = 0; i < payloads.size(); ++i) {
    Document document;
    document.document_id = std::to_string(i);
    document.payload = payloads[i];
    EXPECT_TRUE(encoder.append(document).ok());
  }
  return encoder.finish().value();
}

// Values that the column holds as written, that it holds but not as written, and that it can't hold.
TEST(LateColumnsTest, AreThoseThatWritingTheRowsAnewGives) {
  const std::vector<json::object> payloads = {{{"price", 2}, {"seen", "2026-01-02T03:04:05Z"}, {"other", {1, 2.5}}},
                                              {{"price", 3.0}, {"seen", "2026-01-02 03:04"}},
                                              {{"price", "four"}, {"title", "x"}},
                                              {},
                                              {{"seen", nullptr}, {"price", nullptr}},
                                              {{"price", 5}}};
  const TableSchema before = schema_of({{"title", FieldType::kString}});
  const TableSchema after = schema_of({{"title", FieldType::kString}, {"price", FieldType::kInteger}, {"seen", FieldType::kDatetime}});
  const auto block = RowBlock::make(std::make_shared<const TableSchema>(before), encoded(before, payloads)).value();
  const std::vector<uint32_t> rows = {0, 1, 2, 3, 4, 5};
  const LateColumns late = make_late_columns(*block, after, rows).value();
  const auto expected = encoded(after, payloads);
  for (const auto name : {"price", "seen"}) {
    const auto& made = late.arrays[size_t(after.find(name))];
    ASSERT_NE(made, nullptr) << name;
    EXPECT_TRUE(made->Equals(expected->GetColumnByName(name))) << name << made->ToString();
  }
  EXPECT_EQ(late.arrays[size_t(after.find("title"))], nullptr);
  EXPECT_TRUE(late.rest->Equals(expected->GetColumnByName(std::string(kPayloadJson)))) << late.rest->ToString();
  const LateColumns some = make_late_columns(*block, after, std::vector<uint32_t>{2, 5}).value();
  EXPECT_EQ(some.rest->length(), 2);
  EXPECT_EQ(make_late_columns(*block, before, rows)->rest, nullptr);
}

TEST(LateColumnsTest, ARowWhoseJsonDoesNotParseStaysAsItIs) {
  const TableSchema before = schema_of({}), after = schema_of({{"price", FieldType::kInteger}});
  auto batch = encoded(before, {{{"price", 1}}, {{"price", 2}}});
  arrow::StringBuilder texts;
  ASSERT_TRUE(texts.AppendValues({"{\"price\":", "{\"price\":2}"}).ok());
  const int at = batch->schema()->GetFieldIndex(std::string(kPayloadJson));
  batch = batch->SetColumn(at, batch->schema()->field(at), texts.Finish().ValueOrDie()).ValueOrDie();
  const auto block = RowBlock::make(std::make_shared<const TableSchema>(before), batch).value();
  const LateColumns late = make_late_columns(*block, after, std::vector<uint32_t>{0, 1}).value();
  EXPECT_EQ(static_cast<const arrow::StringArray&>(*late.rest).GetView(0), "{\"price\":");
  EXPECT_TRUE(late.rest->IsNull(1));
  const auto& price = static_cast<const arrow::Int64Array&>(*late.arrays[size_t(after.find("price"))]);
  EXPECT_TRUE(price.IsNull(0));
  EXPECT_EQ(price.Value(1), 2);
}

}  // namespace
}  // namespace quarry::mvs
