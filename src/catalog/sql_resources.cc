#include <fmt/format.h>

#include <charconv>

#include "catalog/sql_session.h"
#include "model/text.h"

namespace quarry::catalog {
namespace {

constexpr std::string_view kColumns = "kind, id, organization_id, namespace_id, parent_id, name, body, created_at, updated_at, revision";
constexpr std::string_view kColumnTypes = "tttttttnnn";
// Rows read at once while a filter looks at them. Orders without an index are sorted anew for each batch, so their batches are larger.
constexpr size_t kIndexedBatch = 256, kSortedBatch = 2'048;

std::string text(std::string_view s) { return std::string(s); }

Error absent(std::string_view kind, std::string_view id) { return not_found(fmt::format("{} '{}' does not exist", kind, clip(id, 300))); }

Result<Resource> read_resource(const Rows& rows) {
  Resource out{rows.text(0), rows.text(1), rows.text(2),   rows.text(3),   rows.text(4),
               rows.text(5), {},           rows.number(7), rows.number(8), rows.number(9)};
  QUARRY_ASSIGN_OR_RETURN(out.body, parse_body(rows.text(6), out.id));
  return out;
}

std::string_view sort_column(SortKey key) {
  switch (key) {
    case SortKey::kCreatedAt: return "created_at";
    case SortKey::kUpdatedAt: return "updated_at";
    case SortKey::kName: return "name";
    case SortKey::kId: return "id";
  }
  return "created_at";
}

Position position_of(SortKey key, const Resource& r) {
  switch (key) {
    case SortKey::kCreatedAt: return {std::to_string(r.created_at), r.id};
    case SortKey::kUpdatedAt: return {std::to_string(r.updated_at), r.id};
    case SortKey::kName: return {r.name, r.id};
    case SortKey::kId: return {r.id, r.id};
  }
  return {};
}

// The indexed conditions of `query`.
std::string where_of(const ListQuery& query, SqlValues& parameters) {
  std::string where = "kind = :kind AND organization_id = :organization";
  parameters = {text(query.kind), query.scope.organization_id};
  if (!query.all_namespaces) {
    where += " AND namespace_id = :namespace";
    parameters.emplace_back(query.scope.namespace_id);
  }
  if (query.parent_id) {
    where += " AND parent_id = :parent";
    parameters.emplace_back(*query.parent_id);
  }
  return where;
}

// The condition "after `position`", or nothing. kBadRequest unless that is a place in the query's order.
Result<std::string> append_position(const ListQuery& query, const Position& position, SqlValues& parameters) {
  if (position.id.empty()) return std::string();
  char relation = query.descending ? '<' : '>';
  if (query.sort == SortKey::kId) {
    parameters.emplace_back(position.id);
    return fmt::format(" AND id {} :after_id", relation);
  }
  if (query.sort == SortKey::kName) {
    parameters.emplace_back(position.sort_value);
  } else {
    const std::string& digits = position.sort_value;
    long long time = 0;
    auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), time);
    if (ec != std::errc() || end != digits.data() + digits.size()) return bad_request("the position belongs to a list with another order");
    parameters.emplace_back(time);
  }
  parameters.emplace_back(position.id);
  return fmt::format(" AND ({}, id) {} (:after_key, :after_id)", sort_column(query.sort), relation);
}

std::string order_by(const ListQuery& query) {
  const char* direction = query.descending ? "DESC" : "ASC";
  if (query.sort == SortKey::kId) return fmt::format(" ORDER BY id {}", direction);
  return fmt::format(" ORDER BY {0} {1}, id {1}", sort_column(query.sort), direction);
}

bool needs_filtering(const ListQuery& query) { return !query.filter.matches_all() || !query.name_contains.empty(); }

bool is_storable_query(const ListQuery& query) {
  return is_storable(query.kind) && is_storable(query.scope.organization_id) && is_storable(query.scope.namespace_id) &&
         is_storable(query.parent_id.value_or("")) && is_storable(query.after.sort_value) && is_storable(query.after.id);
}

