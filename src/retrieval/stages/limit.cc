// limit: a slice of the documents, in the order they are in.
#include <algorithm>

#include "retrieval/scan.h"

namespace quarry::retrieval {
namespace {

constexpr std::string_view kSchema = R"({
  "type": "object",
  "properties": {
    "limit": {"type": "integer", "minimum": 1, "maximum": 10000, "default": 10, "description": "Documents to keep."},
    "offset": {"type": "integer", "minimum": 0, "maximum": 10000, "default": 0, "description": "Documents to pass over first."}
  }
})";

class LimitStage final : public Stage {
 public:
  const StageDefinition& definition() const override {
    static const StageDefinition kDefinition{"limit", "Keeps a number of documents from the top, after passing over an offset.",
                                             StageCategory::kReduce, "list-end", parse_schema_text(kSchema)};
    return kDefinition;
  }

  Status run(const json::object& parameters, StageRun& run) const override {
    if (!run.execution.started) return first(parameters, run);
    cut(parameters, run.execution.rows);
    return Ok{};
  }

  StageEstimate estimate(const json::object& parameters, const PlanState& state) const override {
    uint64_t rows = state.started ? state.rows : state.total_documents();
    auto offset = static_cast<uint64_t>(integer_of(parameters, "offset", 0)),
         limit = static_cast<uint64_t>(integer_of(parameters, "limit", 10));
    return {std::min(limit, rows - std::min(rows, offset)), 0.01, {}};
  }

 private:
  static void cut(const json::object& parameters, std::vector<Row>& rows) {
    size_t offset = std::min(rows.size(), static_cast<size_t>(integer_of(parameters, "offset", 0)));
    rows.erase(rows.begin(), rows.begin() + static_cast<ptrdiff_t>(offset));
    size_t limit = static_cast<size_t>(integer_of(parameters, "limit", 10));
    if (rows.size() > limit) rows.resize(limit);
  }

  // As the first stage it reads no more than it keeps: the scan looks for a limit behind itself, so it is shown this one.
  static Status first(const json::object& parameters, StageRun& run) {
    BoundStage self{nullptr, &run.parsed, parameters};
    std::vector<BoundStage> shown{self};
    std::span<const BoundStage> following = std::exchange(run.following, shown);
    Status status = scan_rows(run, Filter{}, std::nullopt);
    run.following = following;
    QUARRY_RETURN_IF_ERROR(status);
    cut(parameters, run.execution.rows);
    return Ok{};
  }
};

}  // namespace

const Stage& limit_stage() {
  static const LimitStage kStage;
  return kStage;
}

}  // namespace quarry::retrieval
