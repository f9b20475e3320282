// deduplicate: one document of each set of duplicates: equal in some fields, of one source, or nearly equal in text.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "base/hash.h"
#include "model/text.h"
#include "retrieval/scan.h"

namespace quarry::retrieval {
namespace {

constexpr std::string_view kSchema = R"({
  "type": "object",
  "properties": {
    "strategy": {"type": "string", "enum": ["field", "content", "document", "root_object"], "default": "field",
      "description": "'field': equal in all of 'fields'. 'document': the same document_id. 'root_object': made from the same object. 'content': similar text in content_field."},
    "fields": {"type": "array", "minItems": 1, "maxItems": 20, "items": {"type": "string", "minLength": 1, "maxLength": 512}, "description": "Dotted paths that are compared together."},
    "content_field": {"type": "string", "minLength": 1, "maxLength": 512, "default": "content", "description": "The text that strategy 'content' compares."},
    "similarity_threshold": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.95,
      "description": "Texts are duplicates from this Jaccard similarity of their three-word sequences on."},
    "keep": {"type": "string", "enum": ["first", "last", "best"], "default": "first", "description": "Which one stays: by position, or the one of the highest score."},
    "missing": {"type": "string", "enum": ["keep", "collapse"], "default": "keep", "description": "Documents without any of the fields are all kept, or count as duplicates of each other."},
    "case_sensitive": {"type": "boolean", "default": true, "description": "Whether texts that differ only in case are different."}
  }
})";

struct DedupOptions {
  std::vector<std::string> fields;
  std::string keep;
  bool collapse_missing = false, case_sensitive = true;
};

// The order in which rows claim their place: duplicates of an earlier claimant go.
std::vector<size_t> claim_order(const std::vector<Row>& rows, const std::string& keep) {
  std::vector<size_t> order(rows.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = keep == "last" ? order.size() - 1 - i : i;
  if (keep == "best") std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return rows[a].score > rows[b].score; });
  return order;
}

// Empty: no field has a value.
std::string key_of(const Row& row, const DedupOptions& options) {
  std::string key;
  bool is_present = false;
  json::value scratch;
  for (const std::string& field : options.fields) {
    const json::value* value = row_field(row, field, scratch);
    is_present = is_present || (value != nullptr && !value->is_null());
    if (value == nullptr)
      key += "null";
    else if (value->is_string() && !options.case_sensitive)
      key += json::serialize(json::string(fold_text(value->get_string())));
    else
      key += json::serialize(*value);
    key.push_back('\n');
  }
  return is_present ? key : std::string();
}

std::vector<char> keep_by_fields(const std::vector<Row>& rows, const DedupOptions& options) {
  std::vector<char> keep(rows.size(), 0);
  std::unordered_set<std::string> seen;
  for (size_t i : claim_order(rows, options.keep)) {
    std::string key = key_of(rows[i], options);
    bool is_free = key.empty() && !options.collapse_missing;
    keep[i] = is_free || seen.insert(std::move(key)).second;
  }
  return keep;
}

