#include "mvs/warm/parquet_file.h"

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <gtest/gtest.h>
#include <parquet/arrow/writer.h>

#include "mvs/test_table.h"
#include "mvs/warm/json_text.h"
#include "mvs/warm/row_block.h"
#include "mvs/warm/row_encoder.h"

namespace quarry::mvs {
namespace {

using test::as_json;
using test::DocumentSource;

std::shared_ptr<const TableSchema> full_schema() { return std::make_shared<const TableSchema>(*TableSchema::from_spec(test::full_spec())); }

TEST(ParquetFile, GivesBackDocumentsAsTheyWere) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    DocumentSource source(seed);
    const auto schema = full_schema();
    RowEncoder encoder(schema, 0);
    std::vector<Document> documents;
    for (int i = 0; i < 300; ++i) {
      documents.push_back(source.document(1000));
      ASSERT_QUARRY_OK(encoder.append(documents.back()));
    }
    const auto batch = *encoder.finish();
    const auto bytes = encode_parquet(*schema, *batch);
    ASSERT_QUARRY_OK(bytes);
    const auto back = decode_parquet(*bytes, "k", *schema);
    ASSERT_QUARRY_OK(back);
    const auto block = RowBlock::make(schema, *back);
    ASSERT_QUARRY_OK(block);
    for (size_t row = 0; row < documents.size(); ++row) {
      const auto document = (*block)->document(row, {.payload = true, .vectors = true});
      ASSERT_QUARRY_OK(document);
      ASSERT_TRUE(test::identical(as_json(*document), as_json(documents[row]))) << "seed " << seed << "\n"
                                                                                << json::serialize(as_json(*document)) << "\n"
                                                                                << json::serialize(as_json(documents[row]));
    }
  }
}

TEST(ParquetFile, NoDamagedByteGoesUnnoticed) {
  DocumentSource source(3);
  const auto schema = full_schema();
  RowEncoder encoder(schema, 0);
  for (int i = 0; i < 40; ++i) ASSERT_QUARRY_OK(encoder.append(source.document(1000)));
  const auto bytes = *encode_parquet(*schema, **encoder.finish());
  const auto crc = parse_crc_tag({{kCrcTag, crc_tag_value(view(*bytes))}});
  ASSERT_TRUE(crc.has_value());
  EXPECT_TRUE(decode_parquet(bytes, "the/key", *schema, crc).ok());
  size_t by_pages = 0;
  for (size_t at = 0; at < size_t(bytes->size()); at += 11) {
    std::string damaged(view(*bytes));
    damaged[at] = char(damaged[at] ^ 0x11);
    const auto buffer = arrow::Buffer::FromString(damaged);
    const auto back = decode_parquet(buffer, "the/key", *schema, crc);
    ASSERT_FALSE(back.ok()) << at;
    EXPECT_EQ(back.error().kind, ErrorKind::kCorruption);
    EXPECT_NE(back.error().message.find("the/key"), std::string::npos);
    by_pages += !decode_parquet(buffer, "the/key", *schema).ok();  // must not crash without the log's checksum either
  }
  EXPECT_GT(by_pages, 0u);
  EXPECT_FALSE(parse_crc_tag({{kCrcTag, "12345"}}).has_value());
  EXPECT_FALSE(parse_crc_tag({{kCrcTag, "1234567x"}}).has_value());
}

std::shared_ptr<arrow::Buffer> foreign_file(const arrow::Table& table) {
  auto out = *arrow::io::BufferOutputStream::Create();
  const auto keep_types = parquet::ArrowWriterProperties::Builder().store_schema()->build();
  EXPECT_TRUE(
      parquet::arrow::WriteTable(table, arrow::default_memory_pool(), out, 100, parquet::default_writer_properties(), keep_types).ok());
  return *out->Finish();
}

template <class Builder, class... Values>
std::shared_ptr<arrow::Array> array_of(Builder&& builder, Values... values) {
  (void)(builder.Append(values).ok() && ...);
  return *builder.Finish();
}

// As delta-rs or Spark write: large strings, narrower numbers, nanoseconds, no columns they were not given.
TEST(ParquetFile, ReadsTheTypesOfOtherWriters) {
  arrow::LargeListBuilder vectors(arrow::default_memory_pool(), std::make_shared<arrow::FloatBuilder>());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(vectors.Append().ok());
    for (float v : {1.0f, 2.0f, 3.0f, float(i)}) ASSERT_TRUE(static_cast<arrow::FloatBuilder&>(*vectors.value_builder()).Append(v).ok());
  }
  const auto table = arrow::Table::Make(
      arrow::schema({arrow::field("document_id", arrow::large_utf8()), arrow::field("pages", arrow::int32()),
                     arrow::field("price", arrow::float32()), arrow::field("when", arrow::timestamp(arrow::TimeUnit::NANO, "UTC")),
                     arrow::field("vector_text", vectors.type()), arrow::field("unknown", arrow::utf8())}),
      {array_of(arrow::LargeStringBuilder(), "a", "b"), array_of(arrow::Int32Builder(), 1, 2), array_of(arrow::FloatBuilder(), 0.5f, 2.0f),
       array_of(arrow::TimestampBuilder(arrow::timestamp(arrow::TimeUnit::NANO, "UTC"), arrow::default_memory_pool()), 1'000'000'000,
                2'000'000'500),
       *vectors.Finish(), array_of(arrow::StringBuilder(), "x", "y")});
  const auto schema = full_schema();
  const auto batch = decode_parquet(foreign_file(*table), "k", *schema);
  ASSERT_QUARRY_OK(batch);
  const auto block = RowBlock::make(schema, *batch);
  ASSERT_QUARRY_OK(block);
  const auto d = *(*block)->document(1, {.payload = true, .vectors = true});
  EXPECT_EQ(d.document_id, "b");
  EXPECT_EQ(json::value(d.payload), json::parse(R"({"pages":2,"price":2,"when":"1970-01-01T00:00:02.000000Z"})"));
  ASSERT_EQ(d.vectors.size(), 1u);
  EXPECT_EQ(d.vectors[0].values, (std::vector<float>{1, 2, 3, 1}));
}

