#include "mvs/warm/parquet_file.h"

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <arrow/io/memory.h>
#include <fmt/format.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/writer.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>

#include <charconv>

#include "base/hash.h"
#include "mvs/warm/column_cast.h"
#include "mvs/warm/parquet_damage.h"
#include "mvs/warm/row_block.h"

namespace quarry::mvs {
namespace {

constexpr int64_t kRowsPerGroup = 1 << 17;
constexpr int64_t kPageBytes = 256 << 10;

// Files of a few rows are merged soon: setting up compression and dictionaries would cost them more than writing does.
constexpr int64_t kSmallFileRows = 256;

// Where the floats of a vector column lie below it.
std::string_view float_leaf(ColumnKind kind) {
  switch (kind) {
    case ColumnKind::kSparse: return ".values.list.element";
    case ColumnKind::kMulti: return ".list.element.list.element";
    default: return ".list.element";
  }
}

std::shared_ptr<parquet::WriterProperties> writer_properties(const TableSchema& schema, int64_t rows) {
  parquet::WriterProperties::Builder builder;
  builder.created_by("Quarry")->enable_page_checksum()->set_size_statistics_level(parquet::SizeStatisticsLevel::None);
  builder.max_row_group_length(kRowsPerGroup)->data_pagesize(kPageBytes)->write_batch_size(1 << 14);
  if (rows <= kSmallFileRows) {
    builder.disable_dictionary()->compression(arrow::Compression::UNCOMPRESSED);
  } else {
    builder.compression(arrow::Compression::ZSTD)->enable_write_page_index();
    builder.disable_dictionary(std::string(kPayloadJson))->disable_dictionary(std::string(kDocumentId));
  }
  for (const auto& column : schema.columns()) {
    if (!is_vector(column.kind)) continue;
    const std::string leaf = column.name + std::string(float_leaf(column.kind));
    builder.disable_dictionary(leaf)
        ->encoding(leaf, parquet::Encoding::PLAIN)
        ->compression(leaf, arrow::Compression::UNCOMPRESSED)
        ->disable_statistics(leaf);
    if (column.kind == ColumnKind::kSparse) builder.disable_statistics(column.name + ".indices.list.element");
  }
  return builder.build();
}

// The first step of a leaf's path ("name", "name.list.element", ...) names the column.
std::vector<int> wanted_leaves(const parquet::SchemaDescriptor& descriptor, const TableSchema& schema) {
  std::vector<int> out;
  for (int i = 0; i < descriptor.num_columns(); ++i)
    if (schema.find(descriptor.GetColumnRoot(i)->name()) >= 0) out.push_back(i);
  return out;
}

Result<std::shared_ptr<arrow::RecordBatch>> to_batch(const arrow::Table& table, const TableSchema& schema, const std::string& key) {
  arrow::FieldVector fields;
  arrow::ArrayVector arrays;
  for (const auto& column : schema.columns()) {
    const int at = table.schema()->GetFieldIndex(column.name);
    if (at < 0) continue;
    QUARRY_ASSIGN_OR_RETURN(auto array, cast_column(*table.column(at), column, key));
    fields.push_back(arrow::field(column.name, array->type(), column.name != kDocumentId));
    arrays.push_back(std::move(array));
  }
  return arrow::RecordBatch::Make(arrow::schema(std::move(fields)), table.num_rows(), std::move(arrays));
}

// `metadata`: the parsed footer, null to read it from the file. `leaves`: null for all that the schema knows.
Result<std::shared_ptr<arrow::RecordBatch>> decode(std::shared_ptr<arrow::io::RandomAccessFile> file,
                                                   std::shared_ptr<parquet::FileMetaData> metadata, const std::vector<int>* leaves,
                                                   const std::string& key, const TableSchema& schema) {
  const auto fail = [&](const arrow::Status& status) { return corruption(fmt::format("{}: {}", key, status.message())); };
  try {
    parquet::ReaderProperties properties;
    properties.set_page_checksum_verification(true);
    parquet::arrow::FileReaderBuilder builder;
    if (auto s = builder.Open(std::move(file), properties, std::move(metadata)); !s.ok()) return fail(s);
    parquet::ArrowReaderProperties reading;
    reading.set_pre_buffer(false);  // the bytes are in memory; those between the columns may be absent
    builder.properties(reading);
    std::unique_ptr<parquet::arrow::FileReader> reader;
    if (auto s = builder.Build(&reader); !s.ok()) return fail(s);
    const auto& descriptor = *reader->parquet_reader()->metadata()->schema();
    auto table = reader->ReadTable(leaves != nullptr ? *leaves : wanted_leaves(descriptor, schema));
    if (!table.ok()) return fail(table.status());
    return to_batch(**table, schema, key);
  } catch (const std::exception& e) {
    return corruption(fmt::format("{}: {}", key, e.what()));
  }
}

// The batch with the types of its file.
Result<std::shared_ptr<arrow::RecordBatch>> as_file_types(const TableSchema& schema, const arrow::RecordBatch& batch) {
  arrow::FieldVector fields = batch.schema()->fields();
  arrow::ArrayVector arrays = batch.columns();
  for (const auto& column : schema.columns()) {
    const int at = column.narrow.empty() ? -1 : batch.schema()->GetFieldIndex(column.name);
    if (at < 0) continue;
    QUARRY_ASSIGN_OR_RETURN(arrays[size_t(at)], to_file_type(arrays[size_t(at)], column));
    fields[size_t(at)] = fields[size_t(at)]->WithType(file_type(column));
  }
  return arrow::RecordBatch::Make(arrow::schema(std::move(fields)), batch.num_rows(), std::move(arrays));
}

}  // namespace

std::string_view view(const arrow::Buffer& buffer) { return {reinterpret_cast<const char*>(buffer.data()), size_t(buffer.size())}; }

Result<std::shared_ptr<arrow::Buffer>> encode_parquet(const TableSchema& schema, const arrow::RecordBatch& in_memory) {
  QUARRY_ASSIGN_OR_RETURN(const auto as_file, as_file_types(schema, in_memory));
  const arrow::RecordBatch& batch = *as_file;
  const auto write = [&]() -> arrow::Result<std::shared_ptr<arrow::Buffer>> {
    // Room for everything at once: growing by doubling would copy and touch the memory twice.
    ARROW_ASSIGN_OR_RAISE(auto out, arrow::io::BufferOutputStream::Create(int64_t(batch_memory_bytes(batch)) + (1 << 16)));
    ARROW_ASSIGN_OR_RAISE(auto writer, parquet::arrow::FileWriter::Open(*batch.schema(), arrow::default_memory_pool(), out,
                                                                        writer_properties(schema, batch.num_rows())));
    for (int64_t first = 0; first < batch.num_rows(); first += kRowsPerGroup) {
      const int64_t rows = std::min(kRowsPerGroup, batch.num_rows() - first);
      ARROW_RETURN_NOT_OK(writer->NewRowGroup());
      for (const auto& column : batch.columns())
        ARROW_RETURN_NOT_OK(writer->WriteColumnChunk(std::make_shared<arrow::ChunkedArray>(column), first, rows));
    }
    ARROW_RETURN_NOT_OK(writer->Close());
    return out->Finish();
  };
  try {
    auto bytes = write();
    if (!bytes.ok()) return internal_error(fmt::format("writing Parquet: {}", bytes.status().ToString()));
    return *bytes;
  } catch (const std::exception& e) {
    return internal_error(fmt::format("writing Parquet: {}", e.what()));
  }
}

Result<std::shared_ptr<arrow::RecordBatch>> decode_parquet(std::shared_ptr<arrow::Buffer> bytes, const std::string& key,
                                                           const TableSchema& schema, std::optional<uint32_t> crc) {
  if (crc && crc32c(view(*bytes)) != *crc) {
    const ParquetDamage damage = find_damage(bytes);
    return corruption(fmt::format("{}: the checksum of its {} bytes differs from the log's; at offset {}: {}", key, bytes->size(),
                                  damage.offset, damage.what));
  }
  return decode(std::make_shared<arrow::io::BufferReader>(std::move(bytes)), nullptr, nullptr, key, schema);
}

Result<std::shared_ptr<arrow::RecordBatch>> decode_parquet_columns(std::shared_ptr<arrow::io::RandomAccessFile> file,
                                                                   std::shared_ptr<parquet::FileMetaData> metadata,
                                                                   const std::vector<int>& leaves, const std::string& key,
                                                                   const TableSchema& schema) {
  return decode(std::move(file), std::move(metadata), &leaves, key, schema);
}

Result<std::shared_ptr<arrow::RecordBatch>> read_parquet(objects::ObjectStore& store, const std::string& key, const TableSchema& schema,
                                                         std::optional<uint32_t> crc) {
  if (const auto path = store.local_path(key)) {
    // Mapped: the file's bytes are not copied, and decoded columns own their memory.
    if (auto file = arrow::io::MemoryMappedFile::Open(path->string(), arrow::io::FileMode::READ); file.ok()) {
      const auto size = (*file)->GetSize();
      auto bytes = size.ok() ? (*file)->ReadAt(0, *size) : arrow::Result<std::shared_ptr<arrow::Buffer>>(size.status());
      if (bytes.ok()) return decode_parquet(*bytes, key, schema, crc);
    }
  }
  QUARRY_ASSIGN_OR_RETURN(std::string bytes, store.get(key));
  return decode_parquet(arrow::Buffer::FromString(std::move(bytes)), key, schema, crc);
}

std::string crc_tag_value(std::string_view bytes) { return fmt::format("{:08x}", crc32c(bytes)); }

std::optional<uint32_t> parse_crc_tag(const std::map<std::string, std::string>& tags) {
  const auto it = tags.find(kCrcTag);
  uint32_t crc = 0;
  if (it == tags.end() || it->second.size() != 8) return std::nullopt;
  const auto [end, ec] = std::from_chars(it->second.data(), it->second.data() + 8, crc, 16);
  return ec == std::errc() && end == it->second.data() + 8 ? std::optional(crc) : std::nullopt;
}

Result<std::shared_ptr<arrow::RecordBatch>> concatenate(const TableSchema& schema,
                                                        const std::vector<std::shared_ptr<arrow::RecordBatch>>& batches) {
  if (batches.size() == 1) return batches[0];
  arrow::ArrayVector arrays;
  int64_t rows = 0;
  for (const auto& batch : batches) rows += batch->num_rows();
  for (size_t c = 0; c < schema.columns().size(); ++c) {
    arrow::ArrayVector parts;
    for (const auto& batch : batches) parts.push_back(batch->column(int(c)));
    auto joined = arrow::Concatenate(parts);
    if (!joined.ok()) return storage_error(joined.status().ToString());
    arrays.push_back(*joined);
  }
  return arrow::RecordBatch::Make(schema.arrow_schema(), rows, std::move(arrays));
}

}  // namespace quarry::mvs
