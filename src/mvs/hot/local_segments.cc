#include "mvs/hot/local_segments.h"

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <fmt/format.h>

#include <cstring>

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"

namespace quarry::mvs {
namespace {

constexpr char kMagic[8] = {'Q', 'R', 'Y', 'S', 'E', 'G', '0', '1'};
constexpr size_t kBlockBytes = 1 << 20;  // that have a checksum of their own

// Behind the Arrow IPC file and the checksums of its blocks.
struct Trailer {
  uint64_t data_bytes = 0;
  uint64_t identity = 0;  // of the data file and the schema
  uint32_t blocks_crc = 0;
  uint32_t trailer_crc = 0;  // of what stands before it
  char magic[8] = {};
};
static_assert(sizeof(Trailer) == 32);

uint64_t identity_of(const AddFile& file, const TableSchema& schema) {
  const auto crc = file.tags.find("quarry.crc32c");
  return hash64(fmt::format("{}\n{}\n{}\n{}\n{}", file.path, file.size, file.modified_ms, crc == file.tags.end() ? "" : crc->second,
                            schema.delta_schema()));
}

uint32_t trailer_crc(const Trailer& t) { return crc32c({reinterpret_cast<const char*>(&t), offsetof(Trailer, trailer_crc)}); }

arrow::Result<std::shared_ptr<arrow::Buffer>> encode(const arrow::RecordBatch& batch) {
  ARROW_ASSIGN_OR_RAISE(auto out, arrow::io::BufferOutputStream::Create(int64_t(batch_memory_bytes(batch)) + (1 << 16)));
  auto options = arrow::ipc::IpcWriteOptions::Defaults();
  options.alignment = 64;
  ARROW_ASSIGN_OR_RAISE(auto writer, arrow::ipc::MakeFileWriter(out, batch.schema(), options));
  ARROW_RETURN_NOT_OK(writer->WriteRecordBatch(batch));
  ARROW_RETURN_NOT_OK(writer->Close());
  return out->Finish();
}

arrow::Result<std::shared_ptr<arrow::RecordBatch>> decode(std::shared_ptr<arrow::Buffer> bytes) {
  ARROW_ASSIGN_OR_RAISE(auto reader, arrow::ipc::RecordBatchFileReader::Open(std::make_shared<arrow::io::BufferReader>(std::move(bytes))));
  if (reader->num_record_batches() != 1) return arrow::Status::Invalid("not one batch");
  return reader->ReadRecordBatch(0);
}

// Checks the whole file. kCorruption names the offset.
Status verify(const arrow::Buffer& bytes, const Trailer& trailer, const std::filesystem::path& path) {
  const auto* at = reinterpret_cast<const char*>(bytes.data());
  const size_t blocks = (trailer.data_bytes + kBlockBytes - 1) / kBlockBytes;
  const std::string_view sums(at + trailer.data_bytes, blocks * sizeof(uint32_t));
  if (crc32c(sums) != trailer.blocks_crc)
    return corruption(fmt::format("{}: the block checksums at offset {} are damaged", path.string(), trailer.data_bytes));
  for (size_t b = 0; b < blocks; ++b) {
    uint32_t expected;
    std::memcpy(&expected, sums.data() + b * sizeof expected, sizeof expected);
    const size_t first = b * kBlockBytes, length = std::min<size_t>(kBlockBytes, trailer.data_bytes - first);
    if (crc32c({at + first, length}) != expected)
      return corruption(fmt::format("{}: the block at offset {} does not match its checksum", path.string(), first));
  }
  return Ok{};
}

}  // namespace

std::filesystem::path LocalSegments::path_of(std::string_view data_file) const {
  return folder_ / fmt::format("{:016x}.segment", hash64(data_file));
}

Result<std::shared_ptr<const RowBlock>> LocalSegments::open(const AddFile& file, const std::shared_ptr<const TableSchema>& schema) const {
  if (!enabled()) return not_found("no local segments");
  const auto path = path_of(file.path);
  const auto damaged = [&](Error error) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    return error;
  };
  std::error_code missing;
  if (!std::filesystem::exists(path, missing)) return not_found(path.string());
  auto mapped = arrow::io::MemoryMappedFile::Open(path.string(), arrow::io::FileMode::READ);
  if (!mapped.ok()) return storage_error(fmt::format("{}: {}", path.string(), mapped.status().message()));
  const auto size = (*mapped)->GetSize();
  auto bytes = size.ok() ? (*mapped)->ReadAt(0, *size) : arrow::Result<std::shared_ptr<arrow::Buffer>>(size.status());
  if (!bytes.ok()) return storage_error(fmt::format("{}: {}", path.string(), bytes.status().message()));
  Trailer trailer;
  const auto total = size_t((*bytes)->size());
  if (total < sizeof trailer) return damaged(corruption(fmt::format("{}: {} bytes are no segment", path.string(), total)));
  std::memcpy(&trailer, (*bytes)->data() + total - sizeof trailer, sizeof trailer);
  const size_t blocks = trailer.data_bytes / kBlockBytes + (trailer.data_bytes % kBlockBytes != 0);
  if (std::memcmp(trailer.magic, kMagic, sizeof kMagic) != 0 || trailer_crc(trailer) != trailer.trailer_crc ||
      trailer.data_bytes > total || trailer.data_bytes + blocks * sizeof(uint32_t) + sizeof trailer != total)
    return damaged(corruption(fmt::format("{}: the trailer at offset {} is damaged", path.string(), total - sizeof trailer)));
  if (trailer.identity != identity_of(file, *schema)) return not_found(fmt::format("{} holds another file's rows", path.string()));
  if (auto checked = verify(**bytes, trailer, path); !checked.ok()) return damaged(std::move(checked).error());
  auto batch = decode(arrow::SliceBuffer(*bytes, 0, int64_t(trailer.data_bytes)));
  if (!batch.ok()) return damaged(corruption(fmt::format("{}: {}", path.string(), batch.status().message())));
  return RowBlock::make(schema, *batch, RowBlock::Memory::kMapped);
}

