#include "mvs/tiering/table_gauges.h"

#include <array>

#include "base/metrics.h"

namespace quarry::mvs {
namespace {

struct Told {
  prometheus::Gauge& gauge;
  int64_t TableGauges::Values::* value;
};

const std::array<Told, 7>& all_told() {
  using V = TableGauges::Values;
  static const std::array<Told, 7> all{{
      {metrics::gauge("quarry_mvs_rows", "Documents of tables held in memory."), &V::rows},
      {metrics::gauge("quarry_mvs_deleted_rows", "Deleted documents whose rows are still in data files."), &V::deleted_rows},
      {metrics::gauge("quarry_mvs_files", "Data files of tables held in memory."), &V::files},
      {metrics::gauge("quarry_mvs_file_bytes", "Their bytes."), &V::file_bytes},
      {metrics::gauge("quarry_mvs_small_files", "Data files that compaction has yet to merge."), &V::small_files},
      {metrics::gauge("quarry_mvs_small_file_bytes", "Their bytes: the compaction debt."), &V::small_bytes},
      {metrics::gauge("quarry_mvs_index_backlog_rows", "Rows of indexed vector columns that no graph leads to yet: searches scan them."),
       &V::unlinked_rows},
  }};
  return all;
}

}  // namespace

void TableGauges::set(const Values& values) {
  for (const auto& [gauge, value] : all_told())
    if (values.*value != told_.*value) gauge.Increment(double(values.*value - told_.*value));
  told_ = values;
}

}  // namespace quarry::mvs
