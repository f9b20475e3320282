// The schema of feature_search and its reading.
#include <fmt/format.h>

#include "base/hash.h"
#include "model/feature_uri.h"
#include "retrieval/stages/feature_search.h"

namespace quarry::retrieval {
namespace {

constexpr std::string_view kSchema = R"({
  "type": "object",
  "properties": {
    "searches": {"type": "array", "minItems": 1, "maxItems": 10, "items": {"$ref": "#/$defs/search"},
      "description": "The searches to run. Each ranks the documents of every targeted collection that has its feature."},
    "final_top_k": {"type": "integer", "minimum": 1, "maximum": 5000, "default": 25, "description": "Results kept after fusion. With group_by and no value: all members of the kept groups."},
    "fusion": {"type": "string", "enum": ["rrf", "dbsf", "weighted", "max", "learned"], "default": "rrf",
      "description": "How several searches become one score: reciprocal ranks, distribution-based, weighted min-max, or the greatest. A single search keeps its true score."},
    "collection_identifiers": {"type": "array", "items": {"type": "string", "minLength": 1}, "description": "Narrows the stage to these of the retriever's collections, by id or name."},
    "group_by": {"$ref": "#/$defs/group_by"},
    "facets": {"type": "array", "maxItems": 20, "items": {"$ref": "#/$defs/facet"}, "description": "Fields whose values are counted over all documents that the filters let through."},
    "hard_timeout_ms": {"type": "integer", "minimum": 1, "description": "Time after which collections that have not answered are left out with a warning."},
    "query_preprocessing": {"$ref": "#/$defs/preprocessing"},
    "learning_config": {"type": "object", "description": "Settings of the fusion 'learned'."},
    "auto_preprocess": {"type": "boolean", "default": true, "description": "A hint for large media queries."},
    "interactive": {"type": "boolean", "default": false, "description": "A scheduling hint; changes no result."},
    "degrade_retry": {"type": "boolean", "default": false, "description": "A hint; collections that fail are always left out with a warning while others answer."},
    "cache_behavior": {"type": "string", "enum": ["auto", "disabled", "aggressive"], "description": "A caching hint; changes no result."},
    "cache_ttl_seconds": {"type": "integer", "minimum": 0, "description": "A caching hint; changes no result."}
  },
  "required": ["searches"],
  "$defs": {
    "search": {
      "type": "object",
      "properties": {
        "feature_uri": {"type": "string", "minLength": 1, "description": "mixpeek://extractor@version/output, as listed in a collection's vector_indexes. The output 'embedding' stands for the extractor's default one."},
        "query": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/query"}], "description": "Text, or {input_mode, ...} for text, a vector, content or a stored document."},
        "top_k": {"type": "integer", "minimum": 1, "maximum": 5000, "default": 100, "description": "Candidates that this search hands to fusion."},
        "min_score": {"type": "number", "minimum": 0, "maximum": 1, "description": "Candidates below this score are dropped before fusion."},
        "weight": {"type": "number", "minimum": 0, "maximum": 1, "default": 1, "description": "Share of this search in the fused score."},
        "filters": {"anyOf": [{"type": "object"}, {"type": "array"}], "description": "A tree of AND, OR and NOT over {field, operator, value}, applied before ranking."},
        "exact": {"type": "boolean", "default": false, "description": "Compares with every document instead of walking an index."},
        "optional": {"type": "boolean", "default": false, "description": "Skips this search when its query is empty or no collection has its feature."},
        "on_empty": {"type": "string", "enum": ["error", "skip", "random"], "description": "What an empty query does: an error (default), nothing, or documents at random."},
        "lexical": {"type": "boolean", "default": false, "description": "Ranks by words instead of vectors."},
        "query_preprocessing": {"$ref": "#/$defs/preprocessing"},
        "collection_identifiers": {"type": "array", "items": {"type": "string", "minLength": 1}, "description": "Narrows this search to these of the retriever's collections."}
      },
      "required": ["feature_uri", "query"]
    },
    "query": {
      "type": "object",
      "properties": {
        "input_mode": {"type": "string", "enum": ["text", "vector", "content", "document", "multi_content"]},
        "value": {"anyOf": [{"type": "string"}, {"type": "array"}]},
        "text": {"type": "string"},
        "embedding_task": {"type": "string"},
        "content": {"type": "object", "properties": {"url": {"type": "string"}, "base64": {"type": "string"}}},
        "values": {"type": "array", "minItems": 1, "maxItems": 100, "items": {"type": "string"}},
        "document_ref": {"type": "object", "properties": {"collection_id": {"type": "string"}, "document_id": {"type": "string", "minLength": 1}}, "required": ["document_id"]}
      }
    },
    "group_by": {
      "type": "object",
      "description": "Keeps the best groups of documents that share a field's value.",
      "properties": {
        "field": {"type": "string", "minLength": 1},
        "max_per_group": {"type": "integer", "minimum": 1, "maximum": 100, "default": 1},
        "limit": {"type": "integer", "minimum": 1, "maximum": 500, "default": 25},
        "output_mode": {"type": "string", "enum": ["all", "first"], "default": "all", "description": "'all' lists up to max_per_group members a group, 'first' only the best one."}
      },
      "required": ["field"]
    },
    "facet": {
      "type": "object",
      "properties": {
        "key": {"type": "string", "minLength": 1},
        "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 10},
        "exact": {"type": "boolean", "default": false}
      },
      "required": ["key"]
    },
    "preprocessing": {
      "type": "object",
      "properties": {
        "feature_uri": {"type": "string"},
        "params": {"type": "object"},
        "max_chunks": {"type": "integer", "minimum": 1, "maximum": 500},
        "aggregation": {"type": "string"},
        "dedup_field": {"type": "string"}
      }
    }
  }
})";

