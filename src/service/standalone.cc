// Standalone namespaces: documents with the client's own vectors.
#include "service/standalone.h"

#include <fmt/format.h>

#include <unordered_map>
#include <unordered_set>

#include "base/log.h"
#include "model/feature_uri.h"
#include "model/ids.h"
#include "model/vector_json.h"
#include "service/binding.h"
#include "service/collection_definition.h"
#include "service/documents.h"
#include "service/internals.h"
#include "service/json_access.h"
#include "service/own_vectors.h"
#include "service/payload_indexes.h"
#include "service/resources.h"

namespace quarry::service {
namespace {

constexpr std::string_view kDefaultCollectionName = "documents";

bool is_standalone(const OpenNamespace& ns) { return string_member(ns.resource.body, "mode") == "standalone"; }

CollectionVector column_of(const json::object& config) {
  CollectionVector column;
  column.name = string_member(config, "name");
  column.feature_uri = std::string(kOwnVectorUri) + column.name;
  column.type = string_member(config, "type", "dense");
  column.dimension = column.type == "sparse" ? 0 : static_cast<uint32_t>(integer_member(config, "dimension").value_or(0));
  column.metric = string_member(config, "metric", column.type == "sparse" ? "dot" : "cosine");
  return column;
}

std::vector<CollectionVector> declared_columns(const catalog::Resource& ns) {
  std::vector<CollectionVector> columns;
  if (const json::array* configs = array_member(ns.body, "vector_configs"))
    for (const auto& config : *configs)
      if (config.is_object()) columns.push_back(column_of(config.get_object()));
  return columns;
}

Result<OpenCollection> make_collection(const OpenNamespace& ns, const Dependencies& deps, std::string id, std::string_view name) {
  json::object body = direct_collection_body(id, name, declared_columns(ns.resource));
  return store_collection(ns.context, deps, std::move(id), std::move(body));
}

Status check_namespace_id(std::string_view id) {
  auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  bool good = !id.empty() && id.size() <= 128 && allowed(id[0]) &&
              std::all_of(id.begin(), id.end(), [&](char c) { return allowed(c) || c == '_' || c == '-'; });
  if (good) return Ok{};
  return validation_error("string_pattern", {"body", "namespace_id"},
                          "namespace_id has 1 to 128 letters, digits, '_' or '-', and begins with a letter or digit");
}

Result<Reply> create_standalone(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto ns, make_standalone_namespace(context, deps, request.object()));
  json::object reply{{"namespace_id", ns.resource.id}, {"namespace_name", ns.resource.name}, {"mode", "standalone"}, {"status", "active"}};
  copy_members(reply, ns.resource.body, {"vector_configs", "default_collection_id"});
  reply["tiering"] = "auto";
  reply["document_count"] = 0;
  reply["created_at"] = format_timestamp(ns.resource.created_at);
  return Reply(std::move(reply));
}

// The collection that an upsert goes to; a standalone namespace makes one that is named for the first time.
Result<OpenCollection> target_collection(const OpenNamespace& ns, const Dependencies& deps, const json::object& body) {
  std::string_view named = string_member(body, "collection_id");
  if (named.empty()) named = string_member(ns.resource.body, "default_collection_id");
  if (named.empty())
    return validation_error("missing", {"body", "collection_id"}, "collection_id is needed: this namespace is not a standalone one");
  auto opened = open_collection(ns.context, deps, named);
  if (opened.ok() || opened.error().kind != ErrorKind::kNotFound || !is_standalone(ns)) return opened;
  QUARRY_RETURN_IF_ERROR(check_resource_name(catalog::kind::kCollection, named, 3, 100));
  auto made = make_collection(ns, deps, new_id("col"), named);
  if (made.ok() || made.error().kind != ErrorKind::kAlreadyExists) return made;
  return open_collection(ns.context, deps, named);  // another request made it meanwhile
}

// ---- vectors that were never declared ---------------------------------------------------------------------------------

// The config of a vector as it comes: its shape tells its type. Nothing: its shape says nothing, or it is no vector.
json::object config_of(std::string_view name, const json::value& value) {
  const json::array* values = value.if_array();
  const json::value* first = values != nullptr && !values->empty() ? &values->front() : nullptr;
  if (value.is_object() && value.get_object().contains("indices")) return {{"name", name}, {"type", "sparse"}, {"metric", "dot"}};
  if (first == nullptr) return {};
  if (first->is_number()) return {{"name", name}, {"type", "dense"}, {"dimension", values->size()}, {"metric", "cosine"}};
  if (!first->is_array() || first->get_array().empty()) return {};
  return {{"name", name}, {"type", "multi_dense"}, {"dimension", first->get_array().size()}, {"metric", "cosine"}};
}

// Names, types and dimensions as the documents bring them; the first document with a name decides. kValidation past kMaxVectors.
Result<std::vector<CollectionVector>> undeclared_columns(const Collection& collection, const json::array& documents) {
  std::vector<CollectionVector> out;
  std::unordered_set<std::string_view> names;  // views into `documents`
  for (const auto& entry : documents) {
    const json::object* document = entry.if_object();
    const json::object* vectors = document ? object_member(*document, "vectors") : nullptr;
    if (!vectors) continue;
    for (const auto& member : *vectors) {
      std::string_view name = member.key();
      json::object config = config_of(name, member.value());
      if (config.empty() || collection.find_vector(name) || !names.insert(name).second) continue;
      if (collection.vectors.size() + names.size() > kMaxVectors)
        return validation_error(
            "too_long", {"body", "documents"},
            fmt::format("a collection has at most {} vectors; '{}' would be one more", kMaxVectors, name.substr(0, 200)));
      out.push_back(column_of(config));
    }
  }
  return out;
}

void add_index(json::object& body, const CollectionVector& column) {
  json::value& indexes = body["vector_indexes"];
  if (!indexes.is_array()) indexes = json::array{};
  for (const auto& index : indexes.get_array())
    if (index.is_object() && string_member(index.get_object(), "name") == column.name) return;
  indexes.get_array().push_back(column.to_json());
}

// A namespace made without vector_configs takes the vectors that come; one made with them refuses others.
Status admit_new_columns(const OpenNamespace& ns, const Dependencies& deps, const json::array& documents, OpenCollection& opened) {
  if (!is_standalone(ns) || !declared_columns(ns.resource).empty()) return Ok{};
  QUARRY_ASSIGN_OR_RETURN(auto columns, undeclared_columns(opened.collection, documents));
  if (columns.empty()) return Ok{};
  json::array configs;
  for (const auto& column : columns) {
    json::object config{{"name", column.name}, {"type", column.type}, {"metric", column.metric}};
    if (column.dimension > 0) config["dimension"] = column.dimension;
    configs.push_back(std::move(config));
  }
  QUARRY_RETURN_IF_ERROR(check_vector_configs(configs));
  Collection grown = opened.collection;
  grown.vectors.insert(grown.vectors.end(), columns.begin(), columns.end());
  QUARRY_RETURN_IF_ERROR(deps.vectors->extend_table(pipeline::table_spec(grown, ns.context.internal_id)));
  auto stored = deps.catalog->update(catalog::kind::kCollection, namespace_scope(ns.context), opened.resource.id,
                                     [&](catalog::Resource& r) -> Status {
                                       for (const auto& column : columns) add_index(r.body, column);
                                       return Ok{};
                                     });
  QUARRY_RETURN_IF_ERROR(stored);
  QUARRY_ASSIGN_OR_RETURN(opened, open_stored_collection(ns.context, deps, std::move(*stored)));
  return Ok{};
}

// ---- upsert -----------------------------------------------------------------------------------------------------------

// Turns the request's documents into one batch. The values of a vector are read from the JSON straight into the floats that are stored.
// Times are left to the store, which keeps created_at of a document that is there.
class UpsertReader {
 public:
  explicit UpsertReader(const Collection& collection) : collection_(collection) {}

