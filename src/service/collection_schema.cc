// Bringing a collection's output schema up to date with the fields that its documents have.
#include <fmt/format.h>

#include <set>

#include "service/binding.h"
#include "service/collections.h"
#include "service/documents.h"
#include "service/json_access.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

constexpr int64_t kSyncEveryUs = 300'000'000;

std::optional<FieldType> type_of(const json::value& value) {
  switch (value.kind()) {
    case json::kind::string: return FieldType::kString;
    case json::kind::int64:
    case json::kind::uint64: return FieldType::kInteger;
    case json::kind::double_: return FieldType::kNumber;
    case json::kind::bool_: return FieldType::kBoolean;
    case json::kind::object: return FieldType::kObject;
    case json::kind::array: return FieldType::kArray;
    case json::kind::null: return std::nullopt;
  }
  return std::nullopt;
}

// Fields that the schema lacks, by the one type that all samples agree on; whole numbers beside fractions are numbers.
class FieldSampler {
 public:
  explicit FieldSampler(const ObjectSchema& known) : known_(known) {}

  void add(const json::object& payload) {
    for (const auto& member : payload) {
      std::string name(member.key());
      if (known_.properties.contains(name) || is_reserved_member(name)) continue;
      auto type = type_of(member.value());
      if (!type) continue;
      auto [it, fresh] = types_.emplace(name, *type);
      if (fresh || it->second == *type) continue;
      bool numeric = is_numeric(it->second) && is_numeric(*type);
      if (numeric)
        it->second = FieldType::kNumber;
      else
        mixed_.insert(name);
    }
  }

  ObjectSchema found() const {
    ObjectSchema out;
    for (const auto& [name, type] : types_)
      if (!mixed_.contains(name)) out.properties.emplace(name, FieldSchema{type});
    return out;
  }

 private:
  static bool is_numeric(FieldType type) { return type == FieldType::kInteger || type == FieldType::kNumber; }

  const ObjectSchema& known_;
  std::map<std::string, FieldType> types_;
  std::set<std::string> mixed_;
};

bool synced_lately(const OpenCollection& opened, TimestampUs now) {
  auto last = parse_timestamp(string_member(opened.resource.body, "last_schema_sync"));
  return last.ok() && now - *last < kSyncEveryUs;
}

Reply skipped(const OpenCollection& opened, std::string_view reason) {
  json::object reply{{"success", true}, {"skipped", true}, {"reason", reason}, {"collection_id", opened.resource.id}};
  reply["schema_version"] = integer_member(opened.resource.body, "schema_version").value_or(1);
  copy_members(reply, opened.resource.body, {"last_schema_sync"});
  return Reply(std::move(reply));
}

json::object merged_schema(const json::object& body, std::string_view member, const ObjectSchema& more) {
  ObjectSchema schema;
  if (const json::object* current = object_member(body, member))
    if (auto parsed = parse_schema(*current); parsed.ok()) schema = std::move(*parsed);
  for (const auto& [name, field] : more.properties) schema.properties.emplace(name, field);
  return to_json(schema);
}

// Collections that read this one learn the fields as their input.
Status update_downstream(catalog::Session& session, const catalog::Scope& scope, const std::string& collection_id,
                         const ObjectSchema& added, TimestampUs now, json::array& updated) {
  catalog::ListQuery query;
  query.kind = catalog::kind::kCollection;
  query.scope = scope;
  query.limit = kMaxCollections;
  QUARRY_ASSIGN_OR_RETURN(auto page, session.list(query));
  for (auto& other : page.items) {
    const json::object* source = object_member(other.body, "source");
    auto ids = source ? strings_member(*source, "collection_ids") : std::vector<std::string>();
    if (std::find(ids.begin(), ids.end(), collection_id) == ids.end()) continue;
    other.body["input_schema"] = merged_schema(other.body, "input_schema", added);
    other.updated_at = now;
    QUARRY_RETURN_IF_ERROR(session.replace(other));
    updated.emplace_back(other.id);
  }
  return Ok{};
}

Result<Reply> sync_schema(const RequestContext& context, const Request& request, const Dependencies& deps) {
  const json::object& body = request.object();
  TimestampUs now = deps.clock->now_us();
  QUARRY_ASSIGN_OR_RETURN(auto opened, open_collection(context, deps, request.param("collection_id")));
  QUARRY_RETURN_IF_ERROR(check_writable(opened.collection));
  bool force = bool_member(body, "force");
  if (!force && !bool_member(opened.resource.body, "schema_sync_enabled", true)) return skipped(opened, "schema_sync_enabled is off");
  if (!force && synced_lately(opened, now)) return skipped(opened, "the schema was synchronised less than five minutes ago");

  mvs::ScanRequest scan;
  scan.table_id = opened.collection.table_id();
  scan.limit = static_cast<size_t>(integer_member(body, "sample_size").value_or(1'000));
  QUARRY_ASSIGN_OR_RETURN(auto sample, deps.vectors->scan(scan));
  FieldSampler sampler(opened.collection.output_schema);
  for (const auto& document : sample.documents) sampler.add(document.payload);
  const ObjectSchema added = sampler.found();
  Collection grown = opened.collection;
  for (const auto& [name, field] : added.properties) grown.output_schema.properties.emplace(name, field);
  if (!added.properties.empty()) QUARRY_RETURN_IF_ERROR(deps.vectors->extend_table(pipeline::table_spec(grown, context.internal_id)));

  int64_t before = 1, after = 1;
  json::array downstream;
  QUARRY_RETURN_IF_ERROR(deps.catalog->write([&](catalog::Session& session) -> Status {
    downstream.clear();
    QUARRY_ASSIGN_OR_RETURN(auto row, session.get(catalog::kind::kCollection, namespace_scope(context), opened.resource.id));
    before = integer_member(row.body, "schema_version").value_or(1);
    after = before + (added.properties.empty() ? 0 : 1);
    row.body["output_schema"] = merged_schema(row.body, "output_schema", added);
    row.body["schema_version"] = after;
    row.body["last_schema_sync"] = format_timestamp(now);
    row.updated_at = now;
    QUARRY_RETURN_IF_ERROR(session.replace(row));
    if (added.properties.empty() || !bool_member(body, "cascade_to_downstream", true)) return Ok{};
    return update_downstream(session, namespace_scope(context), opened.resource.id, added, now, downstream);
  }));
  json::array names;
  for (const auto& [name, field] : added.properties) names.emplace_back(name);
  json::object reply{{"success", true}, {"collection_id", opened.resource.id}, {"schema_version", after}, {"previous_version", before}};
  reply["message"] = fmt::format("{} fields were added", names.size());
  reply["fields_added"] = std::move(names);
  reply["fields_total"] = grown.output_schema.properties.size();
  reply["documents_sampled"] = sample.documents.size();
  reply["downstream_collections_updated"] = std::move(downstream);
  return Reply(std::move(reply));
}

}  // namespace

void bind_collection_schema(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "sync_collection_schema", sync_schema);
}

}  // namespace quarry::service