Status check_storable(const Resource& r) {
  for (const std::string* field : {&r.kind, &r.id, &r.organization_id, &r.namespace_id, &r.parent_id, &r.name})
    if (!is_storable(*field)) return bad_request(fmt::format("{} '{}': names and ids are UTF-8 without NUL", r.kind, storable(r.id)));
  if (r.kind.empty() || r.id.empty()) return bad_request("a resource needs a kind and an id");
  return Ok{};
}

}  // namespace

Result<std::vector<Resource>> SqlSession::select(const std::string& where_and_order, SqlValues parameters) {
  Rows rows = db_.query(fmt::format("SELECT {} FROM resources WHERE {}", kColumns, where_and_order), kColumnTypes, std::move(parameters));
  std::vector<Resource> out;
  while (rows.next()) {
    QUARRY_ASSIGN_OR_RETURN(Resource resource, read_resource(rows));
    out.push_back(std::move(resource));
  }
  return out;
}

Result<Resource> SqlSession::select_one(const std::string& where, SqlValues parameters, Error absent_error) {
  QUARRY_ASSIGN_OR_RETURN(auto found, select(where, std::move(parameters)));
  if (found.empty()) return absent_error;
  return std::move(found.front());
}

Status SqlSession::insert(const Resource& r) {
  written_kinds_ |= uint64_t{1} << kind_bit(r.kind);
  QUARRY_RETURN_IF_ERROR(check_storable(r));
  QUARRY_ASSIGN_OR_RETURN(std::string body, body_text(r.body));
  return guarded([&]() -> Status {
    long long created = r.created_at != 0 ? r.created_at : clock_.now_us();
    long long updated = r.updated_at != 0 ? r.updated_at : created;
    long long inserted = db_.execute(
        "INSERT INTO resources (kind, id, organization_id, namespace_id, parent_id, name, body, created_at, updated_at, revision) "
        "VALUES (:kind, :id, :organization, :namespace, :parent, :name, :body, :created, :updated, :revision) ON CONFLICT DO NOTHING",
        {r.kind, r.id, r.organization_id, r.namespace_id, r.parent_id, r.name, std::move(body), created, updated,
         static_cast<long long>(r.revision)});
    if (inserted == 1) return Ok{};
    if (name_is_taken(r)) return already_exists(fmt::format("a {} named '{}' exists already", r.kind, r.name));
    return already_exists(fmt::format("{} '{}' exists already", r.kind, r.id));
  });
}

// Whether another resource bears the name.
bool SqlSession::name_is_taken(const Resource& r) {
  if (r.name.empty()) return false;
  return count_where(
             "resources",
             "kind = :kind AND organization_id = :organization AND namespace_id = :namespace AND parent_id = :parent AND name = :name AND "
             "name <> '' AND id <> :id",
             {r.kind, r.organization_id, r.namespace_id, r.parent_id, r.name, r.id}) > 0;
}

Result<Resource> SqlSession::get(std::string_view kind, const Scope& scope, std::string_view id) {
  if (!is_storable(id) || !is_storable(scope.organization_id) || !is_storable(scope.namespace_id)) return absent(kind, storable(id));
  return guarded([&]() -> Result<Resource> {
    return select_one("kind = :kind AND id = :id AND organization_id = :organization AND namespace_id = :namespace",
                      {text(kind), text(id), scope.organization_id, scope.namespace_id}, absent(kind, id));
  });
}

Result<Resource> SqlSession::get_any(std::string_view kind, std::string_view id) {
  if (!is_storable(id)) return absent(kind, storable(id));
  return guarded([&]() -> Result<Resource> { return select_one("kind = :kind AND id = :id", {text(kind), text(id)}, absent(kind, id)); });
}

Result<Resource> SqlSession::find(std::string_view kind, const Scope& scope, std::string_view id_or_name,
                                  std::optional<std::string_view> parent_id) {
  auto by_id = get(kind, scope, id_or_name);
  bool is_final = by_id.ok() || by_id.error().kind != ErrorKind::kNotFound || id_or_name.empty() || !is_storable(id_or_name);
  if (is_final) return by_id;
  return guarded([&]() -> Result<Resource> {
    std::string where = "kind = :kind AND organization_id = :organization AND namespace_id = :namespace AND name = :name AND name <> ''";
    SqlValues parameters{text(kind), scope.organization_id, scope.namespace_id, text(id_or_name)};
    if (parent_id) {
      where += " AND parent_id = :parent";
      parameters.emplace_back(storable(*parent_id));
    }
    QUARRY_ASSIGN_OR_RETURN(auto found, select(where + " LIMIT 2", std::move(parameters)));
    if (found.empty()) return absent(kind, id_or_name);
    if (found.size() > 1) return bad_request(fmt::format("several {}s are named '{}'; use the id", kind, id_or_name));
    return std::move(found.front());
  });
}