  Status read(const json::array& documents) {
    batch.upserts.reserve(documents.size());
    positions_.reserve(documents.size());
    for (size_t i = 0; i < documents.size(); ++i) {
      Status added = documents[i].is_object() ? add(documents[i].get_object(), i)
                                              : Status(validation_error("type_error", {"body", "documents", i}, "a document is an object"));
      if (!added.ok()) return at_document(std::move(added).error(), i);
    }
    return Ok{};
  }

  mvs::WriteBatch batch;
  json::object dropped_fields;
  size_t repeated = 0;

 private:
  static Error at_document(Error error, size_t i) {
    error.details["document_index"] = i;
    return std::move(error).with_context(fmt::format("documents[{}]", i));
  }

  Status add(const json::object& source, size_t i) {
    std::string_view id = string_member(source, "document_id");
    if (!is_safe_name(id))
      return validation_error("value_error", {"body", "documents", i, "document_id"},
                              "document_id must be a plain name without '/' or control characters");
    if (source.contains("acl")) return Error{ErrorKind::kNotImplemented, "'acl' of a document is not built yet"};
    auto [position, fresh] = positions_.emplace(id, batch.upserts.size());
    if (fresh)
      batch.upserts.emplace_back();
    else
      ++repeated;
    Document& document = batch.upserts[position->second];
    document = Document{};  // the last of equal ids wins
    document.document_id = id;
    read_lineage(source, document.lineage);
    read_payload(source, document);
    return read_vectors(source, document);
  }

