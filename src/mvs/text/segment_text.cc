#include "mvs/text/segment_text.h"

#include <arrow/api.h>

#include <algorithm>

#include "mvs/hot/field_reader.h"
#include "mvs/hot/segment.h"
#include "mvs/text/text_index_builder.h"

namespace quarry::mvs {
namespace {

constexpr size_t kRowsPerStream = 4096;
constexpr size_t kMaxStreams = 64;
constexpr size_t kMaxCachedTerms = 1 << 16;

// The texts of a field: a text, or the texts of a list. Other values have none.
class TextReader {
 public:
  TextReader(const Segment& segment, const std::string& field) : segment_(segment), reader_(segment, field) {
    const RowBlock& block = segment.block();
    column_ = block.schema().find_field(field);
    if (column_ >= 0 && block.schema().columns()[size_t(column_)].kind == ColumnKind::kString)
      texts_ = static_cast<const arrow::StringArray*>(block.array(column_));
    if (texts_ != nullptr) overridden_ = &segment.overridden(column_);
  }

  Status read(size_t row, TermStream& out) const {
    out.begin_row();
    if (texts_ != nullptr && !overridden_->test(row)) {
      if (texts_->IsValid(int64_t(row))) out.add(texts_->GetView(int64_t(row)));
      return Ok{};
    }
    QUARRY_ASSIGN_OR_RETURN(const auto value, reader_.value(row));
    if (!value) return Ok{};
    if (value->is_string()) out.add(value->get_string());
    if (const auto* list = value->if_array())
      for (const auto& item : *list)
        if (item.is_string()) out.add(item.get_string());
    return Ok{};
  }

 private:
  const Segment& segment_;
  const FieldReader reader_;
  int column_ = -1;
  const arrow::StringArray* texts_ = nullptr;
  const Bitmap* overridden_ = nullptr;
};

Result<std::shared_ptr<const TextIndex>> build_index(const Segment& segment, const std::string& field, const Analyzer& analyzer,
                                                     Executor* executor) {
  const TextReader reader(segment, field);
  const size_t rows = segment.rows(), count = std::clamp<size_t>(rows / kRowsPerStream, 1, kMaxStreams);
  std::vector<TermStream> streams(count, TermStream(analyzer));
  std::vector<Status> statuses(count, Status(Ok{}));
  parallel_for(count > 1 ? executor : nullptr, count, [&](size_t i) {
    for (size_t row = rows * i / count; row < rows * (i + 1) / count && statuses[i].ok(); ++row) statuses[i] = reader.read(row, streams[i]);
  });
  for (auto& status : statuses) QUARRY_RETURN_IF_ERROR(status);
  QUARRY_ASSIGN_OR_RETURN(std::string bytes, build_text_index(streams, analyzer));
  return TextIndex::trusted(std::move(bytes));
}

}  // namespace

DeadText::DeadText(std::shared_ptr<const TextIndex> index, std::shared_ptr<const Bitmap> deleted)
    : index_(std::move(index)), deleted_(std::move(deleted)) {
  deleted_->for_each([&](size_t row) {
    documents_ += index_->lengths()[row] > 0;
    total_length_ += index_->lengths()[row];
  });
}

uint32_t DeadText::df(const TextTerm& term) const {
  {
    std::lock_guard lock(mutex_);
    const auto known = df_.find(term.ordinal);
    if (known != df_.end()) return known->second;
  }
  const uint32_t dead = count_dead(term.postings, *deleted_);
  std::lock_guard lock(mutex_);
  if (df_.size() >= kMaxCachedTerms) df_.clear();
  df_.emplace(term.ordinal, dead);
  return dead;
}

uint32_t count_dead(const PostingsReader& postings, const Bitmap& deleted) {
  uint32_t dead = 0;
  PostingsBlock block;
  size_t next = 0;  // a row that is not below the last deleted row looked for
  const auto first_from = [&](size_t row) {
    for (size_t w = row / 64; w < deleted.word_count(); ++w) {
      const uint64_t bits = deleted.words()[w] & (w == row / 64 ? ~uint64_t{0} << (row % 64) : ~uint64_t{0});
      if (bits != 0) return w * 64 + size_t(__builtin_ctzll(bits));
    }
    return SIZE_MAX;
  };
  for (size_t b = 0; b < postings.blocks(); ++b) {
    next = first_from(next);
    if (next == SIZE_MAX) break;
    if (postings.last_row(b) < next) continue;  // no deleted row in the block
    postings.decode_rows(b, block);
    for (size_t i = 0; i < block.count; ++i) dead += deleted.test(block.rows[i]);
    next = size_t(block.rows[block.count - 1]) + 1;
  }
  return dead;
}

std::shared_ptr<SegmentText::Field> SegmentText::field_of(const std::string& name) {
  std::lock_guard lock(mutex_);
  auto& field = fields_[name];
  if (field == nullptr) field = std::make_shared<Field>();
  return field;
}

Result<LiveText> SegmentText::field(const Segment& segment, const std::string& name, const Analyzer& analyzer,
                                    std::shared_ptr<const Bitmap> deleted, Executor* executor) {
  const auto field = field_of(name);
  std::lock_guard lock(field->mutex);
  if (field->index == nullptr || field->index->language() != analyzer.language()) {
    QUARRY_ASSIGN_OR_RETURN(field->index, build_index(segment, name, analyzer, executor));
    field->dead[0] = field->dead[1] = nullptr;
  }
  LiveText out{field->index, nullptr};
  if (deleted == nullptr) return out;
  for (const auto& dead : field->dead)
    if (dead != nullptr && dead->deleted() == deleted.get()) out.dead = dead;
  if (out.dead != nullptr) return out;
  out.dead = std::make_shared<const DeadText>(field->index, std::move(deleted));
  field->dead[1] = std::exchange(field->dead[0], out.dead);
  return out;
}

void SegmentText::adopt(const std::string& name, std::shared_ptr<const TextIndex> index) {
  const auto field = field_of(name);
  std::lock_guard lock(field->mutex);
  if (field->index == nullptr) field->index = std::move(index);
}

std::vector<std::string> SegmentText::fields() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const auto& [name, field] : fields_) out.push_back(name);
  return out;
}

uint64_t SegmentText::memory_bytes() const {
  std::vector<std::shared_ptr<Field>> fields;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [name, field] : fields_) fields.push_back(field);
  }
  uint64_t bytes = 0;
  for (const auto& field : fields) {
    const std::unique_lock lock(field->mutex, std::try_to_lock);  // one that is being built is counted later
    if (lock.owns_lock() && field->index != nullptr) bytes += field->index->memory_bytes();
  }
  return bytes;
}

}  // namespace quarry::mvs
