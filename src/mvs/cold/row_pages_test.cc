#include "mvs/cold/row_pages.h"

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/writer.h>
#include <arrow/util/compression.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/hash.h"

namespace quarry::mvs {
namespace {

std::shared_ptr<arrow::RecordBatch> two_texts() {
  arrow::StringBuilder builder;
  EXPECT_TRUE(builder.AppendValues({"ab", "cd"}).ok());
  const auto array = builder.Finish().ValueOrDie();
  return arrow::RecordBatch::Make(arrow::schema({arrow::field("title", arrow::utf8())}), 2, {array});
}

// As encode_row_pages() lays it out.
std::string page_of(std::string_view plain) {
  const auto codec = arrow::util::Codec::Create(arrow::Compression::ZSTD).ValueOrDie();
  const auto* bytes = reinterpret_cast<const uint8_t*>(plain.data());
  const auto size = int64_t(plain.size());
  std::string body(size_t(codec->MaxCompressedLen(size, bytes)), '\0');
  body.resize(size_t(codec->Compress(size, bytes, int64_t(body.size()), reinterpret_cast<uint8_t*>(body.data())).ValueOrDie()));
  std::string checked;
  append_little(checked, uint32_t(plain.size()));
  checked += body;
  std::string out;
  append_little(out, crc32c(checked));
  return out + checked;
}

TEST(RowPages, RoundTrip) {
  const auto batch = two_texts();
  const auto pages = encode_row_pages(*batch, {1, 0}, nullptr);
  ASSERT_TRUE(pages.ok()) << pages.error().message;
  ASSERT_EQ(pages->page_bytes.size(), 1u);
  const auto back = RowPageReader::open(pages->schema, "here")->decode(pages->bytes, 0);
  ASSERT_TRUE(back.ok()) << back.error().message;
  const auto& titles = static_cast<const arrow::StringArray&>(*(*back)->column(0));
  EXPECT_EQ(titles.GetView(0), "cd");
  EXPECT_EQ(titles.GetView(1), "ab");
}

// The checksum of such a page is right.
TEST(RowPages, OffsetsBeyondTheTextsAreDamage) {
  const auto batch = two_texts();
  const auto buffer = arrow::ipc::SerializeRecordBatch(*batch, arrow::ipc::IpcWriteOptions::Defaults()).ValueOrDie();
  const std::string plain = buffer->ToString();
  std::string offsets;
  for (const int32_t at : {0, 2, 4}) append_little(offsets, at);
  const size_t at = plain.find(offsets);
  ASSERT_NE(at, plain.npos);
  const auto reader = RowPageReader::open(encode_row_pages(*batch, {0, 1}, nullptr)->schema, "here");
  ASSERT_TRUE(reader->decode(page_of(plain), 0).ok());
  for (const int32_t end : {1, 5, 1 << 20, -4}) {
    std::string broken = plain;
    std::memcpy(broken.data() + at + 8, &end, sizeof end);
    EXPECT_EQ(reader->decode(page_of(broken), 0).error().kind, ErrorKind::kCorruption) << end;
  }
}

}  // namespace
}  // namespace quarry::mvs