Result<std::shared_ptr<const RowBlock>> LocalSegments::keep(const AddFile& file, const RowBlock& block) const {
  auto data = encode(*block.batch());
  if (!data.ok()) return internal_error(fmt::format("writing a local segment: {}", data.status().message()));
  std::string bytes(reinterpret_cast<const char*>((*data)->data()), size_t((*data)->size()));
  *data = nullptr;
  Trailer trailer;
  trailer.data_bytes = bytes.size();
  trailer.identity = identity_of(file, block.schema());
  std::string sums;
  for (size_t at = 0; at < trailer.data_bytes; at += kBlockBytes) {
    const uint32_t crc = crc32c(std::string_view(bytes).substr(at, kBlockBytes));
    sums.append(reinterpret_cast<const char*>(&crc), sizeof crc);
  }
  trailer.blocks_crc = crc32c(sums);
  std::memcpy(trailer.magic, kMagic, sizeof kMagic);
  trailer.trailer_crc = trailer_crc(trailer);
  bytes += sums;
  bytes.append(reinterpret_cast<const char*>(&trailer), sizeof trailer);
  QUARRY_RETURN_IF_ERROR(make_directories(folder_));
  QUARRY_RETURN_IF_ERROR(write_file_atomic(path_of(file.path), bytes));
  bytes = {};
  return open(file, block.shared_schema());
}

void LocalSegments::retain(const std::set<std::string>& paths) const {
  if (!enabled()) return;
  std::set<std::filesystem::path> wanted;
  for (const auto& path : paths) wanted.insert(path_of(path));
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder_, error), end; !error && it != end; it.increment(error)) {
    const bool ours = it->path().extension() == ".segment" || it->path().filename().string().starts_with(".tmp-");
    std::error_code ignored;
    if (ours && !wanted.contains(it->path())) std::filesystem::remove(it->path(), ignored);
  }
}

}  // namespace quarry::mvs
