// From a spec to the searches of each collection with their query vectors.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "model/feature_uri.h"
#include "retrieval/stages/feature_search.h"
#include "retrieval/targets.h"

namespace quarry::retrieval {
namespace {

std::string features_of(const std::vector<const Collection*>& collections) {
  std::set<std::string> uris;
  for (const Collection* collection : collections)
    for (const CollectionVector& vector : collection->vectors) uris.insert(vector.feature_uri.empty() ? vector.name : vector.feature_uri);
  return uris.empty() ? "none" : fmt::format("{}", fmt::join(uris, ", "));
}

Error no_feature(std::string_view uri, const std::vector<const Collection*>& collections) {
  json::array ids;
  for (const Collection* collection : collections) ids.emplace_back(collection->collection_id);
  return bad_request(fmt::format("no targeted collection has the feature '{}'; features that exist: {}", uri, features_of(collections)),
                     {{"feature_uri", uri}, {"collection_ids", std::move(ids)}});
}

// Scales the sum of unit vectors back to unit length.
void normalise(std::vector<float>& v) {
  double squares = 0;
  for (float x : v) squares += static_cast<double>(x) * x;
  if (squares <= 0) return;
  auto scale = static_cast<float>(1 / std::sqrt(squares));
  for (float& x : v) x *= scale;
}

std::string_view type_of(const mvs::Query& query) {
  if (std::holds_alternative<mvs::SparseQuery>(query)) return "sparse";
  return std::holds_alternative<mvs::MultiVectorQuery>(query) ? "multi_dense" : "dense";
}

// The one vector that was read with the document.
std::optional<mvs::Query> query_of(Document document) {
  if (!document.vectors.empty()) return mvs::DenseQuery{std::move(document.vectors[0].values)};
  if (!document.multi_vectors.empty()) return mvs::MultiVectorQuery{std::move(document.multi_vectors[0].values)};
  if (document.sparse_vectors.empty()) return std::nullopt;
  SparseVector& sparse = document.sparse_vectors[0];
  return mvs::SparseQuery{std::move(sparse.indices), std::move(sparse.values)};
}

class SearchPlanner {
 public:
  SearchPlanner(const FeatureSearchSpec& spec, StageRun& run) : spec_(spec), run_(run) {}

  Result<SearchPlan> plan() {
    for (size_t i = 0; i < spec_.searches.size(); ++i) QUARRY_RETURN_IF_ERROR(add_search(i));
    QUARRY_RETURN_IF_ERROR(embed_texts());
    for (SearchTask& task : plan_.tasks) QUARRY_RETURN_IF_ERROR(set_vector(task));
    return std::move(plan_);
  }

 private:
  using EmbeddingKey = std::pair<std::string, std::string>;

  Status add_search(size_t index) {
    const SearchSpec& search = spec_.searches[index];
    QUARRY_ASSIGN_OR_RETURN(std::vector<const Collection*> targets, targets_of(search));
    std::vector<const Collection*> with_feature;
    for (const Collection* collection : targets)
      if (is_target(search, *collection)) with_feature.push_back(collection);
    plan_.targets.push_back(with_feature);
    if (with_feature.empty() && !search.optional) return refusal(search, targets);
    if (with_feature.empty()) {
      run_.warn(fmt::format("Skipped optional search {}: no collection has the feature {}", index, search.feature_uri));
      return Ok{};
    }
    if (search.query.mode == QuerySpec::Mode::kEmpty) return add_empty(index);
    for (const Collection* collection : with_feature)
      plan_.tasks.push_back({index, collection, search.words ? nullptr : collection->find_vector(search.feature_uri), {}});
    return Ok{};
  }

  // A search by words that names a feature of vectors looks where that is; one that names none looks everywhere.
  static bool is_target(const SearchSpec& search, const Collection& collection) {
    if (search.words && word_fields(*search.words, collection).empty()) return false;
    return (search.words && is_word_feature(search.feature_uri)) || collection.find_vector(search.feature_uri) != nullptr;
  }

  static Error refusal(const SearchSpec& search, const std::vector<const Collection*>& targets) {
    bool has_feature = search.words && is_word_feature(search.feature_uri);
    for (const Collection* collection : targets) has_feature = has_feature || collection->find_vector(search.feature_uri) != nullptr;
    return search.words && has_feature ? no_words(*search.words, targets) : no_feature(search.feature_uri, targets);
  }