// Hashes of the text's sequences of three words, each once, sorted. Shorter texts are one sequence.
std::vector<uint64_t> shingles_of(std::string_view text) {
  constexpr size_t kWords = 3;
  std::vector<std::string> words = fold_words(text);
  std::vector<uint64_t> out;
  if (words.empty()) return out;
  size_t count = words.size() < kWords ? 1 : words.size() - kWords + 1;
  for (size_t i = 0; i < count; ++i) {
    std::string shingle;
    for (size_t w = i; w < std::min(i + kWords, words.size()); ++w) shingle += words[w] + ' ';
    out.push_back(hash64(shingle));
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

// Texts kept so far, found again by any shared shingle.
class TextIndex {
 public:
  explicit TextIndex(double threshold) : threshold_(threshold) {}

  bool has_similar(const std::vector<uint64_t>& shingles) const {
    std::unordered_map<uint32_t, uint32_t> shared;
    for (uint64_t shingle : shingles) {
      auto found = postings_.find(shingle);
      if (found == postings_.end()) continue;
      for (uint32_t text : found->second) ++shared[text];
    }
    return std::any_of(shared.begin(), shared.end(), [&](const auto& hit) {
      auto both = static_cast<double>(hit.second);
      double either = static_cast<double>(shingles.size()) + static_cast<double>(sizes_[hit.first]) - both;
      return both >= threshold_ * either;
    });
  }

  void add(const std::vector<uint64_t>& shingles) {
    auto text = static_cast<uint32_t>(sizes_.size());
    sizes_.push_back(shingles.size());
    for (uint64_t shingle : shingles) postings_[shingle].push_back(text);
  }

 private:
  const double threshold_;
  std::unordered_map<uint64_t, std::vector<uint32_t>> postings_;
  std::vector<size_t> sizes_;
};

class DeduplicateStage final : public Stage {
 public:
  const StageDefinition& definition() const override {
    static const StageDefinition kDefinition{
        "deduplicate", "Keeps one document of each set of duplicates: equal fields, the same source object, or similar text.",
        StageCategory::kReduce, "copy-minus", parse_schema_text(kSchema)};
    return kDefinition;
  }

  Status normalize(json::object& parameters, const json::array&) const override {
    rename_member(parameters, "field", "fields");
    if (json::value* fields = parameters.if_contains("fields");
        fields != nullptr && fields->is_string() && !has_template(fields->get_string()))
      *fields = json::array{*fields};
    return Ok{};
  }

  Status check(const json::object& parameters, const json::array& at, Form form) const override {
    bool by_field = text_of(parameters, "strategy", "field") == "field";
    if (by_field != parameters.contains("fields") && !(form == Form::kStored && has_template(text_of(parameters, "strategy")))) {
      return validation_error(
          by_field ? "missing" : "value_error", extended(at, "fields"),
          by_field ? "strategy 'field' needs 'fields', the paths to compare" : "'fields' goes with strategy 'field' only");
    }
    return Ok{};
  }

  Status run(const json::object& parameters, StageRun& run) const override {
    QUARRY_RETURN_IF_ERROR(ensure_rows(run));
    std::vector<Row>& rows = run.execution.rows;
    DedupOptions options{texts_of(parameters, "fields"), text_of(parameters, "keep", "first"), text_of(parameters, "missing") == "collapse",
                         bool_of(parameters, "case_sensitive", true)};
    std::string strategy = text_of(parameters, "strategy", "field");
    if (strategy == "document") options.fields = {"document_id"};
    if (strategy == "root_object") options.fields = {"root_object_id"};
    size_t before = rows.size();
    if (strategy == "content") {
      QUARRY_RETURN_IF_ERROR(keep_by_content(parameters, options, run));
    } else {
      keep_rows(rows, keep_by_fields(rows, options));
    }
    run.report.metadata["removed"] = before - rows.size();
    return Ok{};
  }

  StageEstimate estimate(const json::object& parameters, const PlanState& state) const override {
    uint64_t rows = state.started ? state.rows : std::min<uint64_t>(state.total_documents(), kMaxScannedRows);
    bool is_content = text_of(parameters, "strategy") == "content";
    return {rows, static_cast<double>(rows) / (is_content ? 20 : 1000), {"assumes no duplicates"}};
  }

 private:
  // Documents without the text have nothing to compare and follow `missing`.
  static Status keep_by_content(const json::object& parameters, const DedupOptions& options, StageRun& run) {
    std::vector<Row>& rows = run.execution.rows;
    std::string field = text_of(parameters, "content_field", "content");
    TextIndex index(number_of(parameters, "similarity_threshold", 0.95));
    std::vector<char> keep(rows.size(), 0);
    bool has_missing = false;
    json::value scratch;
    for (size_t i : claim_order(rows, options.keep)) {
      if (run.expired()) return Error{ErrorKind::kTimeout, "the time is used up"};
      const json::value* value = row_field(rows[i], field, scratch);
      std::vector<uint64_t> shingles = value != nullptr && value->is_string() ? shingles_of(value->get_string()) : std::vector<uint64_t>{};
      if (shingles.empty()) {
        keep[i] = !options.collapse_missing || !std::exchange(has_missing, true);
        continue;
      }
      if (index.has_similar(shingles)) continue;
      keep[i] = 1;
      index.add(shingles);
    }
    keep_rows(rows, keep);
    return Ok{};
  }
};

}  // namespace

const Stage& deduplicate_stage() {
  static const DeduplicateStage kStage;
  return kStage;
}

}  // namespace quarry::retrieval
