#include "mvs/simulation/draws.h"

#include <array>
#include <bit>

#include "mvs/simulation/text_oracle.h"

namespace quarry::mvs::simulation {
namespace {

using test::as_json;
using test::DocumentSource;

json::value show(float score, const Document& document) { return json::array{std::bit_cast<uint32_t>(score), as_json(document)}; }

json::value show(const std::vector<Oracle::Ranked>& hits) {
  json::array out;
  for (const auto& hit : hits) out.push_back(show(hit.score, *hit.document));
  return out;
}

Result<json::value> ask_search(VectorStore& store, const SearchRequest& request) {
  QUARRY_ASSIGN_OR_RETURN(const SearchResult got, store.search(request));
  json::array out;
  for (const auto& hit : got.hits) out.push_back(show(hit.score, hit.document));
  return json::value(std::move(out));
}

Metric draw_vector_query(DocumentSource& source, SearchRequest& r) {
  switch (source.below(4)) {
    case 0: r.vector_name = "text", r.query = DenseQuery{source.vector(4)}; return Metric::kCosine;
    case 1: r.vector_name = "image/v2", r.query = DenseQuery{source.vector(3)}; return Metric::kEuclidean;
    case 2: {
      const SparseVector v = source.sparse();
      r.vector_name = "words", r.query = SparseQuery{v.indices, v.values};
      return Metric::kDot;
    }
    default: r.vector_name = "tokens", r.query = MultiVectorQuery{source.multi().values}; return Metric::kCosine;
  }
}

Question vector_question(DocumentSource& source, bool has_indexes) {
  SearchRequest r{.table_id = kTable};
  const Metric metric = draw_vector_query(source, r);
  r.filter = draw_filter(source);
  r.k = source.below(25);
  r.exact = source.one_in(2);
  r.projection.vectors = true;
  if (source.one_in(3)) r.min_score = 0.4f;
  const bool groups = source.one_in(3);
  if (groups) r.group = GroupSpec{.field = "title", .max_per_group = 1 + source.below(3), .limit = 1 + source.below(4)};
  if (groups && has_indexes) r.exact = true;  // groups of what an index found may be other groups
  Question out{"search by " + r.vector_name, [r](VectorStore& store) { return ask_search(store, r); }, {}};
  out.may_miss = has_indexes && !r.exact;
  out.most = r.k;
  out.answer = [r, metric, whole = out.may_miss](const Oracle& oracle) {
    auto hits = oracle.ranked(r, metric);
    if (r.group) return show(keep_groups(hits, *r.group));
    if (!whole && hits.size() > r.k) hits.resize(r.k);
    return show(hits);
  };
  return out;
}

Question text_question(DocumentSource& source) {
  SearchRequest r{.table_id = kTable};
  TextQuery q;
  for (uint64_t i = 0; i <= source.below(3); ++i) q.text += source.word() + " ";
  q.match = std::array{TextQuery::Match::kAny, TextQuery::Match::kAll, TextQuery::Match::kPhrase}[source.below(3)];
  q.prefix = source.one_in(4);
  r.query = q;
  r.filter = draw_filter(source);
  r.k = source.below(25);
  r.projection.vectors = true;
  const auto answer = [r](const Oracle& oracle) {
    std::vector<Document> documents;
    for (const auto& [id, d] : oracle.documents()) documents.push_back(d);
    json::array out;
    for (const auto& hit : TextOracle(std::move(documents), "english", {"title"}).search(r))
      if (out.size() < r.k) out.push_back(show(hit.score, oracle.documents().at(hit.id)));
    return json::value(std::move(out));
  };
  return {"search by words", [r](VectorStore& store) { return ask_search(store, r); }, answer};
}

Result<json::value> ask_pages(VectorStore& store, ScanRequest r) {
  json::array out;
  for (;;) {
    QUARRY_ASSIGN_OR_RETURN(const ScanResult page, store.scan(r));
    if (out.empty()) out.push_back(*page.total);
    for (const auto& d : page.documents) out.push_back(json::string(d.document_id));
    if (!page.has_more) return json::value(std::move(out));
    if (r.sort)
      r.offset += r.limit;
    else
      r.after_document_id = page.documents.back().document_id;
  }
}

Question scan_question(DocumentSource& source) {
  ScanRequest r{.table_id = kTable, .filter = draw_filter(source), .limit = 1 + source.below(10), .with_total = true};
  static constexpr const char* kSorts[] = {"price", "title", "document_id", "updated_at", "meta.title"};
  if (source.one_in(2)) r.sort = SortSpec{kSorts[source.below(std::size(kSorts))], source.one_in(2), source.one_in(2)};
  const auto answer = [r](const Oracle& oracle) {
    auto documents = oracle.matching(r.filter);
    if (r.sort) sort_documents(*r.sort, documents);
    json::array out{documents.size()};
    for (const Document* d : documents) out.push_back(json::string(d->document_id));
    return json::value(std::move(out));
  };
  return {"scan", [r](VectorStore& store) { return ask_pages(store, r); }, answer};
}

Question facet_question(DocumentSource& source) {
  const Filter filter = draw_filter(source);
  const std::string field = std::array{"tags", "title", "pages"}[source.below(3)];
  const auto ask = [=](VectorStore& store) -> Result<json::value> {
    QUARRY_ASSIGN_OR_RETURN(const auto values, store.facet(kTable, filter, field, 10'000));
    json::array out;
    for (const auto& value : values) out.push_back(value.count);
    return json::value(std::move(out));
  };
  const auto answer = [=](const Oracle& oracle) {
    const auto counts = facet_counts(oracle.matching(filter), field);
    return json::value(json::array(counts.begin(), counts.end()));
  };
  return {"facet of " + field, ask, answer};
}

Question count_question(DocumentSource& source) {
  const Filter filter = draw_filter(source);
  const auto ask = [=](VectorStore& store) -> Result<json::value> {
    QUARRY_ASSIGN_OR_RETURN(const uint64_t count, store.count(kTable, filter));
    return json::value(count);
  };
  return {"count", ask, [=](const Oracle& oracle) { return json::value(oracle.matching(filter).size()); }};
}

Question get_question(DocumentSource& source) {
  std::vector<std::string> ids;
  for (uint64_t i = 0; i <= source.below(5); ++i) ids.push_back(source.id(kIds));
  const auto ask = [=](VectorStore& store) -> Result<json::value> {
    QUARRY_ASSIGN_OR_RETURN(const auto documents, store.get(kTable, ids, {.payload = true, .vectors = true}));
    json::array out;
    for (const auto& d : documents) out.push_back(as_json(d));
    return json::value(std::move(out));
  };
  const auto answer = [=](const Oracle& oracle) {
    json::array out;
    for (const auto& id : ids)
      if (const auto it = oracle.documents().find(id); it != oracle.documents().end()) out.push_back(as_json(it->second));
    return json::value(std::move(out));
  };
  return {"get", ask, answer};
}

std::string first_difference(const json::value& got, const json::value& wanted) {
  if (!got.is_array() || !wanted.is_array()) return fmt::format("{} instead of {}", json::serialize(got), json::serialize(wanted));
  const auto &a = got.get_array(), &b = wanted.get_array();
  size_t i = 0;
  while (i < a.size() && i < b.size() && test::identical(a[i], b[i])) ++i;
  return fmt::format("{} items instead of {}; item {} is {} instead of {}", a.size(), b.size(), i,
                     i < a.size() ? json::serialize(a[i]) : "absent", i < b.size() ? json::serialize(b[i]) : "absent");
}

}  // namespace

std::vector<Document> draw_documents(DocumentSource& source, uint64_t most) {
  std::vector<Document> out;
  for (uint64_t i = 0; i <= source.below(most); ++i) out.push_back(source.document(kIds));
  return out;
}

DocumentPatch draw_patch(DocumentSource& source) {
  DocumentPatch p;
  p.document_id = source.id(kIds);
  p.replace_payload = source.one_in(6);
  for (uint64_t i = 0; i <= source.below(3); ++i) {
    static constexpr const char* kPaths[] = {"title", "pages", "price",         "meta.title", "meta.deep.x",
                                             "a.b",   "tags",  "new.path.deep", "when"};
    const std::string path = kPaths[source.below(std::size(kPaths))];
    p.set[path] = source.value(path);
  }
  if (source.one_in(3)) p.unset = {source.one_in(2) ? "title" : "meta.deep", "ratio", "no.such"};
  if (source.one_in(4)) p.vectors = {{"text", source.vector(4)}};
  if (source.one_in(4)) p.sparse_vectors = {source.sparse()};
  if (source.one_in(4)) p.multi_vectors = {source.multi()};
  return p;
}

SourceReplacement draw_replacement(DocumentSource& source) {
  return {{source.source(), source.source(), "doc_of_" + std::to_string(source.below(4))}};
}

Filter draw_filter(DocumentSource& source) {
  switch (source.below(4)) {
    case 0: return equals("title", json::string(source.word()));
    case 1: return *parse_filter(json::object{{"field", "pages"}, {"operator", "gte"}, {"value", 2}});
    case 2:
      return *parse_filter(
          json::object{{"NOT", json::array{json::object{{"field", "meta.title"}, {"operator", "exists"}, {"value", true}}}}});
    default: return {};
  }
}

WriteBatch draw_batch(DocumentSource& source) {
  WriteBatch out;
  const uint64_t kind = source.below(9);
  if (kind < 4 || kind >= 7) out.upserts = draw_documents(source, kind < 4 ? 12 : 6);
  if (kind == 4 || kind == 5 || kind == 8)
    for (uint64_t i = 0; i <= source.below(4); ++i) out.patches.push_back(draw_patch(source));
  if (kind == 6 || kind == 8)
    for (uint64_t i = 0; i <= source.below(8); ++i) out.deletes.push_back(source.id(kIds));
  if (kind >= 7) out.replace = draw_replacement(source);
  return out;
}

Question draw_question(DocumentSource& source, bool has_indexes) {
  switch (source.below(8)) {
    case 0:
    case 1: return vector_question(source, has_indexes);
    case 2: return text_question(source);
    case 3: return scan_question(source);
    case 4: return facet_question(source);
    case 5: return count_question(source);
    case 6: return get_question(source);
    default: return everything();
  }
}

Question everything() {
  const auto ask = [](VectorStore& store) -> Result<json::value> {
    std::multimap<std::string, json::value> found;
    QUARRY_RETURN_IF_ERROR(store.for_each(kTable, {}, {.payload = true, .vectors = true}, [&](const Document& d) {
      found.emplace(d.document_id, as_json(d));
      return true;
    }));
    json::array out;
    for (auto& [id, document] : found) out.push_back(std::move(document));
    return json::value(std::move(out));
  };
  const auto answer = [](const Oracle& oracle) {
    json::array out;
    for (const auto& [id, d] : oracle.documents()) out.push_back(as_json(d));
    return json::value(std::move(out));
  };
  return {"everything", ask, answer};
}

std::optional<std::string> fault_of(const Question& question, const json::value& got, const Oracle& oracle) {
  const json::value wanted = question.answer(oracle);
  if (!question.may_miss) {
    if (test::identical(got, wanted)) return std::nullopt;
    return fmt::format("{}: {}", question.what, first_difference(got, wanted));
  }
  const auto& hits = got.get_array();
  const auto& ranked = wanted.get_array();
  if (hits.size() > question.most) return fmt::format("{}: {} hits, more than {}", question.what, hits.size(), question.most);
  size_t at = 0;
  for (const json::value& hit : hits) {
    while (at < ranked.size() && !test::identical(hit, ranked[at])) ++at;
    if (at++ == ranked.size()) return fmt::format("{}: {} is no hit, or out of order", question.what, json::serialize(hit));
  }
  return std::nullopt;
}

}  // namespace quarry::mvs::simulation