Error not_built(std::string_view what, const json::array& at) {
  return {ErrorKind::kNotImplemented, std::string(what), json::object{{"location", at}, {"retryable", false}}};
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos; }

// A URL or data: URI whose bytes are media, which needs a model that reads media.
bool is_media_reference(std::string_view text) {
  for (std::string_view scheme : {"http://", "https://", "s3://", "gs://", "data:"})
    if (text.starts_with(scheme)) return !text.starts_with("data:text/");
  return false;
}

bool is_utf8_text(std::string_view bytes) {
  size_t i = 0;
  while (i < bytes.size()) {
    auto c = static_cast<uint8_t>(bytes[i]);
    size_t length = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
    if (length == 0 || i + length > bytes.size() || (c < 0x20 && c != '\t' && c != '\n' && c != '\r')) return false;
    for (size_t k = 1; k < length; ++k)
      if ((static_cast<uint8_t>(bytes[i + k]) & 0xC0) != 0x80) return false;
    i += length;
  }
  return true;
}

// Text that stands in a query as content: literal, a data:text/ URI, or base64.
Result<std::string> content_text(std::string_view given, bool is_base64, const json::array& at) {
  auto media = [&] { return not_built("queries by media content are not available yet; send text, a vector or a document reference", at); };
  if (is_media_reference(given)) return media();
  std::string text(given);
  if (given.starts_with("data:")) {
    size_t comma = given.find(',');
    if (comma == std::string_view::npos) return validation_error("value_error", at, "a data: URI needs a ',' before its data");
    is_base64 = given.substr(0, comma).ends_with(";base64");
    text = given.substr(comma + 1);
  }
  if (!is_base64) return text;
  std::string bytes;
  if (!base64_decode(text, bytes)) return validation_error("value_error", at, "the query's content is not base64");
  if (!is_utf8_text(bytes)) return media();
  return bytes;
}

class QueryReader {
 public:
  QueryReader(const json::object& query, const json::array& at) : query_(query), at_(at) {}

  Result<QuerySpec> read() const {
    std::string mode = text_of(query_, "input_mode", "text");
    if (mode == "text") return texts({text_of(query_, query_.contains("text") ? "text" : "value")});
    if (mode == "vector") return vector();
    if (mode == "document") return document();
    if (mode == "multi_content") return contents(texts_of(query_, "values"));
    return content();
  }

 private:
  static QuerySpec texts(std::vector<std::string> texts) {
    QuerySpec out;
    std::erase_if(texts, [](const std::string& text) { return is_blank(text); });
    if (!texts.empty()) out.mode = QuerySpec::Mode::kText;
    out.texts = std::move(texts);
    return out;
  }

  Result<QuerySpec> contents(const std::vector<std::string>& given) const {
    std::vector<std::string> read;
    for (const std::string& one : given) {
      QUARRY_ASSIGN_OR_RETURN(std::string text, content_text(one, false, at_));
      read.push_back(std::move(text));
    }
    return texts(std::move(read));
  }

  Result<QuerySpec> content() const {
    const json::value* inner = query_.if_contains("content");
    if (inner == nullptr) {
      const json::value* value = query_.if_contains("value");
      return contents(value != nullptr && value->is_array() ? texts_of(query_, "value") : std::vector<std::string>{text_of(query_, "value")});
    }
    std::string base64 = text_of(inner->as_object(), "base64");
    std::string url = text_of(inner->as_object(), "url");
    if (base64.empty() && !url.empty() && !url.starts_with("data:")) return not_built("queries by the content of a URL are not available yet; send text or a vector", at_);
    QUARRY_ASSIGN_OR_RETURN(std::string text, content_text(base64.empty() ? url : base64, !base64.empty(), at_));
    return texts({std::move(text)});
  }

  Result<QuerySpec> document() const {
    const json::value* ref = query_.if_contains("document_ref");
    if (ref == nullptr) return validation_error("missing", extended(at_, "document_ref"), "a query of input_mode 'document' needs 'document_ref'");
    QuerySpec out;
    out.mode = QuerySpec::Mode::kDocument;
    out.collection = text_of(ref->as_object(), "collection_id");
    out.document_id = text_of(ref->as_object(), "document_id");
    return out;
  }