// [[...], [...]] per row; an empty list is a row without the vector.
template <class List, class Floats, class Value>
std::shared_ptr<arrow::Array> token_lists(const std::vector<std::vector<std::vector<Value>>>& rows) {
  auto floats = std::make_shared<Floats>();
  auto tokens = std::make_shared<List>(arrow::default_memory_pool(), floats);
  List out(arrow::default_memory_pool(), tokens);
  for (const auto& row : rows) {
    EXPECT_TRUE(out.Append().ok());
    for (const auto& token : row) EXPECT_TRUE(tokens->Append().ok() && floats->AppendValues(token).ok());
  }
  return *out.Finish();
}

struct ForeignSparse {
  bool null = false;  // both members are
  std::vector<int32_t> indices;
  std::vector<double> values;
};

std::shared_ptr<arrow::Array> sparse_structs(const std::vector<ForeignSparse>& rows) {
  auto index = std::make_shared<arrow::Int32Builder>();
  auto value = std::make_shared<arrow::DoubleBuilder>();
  arrow::LargeListBuilder indices(arrow::default_memory_pool(), index);
  arrow::ListBuilder values(arrow::default_memory_pool(), value);
  for (const auto& row : rows) {
    EXPECT_TRUE((row.null ? indices.AppendNull() : indices.Append()).ok() && (row.null ? values.AppendNull() : values.Append()).ok());
    EXPECT_TRUE(index->AppendValues(row.indices).ok() && value->AppendValues(row.values).ok());
  }
  return *arrow::StructArray::Make({*values.Finish(), *indices.Finish()}, std::vector<std::string>{"values", "indices"});
}

Result<std::shared_ptr<const RowBlock>> block_of(const std::string& column, std::shared_ptr<arrow::Array> array) {
  arrow::StringBuilder ids;
  for (int64_t i = 0; i < array->length(); ++i) EXPECT_TRUE(ids.Append("doc_" + std::to_string(i)).ok());
  const auto type = array->type();
  const auto table = arrow::Table::Make(arrow::schema({arrow::field("document_id", arrow::utf8()), arrow::field(column, type)}),
                                        {*ids.Finish(), std::move(array)});
  QUARRY_ASSIGN_OR_RETURN(auto batch, decode_parquet(foreign_file(*table), "the/key", *full_schema()));
  return RowBlock::make(full_schema(), std::move(batch));
}

TEST(ParquetFile, ReadsSparseVectorsOfOtherWriters) {
  const auto block =
      block_of("vector_words", sparse_structs({{false, {7, 1}, {0.5, 2}}, {true, {}, {}}, {false, {}, {}}, {false, {3}, {1}}}));
  ASSERT_QUARRY_OK(block);
  const auto read = [&](size_t row) { return (*block)->document(row, {.payload = false, .vectors = true})->sparse_vectors; };
  ASSERT_EQ(read(0).size(), 1u);
  EXPECT_EQ(read(0)[0].indices, (std::vector<uint32_t>{1, 7}));  // put in order
  EXPECT_EQ(read(0)[0].values, (std::vector<float>{2, 0.5f}));
  EXPECT_TRUE(read(1).empty());
  EXPECT_TRUE(read(2).empty());
  EXPECT_EQ(read(3)[0].indices, (std::vector<uint32_t>{3}));
  for (const ForeignSparse& bad :
       {ForeignSparse{false, {1, 1}, {1, 2}}, ForeignSparse{false, {-1}, {1}}, ForeignSparse{false, {1, 2}, {1}}}) {
    const auto refused = block_of("vector_words", sparse_structs({{false, {3}, {1}}, bad}));
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind, ErrorKind::kCorruption);
    EXPECT_NE(refused.error().message.find("the/key: column 'vector_words'"), std::string::npos) << refused.error().message;
    EXPECT_NE(refused.error().message.find("row 1"), std::string::npos) << refused.error().message;
  }
}

