// The schema of feature_search.
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
        "min_score": {"type": "number", "minimum": 0, "description": "Candidates below this score are dropped before fusion; at most 1 unless the search is by words."},
        "weight": {"type": "number", "minimum": 0, "maximum": 1, "default": 1, "description": "Share of this search in the fused score."},
        "filters": {"anyOf": [{"type": "object"}, {"type": "array"}], "description": "A tree of AND, OR and NOT over {field, operator, value}, applied before ranking."},
        "exact": {"type": "boolean", "default": false, "description": "Compares with every document instead of walking an index."},
        "effort": {"type": "integer", "minimum": 1, "maximum": 10000, "description": "About how many candidates an index keeps in view: more finds nearer ones and takes longer. Without it the store chooses (about 64)."},
        "optional": {"type": "boolean", "default": false, "description": "Skips this search when its query is empty or no collection has its feature."},
        "on_empty": {"type": "string", "enum": ["error", "skip", "random"], "description": "What an empty query does: an error (default), nothing, or documents at random."},
        "lexical": {"type": "boolean", "default": false, "description": "Ranks by words (BM25) instead of vectors; so does the feature mixpeek://bm25@v1/text without it."},
        "fields": {"type": "array", "minItems": 1, "maxItems": 64, "items": {"type": "string", "minLength": 1}, "description": "Of a search by words: the text fields to look in; all without it."},
        "operator": {"type": "string", "enum": ["or", "and", "phrase"], "description": "Of a search by words: whether a document needs one of them (without it), each, or all one after another."},
        "prefix": {"type": "boolean", "description": "Of a search by words: the last one stands for all that begin with it."},
        "query_preprocessing": {"$ref": "#/$defs/preprocessing"},
        "collection_identifiers": {"type": "array", "items": {"type": "string", "minLength": 1}, "description": "Narrows this search to these of the retriever's collections."}
      },
      "required": ["feature_uri", "query"]
    },
    "query": {
      "type": "object",
      "properties": {
        "input_mode": {"type": "string", "enum": ["text", "vector", "content", "document", "multi_content"]},
        "value": {"anyOf": [{"type": "string"}, {"type": "array"}, {"type": "object", "properties": {"indices": {"type": "array"}, "values": {"type": "array"}}, "required": ["indices", "values"]}], "description": "Text, or a vector: numbers, lists of numbers, or {indices, values}."},
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

}  // namespace

const json::object& feature_search_schema() {
  static const json::object kParsed = parse_schema_text(kSchema);
  return kParsed;
}

}  // namespace quarry::retrieval
