// What the document handlers share: how a document is shown, what of it clients may write, where it is found.
#pragma once

#include "service/collections.h"
#include "service/service.h"

namespace quarry::service {

struct ViewOptions {
  bool presigned_urls = false;
  bool vectors = false;
  bool vector_names_only = false;         // names of the vectors, without their values
  std::vector<std::string> vector_names;  // empty: all
  std::vector<std::string> select;        // dotted paths; empty: all
};

// return_presigned_urls, return_vectors, return_vector_names and select, from the body or else the query. 501 for `expand`.
Result<ViewOptions> read_view_options(const json::object& body, const json::object& query);
// What of the rows has to be read for it; `more_fields` are payload paths needed besides.
mvs::Projection projection_of(const ViewOptions& view, const std::vector<std::string>& more_fields = {});

// The contract's DocumentResponse.
json::object show_document(const RequestContext& context, const Dependencies& deps, const Collection& collection, const Document& document,
                           const ViewOptions& view);

// Members that a document has of itself and that no client writes.
bool is_reserved_member(std::string_view name);
// 422 naming a reserved member of `changes` whose value differs from the one in `current` (which may be null: then any).
Status check_reserved(const json::object& changes, const json::object* current);

struct OwnVectors {
  std::vector<DenseVector> dense;
  std::vector<SparseVector> sparse;
  std::vector<MultiVector> multi;

  // `to` is a Document or a DocumentPatch; what it has stays.
  template <class T>
  void move_into(T& to) {
    std::move(dense.begin(), dense.end(), std::back_inserter(to.vectors));
    std::move(sparse.begin(), sparse.end(), std::back_inserter(to.sparse_vectors));
    std::move(multi.begin(), multi.end(), std::back_inserter(to.multi_vectors));
  }
};

// {name or feature URI: vector}, a vector being [numbers], {indices, values} or [[numbers], ...] by the column's type. 400 naming the
// vector: an unknown name, another type, a wrong dimension, a value that is not finite, indices that are no distinct whole numbers.
Result<OwnVectors> parse_vectors(const Collection& collection, const json::object& vectors);
// The same for one: appends to `out`.
Status append_vector(const CollectionVector& column, const json::value& value, OwnVectors& out);
Error unknown_vector(const Collection& collection, std::string_view name);

// kNotFound naming the document.
Result<Document> find_document(const Dependencies& deps, const OpenCollection& opened, const std::string& document_id,
                               const mvs::Projection& projection);

// Turns a PATCH body into a patch: null removes, `vectors` replaces those named.
Result<mvs::DocumentPatch> make_patch(const Collection& collection, std::string document_id, const json::object& changes);

struct FoundDocument {
  OpenCollection opened;
  Document document;
};
// Looks through the namespace's collections, oldest first.
Result<FoundDocument> find_document_anywhere(const RequestContext& context, const Dependencies& deps, const std::string& document_id,
                                             const mvs::Projection& projection);

// PATCH (`replace` false) and PUT of one document.
Result<json::object> change_document(const RequestContext& context, const Dependencies& deps, const OpenCollection& opened,
                                     const std::string& document_id, const json::object& changes, bool replace);

// A filter of a document operation, for one collection: conditions on collection_id are settled, as no column holds it.
Filter settle_collection_id(Filter filter, const Collection& collection);

void bind_document_lists(class OperationTable& table, const Dependencies& deps);
void bind_document_bulk(class OperationTable& table, const Dependencies& deps);
void bind_document_analytics(class OperationTable& table, const Dependencies& deps);
void bind_namespace_documents(class OperationTable& table, const Dependencies& deps);

}  // namespace quarry::service