Status SqlSession::replace(const Resource& r) {
  written_kinds_ |= uint64_t{1} << kind_bit(r.kind);
  QUARRY_RETURN_IF_ERROR(check_storable(r));
  QUARRY_ASSIGN_OR_RETURN(std::string body, body_text(r.body));
  return guarded([&]() -> Status {
    if (name_is_taken(r)) return already_exists(fmt::format("a {} named '{}' exists already", r.kind, r.name));
    long long updated = db_.execute(
        "UPDATE resources SET parent_id = :parent, name = :name, body = :body, updated_at = :updated, revision = revision + 1 "
        "WHERE kind = :kind AND id = :id AND organization_id = :organization AND namespace_id = :namespace AND revision = :revision",
        {r.parent_id, r.name, std::move(body), static_cast<long long>(clock_.now_us()), r.kind, r.id, r.organization_id, r.namespace_id,
         static_cast<long long>(r.revision)});
    if (updated == 1) return Ok{};
    QUARRY_RETURN_IF_ERROR(get(r.kind, {r.organization_id, r.namespace_id}, r.id));
    return Error{ErrorKind::kConflict, fmt::format("{} '{}' was changed by another request", r.kind, r.id)};
  });
}

Status SqlSession::remove(std::string_view kind, const Scope& scope, std::string_view id) {
  written_kinds_ |= uint64_t{1} << kind_bit(kind);
  if (!is_storable(id)) return absent(kind, storable(id));
  return guarded([&]() -> Status {
    long long removed = db_.execute(
        "DELETE FROM resources WHERE kind = :kind AND id = :id AND organization_id = :organization AND namespace_id = :namespace",
        {text(kind), text(id), scope.organization_id, scope.namespace_id});
    return removed == 1 ? Status(Ok{}) : Status(absent(kind, id));
  });
}

Status SqlSession::remove_children(std::string_view kind, const Scope& scope, std::string_view parent_id) {
  written_kinds_ |= uint64_t{1} << kind_bit(kind);
  if (!is_storable(parent_id) || parent_id.empty()) return bad_request("removing children takes the id of a parent");
  return guarded([&]() -> Status {
    db_.execute(
        "DELETE FROM resources WHERE kind = :kind AND parent_id = :parent AND organization_id = :organization "
        "AND namespace_id = :namespace",
        {text(kind), text(parent_id), scope.organization_id, scope.namespace_id});
    return Ok{};
  });
}

Status SqlSession::keep_newest(std::string_view kind, const Scope& scope, std::string_view parent_id, size_t count) {
  written_kinds_ |= uint64_t{1} << kind_bit(kind);
  if (!is_storable(parent_id)) return Ok{};
  return guarded([&]() -> Status {
    const std::string own =
        "kind = :{0}kind AND organization_id = :{0}organization AND namespace_id = :{0}namespace AND parent_id = :{0}parent";
    const auto of_it = [&](const char* prefix) { return fmt::format(fmt::runtime(own), prefix); };
    const SqlValues known{text(kind), scope.organization_id, scope.namespace_id, text(parent_id)};
    SqlValues parameters = known;
    parameters.insert(parameters.end(), known.begin(), known.end());
    parameters.emplace_back(static_cast<long long>(count));
    db_.execute(fmt::format("DELETE FROM resources WHERE {} AND (created_at, id) <= (SELECT created_at, id FROM resources WHERE {} "
                            "ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET :count)",
                            of_it(""), of_it("newest_")),
                std::move(parameters));
    return Ok{};
  });
}

