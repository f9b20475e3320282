// The parts of the feature_search stage, in the order a search meets them: spec, queries, gather, combine, facets. Private to the stage.
#pragma once

#include <deque>
#include <map>

#include "retrieval/fusion.h"
#include "retrieval/stage.h"

namespace quarry::retrieval {

// ---- what is asked (feature_search_schema.cc, _forms.cc, _spec.cc, _input.cc) --------------------------------------------------

enum class OnEmpty { kError, kSkip, kRandom };

struct QuerySpec {
  enum class Mode { kEmpty, kText, kVector, kDocument } mode = Mode::kEmpty;
  std::vector<std::string> texts;  // kText; several are embedded apart and averaged
  mvs::Query vector;               // kVector: dense, sparse or multi-vector
  size_t token_dimension = 0;      // of a multi-vector
  std::string collection;          // kDocument: id or name; empty: the collection that is searched
  std::string document_id;
};

// A search by words instead of vectors.
struct WordSearch {
  std::vector<std::string> fields;  // empty: every text field of the collection
  mvs::TextQuery::Match match = mvs::TextQuery::Match::kAny;
  bool prefix = false;
};

struct SearchSpec {
  std::string feature_uri;  // as written; may be an alias
  std::optional<WordSearch> words;
  QuerySpec query;
  size_t top_k = 100;
  std::optional<double> min_score;
  double weight = 1;
  bool optional = false, exact = false;
  size_t effort = 0;  // 0: the store chooses
  OnEmpty on_empty = OnEmpty::kError;
  Filter filter;
  std::vector<std::string> collections;
};

struct GroupBySpec {
  std::string field;
  size_t max_per_group = 1, limit = 25;
  bool first_only = false;  // output_mode "first"
};

struct FacetSpec {
  std::string key;
  size_t limit = 10;
  bool exact = false;
};

struct FeatureSearchSpec {
  std::vector<SearchSpec> searches;
  Fusion fusion = Fusion::kRrf;
  size_t final_top_k = 25;
  std::vector<std::string> collections;
  std::optional<GroupBySpec> group_by;
  std::vector<FacetSpec> facets;
  std::optional<int64_t> hard_timeout_ms;
};

const json::object& feature_search_schema();
Status normalize_feature_search(json::object& parameters, const json::array& at);
// What is written but not built: 501; a query of no known form: 422.
Status check_feature_search(const json::object& parameters, const json::array& at, Form form);
// One query, as text or {input_mode, ...} (feature_search_input.cc).
Result<QuerySpec> parse_query(const json::value& query, const json::array& at);
// Searches by words (feature_search_words.cc).
inline constexpr std::string_view kWordFeature = "mixpeek://bm25@v1/text";
bool is_word_feature(std::string_view uri);  // that one, or an output "bm25_sparse"
Status check_words(const json::object& search, const json::array& at);
std::optional<WordSearch> parse_words(const json::object& search);  // nullopt: a search by vectors
Result<FeatureSearchSpec> parse_feature_search(const json::object& bound, const json::array& at);

// ---- what is searched (feature_search_query.cc) -----------------------------------------------------------------------

// One search of one collection.
struct SearchTask {
  size_t search = 0;  // index into the spec's searches
  const Collection* collection = nullptr;
  const CollectionVector* vector = nullptr;  // null: a search by words
  mvs::Query query;                          // of the vector

  std::string_view feature_uri() const { return vector == nullptr ? kWordFeature : std::string_view(vector->feature_uri); }
};

struct SearchPlan {
  std::vector<SearchTask> tasks;                        // by search, then in the order of the collections
  std::vector<size_t> random_searches;                  // empty queries with on_empty "random"
  std::vector<std::vector<const Collection*>> targets;  // of each search
};

// Where a search by words can look in a collection; none: nowhere.
std::vector<std::string> word_fields(const WordSearch& words, const Collection& collection);
Error no_words(const WordSearch& words, const std::vector<const Collection*>& collections);
mvs::TextQuery text_query(const SearchSpec& search, const SearchTask& task);
// The collections and query vectors of every search. Each distinct text is embedded once per model. Errors: 400 listing the features that
// exist, 400 for a vector of another dimension, 404 for a referenced document, 422 for an empty query, 501 for content that is not text.
Result<SearchPlan> plan_searches(const FeatureSearchSpec& spec, StageRun& run);

// ---- what is found (feature_search_gather.cc) -------------------------------------------------------------------------

struct TaskResult {
  std::vector<Row> rows;  // best first; payload only where `with_payload` was asked
  uint64_t rows_scored = 0;
};

struct GatherOptions {
  bool with_payload = false;
  size_t k_limit = SIZE_MAX;  // caps top_k
  bool group_in_store = false;
};

Result<std::vector<TaskResult>> gather(const FeatureSearchSpec& spec, const SearchPlan& plan, const GatherOptions& options, StageRun& run);
// Rows for the searches in plan.random_searches: top_k documents drawn evenly by the execution's seed, score 0.
Result<std::vector<std::vector<Row>>> gather_random(const FeatureSearchSpec& spec, const SearchPlan& plan, StageRun& run);

// The filter of `search` in `collection`: the search's own, the execution's, and the documents that earlier stages left.
Result<Filter> filter_of(const SearchSpec& search, const Collection& collection, const Execution& execution);

// ---- what is kept (feature_search_combine.cc) -------------------------------------------------------------------------

// The lists of the tasks as one, in final order, uncut.
std::vector<Row> combine(const FeatureSearchSpec& spec, const SearchPlan& plan, std::vector<TaskResult> results,
                         std::vector<std::vector<Row>> random);
// The best groups by their best member; rows without the field stand in no group and are dropped. Returns their number.
size_t keep_groups(std::vector<Row>& rows, const GroupBySpec& group);
// Drops what lies past final_top_k.
void cut(const FeatureSearchSpec& spec, std::vector<Row>& rows);

// ---- facets (feature_search_facets.cc) --------------------------------------------------------------------------------

// Counts over every document that the searches' filters let through, not only over the results: [{key, values: [{value, count}]}].
Result<json::array> count_facets(const FeatureSearchSpec& spec, const SearchPlan& plan, StageRun& run);

}  // namespace quarry::retrieval
