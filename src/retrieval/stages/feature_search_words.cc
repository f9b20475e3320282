// Searches by words: {"lexical": true} beside any feature, or the feature mixpeek://bm25@v1/text. Scores are BM25's (mvs.h).
#include <fmt/format.h>

#include <algorithm>

#include "model/feature_uri.h"
#include "retrieval/stages/feature_search.h"

namespace quarry::retrieval {
namespace {

constexpr std::string_view kOutput = "text";
constexpr std::string_view kSparseOutput = "bm25_sparse";  // as published examples write it

bool is_text(FieldType type) { return type == FieldType::kString || type == FieldType::kText; }

std::vector<std::string> declared_texts(const Collection& collection) {
  std::vector<std::string> out;
  for (const auto& [name, field] : collection.output_schema.properties)
    if (is_text(field.type)) out.push_back(name);
  for (const PayloadIndex& index : collection.payload_indexes)
    if (is_text(index.type) && !collection.output_schema.properties.contains(index.field)) out.push_back(index.field);
  return out;
}

}  // namespace

bool is_word_feature(std::string_view uri) {
  if (uri == kWordFeature) return true;
  Result<FeatureUri> parsed = parse_feature_uri(uri);
  return parsed.ok() && parsed->output == kSparseOutput;
}

Status check_words(const json::object& search, const json::array& at) {
  std::string uri = text_of(search, "feature_uri");
  Result<FeatureUri> parsed = parse_feature_uri(uri);
  if (parsed.ok() && parsed->extractor == "bm25" && parsed->output != kOutput)
    return validation_error("value_error", extended(at, "feature_uri"),
                            fmt::format("the words of all text fields are '{}'; 'fields' narrows to some of them", kWordFeature));
  bool by_words = bool_of(search, "lexical", false) || is_word_feature(uri);
  for (std::string_view name : {"fields", "operator", "prefix"})
    if (search.contains(name) && !by_words)
      return validation_error("value_error", extended(at, json::string_view(name)),
                              fmt::format("'{}' belongs to a search with \"lexical\": true", name));
  // BM25 has no upper end; vectors' scores do.
  const json::value* least = search.if_contains("min_score");
  if (!by_words && least != nullptr && least->is_number() && least->to_number<double>() > 1)
    return validation_error("less_than_equal", extended(at, "min_score"), "must be at most 1");
  return Ok{};
}

std::optional<WordSearch> parse_words(const json::object& search) {
  if (!bool_of(search, "lexical", false) && !is_word_feature(text_of(search, "feature_uri"))) return std::nullopt;
  WordSearch out;
  out.fields = texts_of(search, "fields");
  std::string match = text_of(search, "operator", "or");
  out.match = match == "and"      ? mvs::TextQuery::Match::kAll
              : match == "phrase" ? mvs::TextQuery::Match::kPhrase
                                  : mvs::TextQuery::Match::kAny;
  out.prefix = bool_of(search, "prefix", false);
  return out;
}

std::vector<std::string> word_fields(const WordSearch& words, const Collection& collection) {
  std::vector<std::string> known = declared_texts(collection);
  if (words.fields.empty()) return known;
  std::erase_if(known,
                [&](const std::string& name) { return std::find(words.fields.begin(), words.fields.end(), name) == words.fields.end(); });
  return known;
}

Error no_words(const WordSearch& words, const std::vector<const Collection*>& collections) {
  json::array ids, fields;
  std::string listed;
  for (const Collection* collection : collections) {
    ids.emplace_back(collection->collection_id);
    for (const std::string& name : declared_texts(*collection)) listed += (listed.empty() ? "" : ", ") + name;
  }
  for (const std::string& name : words.fields) fields.emplace_back(name);
  return bad_request(fmt::format("no targeted collection declares a text field {}that can be searched by words; there are: {}",
                                 words.fields.empty() ? "" : "of these names ", listed.empty() ? "none" : listed),
                     {{"fields", std::move(fields)}, {"collection_ids", std::move(ids)}});
}

mvs::TextQuery text_query(const SearchSpec& search, const SearchTask& task) {
  mvs::TextQuery out;
  for (const std::string& text : search.query.texts) out.text += (out.text.empty() ? "" : " ") + text;
  if (!search.words->fields.empty()) out.fields = word_fields(*search.words, *task.collection);
  out.match = search.words->match;
  out.prefix = search.words->prefix;
  return out;
}

}  // namespace quarry::retrieval