  Result<std::vector<const Collection*>> targets_of(const SearchSpec& search) {
    QUARRY_ASSIGN_OR_RETURN(std::vector<const Collection*> targets, target_collections(run_, spec_.collections));
    if (search.collections.empty()) return targets;
    QUARRY_ASSIGN_OR_RETURN(std::vector<const Collection*> own, target_collections(run_, search.collections));
    std::erase_if(own, [&](const Collection* c) { return std::find(targets.begin(), targets.end(), c) == targets.end(); });
    return own;
  }

  Status add_empty(size_t index) {
    switch (spec_.searches[index].on_empty) {
      case OnEmpty::kError:
        return validation_error("value_error", {"searches", index, "query"},
                                fmt::format("the query of search {} is empty; set on_empty to 'skip' or 'random' to allow that", index));
      case OnEmpty::kRandom: plan_.random_searches.push_back(index); return Ok{};
      case OnEmpty::kSkip: run_.warn(fmt::format("Skipped search {}: its query is empty", index)); return Ok{};
    }
    return Ok{};
  }

  Result<std::string> model_of(const SearchTask& task) const {
    if (task.vector->type != "dense")
      return Error{ErrorKind::kBadRequest,
                   fmt::format("feature '{}' of collection {} is {}: no model makes such a vector of a text; send the vector itself",
                               task.vector->feature_uri, task.collection->collection_id, task.vector->type),
                   {{"retryable", false}}};
    Result<FeatureUri> uri = parse_feature_uri(task.vector->feature_uri);
    if (uri.ok()) return uri->output;
    return bad_request(fmt::format("feature '{}' of collection {} was made by no model; send a vector instead of text", task.vector->name,
                                   task.collection->collection_id));
  }

  // Each distinct text once per model, in parallel.
  Status embed_texts() {
    std::set<EmbeddingKey> wanted;
    for (const SearchTask& task : plan_.tasks) {
      const QuerySpec& query = spec_.searches[task.search].query;
      if (query.mode != QuerySpec::Mode::kText || task.vector == nullptr) continue;
      QUARRY_ASSIGN_OR_RETURN(std::string model, model_of(task));
      for (const std::string& text : query.texts)
        if (!run_.execution.embeddings.contains({model, text})) wanted.emplace(model, text);
    }
    std::vector<EmbeddingKey> keys(wanted.begin(), wanted.end());
    std::vector<std::shared_ptr<const extract::TextEmbedder>> embedders;
    for (const EmbeddingKey& key : keys) {
      QUARRY_ASSIGN_OR_RETURN(auto embedder, run_.execution.env.models->text_embedder(key.first));
      embedders.push_back(std::move(embedder));
    }
    std::vector<Result<extract::Embedding>> made(keys.size(), extract::Embedding{});
    parallel_for(run_.execution.env.executor, keys.size(), [&](size_t i) { made[i] = embedders[i]->embed(keys[i].second); });
    for (size_t i = 0; i < keys.size(); ++i) {
      if (!made[i].ok()) return std::move(made[i]).error();
      if (made[i]->truncated) run_.warn(fmt::format("The query is longer than what model {} reads; its end was left out", keys[i].first));
      run_.execution.embeddings[keys[i]] = std::move(made[i]->values);
    }
    return Ok{};
  }

  Status set_vector(SearchTask& task) {
    if (task.vector == nullptr) return Ok{};
    const QuerySpec& query = spec_.searches[task.search].query;
    if (query.mode == QuerySpec::Mode::kVector) task.query = query.vector;
    if (query.mode == QuerySpec::Mode::kText) {
      QUARRY_ASSIGN_OR_RETURN(std::string model, model_of(task));
      task.query = mvs::DenseQuery{mean_embedding(model, query.texts)};
    }
    if (query.mode == QuerySpec::Mode::kDocument) {
      QUARRY_ASSIGN_OR_RETURN(task.query, document_vector(query, *task.vector, task.search));
    }
    return check_shape(task, query);
  }

