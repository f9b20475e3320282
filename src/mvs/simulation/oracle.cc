#include "mvs/simulation/oracle.h"

#include <cmath>
#include <limits>
#include <set>

#include "mvs/hot/kernels.h"
#include "mvs/write_group.h"

namespace quarry::mvs::simulation {
namespace {

std::string source_of(const Document& d) {
  return d.lineage.source_document_id.empty() ? d.lineage.source_object_id : d.lineage.source_document_id;
}

float dense_score(Metric metric, const std::vector<float>& q, const std::vector<float>& x) {
  if (metric == Metric::kEuclidean) return 1.0f / (1.0f + std::sqrt(reference_squared_distance(q.data(), x.data(), q.size())));
  const float dot = reference_dot(q.data(), x.data(), q.size());
  if (metric == Metric::kDot) return dot;
  const float norms = std::sqrt(reference_dot(q.data(), q.data(), q.size())) * std::sqrt(reference_dot(x.data(), x.data(), x.size()));
  return norms > 0 ? dot / norms : 0.0f;
}

// nullopt: no index is shared.
std::optional<float> sparse_score(const SparseQuery& q, const SparseVector& x) {
  std::map<uint32_t, float> row;
  for (size_t i = 0; i < x.indices.size(); ++i) row[x.indices[i]] = x.values[i];
  bool shares = false;
  float sum = 0;
  double wide = 0;
  for (size_t i = 0; i < q.indices.size(); ++i) {
    const auto it = row.find(q.indices[i]);
    if (it == row.end()) continue;
    shares = true;
    const float product = q.values[i] * it->second;
    sum = sum + product;
    wide += double(q.values[i]) * double(it->second);
  }
  constexpr float kMax = std::numeric_limits<float>::max();
  if (!shares) return std::nullopt;
  return std::isfinite(sum) ? sum : float(std::clamp<double>(wide, -kMax, kMax));
}

float max_sim(Metric metric, size_t dimension, const std::vector<float>& q, const std::vector<float>& x) {
  const auto token = [&](const std::vector<float>& v, size_t t) {
    return std::vector<float>(v.begin() + ptrdiff_t(t * dimension), v.begin() + ptrdiff_t((t + 1) * dimension));
  };
  float sum = 0;
  for (size_t i = 0; i < q.size() / dimension; ++i) {
    float best = -std::numeric_limits<float>::infinity();
    for (size_t j = 0; j < x.size() / dimension; ++j) best = std::max(best, dense_score(metric, token(q, i), token(x, j)));
    sum = sum + best;
  }
  return sum;
}

constexpr size_t kTokenDimension = 3;  // of full_spec()

std::optional<float> score_of(const SearchRequest& r, Metric metric, const Document& d) {
  if (const auto* dense = std::get_if<DenseQuery>(&r.query)) {
    for (const auto& v : d.vectors)
      if (v.name == r.vector_name) return dense_score(metric, dense->values, v.values);
  } else if (const auto* sparse = std::get_if<SparseQuery>(&r.query)) {
    if (!d.sparse_vectors.empty()) return sparse_score(*sparse, d.sparse_vectors[0]);
  } else if (const auto* multi = std::get_if<MultiVectorQuery>(&r.query)) {
    if (!d.multi_vectors.empty()) return max_sim(metric, kTokenDimension, multi->values, d.multi_vectors[0].values);
  }
  return std::nullopt;
}

template <class V>
void replace_named(std::vector<V>& vectors, const std::vector<V>& changed) {
  for (const V& vector : changed) {
    std::erase_if(vectors, [&](const V& v) { return v.name == vector.name; });
    vectors.push_back(vector);
  }
}

struct ByValue {
  bool operator()(const json::value& a, const json::value& b) const { return compare_json(a, b) < 0; }
};

}  // namespace

WriteResult Oracle::apply(const WriteBatch& batch, TimestampUs now_us) {
  WriteResult out;
  std::set<std::string> written, upserted;
  for (const auto& d : batch.upserts)
    if (upserted.insert(d.document_id).second) ++(documents_.contains(d.document_id) ? out.replaced : out.inserted);
  for (const auto& d : batch.upserts) documents_[d.document_id] = d;
  for (const auto& p : batch.patches) {
    if (documents_.contains(p.document_id)) {
      patch(p, now_us);
      ++out.patched;
    } else {
      out.missing.push_back(p.document_id);
    }
    written.insert(p.document_id);
  }
  written.merge(upserted);
  if (batch.replace) {
    const auto& sources = batch.replace->source_ids;
    out.deleted += std::erase_if(documents_, [&](const auto& m) {
      return !written.contains(m.first) && std::find(sources.begin(), sources.end(), source_of(m.second)) != sources.end();
    });
  }
  for (const auto& id : batch.deletes) {
    if (documents_.erase(id) > 0)
      ++out.deleted;
    else
      out.missing.push_back(id);
  }
  return out;
}

void Oracle::patch(const DocumentPatch& p, TimestampUs now_us) {
  Document& d = documents_.at(p.document_id);
  if (p.replace_payload) d.payload = {};
  for (const auto& m : p.set) {
    if (p.replace_payload)
      d.payload[m.key()] = m.value();
    else
      set_path(d.payload, m.key(), m.value());
  }
  for (const auto& path : p.unset) unset_path(d.payload, path);
  replace_named(d.vectors, p.vectors);
  replace_named(d.sparse_vectors, p.sparse_vectors);
  replace_named(d.multi_vectors, p.multi_vectors);
  d.updated_at = std::max(now_us, d.updated_at);
}

uint64_t Oracle::erase_matching(const Filter& filter) {
  return std::erase_if(documents_, [&](const auto& m) { return matches(filter, filter_view(m.second)); });
}

std::vector<const Document*> Oracle::matching(const Filter& filter) const {
  std::vector<const Document*> out;
  for (const auto& [id, d] : documents_)
    if (matches(filter, filter_view(d))) out.push_back(&d);
  return out;
}

std::vector<Oracle::Ranked> Oracle::ranked(const SearchRequest& request, Metric metric) const {
  std::vector<Ranked> out;
  for (const Document* d : matching(request.filter)) {
    const auto score = score_of(request, metric, *d);
    if (score && (!request.min_score || *score >= *request.min_score)) out.push_back({*score, d});
  }
  std::stable_sort(out.begin(), out.end(), [](const Ranked& a, const Ranked& b) { return a.score > b.score; });  // they come by id
  return out;
}

json::object filter_view(const Document& d) {
  json::object out = d.payload;
  out["document_id"] = d.document_id;
  const Lineage& l = d.lineage;
  const std::pair<const char*, const std::string*> lineage[] = {{"root_object_id", &l.root_object_id},
                                                                {"root_bucket_id", &l.root_bucket_id},
                                                                {"source_type", &l.source_type},
                                                                {"source_object_id", &l.source_object_id},
                                                                {"source_collection_id", &l.source_collection_id},
                                                                {"source_document_id", &l.source_document_id},
                                                                {"lineage_path", &l.lineage_path}};
  for (const auto& [name, text] : lineage) {
    if (text->empty())
      out.erase(name);
    else
      out[name] = *text;
  }
  out["processing_tier"] = l.processing_tier;
  out["created_at"] = format_timestamp(d.created_at);
  out["updated_at"] = format_timestamp(d.updated_at);
  return out;
}

void sort_documents(const SortSpec& sort, std::vector<const Document*>& documents) {
  std::stable_sort(documents.begin(), documents.end(), [&](const Document* a, const Document* b) {
    const json::object x = filter_view(*a), y = filter_view(*b);
    json::value at_x, at_y;
    const json::value *v = read_path(x, sort.field, at_x), *w = read_path(y, sort.field, at_y);
    const bool no_v = v == nullptr || v->is_null(), no_w = w == nullptr || w->is_null();
    if (no_v || no_w) return no_v == no_w ? false : no_v == !sort.nulls_last;
    const int c = compare_json(*v, *w);
    return sort.descending ? c > 0 : c < 0;
  });
}

std::vector<uint64_t> facet_counts(const std::vector<const Document*>& documents, const std::string& field) {
  std::map<json::value, uint64_t, ByValue> counts;
  for (const Document* d : documents) {
    const auto* v = d->payload.if_contains(field);
    if (v == nullptr) continue;
    std::set<json::value, ByValue> distinct;
    if (v->is_array())
      distinct.insert(v->as_array().begin(), v->as_array().end());
    else
      distinct.insert(*v);
    for (const json::value& value : distinct)
      if (!value.is_null()) ++counts[value];
  }
  std::vector<uint64_t> out;
  for (const auto& [value, count] : counts) out.push_back(count);
  std::sort(out.rbegin(), out.rend());
  return out;
}

std::vector<Oracle::Ranked> keep_groups(const std::vector<Oracle::Ranked>& ranked, const GroupSpec& group) {
  std::vector<std::string> names;
  std::map<std::string, std::vector<Oracle::Ranked>> members;
  for (const auto& hit : ranked) {
    const auto* value = hit.document->payload.if_contains(group.field);
    if (value == nullptr || value->is_null()) continue;
    const std::string key = json::serialize(*value);
    if (!members.contains(key)) {
      if (names.size() == group.limit) continue;
      names.push_back(key);
    }
    if (members[key].size() < group.max_per_group) members[key].push_back(hit);
  }
  std::vector<Oracle::Ranked> out;
  for (const auto& name : names) out.insert(out.end(), members[name].begin(), members[name].end());
  return out;
}

}  // namespace quarry::mvs::simulation
