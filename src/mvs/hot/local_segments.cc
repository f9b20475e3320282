#include "mvs/hot/local_segments.h"

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <fmt/format.h>

#include "base/hash.h"
#include "mvs/hot/checked_file.h"
#include "mvs/warm/parquet_file.h"

namespace quarry::mvs {
namespace {

uint64_t identity_of(const AddFile& file, const TableSchema& schema) {
  const auto crc = file.tags.find(kCrcTag);
  return hash64(fmt::format("{}\n{}\n{}\n{}\n{}", file.path, file.size, file.modified_ms, crc == file.tags.end() ? "" : crc->second,
                            schema.delta_schema()));
}

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

// Keeps the mapping for as long as an array lies in it.
class MappedBuffer final : public arrow::Buffer {
 public:
  explicit MappedBuffer(CheckedFile file)
      : arrow::Buffer(reinterpret_cast<const uint8_t*>(file.data().data()), int64_t(file.data().size())), file_(std::move(file)) {}

 private:
  CheckedFile file_;
};

}  // namespace

std::filesystem::path LocalSegments::path_of(std::string_view data_file) const {
  return folder_ / fmt::format("{:016x}.segment", hash64(data_file));
}

Result<std::shared_ptr<const RowBlock>> LocalSegments::open(const AddFile& file, const std::shared_ptr<const TableSchema>& schema) const {
  if (!enabled()) return not_found("no local segments");
  const auto path = path_of(file.path);
  QUARRY_ASSIGN_OR_RETURN(CheckedFile mapped, CheckedFile::open(path, kSegmentFile, identity_of(file, *schema)));
  mapped.read_at_random();  // scans ask for what is next (paging.h)
  auto batch = decode(std::make_shared<MappedBuffer>(std::move(mapped)));
  if (!batch.ok()) return corruption(fmt::format("{}: {}", path.string(), batch.status().message()));
  return RowBlock::make(schema, *batch, RowBlock::Memory::kMapped);
}

Result<std::shared_ptr<const RowBlock>> LocalSegments::keep(const AddFile& file, const RowBlock& block) const {
  {
    auto data = encode(*block.batch());
    if (!data.ok()) return internal_error(fmt::format("writing a local segment: {}", data.status().message()));
    const std::string_view piece = view(**data);
    QUARRY_RETURN_IF_ERROR(write_checked_file(path_of(file.path), kSegmentFile, identity_of(file, block.schema()), {&piece, 1}));
  }
  return open(file, block.shared_schema());
}

void LocalSegments::retain(const std::set<std::string>& paths) const {
  if (!enabled()) return;
  std::set<std::filesystem::path> wanted;
  for (const auto& path : paths) wanted.insert(path_of(path));
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder_, error), end; !error && it != end; it.increment(error)) {
    // What a crash left half written lies beside the segments.
    const bool ours = it->path().extension() == ".segment" || it->path().filename().string().starts_with(".tmp-");
    std::error_code ignored;
    if (ours && !wanted.contains(it->path())) std::filesystem::remove(it->path(), ignored);
  }
}

}  // namespace quarry::mvs
