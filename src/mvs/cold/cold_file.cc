#include "mvs/cold/cold_file.h"

#include <arrow/api.h>
#include <fmt/format.h>

#include <algorithm>

#include "mvs/warm/parquet_file.h"

namespace quarry::mvs {
namespace {

// `more` beside the columns of `base`, which may be null.
std::shared_ptr<arrow::RecordBatch> beside(const std::shared_ptr<arrow::RecordBatch>& base, const std::shared_ptr<arrow::RecordBatch>& more) {
  if (base == nullptr) return more;
  if (more == nullptr) return base;
  arrow::FieldVector fields = base->schema()->fields();
  arrow::ArrayVector columns = base->columns();
  for (int c = 0; c < more->num_columns(); ++c) {
    fields.push_back(more->schema()->field(c));
    columns.push_back(more->column(c));
  }
  return arrow::RecordBatch::Make(arrow::schema(std::move(fields)), base->num_rows(), std::move(columns));
}

// What is kept for longer than the runs that it was read in.
Result<std::vector<std::string>> read_strings(objects::ObjectStore& store, Executor* io, const std::vector<RangeOfObject>& wanted) {
  QUARRY_ASSIGN_OR_RETURN(const RangedBytes bytes, read_ranges(store, io, wanted));
  std::vector<std::string> out;
  for (size_t i = 0; i < bytes.size(); ++i) out.emplace_back(bytes[i]);
  return out;
}

}  // namespace

Result<std::shared_ptr<ColdFile>> ColdFile::open(const TableFiles& files, std::shared_ptr<const AddFile> file, const TableSchema& schema,
                                                 uint32_t uid) {
  const std::string key = files.key(cold_index_path(file->path)), data_key = files.key(file->path);
  QUARRY_ASSIGN_OR_RETURN(const std::string bytes, files.store.get(key));
  QUARRY_ASSIGN_OR_RETURN(ColdIndex index, ColdIndex::decode(bytes, key));
  if (index.layout.file_bytes != uint64_t(file->size)) return corruption(fmt::format("{}: made of another file of this name", key));
  QUARRY_ASSIGN_OR_RETURN(auto columns, ParquetColumns::open(index.layout, data_key));
  if (columns.rows() != index.rows) return corruption(fmt::format("{}: made of another file of this name", key));
  QUARRY_ASSIGN_OR_RETURN(auto pages, RowPageReader::open(index.page_schema, files.key(cold_rows_path(file->path))));
  std::shared_ptr<ColdFile> out(new ColdFile(files, std::move(file), uid, std::move(index), std::move(columns), std::move(pages)));
  if (!out->fits(schema)) return corruption(fmt::format("{}: its vectors are not the schema's", key));
  out->bind();
  return out;
}

ColdFile::ColdFile(const TableFiles& files, std::shared_ptr<const AddFile> file, uint32_t uid, ColdIndex index, ParquetColumns columns,
                   RowPageReader pages)
    : files_(files), file_(std::move(file)), uid_(uid), index_(std::move(index)), columns_(std::move(columns)), pages_(std::move(pages)) {}

bool ColdFile::fits(const TableSchema& schema) const {
  return std::all_of(index_.lists.begin(), index_.lists.end(), [&](const ColdIndex::Lists& lists) {
    const int at = schema.find_vector(lists.vector_name);
    if (at < 0) return true;  // nothing asks for them
    const Column& column = schema.columns()[size_t(at)];
    return column.kind == ColumnKind::kVector && column.vector.metric == lists.metric && column.vector.dimension == lists.dimension;
  });
}

void ColdFile::bind() {
  uint64_t at = 0;
  for (const uint32_t bytes : index_.page_bytes) {
    page_offsets_.push_back(at);
    at += bytes;
  }
  for (size_t i = 0; i < index_.lists.size(); ++i) {
    Lists& out = lists_.emplace_back();
    out.entries = &index_.lists[i];
    out.quantizer = std::make_shared<const Quantizer>(out.entries->metric, out.entries->origin, out.entries->largest_norm);
    out.key = files_.key(cold_lists_path(path(), i));
    uint64_t offset = 0;
    uint32_t first = 0;
    for (const uint32_t size : out.entries->sizes) {
      out.offsets.push_back(offset);
      out.first.push_back(first);
      offset += list_bytes(size, out.quantizer->width());
      first += size;
    }
  }
}

const ColdFile::Lists* ColdFile::lists(std::string_view vector_name) const {
  const auto it = std::find_if(lists_.begin(), lists_.end(), [&](const Lists& l) { return l.entries->vector_name == vector_name; });
  return it == lists_.end() ? nullptr : &*it;
}

RangeOfObject ColdFile::page_range(uint32_t page) const {
  return {files_.key(cold_rows_path(path())), {page_offsets_[page], index_.page_bytes[page]}};
}

Result<std::shared_ptr<const RowBlock>> ColdFile::decode_page(std::string_view bytes, uint32_t page,
                                                              const std::shared_ptr<const TableSchema>& schema) const {
  QUARRY_ASSIGN_OR_RETURN(auto batch, pages_.decode(bytes, page_offsets_[page]));
  const auto expected = std::min<uint64_t>(index_.rows_per_page, index_.rows - uint64_t(page) * index_.rows_per_page);
  if (uint64_t(batch->num_rows()) != expected)
    return corruption(fmt::format("{}: a page of {} rows, not {}", files_.key(cold_rows_path(path())), batch->num_rows(), expected));
  return RowBlock::make(schema, std::move(batch));
}

const ColdIndex::Text* ColdFile::text_of(const std::string& field, size_t& ordinal) const {
  for (ordinal = 0; ordinal < index_.texts.size(); ++ordinal)
    if (index_.texts[ordinal].field == field) return &index_.texts[ordinal];
  return nullptr;
}

Result<std::shared_ptr<arrow::RecordBatch>> ColdFile::read_columns(const NameSet& names, const TableSchema& schema, Executor* io) const {
  const std::string key = files_.key(path());
  return columns_.read(schema, names, [&](const std::vector<ByteRange>& ranges) {
    std::vector<RangeOfObject> wanted;
    for (const ByteRange& range : ranges) wanted.push_back({key, range});
    return read_strings(files_.store, io, wanted);
  });
}

// Indexes of another language, or that were never made, are left out: the segment makes them of the column.
Status ColdFile::read_texts(const ColdNeeds& needs, const Analyzer& analyzer, Executor* io) {
  if (needs.text == nullptr) return Ok{};
  const auto words = analyse_query(*needs.text, analyzer);
  if (!words.ok()) return Ok{};  // the search says so
  std::vector<std::string> fields;
  size_t ordinal = 0;
  for (const auto& field : needs.text_fields) {
    if (text_of(field, ordinal) == nullptr) continue;
    texts_.try_emplace(field);
    fields.push_back(field);
  }
  std::vector<Status> statuses(fields.size(), Status(Ok{}));
  parallel_for(io, fields.size(), [&](size_t i) { statuses[i] = read_text(fields[i], *words, needs, analyzer, io); });
  std::erase_if(texts_, [](const auto& text) { return text.second == nullptr; });
  for (auto& status : statuses) QUARRY_RETURN_IF_ERROR(status);
  return Ok{};
}

Status ColdFile::read_text(const std::string& field, const AnalysedQuery& words, const ColdNeeds& needs, const Analyzer& analyzer,
                           Executor* io) {
  size_t ordinal = 0;
  const ColdIndex::Text* text = text_of(field, ordinal);
  const std::string key = files_.key(cold_text_path(path(), ordinal));
  const auto fetch = [&](const std::vector<TextIndex::Section>& sections) {
    std::vector<RangeOfObject> wanted;
    for (const auto& s : sections) wanted.push_back({key, {s.offset, s.size}});
    return read_strings(files_.store, io, wanted);
  };
  std::unique_ptr<TextIndexParts>& parts = texts_.at(field);
  if (parts == nullptr) {
    QUARRY_ASSIGN_OR_RETURN(parts, TextIndexParts::open(text->bytes, index_.rows, key, fetch));
    if (parts != nullptr && parts->index()->language() != analyzer.language()) parts = nullptr;
    if (parts == nullptr) return Ok{};
  }
  return parts->load(words, needs.text->match == TextQuery::Match::kPhrase, fetch);
}

// What `needs` names, the file has and is not kept.
NameSet ColdFile::absent_columns(const ColdNeeds& needs, const TableSchema& schema) const {
  NameSet out = needs.columns;
  out.emplace(kDocumentId);
  out.emplace(kPayloadJson);
  for (const auto& field : needs.text_fields)
    if (!texts_.contains(field)) out.insert(field);
  std::erase_if(out, [&](const std::string& name) {
    return !has_column(name) || schema.find(name) < 0 || (kept_ != nullptr && kept_->schema()->GetFieldIndex(name) >= 0);
  });
  return out;
}

Result<std::shared_ptr<const Segment>> ColdFile::make_segment(std::shared_ptr<arrow::RecordBatch> batch,
                                                              const std::shared_ptr<const TableSchema>& schema) const {
  auto block = RowBlock::make(schema, std::move(batch));
  if (!block.ok()) return std::move(block).error().with_context(files_.key(path()));
  auto out = std::make_shared<const Segment>(uid_, std::move(block).value());
  for (const auto& [field, parts] : texts_) out->text().adopt(field, parts->index());
  return out;
}

// Keeps `columns`, which may be null, too.
Status ColdFile::keep(std::shared_ptr<arrow::RecordBatch> columns, const std::shared_ptr<const TableSchema>& schema) {
  const bool is_current = kept_segment_ != nullptr && columns == nullptr && kept_segment_->block().shared_schema() == schema &&
                          kept_segment_->text().fields().size() == texts_.size();
  if (is_current) return Ok{};
  kept_ = beside(kept_, columns);
  QUARRY_ASSIGN_OR_RETURN(kept_segment_, make_segment(kept_, schema));
  return Ok{};
}

Result<std::shared_ptr<const Segment>> ColdFile::segment(const ColdNeeds& needs, const std::shared_ptr<const TableSchema>& schema,
                                                         const Analyzer& analyzer, Executor* io) {
  std::lock_guard lock(mutex_);
  QUARRY_RETURN_IF_ERROR(read_texts(needs, analyzer, io));
  const NameSet absent = absent_columns(needs, *schema);
  std::shared_ptr<arrow::RecordBatch> scalars, vectors;
  if (!absent.empty()) {
    QUARRY_ASSIGN_OR_RETURN(const auto read, read_columns(absent, *schema, io));
    for (int c = 0; c < read->num_columns(); ++c) {
      const auto& field = read->schema()->field(c);
      const bool passes = is_vector(schema->columns()[size_t(schema->find(field->name()))].kind);
      auto& part = passes ? vectors : scalars;
      part = beside(part, arrow::RecordBatch::Make(arrow::schema({field}), read->num_rows(), {read->column(c)}));
    }
  }
  QUARRY_RETURN_IF_ERROR(keep(std::move(scalars), schema));
  kept_bytes_ = kept_segment_->memory_bytes();
  for (const auto& [field, parts] : texts_) kept_bytes_ += parts->memory_bytes();
  return vectors == nullptr ? Result<std::shared_ptr<const Segment>>(kept_segment_) : make_segment(beside(kept_, vectors), schema);
}

uint64_t ColdFile::memory_bytes() const {
  uint64_t bytes = columns_.memory_bytes() + kept_bytes_ + index_.positions.size() * 4 + index_.page_bytes.size() * 12;
  for (const auto& l : index_.lists) bytes += (l.origin.size() + l.centres.size() + l.sizes.size() * 4 + l.rows.size()) * 4;
  return bytes;
}

}  // namespace quarry::mvs
