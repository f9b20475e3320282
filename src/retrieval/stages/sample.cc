// sample: some of the documents, drawn at random, by group, or evenly spaced. What is drawn keeps its order.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/rng.h"
#include "retrieval/scan.h"

namespace quarry::retrieval {
namespace {

constexpr std::string_view kSchema = R"({
  "type": "object",
  "properties": {
    "count": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 10, "description": "Documents to draw."},
    "strategy": {"type": "string", "enum": ["random", "stratified", "systematic"], "default": "random",
      "description": "'random' draws evenly, 'stratified' gives each value of stratify_by its share, 'systematic' takes every n-th."},
    "stratify_by": {"type": "string", "minLength": 1, "maxLength": 512, "description": "Dotted path of the field whose values are the strata; documents without it form one of their own."},
    "min_per_stratum": {"type": "integer", "minimum": 0, "default": 1, "description": "What each stratum gets at least, as far as count reaches."},
    "seed": {"type": "integer", "description": "The same seed over the same documents draws the same sample."},
    "preserve_top_k": {"type": "integer", "minimum": 0, "default": 0, "description": "Documents from the top that are always kept; they count."}
  }
})";

using Indexes = std::vector<size_t>;

// The first `count` of a Fisher-Yates shuffle.
Indexes draw(Indexes from, size_t count, Rng& rng) {
  count = std::min(count, from.size());
  for (size_t i = 0; i < count; ++i) std::swap(from[i], from[i + rng.below(from.size() - i)]);
  from.resize(count);
  return from;
}

Indexes every_nth(const Indexes& from, size_t count) {
  Indexes out;
  count = std::min(count, from.size());
  for (size_t i = 0; i < count; ++i) out.push_back(from[i * from.size() / count]);
  return out;
}

struct Stratum {
  std::string key;
  Indexes rows;
  size_t share = 0;
};

std::vector<Stratum> strata_of(const std::vector<Row>& rows, const Indexes& from, const std::string& field) {
  std::map<std::string, Stratum> by_key;
  json::value scratch;
  for (size_t i : from) {
    const json::value* value = row_field(rows[i], field, scratch);
    std::string key = value == nullptr || value->is_null() ? "null" : json::serialize(*value);
    Stratum& stratum = by_key[key];
    stratum.key = key;
    stratum.rows.push_back(i);
  }
  std::vector<Stratum> out;
  for (auto& [key, stratum] : by_key) out.push_back(std::move(stratum));
  return out;
}

// Each stratum its minimum, the larger first if count does not reach; the rest in proportion to size, largest remainders first.
void share_out(std::vector<Stratum>& strata, size_t count, size_t least) {
  std::vector<Stratum*> order;
  size_t total = 0;
  for (Stratum& stratum : strata) {
    order.push_back(&stratum);
    total += stratum.rows.size();
  }
  std::stable_sort(order.begin(), order.end(), [](const Stratum* a, const Stratum* b) { return a->rows.size() > b->rows.size(); });
  size_t left = std::min(count, total);
  for (Stratum* stratum : order) {
    stratum->share = std::min({least, stratum->rows.size(), left});
    left -= stratum->share;
  }
  // One at a time to whoever is furthest below its proportion: at most 1,000 turns.
  while (left > 0) {
    Stratum* neediest = nullptr;
    double need = 0;
    for (Stratum* stratum : order) {
      if (stratum->share == stratum->rows.size()) continue;
      double ideal = static_cast<double>(count) * static_cast<double>(stratum->rows.size()) / static_cast<double>(total);
      double missing = ideal - static_cast<double>(stratum->share);
      if (neediest == nullptr || missing > need) {
        neediest = stratum;
        need = missing;
      }
    }
    ++neediest->share;
    --left;
  }
}

class SampleStage final : public Stage {
 public:
  const StageDefinition& definition() const override {
    static const StageDefinition kDefinition{
        "sample", "Draws some of the documents: at random, in proportion to the values of a field, or evenly spaced.",
        StageCategory::kReduce, "dices", parse_schema_text(kSchema)};
    return kDefinition;
  }

  Status normalize(json::object& parameters, const json::array&) const override {
    rename_member(parameters, "size", "count");
    rename_member(parameters, "limit", "count");
    rename_member(parameters, "method", "strategy");
    rename_member(parameters, "group_field", "stratify_by");
    if (text_of(parameters, "stratify_by") == "null") parameters.erase("stratify_by");
    return Ok{};
  }

  Status check(const json::object& parameters, const json::array& at, Form) const override {
    if (text_of(parameters, "strategy") != "stratified" || parameters.contains("stratify_by")) return Ok{};
    return validation_error("missing", extended(at, "stratify_by"),
                            "strategy 'stratified' needs 'stratify_by', the field whose values are the strata");
  }

  Status run(const json::object& parameters, StageRun& run) const override {
    QUARRY_RETURN_IF_ERROR(ensure_rows(run));
    std::vector<Row>& rows = run.execution.rows;
    auto count = static_cast<size_t>(integer_of(parameters, "count", 10));
    size_t top = std::min({static_cast<size_t>(integer_of(parameters, "preserve_top_k", 0)), rows.size(), count});
    uint64_t seed = parameters.contains("seed") ? static_cast<uint64_t>(integer_of(parameters, "seed", 0)) : run.execution.seed;
    std::vector<char> keep(rows.size(), 0);
    std::fill(keep.begin(), keep.begin() + static_cast<ptrdiff_t>(top), 1);
    Indexes rest(rows.size() - top);
    std::iota(rest.begin(), rest.end(), top);
    for (size_t i : choose(parameters, run, std::move(rest), count - top, seed)) keep[i] = 1;
    run.report.metadata["total_input"] = rows.size();
    keep_rows(rows, keep);
    run.report.metadata["sample_size"] = rows.size();
    return Ok{};
  }

  StageEstimate estimate(const json::object& parameters, const PlanState& state) const override {
    uint64_t rows = state.started ? state.rows : std::min<uint64_t>(state.total_documents(), kMaxScannedRows);
    return {std::min<uint64_t>(rows, static_cast<uint64_t>(integer_of(parameters, "count", 10))), static_cast<double>(rows) / 5000, {}};
  }

 private:
  static Indexes choose(const json::object& parameters, StageRun& run, Indexes from, size_t count, uint64_t seed) {
    Rng rng(seed);
    std::string strategy = text_of(parameters, "strategy", "random");
    run.report.metadata["strategy"] = strategy;
    run.report.metadata["seed"] = seed;
    if (strategy == "systematic") return every_nth(from, count);
    if (strategy == "random") return draw(std::move(from), count, rng);
    std::vector<Stratum> strata = strata_of(run.execution.rows, from, text_of(parameters, "stratify_by"));
    share_out(strata, count, static_cast<size_t>(integer_of(parameters, "min_per_stratum", 1)));
    Indexes out;
    json::object told;
    for (Stratum& stratum : strata) {
      if (told.size() < 100) told[stratum.key] = json::object{{"input", stratum.rows.size()}, {"sampled", stratum.share}};
      Indexes drawn = draw(std::move(stratum.rows), stratum.share, rng);
      out.insert(out.end(), drawn.begin(), drawn.end());
    }
    run.report.metadata["strata"] = std::move(told);
    return out;
  }
};

}  // namespace

const Stage& sample_stage() {
  static const SampleStage kStage;
  return kStage;
}

}  // namespace quarry::retrieval
