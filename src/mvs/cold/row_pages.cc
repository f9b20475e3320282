#include "mvs/cold/row_pages.h"

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/dictionary.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <arrow/util/compression.h>
#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "base/bytes.h"
#include "base/hash.h"
#include "mvs/warm/parquet_file.h"
#include "mvs/warm/row_block.h"

namespace quarry::mvs {
namespace {

constexpr uint64_t kPageBytes = 12 << 10;  // before compression
constexpr uint32_t kMaxRowsPerPage = 64;
constexpr int kCompressionLevel = 1;
constexpr size_t kHeadBytes = 8;  // CRC of what follows, bytes once decompressed
constexpr uint32_t kMaxPageBytes = 1u << 30;

arrow::Result<std::string> encode_page(const arrow::RecordBatch& batch, const std::vector<uint32_t>& order, size_t begin, size_t end,
                                       arrow::util::Codec& codec) {
  arrow::ArrayVector columns;
  for (const auto& column : batch.columns()) {
    arrow::ArrayVector rows;
    for (size_t i = begin; i < end; ++i) rows.push_back(column->Slice(order[i], 1));
    ARROW_ASSIGN_OR_RAISE(columns.emplace_back(), arrow::Concatenate(rows));
  }
  const auto page = arrow::RecordBatch::Make(batch.schema(), int64_t(end - begin), std::move(columns));
  ARROW_ASSIGN_OR_RAISE(const auto plain, arrow::ipc::SerializeRecordBatch(*page, arrow::ipc::IpcWriteOptions::Defaults()));
  std::string body(size_t(codec.MaxCompressedLen(plain->size(), plain->data())), '\0');
  ARROW_ASSIGN_OR_RAISE(const int64_t size,
                        codec.Compress(plain->size(), plain->data(), int64_t(body.size()), reinterpret_cast<uint8_t*>(body.data())));
  body.resize(size_t(size));
  std::string checked;
  append_little(checked, uint32_t(plain->size()));
  checked += body;
  std::string out;
  append_little(out, crc32c(checked));
  return out += checked;
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> decode_page(std::string_view body, uint32_t plain_bytes,
                                                               const std::shared_ptr<arrow::Schema>& schema) {
  ARROW_ASSIGN_OR_RAISE(const auto codec, arrow::util::Codec::Create(arrow::Compression::ZSTD));
  ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> plain, arrow::AllocateBuffer(plain_bytes));
  ARROW_ASSIGN_OR_RAISE(const int64_t size, codec->Decompress(int64_t(body.size()), reinterpret_cast<const uint8_t*>(body.data()),
                                                              plain_bytes, plain->mutable_data()));
  if (size != int64_t(plain_bytes)) return arrow::Status::Invalid("a page of another size");
  arrow::io::BufferReader reader(plain);
  arrow::ipc::DictionaryMemo no_dictionaries;
  ARROW_ASSIGN_OR_RAISE(auto batch, arrow::ipc::ReadRecordBatch(schema, &no_dictionaries, arrow::ipc::IpcReadOptions::Defaults(), &reader));
  ARROW_RETURN_NOT_OK(batch->ValidateFull());  // that buffers are long enough is all that was looked at
  return batch;
}

}  // namespace

Result<RowPages> encode_row_pages(const arrow::RecordBatch& batch, const std::vector<uint32_t>& order, Executor* executor) {
  RowPages out;
  const auto schema = arrow::ipc::SerializeSchema(*batch.schema());
  if (!schema.ok()) return internal_error(schema.status().ToString());
  out.schema = view(**schema);
  const uint64_t row_bytes = order.empty() ? kPageBytes : batch_memory_bytes(batch) / order.size() + 1;
  out.rows_per_page = uint32_t(std::clamp<uint64_t>(kPageBytes / row_bytes, 1, kMaxRowsPerPage));
  std::vector<std::string> pages((order.size() + out.rows_per_page - 1) / out.rows_per_page);
  std::mutex mutex;
  Status status = Ok{};
  constexpr size_t kPagesPerTask = 64;
  parallel_for(executor, (pages.size() + kPagesPerTask - 1) / kPagesPerTask, [&](size_t task) {
    auto codec = arrow::util::Codec::Create(arrow::Compression::ZSTD, kCompressionLevel);
    arrow::Status failure = codec.status();
    for (size_t p = task * kPagesPerTask; p < std::min(pages.size(), (task + 1) * kPagesPerTask) && failure.ok(); ++p) {
      const size_t begin = p * out.rows_per_page, end = std::min(order.size(), begin + out.rows_per_page);
      auto page = encode_page(batch, order, begin, end, **codec);
      failure = page.status();
      if (page.ok()) pages[p] = std::move(page).ValueUnsafe();
    }
    if (failure.ok()) return;
    std::lock_guard lock(mutex);
    status = internal_error(failure.ToString());
  });
  QUARRY_RETURN_IF_ERROR(status);
  for (const auto& page : pages) {
    out.page_bytes.push_back(uint32_t(page.size()));
    out.bytes += page;
  }
  return out;
}

Result<RowPageReader> RowPageReader::open(std::string_view schema, std::string key) {
  RowPageReader out;
  arrow::io::BufferReader reader(arrow::Buffer::FromString(std::string(schema)));
  arrow::ipc::DictionaryMemo no_dictionaries;
  auto parsed = arrow::ipc::ReadSchema(&reader, &no_dictionaries);
  if (!parsed.ok()) return corruption(fmt::format("{}: {}", key, parsed.status().ToString()));
  out.schema_ = std::move(parsed).ValueUnsafe();
  out.key_ = std::move(key);
  return out;
}

Result<std::shared_ptr<arrow::RecordBatch>> RowPageReader::decode(std::string_view page, uint64_t offset) const {
  if (page.size() < kHeadBytes || crc32c(page.substr(4)) != read_little<uint32_t>(page, 0))
    return corruption(fmt::format("{}: the checksum at offset {} differs", key_, offset));
  const uint32_t plain_bytes = read_little<uint32_t>(page, 4);
  if (plain_bytes > kMaxPageBytes) return corruption(fmt::format("{}: a page too large at offset {}", key_, offset));
  auto batch = decode_page(page.substr(kHeadBytes), plain_bytes, schema_);
  if (!batch.ok()) return corruption(fmt::format("{}: the page at offset {}: {}", key_, offset, batch.status().message()));
  return std::move(batch).ValueUnsafe();
}

}  // namespace quarry::mvs