  void read_lineage(const json::object& source, Lineage& lineage) const {
    lineage.source_type = string_member(source, "source_type", "direct_upsert");
    lineage.root_object_id = string_member(source, "root_object_id");
    lineage.root_bucket_id = string_member(source, "root_bucket_id");
    lineage.source_object_id = string_member(source, "source_object_id");
    lineage.source_document_id = string_member(source, "source_document_id");
    lineage.source_collection_id = string_member(source, "source_collection_id");
    lineage.lineage_path = string_member(source, "lineage_path", collection_.collection_id);
  }

  void read_payload(const json::object& source, Document& document) {
    json::array dropped;
    if (const json::object* payload = object_member(source, "payload")) {
      document.payload.reserve(payload->size() + 3);
      for (const auto& member : *payload) {
        if (is_reserved_member(member.key()))
          dropped.emplace_back(member.key());
        else
          document.payload[member.key()] = member.value();
      }
    }
    copy_members(document.payload, source, {"metadata", "content_hash", "lineage_chain"});
    if (!dropped.empty()) dropped_fields[document.document_id] = std::move(dropped);
  }

  Status read_vectors(const json::object& source, Document& document) {
    const json::object* vectors = object_member(source, "vectors");
    if (!vectors) return Ok{};
    QUARRY_ASSIGN_OR_RETURN(OwnVectors parsed, parse_vectors(collection_, *vectors));
    parsed.move_into(document);
    return Ok{};
  }

