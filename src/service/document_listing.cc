#include "service/document_listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/hash.h"
#include "model/text.h"
#include "service/json_access.h"

namespace quarry::service {
namespace {

constexpr std::string_view kOffsetCursor = "offset:";  // of sorted lists, whose order no document_id tells
constexpr char kCursorBreak = '\n';                    // document_id, break, collection_id

struct Listed {
  size_t collection = 0;
  Document document;
  json::value key;  // the sort field's value
};

json::value sort_key(const Document& document, std::string_view field) {
  if (field.empty() || field == "document_id") return json::value(document.document_id);
  if (field == "created_at") return json::value(document.created_at);
  if (field == "updated_at") return json::value(document.updated_at);
  json::value scratch;
  const json::value* found = read_path(document.payload, field, scratch);
  return found ? *found : json::value(nullptr);
}

// Where a page begins: after a number of documents, or after one document.
struct Start {
  size_t offset = 0;
  std::string document_id, collection_id;
};

Result<Start> start_of(const DocumentQuery& query) {
  Start start{query.page.offset, "", ""};
  const std::string& after = query.page.after;
  if (after.empty()) return start;
  auto refused = [] { return validation_error("cursor", {"body", "cursor"}, "the cursor belongs to a list with another order"); };
  if (after.starts_with(kOffsetCursor) != query.sort.has_value()) return refused();
  if (query.sort) {
    auto [end, ec] = std::from_chars(after.data() + kOffsetCursor.size(), after.data() + after.size(), start.offset);
    if (ec != std::errc() || end != after.data() + after.size()) return refused();
    return start;
  }
  size_t at = after.find(kCursorBreak);
  if (at == std::string::npos) return refused();
  start.document_id = after.substr(0, at);
  start.collection_id = after.substr(at + 1);
  return start;
}

bool any_string_contains(const json::value& value, const std::string& folded) {
  if (value.is_string()) return fold_text(value.get_string()).find(folded) != std::string::npos;
  if (value.is_array())
    return std::any_of(value.get_array().begin(), value.get_array().end(), [&](const auto& v) { return any_string_contains(v, folded); });
  if (value.is_object())
    return std::any_of(value.get_object().begin(), value.get_object().end(),
                       [&](const auto& m) { return any_string_contains(m.value(), folded); });
  return false;
}

class DocumentLister {
 public:
  DocumentLister(const Dependencies& deps, const std::vector<OpenCollection>& collections, const DocumentQuery& query, Start start)
      : deps_(deps),
        collections_(collections),
        query_(query),
        start_(std::move(start)),
        needed_(start_.offset + query.page.limit + 1),
        folded_(fold_text(query.search)) {}

  Status run() {
    bool streamed = !query_.search.empty() || query_.partition_count > 1;
    bool direct = collections_.size() == 1 && !streamed;
    for (size_t i = 0; i < collections_.size(); ++i) {
      if (direct)
        QUARRY_RETURN_IF_ERROR(scan(i, start_.offset, query_.page.limit + 1));
      else if (streamed)
        QUARRY_RETURN_IF_ERROR(stream(i));
      else
        QUARRY_RETURN_IF_ERROR(scan(i, 0, needed_));
      QUARRY_RETURN_IF_ERROR(add_twin_of_start(i, streamed));
    }
    std::sort(rows_.begin(), rows_.end(), [this](const Listed& a, const Listed& b) { return before(a, b); });
    size_t skip = direct ? 0 : std::min(start_.offset, rows_.size());
    rows_.erase(rows_.begin(), rows_.begin() + static_cast<ptrdiff_t>(skip));
    has_more_ = rows_.size() > query_.page.limit;
    if (has_more_) rows_.resize(query_.page.limit);
    return Ok{};
  }

  std::vector<Listed>& rows() { return rows_; }
  bool has_more() const { return has_more_; }
  std::optional<uint64_t> total() const { return counted_ ? std::optional<uint64_t>(total_) : std::nullopt; }

 private:
  bool keyset() const { return !start_.document_id.empty(); }

  bool before(const Listed& a, const Listed& b) const {
    if (query_.sort) {
      bool null_a = a.key.is_null(), null_b = b.key.is_null();
      if (null_a != null_b) return query_.sort->nulls_last ? null_b : null_a;
      if (int c = compare_json(a.key, b.key)) return query_.sort->descending ? c > 0 : c < 0;
    }
    if (int c = a.document.document_id.compare(b.document.document_id)) return c < 0;
    return collections_[a.collection].resource.id < collections_[b.collection].resource.id;
  }

  Listed make_row(size_t i, Document document) const {
    json::value key = query_.sort ? sort_key(document, query_.sort->field) : json::value(nullptr);
    return {i, std::move(document), std::move(key)};
  }

  mvs::Projection projection() const {
    std::vector<std::string> more;
    if (query_.sort) more.push_back(query_.sort->field);
    return projection_of(query_.view, more);
  }

