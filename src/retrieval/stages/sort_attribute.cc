// sort_attribute: orders documents by a field.
#include "retrieval/scan.h"

namespace quarry::retrieval {
namespace {

constexpr std::string_view kSchema = R"({
  "type": "object",
  "properties": {
    "field": {"type": "string", "minLength": 1, "maxLength": 512, "default": "metadata.created_at", "description": "Dotted path of the field to order by."},
    "direction": {"type": "string", "enum": ["asc", "desc"], "default": "desc"},
    "nulls_last": {"type": "boolean", "default": true, "description": "Puts documents without the field at the end, in either direction."}
  }
})";

class SortAttributeStage final : public Stage {
 public:
  const StageDefinition& definition() const override {
    static const StageDefinition kDefinition{
        "sort_attribute", "Orders documents by the value of a field: numbers by value, timestamps by time, other text by bytes.",
        StageCategory::kSort, "arrow-up-down", parse_schema_text(kSchema)};
    return kDefinition;
  }

  Status normalize(json::object& parameters, const json::array&) const override {
    rename_member(parameters, "sort_field", "field");
    rename_member(parameters, "order", "direction");
    rename_member(parameters, "null_handling", "nulls_last");
    if (json::value* nulls = parameters.if_contains("nulls_last"); nulls != nullptr && nulls->is_string()) {
      if (nulls->get_string() == "last")
        *nulls = true;
      else if (nulls->get_string() == "first")
        *nulls = false;
    }
    return Ok{};
  }

  Status run(const json::object& parameters, StageRun& run) const override {
    RowOrder order = sort_order_of(parameters);
    if (!run.execution.started) return scan_rows(run, Filter{}, order);
    sort_rows(run.execution.rows, order);
    return Ok{};
  }

  StageEstimate estimate(const json::object&, const PlanState& state) const override {
    uint64_t rows = state.started ? state.rows : std::min<uint64_t>(state.total_documents(), kMaxScannedRows);
    return {rows, static_cast<double>(rows) / 1000, {}};
  }
};

}  // namespace

const Stage& sort_attribute_stage() {
  static const SortAttributeStage kStage;
  return kStage;
}

}  // namespace quarry::retrieval
