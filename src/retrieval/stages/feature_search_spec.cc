// Checks and reads the parameters of feature_search.
#include <fmt/format.h>

#include "model/feature_uri.h"
#include "retrieval/stages/feature_search.h"

namespace quarry::retrieval {
namespace {

Result<SearchSpec> parse_search(const json::object& o, const json::array& at) {
  SearchSpec out;
  out.feature_uri = text_of(o, "feature_uri");
  QUARRY_RETURN_IF_ERROR(parse_feature_uri(out.feature_uri));
  QUARRY_ASSIGN_OR_RETURN(out.query, parse_query(o.at("query"), extended(at, "query")));
  out.words = parse_words(o);
  if (out.words && out.query.mode != QuerySpec::Mode::kText && out.query.mode != QuerySpec::Mode::kEmpty)
    return validation_error("value_error", extended(at, "query"), "a search by words needs text");
  out.top_k = static_cast<size_t>(integer_of(o, "top_k", 100));
  if (o.contains("min_score")) out.min_score = number_of(o, "min_score", 0);
  out.weight = number_of(o, "weight", 1);
  out.optional = bool_of(o, "optional", false);
  out.exact = bool_of(o, "exact", false);
  out.effort = static_cast<size_t>(integer_of(o, "effort", 0));
  std::string on_empty = text_of(o, "on_empty", out.optional ? "skip" : "error");
  out.on_empty = on_empty == "skip" ? OnEmpty::kSkip : on_empty == "random" ? OnEmpty::kRandom : OnEmpty::kError;
  out.collections = texts_of(o, "collection_identifiers");
  if (const json::value* filters = o.if_contains("filters")) {
    QUARRY_ASSIGN_OR_RETURN(out.filter, parse_filter_at(*filters, extended(at, "filters")));
  }
  return out;
}

void parse_grouping(const json::object& bound, FeatureSearchSpec& out) {
  if (const json::value* group = bound.if_contains("group_by")) {
    const json::object& o = group->as_object();
    out.group_by = GroupBySpec{text_of(o, "field"), static_cast<size_t>(integer_of(o, "max_per_group", 1)),
                               static_cast<size_t>(integer_of(o, "limit", 25)), text_of(o, "output_mode") == "first"};
  }
  const json::value* facets = bound.if_contains("facets");
  if (facets == nullptr) return;
  for (const json::value& facet : facets->as_array()) {
    const json::object& o = facet.as_object();
    out.facets.push_back({text_of(o, "key"), static_cast<size_t>(integer_of(o, "limit", 10)), bool_of(o, "exact", false)});
  }
}

bool may_be_template(std::string_view text, Form form) { return form == Form::kStored && has_template(text); }

Status check_search(const json::object& search, const json::array& at, Form form) {
  QUARRY_RETURN_IF_ERROR(check_words(search, at));
  if (search.contains("query_preprocessing"))
    return not_built("query preprocessing is not available yet; leave out 'query_preprocessing'", extended(at, "query_preprocessing"));
  if (const json::value* filters = search.if_contains("filters"))
    QUARRY_RETURN_IF_ERROR(check_filter_at(*filters, extended(at, "filters"), form));
  std::string uri = text_of(search, "feature_uri");
  if (!may_be_template(uri, form) && !parse_feature_uri(uri).ok())
    return validation_error("value_error", extended(at, "feature_uri"),
                            fmt::format("'{}' is no feature URI; write mixpeek://extractor@version/output", uri.substr(0, 255)));
  return Ok{};
}

}  // namespace

Status check_feature_search(const json::object& parameters, const json::array& at, Form form) {
  if (parameters.contains("query_preprocessing"))
    return not_built("query preprocessing is not available yet; leave out 'query_preprocessing'", extended(at, "query_preprocessing"));
  std::string fusion = text_of(parameters, "fusion", "rrf");
  if (!may_be_template(fusion, form)) QUARRY_RETURN_IF_ERROR(parse_fusion(fusion));
  const json::value* searches = parameters.if_contains("searches");
  if (searches == nullptr || !searches->is_array()) return Ok{};  // a template
  double weights = 0;
  for (size_t i = 0; i < searches->get_array().size(); ++i) {
    const json::object* search = searches->get_array()[i].if_object();
    if (search == nullptr) continue;
    json::array here = extended(extended(at, "searches"), i);
    QUARRY_RETURN_IF_ERROR(check_search(*search, here, form));
    weights += search->contains("weight") && search->at("weight").is_number() ? number_of(*search, "weight", 1) : 1;
  }
  if (searches->get_array().size() > 1 && weights == 0)
    return validation_error("value_error", extended(at, "searches"), "the weights of all searches are 0");
  return Ok{};
}

Result<FeatureSearchSpec> parse_feature_search(const json::object& bound, const json::array& at) {
  FeatureSearchSpec out;
  QUARRY_ASSIGN_OR_RETURN(out.fusion, parse_fusion(text_of(bound, "fusion", "rrf")));
  for (const json::value& search : bound.at("searches").as_array()) {
    QUARRY_ASSIGN_OR_RETURN(SearchSpec one, parse_search(search.as_object(), extended(extended(at, "searches"), out.searches.size())));
    out.searches.push_back(std::move(one));
  }
  out.collections = texts_of(bound, "collection_identifiers");
  if (bound.contains("hard_timeout_ms")) out.hard_timeout_ms = integer_of(bound, "hard_timeout_ms", 0);
  parse_grouping(bound, out);
  out.final_top_k = static_cast<size_t>(integer_of(bound, "final_top_k", 25));
  return out;
}

}  // namespace quarry::retrieval