Result<ResourcePage> SqlSession::list_directly(const ListQuery& query) {
  SqlValues parameters;
  std::string where = where_of(query, parameters);
  QUARRY_ASSIGN_OR_RETURN(std::string position, append_position(query, query.after, parameters));
  parameters.emplace_back(static_cast<long long>(std::min<size_t>(query.limit, INT32_MAX) + 1));
  parameters.emplace_back(static_cast<long long>(std::min<size_t>(query.offset, INT64_MAX)));
  ResourcePage page;
  QUARRY_ASSIGN_OR_RETURN(page.items, select(where + position + order_by(query) + " LIMIT :limit OFFSET :offset", std::move(parameters)));
  page.has_more = page.items.size() > query.limit;
  if (page.has_more) page.items.resize(query.limit);
  return page;
}

// Hands each resource that passes the filter to `visit`, in order, until that returns false. Memory: one batch.
Status SqlSession::scan(const ListQuery& query, const std::function<bool(Resource)>& visit) {
  SqlValues base;
  std::string where = where_of(query, base);
  SqlValues parameters = base;
  QUARRY_ASSIGN_OR_RETURN(std::string position, append_position(query, query.after, parameters));
  size_t batch = query.sort == SortKey::kCreatedAt || query.sort == SortKey::kId ? kIndexedBatch : kSortedBatch;
  std::string wanted_name = fold_text(query.name_contains);
  for (;;) {
    parameters.emplace_back(static_cast<long long>(batch));
    QUARRY_ASSIGN_OR_RETURN(auto rows, select(where + position + order_by(query) + " LIMIT :limit", std::move(parameters)));
    bool is_last = rows.size() < batch;
    if (!is_last) {
      parameters = base;
      QUARRY_ASSIGN_OR_RETURN(position, append_position(query, position_of(query.sort, rows.back()), parameters));
    }
    for (Resource& r : rows) {
      bool passes = (wanted_name.empty() || fold_text(r.name).find(wanted_name) != std::string::npos) && matches(query.filter, r.body);
      if (passes && !visit(std::move(r))) return Ok{};
    }
    if (is_last) return Ok{};
  }
}

Result<ResourcePage> SqlSession::list_filtered(const ListQuery& query) {
  ResourcePage page;
  size_t to_skip = query.offset;
  QUARRY_RETURN_IF_ERROR(scan(query, [&](Resource r) {
    if (to_skip > 0) {
      --to_skip;
      return true;
    }
    page.has_more = page.items.size() == query.limit;
    if (!page.has_more) page.items.push_back(std::move(r));
    return !page.has_more;
  }));
  return page;
}

Result<ResourcePage> SqlSession::list(const ListQuery& query) {
  if (!is_storable_query(query)) return ResourcePage{};
  return guarded([&]() -> Result<ResourcePage> {
    QUARRY_ASSIGN_OR_RETURN(ResourcePage page, needs_filtering(query) ? list_filtered(query) : list_directly(query));
    page.last = page.items.empty() ? query.after : position_of(query.sort, page.items.back());
    if (query.with_total) {
      QUARRY_ASSIGN_OR_RETURN(page.total, count(query));
    }
    return page;
  });
}

// Of every resource that passes, wherever the page stands.
Result<uint64_t> SqlSession::count(const ListQuery& query) {
  if (!is_storable_query(query)) return uint64_t{0};
  return guarded([&]() -> Result<uint64_t> {
    SqlValues parameters;
    std::string where = where_of(query, parameters);
    if (!needs_filtering(query)) return count_where("resources", where, std::move(parameters));
    ListQuery all = query;
    all.after = {};
    all.sort = SortKey::kCreatedAt;
    uint64_t total = 0;
    QUARRY_RETURN_IF_ERROR(scan(all, [&](const Resource&) { return ++total > 0; }));
    return total;
  });
}

uint64_t SqlSession::count_where(const std::string& table, const std::string& where, SqlValues parameters) {
  Rows rows = db_.query(fmt::format("SELECT COUNT(*) FROM {} WHERE {}", table, where), "n", std::move(parameters));
  uint64_t total = 0;
  while (rows.next()) total = static_cast<uint64_t>(rows.number(0));
  return total;
}

}  // namespace quarry::catalog
