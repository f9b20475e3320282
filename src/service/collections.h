// Collections, as other handlers need them.
#pragma once

#include "service/service.h"

namespace quarry::service {

inline constexpr size_t kMaxCollections = 1'000;  // of one namespace; more are refused

struct OpenCollection {
  catalog::Resource resource;
  Collection collection;
};

// By id or name in the context's namespace; its table is known to the store afterwards.
Result<OpenCollection> open_collection(const RequestContext& context, const Dependencies& deps, std::string_view identifier);
Result<OpenCollection> open_stored_collection(const RequestContext& context, const Dependencies& deps, catalog::Resource resource);
// What the vector store calls the collection's table; of a row that cannot be parsed its id.
std::string stored_table_id(const catalog::Resource& collection);
// Those named, or all of the namespace when none is; archived ones are left out unless named (then kBadRequest).
Result<std::vector<OpenCollection>> open_collections(const RequestContext& context, const Dependencies& deps,
                                                     const std::vector<std::string>& identifiers);

// kBadRequest for an archived collection, and for a frozen one if it is to be written.
Status check_readable(const Collection& collection);
Status check_writable(const Collection& collection);

// What tiering rules count as a query: a retriever targets the collection, a request reads documents of one that it names, or finds a
// document by its id.
void note_query(const Dependencies& deps, const Collection& collection);

// As the contract's CollectionResponse, with counts and the index signature.
Result<json::object> show_collection(const OpenCollection& opened, const Dependencies& deps);

// Changes whenever the documents' number, the vectors or the schema do.
std::string index_signature(const OpenCollection& opened, uint64_t documents);

// Makes the table, then the row: a reader never finds a collection without one.
Result<OpenCollection> store_collection(const RequestContext& context, const Dependencies& deps, std::string collection_id,
                                        json::object body);

void bind_collection_schema(class OperationTable& table, const Dependencies& deps);
void bind_lifecycle(class OperationTable& table, const Dependencies& deps);
void bind_tiering(class OperationTable& table, const Dependencies& deps);
void bind_collection_trigger(class OperationTable& table, const Dependencies& deps);

}  // namespace quarry::service