  Status scan(size_t i, size_t offset, size_t limit) {
    mvs::ScanRequest request;
    request.table_id = collections_[i].collection.table_id();
    request.filter = settle_collection_id(query_.filter, collections_[i].collection);
    request.sort = query_.sort;
    request.offset = keyset() ? 0 : offset;
    request.limit = limit;
    request.after_document_id = start_.document_id;
    request.projection = projection();
    request.with_total = query_.page.include_total && !keyset();
    QUARRY_ASSIGN_OR_RETURN(auto result, deps_.vectors->scan(request));
    for (auto& document : result.documents) rows_.push_back(make_row(i, std::move(document)));
    if (request.with_total) total_ += result.total.value_or(0), counted_ = true;
    return Ok{};
  }

  // The page before ended with a document of that id in another collection: one here may come after it.
  Status add_twin_of_start(size_t i, bool streamed) {
    if (!keyset() || collections_[i].resource.id <= start_.collection_id) return Ok{};
    mvs::ScanRequest request;
    request.table_id = collections_[i].collection.table_id();
    request.filter =
        all_of({settle_collection_id(query_.filter, collections_[i].collection), equals("document_id", json::value(start_.document_id))});
    request.limit = 1;
    request.projection = streamed ? mvs::Projection{} : projection();
    QUARRY_ASSIGN_OR_RETURN(auto twins, deps_.vectors->scan(request));
    for (auto& twin : twins.documents)
      if (!streamed || wanted(twin)) rows_.push_back(make_row(i, std::move(twin)));
    return Ok{};
  }

  bool wanted(const Document& document) const {
    if (query_.partition_count > 1 &&
        hash64(document.document_id) % static_cast<uint64_t>(query_.partition_count) != static_cast<uint64_t>(query_.partition_index))
      return false;
    if (folded_.empty() || fold_text(document.document_id).find(folded_) != std::string::npos) return true;
    return std::any_of(document.payload.begin(), document.payload.end(),
                       [&](const auto& member) { return any_string_contains(member.value(), folded_); });
  }

  // Reads every row and keeps the best `needed_` in a heap whose top is the worst.
  Status stream(size_t i) {
    auto order = [this](const Listed& a, const Listed& b) { return before(a, b); };
    mvs::Projection projection;
    projection.vectors = query_.view.vectors || query_.view.vector_names_only;
    projection.vector_names = query_.view.vector_names;
    auto visit = [&](const Document& document) {
      if (!wanted(document)) return true;
      ++total_;
      if (keyset() && document.document_id <= start_.document_id) return true;
      rows_.push_back(make_row(i, document));
      std::push_heap(rows_.begin(), rows_.end(), order);
      if (rows_.size() <= needed_) return true;
      std::pop_heap(rows_.begin(), rows_.end(), order);
      rows_.pop_back();
      return true;
    };
    counted_ = true;
    Filter filter = settle_collection_id(query_.filter, collections_[i].collection);
    QUARRY_RETURN_IF_ERROR(deps_.vectors->for_each(collections_[i].collection.table_id(), filter, projection, visit));
    return Ok{};
  }

  const Dependencies& deps_;
  const std::vector<OpenCollection>& collections_;
  const DocumentQuery& query_;
  const Start start_;
  const size_t needed_;
  const std::string folded_;
  std::vector<Listed> rows_;
  uint64_t total_ = 0;
  bool counted_ = false, has_more_ = false;
};

std::string cursor_after(const DocumentQuery& query, const Start& start, const std::vector<Listed>& rows,
                         const std::vector<OpenCollection>& collections) {
  if (query.sort) return fmt::format("{}{}", kOffsetCursor, start.offset + rows.size());
  if (rows.empty()) return "";
  return rows.back().document.document_id + kCursorBreak + collections[rows.back().collection].resource.id;
}

}  // namespace

Result<json::object> list_documents(const RequestContext& context, const Dependencies& deps, const std::vector<OpenCollection>& collections,
                                    const DocumentQuery& query) {
  if (!query.group_by.empty()) return list_groups(context, deps, collections, query);
  QUARRY_ASSIGN_OR_RETURN(Start start, start_of(query));
  DocumentLister lister(deps, collections, query, start);
  QUARRY_RETURN_IF_ERROR(lister.run());
  json::array results;
  results.reserve(lister.rows().size());
  for (const auto& row : lister.rows())
    results.push_back(show_document(context, deps, collections[row.collection].collection, row.document, query.view));
  json::object reply;
  auto total = query.page.include_total ? lister.total() : std::nullopt;
  std::string cursor = cursor_after(query, start, lister.rows(), collections);
  reply["pagination"] = pagination(query.page, results.size(), lister.has_more(), total, cursor);
  reply["results"] = std::move(results);
  if (total) {
    reply["total_documents"] = *total;
    reply["stats"] = json::object{{"total_documents", *total}};
  }
  return reply;
}

}  // namespace quarry::service