  // The query's vector must be of the feature's type and dimension.
  Status check_shape(const SearchTask& task, const QuerySpec& query) const {
    const std::string_view given = type_of(task.query), wanted = task.vector->type;
    if (given != wanted)
      return bad_request(fmt::format("the query vector of search {} is {}, but feature '{}' of collection {} is {}", task.search, given,
                                     task.vector->feature_uri, task.collection->collection_id, wanted),
                         {{"expected_type", wanted}, {"given_type", given}});
    const auto* dense = std::get_if<mvs::DenseQuery>(&task.query);
    const bool own_tokens = wanted == "multi_dense" && query.mode == QuerySpec::Mode::kVector;
    const size_t dimensions = dense != nullptr ? dense->values.size() : own_tokens ? query.token_dimension : task.vector->dimension;
    if (dimensions == task.vector->dimension) return Ok{};
    return bad_request(fmt::format("the query vector of search {} has {} dimensions, but feature '{}' of collection {} has {}", task.search,
                                   dimensions, task.vector->feature_uri, task.collection->collection_id, task.vector->dimension),
                       {{"expected_dimensions", task.vector->dimension}, {"given_dimensions", dimensions}});
  }

  std::vector<float> mean_embedding(const std::string& model, const std::vector<std::string>& texts) const {
    std::vector<float> sum = run_.execution.embeddings.at({model, texts.front()});
    if (texts.size() == 1) return sum;
    for (size_t t = 1; t < texts.size(); ++t) {
      const std::vector<float>& next = run_.execution.embeddings.at({model, texts[t]});
      for (size_t i = 0; i < sum.size() && i < next.size(); ++i) sum[i] += next[i];
    }
    normalise(sum);
    return sum;
  }

  // The stored vector of the referenced document under the very feature that is searched.
  Result<mvs::Query> document_vector(const QuerySpec& query, const CollectionVector& feature, size_t search) {
    const auto key = std::make_pair(search, feature.feature_uri + '\n' + feature.name);
    if (const auto known = document_vectors_.find(key); known != document_vectors_.end()) return known->second;
    std::vector<Collection> loaded;
    QUARRY_ASSIGN_OR_RETURN(std::vector<const Collection*> places, reference_places(query, search, loaded));
    for (const Collection* place : places) {
      const CollectionVector* vector = place->find_vector(feature.feature_uri);
      if (vector == nullptr) continue;
      mvs::Projection projection{.payload = false, .vectors = true, .vector_names = {vector->name}, .fields = {}};
      QUARRY_ASSIGN_OR_RETURN(std::vector<Document> found,
                              run_.execution.env.vectors->get(place->table_id(), {query.document_id}, projection));
      if (found.empty()) continue;
      std::optional<mvs::Query> stored = query_of(std::move(found[0]));
      if (!stored)
        return bad_request(fmt::format("document '{}' of collection {} has no vector of feature '{}'", query.document_id,
                                       place->collection_id, feature.feature_uri));
      return document_vectors_.emplace(key, *std::move(stored)).first->second;
    }
    if (!query.collection.empty() && places.front()->find_vector(feature.feature_uri) == nullptr)
      return no_feature(feature.feature_uri, places);
    return not_found(fmt::format(
        "the query's document '{}' does not exist{}", query.document_id.substr(0, 255),
        query.collection.empty() ? " in the searched collections" : " in collection '" + query.collection.substr(0, 255) + "'"));
  }

  Result<std::vector<const Collection*>> reference_places(const QuerySpec& query, size_t search, std::vector<Collection>& loaded) const {
    if (query.collection.empty()) return plan_.targets[search];
    for (const Collection& c : *run_.execution.collections)
      if (c.collection_id == query.collection || c.name == query.collection) return std::vector<const Collection*>{&c};
    QUARRY_ASSIGN_OR_RETURN(loaded, load_collections(run_.execution.request, *run_.execution.env.catalog, {query.collection}));
    return std::vector<const Collection*>{&loaded.front()};
  }

  const FeatureSearchSpec& spec_;
  StageRun& run_;
  SearchPlan plan_;
  std::map<std::pair<size_t, std::string>, mvs::Query> document_vectors_;
};

}  // namespace

Result<SearchPlan> plan_searches(const FeatureSearchSpec& spec, StageRun& run) { return SearchPlanner(spec, run).plan(); }

}  // namespace quarry::retrieval
