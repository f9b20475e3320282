// The interface of a stage, and the execution that stages run in. Private to this folder.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "retrieval/retrieval.h"
#include "retrieval/row.h"
#include "retrieval/template.h"

namespace quarry::retrieval {

class Stage;

// Parameters as they are stored, where any string may be a template, or bound, where "{{" is text like any other.
enum class Form { kStored, kBound };

struct BoundStage {
  const Stage* stage = nullptr;
  const ParsedStage* parsed = nullptr;
  json::object parameters;  // templates bound, checked against the schema, defaults filled
};

// State of one execute(). Lives on the calling thread; stages share it with helper threads for reading only.
struct Execution {
  const RequestContext& request;
  const Environment& env;
  const ParsedRetriever& retriever;
  const ExecuteOptions& options;

  std::string execution_id;
  Collections collections;              // all that the retriever targets, archived ones included; fixed before the first stage
  Filter filter;                        // options.filters, bound
  Filter pushed;                        // leading attribute filters that the next feature_search takes over
  bool started = false;                 // a stage has produced rows
  std::vector<Row> rows;
  uint64_t seed = 0;  // of whatever is random in this execution

  int64_t started_us = 0;           // steady clock
  int64_t deadline_us = INT64_MAX;  // the earlier of the request's and the retriever's
  bool exceeded = false;            // the retriever's time budget ran out

  std::map<std::pair<std::string, std::string>, std::vector<float>> embeddings;  // by model and text

  json::array facets, degraded, limits;

  int64_t now_us() const { return request.clock->steady_us(); }
};

// One stage of one execution.
struct StageRun {
  Execution& execution;
  StageReport& report;
  const ParsedStage& parsed;
  std::span<const BoundStage> following;
  int64_t deadline_us = INT64_MAX;  // a stage may lower it for itself

  bool expired() const { return execution.now_us() >= deadline_us || execution.request.expired(); }
  // Shown in the stage's metadata and in the reply.
  void warn(std::string text);
};

// What the planner asks of a stage.
struct StageEstimate {
  uint64_t output = 0;
  double duration_ms = 0;
  std::vector<std::string> notes;
};
struct PlanState {
  std::vector<const Collection*> collections;  // searchable ones
  std::map<std::string, uint64_t> documents;   // by collection id
  bool started = false;
  uint64_t rows = 0;
  uint64_t total_documents() const;
};

// One per stage id; immutable, lives forever.
class Stage {
 public:
  virtual ~Stage() = default;
  virtual const StageDefinition& definition() const = 0;

  // Rewrites older names and forms of parameters into those of the schema. Called when a retriever is stored; repeating it changes nothing.
  virtual Status normalize(json::object& parameters, const json::array& at) const;
  // What the schema cannot say. 422, or 501 for what is not built.
  virtual Status check(const json::object& parameters, const json::array& at, Form form) const;
  virtual Status bind(json::object& parameters, const TemplateScope& scope, const json::array& at) const;
  // Whether it asks the store or a model when run now; such a stage is left out once the time budget is used up.
  virtual bool reads_store(const Execution& execution) const;
  // Reads and replaces run.execution.rows; on an error they are as they were. kTimeout only when run.deadline_us passed.
  virtual Status run(const json::object& parameters, StageRun& run) const = 0;
  virtual StageEstimate estimate(const json::object& parameters, const PlanState& state) const = 0;
};

// Every stage that is built, by category and name.
const std::vector<const Stage*>& all_stages();
// 422 naming the nearest for an unknown id; 501 for one of the contract that is not built.
Result<const Stage*> find_stage(std::string_view stage_id, const json::array& at);

// One maker per file of stages/.
const Stage& feature_search_stage();
const Stage& attribute_filter_stage();
const Stage& sort_attribute_stage();
const Stage& sort_relevance_stage();
const Stage& limit_stage();
const Stage& sample_stage();
const Stage& deduplicate_stage();

// A schema written as JSON text in a stage's file; a mistake in it ends the program at the first use.
json::object parse_schema_text(std::string_view text);

// 501 for a part of the contract that later work brings.
Error not_built(std::string_view what, const json::array& at);

// Renames `from` to `to` unless `to` is there; an older name of a parameter.
void rename_member(json::object& o, std::string_view from, std::string_view to);

// Members of checked parameters.
int64_t integer_of(const json::object& o, std::string_view name, int64_t fallback);
double number_of(const json::object& o, std::string_view name, double fallback);
bool bool_of(const json::object& o, std::string_view name, bool fallback);
std::string text_of(const json::object& o, std::string_view name, std::string_view fallback = "");
std::vector<std::string> texts_of(const json::object& o, std::string_view name);

// parse_filter() with errors located below `at`.
Result<Filter> parse_filter_at(const json::value& source, const json::array& at);
// Whether `source` parses; a stored one that holds templates can tell only once they are bound.
Status check_filter_at(const json::value& source, const json::array& at, Form form);

json::array extended(const json::array& at, json::value step);

}  // namespace quarry::retrieval