TEST(ParquetFile, ReadsMultiVectorsOfOtherWriters) {
  using Rows = std::vector<std::vector<std::vector<double>>>;
  const auto check = [](const Result<std::shared_ptr<const RowBlock>>& block) {
    ASSERT_QUARRY_OK(block);
    EXPECT_EQ((*block)->document(0, {.vectors = true})->multi_vectors.at(0).values, (std::vector<float>{1, 2, 3, 4, 5, 6}));
    EXPECT_TRUE((*block)->document(1, {.vectors = true})->multi_vectors.empty());
    EXPECT_EQ((*block)->document(2, {.vectors = true})->multi_vectors.at(0).values, (std::vector<float>{7, 8, 9}));
  };
  check(
      block_of("vector_tokens", token_lists<arrow::LargeListBuilder, arrow::DoubleBuilder>(Rows{{{1, 2, 3}, {4, 5, 6}}, {}, {{7, 8, 9}}})));
  using FloatRows = std::vector<std::vector<std::vector<float>>>;
  check(
      block_of("vector_tokens", token_lists<arrow::ListBuilder, arrow::FloatBuilder>(FloatRows{{{1, 2, 3}, {4, 5, 6}}, {}, {{7, 8, 9}}})));
  const auto refused = block_of("vector_tokens", token_lists<arrow::ListBuilder, arrow::FloatBuilder>(FloatRows{{{1, 2, 3}}, {{1, 2}}}));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kCorruption);
  EXPECT_NE(refused.error().message.find("'vector_tokens' row 1: a token of 2 values, not 3"), std::string::npos)
      << refused.error().message;
}

// Files of several writers are joined when they are compacted: their arrays must have one type, down to the names of list elements.
TEST(ParquetFile, GivesEveryFileTheSameTypes) {
  const auto ours = full_schema()->arrow_schema();
  const auto same = [&](const char* column, std::shared_ptr<arrow::Array> array) {
    const auto block = block_of(column, std::move(array));
    ASSERT_QUARRY_OK(block);
    EXPECT_TRUE((*block)->batch()->GetColumnByName(column)->type()->Equals(*ours->GetFieldByName(column)->type(), true)) << column;
  };
  same("vector_tokens", token_lists<arrow::ListBuilder, arrow::FloatBuilder>(std::vector<std::vector<std::vector<float>>>{{{1, 2, 3}}}));
  same("vector_words", sparse_structs({{false, {1, 2}, {1, 2}}}));
  same("when", array_of(arrow::TimestampBuilder(arrow::timestamp(arrow::TimeUnit::MICRO, "+00:00"), arrow::default_memory_pool()), 5));
}

TEST(ParquetFile, RefusesColumnsOfAnImpossibleType) {
  const auto table = arrow::Table::Make(arrow::schema({arrow::field("document_id", arrow::utf8()), arrow::field("pages", arrow::utf8())}),
                                        {array_of(arrow::StringBuilder(), "a"), array_of(arrow::StringBuilder(), "x")});
  const auto batch = decode_parquet(foreign_file(*table), "the/key", *full_schema());
  ASSERT_FALSE(batch.ok());
  EXPECT_EQ(batch.error().kind, ErrorKind::kCorruption);
  EXPECT_NE(batch.error().message.find("the/key: column 'pages'"), std::string::npos) << batch.error().message;
}

TEST(FileStats, BoundsEveryScalarColumn) {
  const auto schema = full_schema();
  RowEncoder encoder(schema, 0);
  Document d;
  d.document_id = "b";
  d.created_at = d.updated_at = 1'500'001;
  d.payload = {{"title", std::string(40, 'x')}, {"pages", 7}, {"price", 0.1}};
  ASSERT_QUARRY_OK(encoder.append(d));
  d.document_id = "a";
  d.payload = {{"title", "\xc3\xa4"}, {"pages", "many"}};
  ASSERT_QUARRY_OK(encoder.append(d));
  const std::string text = file_stats(*schema, **encoder.finish(), true);
  const json::object stats = *parse_object(text);
  EXPECT_EQ(stats.at("numRecords").as_int64(), 2);
  EXPECT_EQ(stats.at("minValues").at("document_id").as_string(), "a");
  EXPECT_EQ(stats.at("maxValues").at("document_id").as_string(), "b");
  EXPECT_EQ(stats.at("minValues").at("title").as_string(), std::string(32, 'x'));
  EXPECT_EQ(stats.at("maxValues").at("title").as_string(), "\xc3\xa4");
  EXPECT_EQ(stats.at("minValues").at("price").as_double(), 0.1);
  EXPECT_EQ(stats.at("minValues").at("created_at").as_string(), "1970-01-01T00:00:01.500Z");
  EXPECT_EQ(stats.at("maxValues").at("created_at").as_string(), "1970-01-01T00:00:01.501Z");
  EXPECT_EQ(stats.at("nullCount").at("pages").as_int64(), 1);
  EXPECT_FALSE(stats.at("minValues").as_object().contains("ratio"));
  EXPECT_FALSE(stats.at("nullCount").as_object().contains("vector_text"));
  const json::object loose = *parse_object(loosen_stats(text));
  EXPECT_FALSE(loose.at("tightBounds").as_bool());
  EXPECT_EQ(loose.at("minValues"), stats.at("minValues"));
}

}  // namespace
}  // namespace quarry::mvs