  const Collection& collection_;
  std::unordered_map<std::string_view, size_t> positions_;  // views into the request
};

json::object show_written(const OpenCollection& opened, const mvs::WriteResult& written, json::array ids, bool want_token,
                          UpsertReader& reader) {
  json::object reply{{"inserted", ids.size()}, {"document_ids", std::move(ids)}};
  reply["collection_id"] = opened.resource.id;
  if (want_token) reply["write_token"] = fmt::format("{}:{}", opened.resource.id, written.version);
  if (!reader.dropped_fields.empty()) reply["dropped_payload_fields"] = std::move(reader.dropped_fields);
  json::array warnings;
  if (reader.repeated > 0)
    warnings.emplace_back(fmt::format("{} documents repeat a document_id of this request; the last one of each was kept", reader.repeated));
  if (written.repeated) warnings.emplace_back("this idempotency_key was used before; nothing was written again");
  if (!warnings.empty()) reply["warnings"] = std::move(warnings);
  // A write that was acknowledged is visible to every read that begins later.
  reply["consistency"] =
      json::object{{"retriever_visible", "immediate"}, {"write_token_available", want_token}, {"expected_visible_within_ms", 0}};
  return reply;
}

Result<Reply> upsert_documents(const RequestContext& context, const Request& request, const Dependencies& deps) {
  const json::object& body = request.object();
  QUARRY_ASSIGN_OR_RETURN(auto ns, open_namespace(context, deps, request.param("namespace_id"), kWrite));
  const json::array* documents = array_member(body, "documents");
  if (!documents) return validation_error("missing", {"body", "documents"}, "documents is missing");
  QUARRY_ASSIGN_OR_RETURN(auto opened, target_collection(ns, deps, body));
  QUARRY_RETURN_IF_ERROR(check_writable(opened.collection));
  QUARRY_RETURN_IF_ERROR(admit_new_columns(ns, deps, *documents, opened));
  QUARRY_RETURN_IF_ERROR(take_payload_indexes(ns.context, deps, ns.resource.body, opened));
  UpsertReader reader(opened.collection);
  QUARRY_RETURN_IF_ERROR(reader.read(*documents));
  json::array ids;
  ids.reserve(reader.batch.upserts.size());
  json::array unsearchable;
  for (const auto& document : reader.batch.upserts) {
    ids.emplace_back(document.document_id);
    if (vector_names(document).empty()) unsearchable.emplace_back(document.document_id);
  }
  const json::object* options = object_member(body, "options");
  if (options)
    if (auto key = string_member(*options, "idempotency_key"); !key.empty()) {
      reader.batch.txn_app = fmt::format("upsert:{}", key);
      reader.batch.txn_version = 1;
    }
  mvs::WriteResult written;
  if (!reader.batch.upserts.empty()) {
    QUARRY_ASSIGN_OR_RETURN(written, deps.vectors->write(opened.collection.table_id(), std::move(reader.batch)));
  }
  json::object reply = show_written(opened, written, std::move(ids), options && bool_member(*options, "write_token"), reader);
  if (!unsearchable.empty()) reply["unsearchable_document_ids"] = std::move(unsearchable);
  return Reply(std::move(reply));
}

Result<Reply> get_own_document(const RequestContext& context, const Request& request, const Dependencies& deps) {
  QUARRY_ASSIGN_OR_RETURN(auto ns, open_namespace(context, deps, request.param("namespace_id"), kRead));
  QUARRY_ASSIGN_OR_RETURN(auto view, read_view_options({}, request.query));
  QUARRY_ASSIGN_OR_RETURN(auto found, find_document_anywhere(ns.context, deps, request.param("document_id"), projection_of(view)));
  note_query(deps, found.opened.collection);
  return Reply(show_document(ns.context, deps, found.opened.collection, found.document, view));
}

}  // namespace

Result<OpenNamespace> make_standalone_namespace(const RequestContext& context, const Dependencies& deps, const json::object& body) {
  const json::object* storage = object_member(body, "storage");
  if (storage && !string_member(*storage, "connection_id").empty())
    return Error{ErrorKind::kNotImplemented, "'storage.connection_id' is not built yet"};
  NewNamespace wanted;
  wanted.namespace_id = string_member(body, "namespace_id");
  wanted.name = string_member(body, "namespace_name", wanted.namespace_id);
  if (wanted.name.empty()) return validation_error("missing", {"body", "namespace_id"}, "namespace_id or namespace_name is needed");
  if (!wanted.namespace_id.empty()) QUARRY_RETURN_IF_ERROR(check_namespace_id(wanted.namespace_id));
  QUARRY_RETURN_IF_ERROR(check_payload_indexes(body));
  const json::array* configs = array_member(body, "vector_configs");
  QUARRY_ASSIGN_OR_RETURN(json::array checked, check_vector_configs(configs ? *configs : json::array{}));
  std::string collection_id = new_id("col");
  wanted.body = {{"mode", "standalone"}, {"vector_configs", std::move(checked)}, {"default_collection_id", collection_id}};
  copy_members(wanted.body, body, {"description", "config", "auto_create_indexes", "payload_indexes"});
  QUARRY_ASSIGN_OR_RETURN(auto ns, insert_namespace(context, deps, std::move(wanted)));
  auto made = make_collection(ns, deps, collection_id, kDefaultCollectionName);
  if (made.ok()) return ns;
  Status undone = deps.catalog->write(
      [&](catalog::Session& session) { return session.remove(catalog::kind::kNamespace, organization_scope(context), ns.resource.id); });
  if (!undone.ok()) log_warn("a half-made namespace was left", {{"namespace_id", ns.resource.id}, {"reason", undone.error().message}});
  deps.internals->authenticator.forget();
  return std::move(made).error();
}

void bind_standalone(OperationTable& table, const Dependencies& deps) {
  bind_operation(table, deps, "create_standalone_namespace", create_standalone);
  bind_operation(table, deps, "upsert_documents_byo_namespaces", upsert_documents);
  bind_operation(table, deps, "get_document_byo_namespaces", get_own_document);
}

}  // namespace quarry::service
