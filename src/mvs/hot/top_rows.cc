#include "mvs/hot/top_rows.h"

#include <algorithm>
#include <unordered_map>

#include "mvs/hot/field_reader.h"

namespace quarry::mvs {

bool better(const ScoredRow& a, const ScoredRow& b) {
  if (a.score != b.score) return a.score > b.score;
  return a.view->segment->block().document_id(a.row) < b.view->segment->block().document_id(b.row);
}

void TopRows::offer(const ScoredRow& row) {
  if (rows_.size() < k_) {
    rows_.push_back(row);
    std::push_heap(rows_.begin(), rows_.end(), better);
  } else if (k_ > 0 && row.score >= rows_.front().score && better(row, rows_.front())) {
    std::pop_heap(rows_.begin(), rows_.end(), better);
    rows_.back() = row;
    std::push_heap(rows_.begin(), rows_.end(), better);
  }
}

namespace {

constexpr uint32_t kNone = UINT32_MAX, kUnread = UINT32_MAX - 1;

// Numbers the groups of rows as they come, `limit` of them.
class GroupNumbers {
 public:
  GroupNumbers(const GroupSpec& spec, size_t rows, IndexUse use) : spec_(spec), rows_(rows), use_(use) {}

  // kNone: the row belongs to no group, or to one past the limit.
  Result<uint32_t> of(const ScoredRow& row) {
    Source& source = source_of(*row.view->segment);
    if (source.groups == nullptr || source.overridden(row.row)) return read(source, row.row);
    const uint32_t group = (*source.groups)[row.row];
    if (group == RowGroups::kNone) return kNone;
    uint32_t& number = source.numbers[group];
    if (number == kUnread) {
      QUARRY_ASSIGN_OR_RETURN(number, read(source, row.row));
    }
    return number;
  }

 private:
  struct Source {
    Source(const Segment& segment, const std::string& field, IndexUse use, size_t reads) : reader(segment, field, use, reads) {}
    bool overridden(size_t row) const { return elsewhere != nullptr && elsewhere->test(row); }

    FieldReader reader;
    const std::vector<uint32_t>* groups = nullptr;  // by row; null: rows are read
    const Bitmap* elsewhere = nullptr;              // rows whose value may be in the JSON column
    std::vector<uint32_t> numbers;                  // by group
  };

  Source& source_of(const Segment& segment) {
    const auto [at, is_new] = sources_.try_emplace(&segment, segment, spec_.field, use_, rows_);
    if (is_new) bind(at->second);
    return at->second;
  }

  // Numbers that are equal but written in several ways are groups of their own.
  static void bind(Source& source) {
    const auto groups = source.reader.groups();
    if (!groups || !groups->written_alike()) return;
    source.groups = &source.reader.group_by_row();
    source.numbers.assign(groups->rows->size(), kUnread);
    source.elsewhere = groups->elsewhere;
  }

  Result<uint32_t> read(const Source& source, size_t row) {
    QUARRY_ASSIGN_OR_RETURN(const auto value, source.reader.value(row));
    if (!value || value->is_null()) return kNone;
    std::string key = json::serialize(*value);
    if (const auto known = numbers_.find(key); known != numbers_.end()) return known->second;
    if (numbers_.size() == spec_.limit) return kNone;
    return numbers_.emplace(std::move(key), uint32_t(numbers_.size())).first->second;
  }

  const GroupSpec& spec_;
  const size_t rows_;  // that will be asked for
  const IndexUse use_;
  std::unordered_map<const Segment*, Source> sources_;
  std::unordered_map<std::string, uint32_t> numbers_;
};

}  // namespace

Result<std::vector<ScoredRow>> take_groups(std::vector<ScoredRow> heap, const GroupSpec& spec, IndexUse use) {
  const auto worse = [](const ScoredRow& a, const ScoredRow& b) { return better(b, a); };
  std::make_heap(heap.begin(), heap.end(), worse);
  GroupNumbers numbers(spec, heap.size(), use);
  std::vector<std::vector<ScoredRow>> groups;
  size_t full = spec.max_per_group == 0 ? spec.limit : 0;
  for (; !heap.empty() && full < spec.limit; heap.pop_back()) {
    std::pop_heap(heap.begin(), heap.end(), worse);
    QUARRY_ASSIGN_OR_RETURN(const uint32_t number, numbers.of(heap.back()));
    if (number == kNone) continue;
    if (number == groups.size()) groups.emplace_back();
    auto& members = groups[number];
    if (members.size() == spec.max_per_group) continue;
    members.push_back(heap.back());
    full += members.size() == spec.max_per_group;
  }
  std::vector<ScoredRow> out;
  for (const auto& members : groups) out.insert(out.end(), members.begin(), members.end());
  return out;
}

}  // namespace quarry::mvs