  // An array of numbers, or a string that holds one as JSON.
  Result<QuerySpec> vector() const {
    const json::value* value = query_.if_contains("value");
    json::array at = extended(at_, "value");
    json::value parsed;
    if (value != nullptr && value->is_string()) {
      boost::system::error_code failed;
      parsed = json::parse(value->get_string(), failed);
      value = &parsed;
    }
    const json::array* numbers = value == nullptr ? nullptr : value->if_array();
    if (numbers == nullptr) return validation_error("type_error", at, "a query of input_mode 'vector' needs 'value', an array of numbers");
    QuerySpec out;
    if (numbers->empty()) return out;
    if (numbers->front().is_array()) return not_built("queries of several vectors are not available yet; send one vector", at);
    out.mode = QuerySpec::Mode::kVector;
    out.vector.reserve(numbers->size());
    for (const json::value& number : *numbers) {
      if (!number.is_number()) return validation_error("type_error", extended(at, out.vector.size()), "a query vector holds numbers only");
      out.vector.push_back(number.to_number<float>());
    }
    return out;
  }

  const json::object& query_;
  const json::array& at_;
};

Result<QuerySpec> parse_query(const json::value& query, const json::array& at) {
  if (query.is_object()) return QueryReader(query.get_object(), at).read();
  return QueryReader(json::object{{"input_mode", "text"}, {"value", query}}, at).read();
}

Result<SearchSpec> parse_search(const json::object& o, const json::array& at) {
  SearchSpec out;
  out.feature_uri = text_of(o, "feature_uri");
  QUARRY_RETURN_IF_ERROR(parse_feature_uri(out.feature_uri));
  QUARRY_ASSIGN_OR_RETURN(out.query, parse_query(o.at("query"), extended(at, "query")));
  out.top_k = static_cast<size_t>(integer_of(o, "top_k", 100));
  if (o.contains("min_score")) out.min_score = number_of(o, "min_score", 0);
  out.weight = number_of(o, "weight", 1);
  out.optional = bool_of(o, "optional", false);
  out.exact = bool_of(o, "exact", false);
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
    out.group_by = GroupBySpec{text_of(o, "field"), static_cast<size_t>(integer_of(o, "max_per_group", 1)), static_cast<size_t>(integer_of(o, "limit", 25)),
                               text_of(o, "output_mode") == "first"};
  }
  const json::value* facets = bound.if_contains("facets");
  if (facets == nullptr) return;
  for (const json::value& facet : facets->as_array()) {
    const json::object& o = facet.as_object();
    out.facets.push_back({text_of(o, "key"), static_cast<size_t>(integer_of(o, "limit", 10)), bool_of(o, "exact", false)});
  }
}

Status check_search(const json::object& search, const json::array& at) {
  if (bool_of(search, "lexical", false)) return not_built("lexical search is not available yet; leave out 'lexical'", extended(at, "lexical"));
  if (search.contains("query_preprocessing")) return not_built("query preprocessing is not available yet; leave out 'query_preprocessing'", extended(at, "query_preprocessing"));
  if (const json::value* filters = search.if_contains("filters")) QUARRY_RETURN_IF_ERROR(parse_filter_at(*filters, extended(at, "filters")));
  std::string uri = text_of(search, "feature_uri");
  if (!has_template(uri) && !parse_feature_uri(uri).ok())
    return validation_error("value_error", extended(at, "feature_uri"), fmt::format("'{}' is no feature URI; write mixpeek://extractor@version/output", uri.substr(0, 255)));
  return Ok{};
}

}  // namespace

const json::object& feature_search_schema() {
  static const json::object kParsed = parse_schema_text(kSchema);
  return kParsed;
}

Status check_feature_search(const json::object& parameters, const json::array& at) {
  if (parameters.contains("query_preprocessing")) return not_built("query preprocessing is not available yet; leave out 'query_preprocessing'", extended(at, "query_preprocessing"));
  std::string fusion = text_of(parameters, "fusion", "rrf");
  if (!has_template(fusion)) QUARRY_RETURN_IF_ERROR(parse_fusion(fusion));
  const json::value* searches = parameters.if_contains("searches");
  if (searches == nullptr || !searches->is_array()) return Ok{};  // a template
  double weights = 0;
  for (size_t i = 0; i < searches->get_array().size(); ++i) {
    const json::object* search = searches->get_array()[i].if_object();
    if (search == nullptr) continue;
    json::array here = extended(extended(at, "searches"), i);
    QUARRY_RETURN_IF_ERROR(check_search(*search, here));
    weights += search->contains("weight") && search->at("weight").is_number() ? number_of(*search, "weight", 1) : 1;
  }
  if (searches->get_array().size() > 1 && weights == 0) return validation_error("value_error", extended(at, "searches"), "the weights of all searches are 0");
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
