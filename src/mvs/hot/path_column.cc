#include "mvs/hot/path_column.h"

#include <algorithm>
#include <vector>

#include "model/filter.h"
#include "mvs/hot/document_reader.h"
#include "mvs/warm/value_builder.h"

namespace quarry::mvs {
namespace {

constexpr int64_t kRowsPerOther = 16;  // of which one may hold what the column can't
constexpr size_t kMaxTextBytes = 256;  // bounds the column's memory; longer texts are no identifiers

// Whether read_path() gives the very value that find_single() found; of one that it found through an array it makes an array.
bool is_read_as(const json::value* found, const json::object& document, std::string_view path) {
  json::value scratch;
  const json::value* read = read_path(document, path, scratch);
  return read == found || (found == nullptr && read->is_null());
}

}  // namespace

// A column of one kind while it is not known whether the values are of that kind.
class PathColumn::Builder {
 public:
  Builder(ColumnKind kind, size_t rows)
      : builder_(arrow::MakeBuilder(arrow_type(kind)).ValueOrDie()), other_(rows), rewritten_(rows), rows_(int64_t(rows)) {
    column_.kind = kind;
  }

  // `value`: as find_single() gives it; `read_alike`: read_path() gives the same. False: too many rows hold something else. Throws
  // ArrowFailure.
  bool append(std::optional<const json::value*> value, bool read_alike) {
    const auto row = size_t(builder_->length());
    const bool is_missing = value && *value == nullptr;
    bool is_written_alike = read_alike;
    if (is_missing || !value || is_long_text(**value))
      check(builder_->AppendNull());
    else if (append_value(*builder_, column_, **value))
      is_written_alike = false;
    if (!is_missing && builder_->null_count() > nulls_) {
      other_.set(row);
      ++others_;
      is_written_alike = false;
    }
    if (!is_written_alike) {
      rewritten_.set(row);
      ++rewrites_;
    }
    nulls_ = builder_->null_count();
    return others_ * kRowsPerOther <= rows_;
  }

  // Whether it speaks for more rows than `other`, or else holds more values in the form they were written in.
  bool is_better(const Builder& other) const { return std::pair(others_, rewrites_) < std::pair(other.others_, other.rewrites_); }

  std::unique_ptr<const PathColumn> finish() {
    std::unique_ptr<PathColumn> out(new PathColumn());
    std::shared_ptr<arrow::Array> array;
    check(builder_->Finish(&array));
    out->kind_ = column_.kind;
    out->array_ = std::move(array);
    out->other_ = std::move(other_);
    out->rewritten_ = std::move(rewritten_);
    out->index_ = ValueIndex::make(*out->array_, column_.kind);
    return out->index_ == nullptr ? nullptr : std::move(out);
  }

 private:
  static bool is_long_text(const json::value& value) { return value.is_string() && value.get_string().size() > kMaxTextBytes; }

  Column column_;
  std::unique_ptr<arrow::ArrayBuilder> builder_;
  Bitmap other_, rewritten_;
  int64_t rows_, nulls_ = 0, others_ = 0, rewrites_ = 0;
};

std::unique_ptr<const PathColumn> PathColumn::make(const RowBlock& block, std::string_view path, PathReading reading) try {
  // Of two that hold as much the first: integers are numbers too.
  static constexpr ColumnKind kKinds[] = {ColumnKind::kString, ColumnKind::kBoolean, ColumnKind::kInt64, ColumnKind::kNumber,
                                          ColumnKind::kFloat};
  std::vector<Builder> kinds;
  if (reading == PathReading::kTimes)
    kinds.emplace_back(ColumnKind::kTimestamp, block.rows());
  else
    for (const ColumnKind kind : kKinds) kinds.emplace_back(kind, block.rows());
  const DocumentReader documents(block, path);
  for (size_t row = 0; row < block.rows() && !kinds.empty(); ++row) {
    const auto document = documents.is_empty(row) ? Result<json::object>(json::object()) : documents.read(row);
    if (!document.ok()) return nullptr;
    const auto value = find_single(*document, path);
    const bool read_alike = value && is_read_as(*value, *document, path);
    std::erase_if(kinds, [&](Builder& kind) { return !kind.append(value, read_alike); });
  }
  if (kinds.empty()) return nullptr;
  return std::min_element(kinds.begin(), kinds.end(), [](const Builder& a, const Builder& b) { return a.is_better(b); })->finish();
} catch (const ArrowFailure&) {
  return nullptr;
}

}  // namespace quarry::mvs
