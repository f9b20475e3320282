// The query of a search in its five modes.
#include <fmt/format.h>

#include <algorithm>

#include "base/hash.h"
#include "base/utf8.h"
#include "model/vector_json.h"
#include "retrieval/stages/feature_search.h"

namespace quarry::retrieval {
namespace {

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos; }

// A URL or data: URI whose bytes are media, which needs a model that reads media.
bool is_media_reference(std::string_view text) {
  for (std::string_view scheme : {"http://", "https://", "s3://", "gs://", "data:"})
    if (text.starts_with(scheme)) return !text.starts_with("data:text/");
  return false;
}

bool is_text(std::string_view bytes) {
  auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r'; };
  return is_valid_utf8(bytes) && std::none_of(bytes.begin(), bytes.end(), is_control);
}

// Text that stands in a query as content: literal, a data:text/ URI, or base64.
Result<std::string> content_text(std::string_view given, bool is_base64, const json::array& at) {
  auto media = [&] { return not_built("queries by media content are not available yet; send text, a vector or a document reference", at); };
  if (is_media_reference(given)) return media();
  std::string text(given);
  if (given.starts_with("data:")) {
    size_t comma = given.find(',');
    if (comma == std::string_view::npos) return validation_error("value_error", at, "a data: URI needs a ',' before its data");
    is_base64 = given.substr(0, comma).ends_with(";base64");
    text = given.substr(comma + 1);
  }
  if (!is_base64) return text;
  std::string bytes;
  if (!base64_decode(text, bytes)) return validation_error("value_error", at, "the query's content is not base64");
  if (!is_text(bytes)) return media();
  return bytes;
}

class QueryReader {
 public:
  QueryReader(const json::object& query, const json::array& at) : query_(query), at_(at) {}

  Result<QuerySpec> read() const {
    std::string mode = text_of(query_, "input_mode", "text");
    if (mode == "text") return texts({text_of(query_, query_.contains("text") ? "text" : "value")});
    if (mode == "vector") return vector();
    if (mode == "document") return document();
    if (mode == "multi_content") return contents(texts_of(query_, "values"));
    return content();
  }

 private:
  static QuerySpec texts(std::vector<std::string> texts) {
    QuerySpec out;
    std::erase_if(texts, [](const std::string& text) { return is_blank(text); });
    if (!texts.empty()) out.mode = QuerySpec::Mode::kText;
    out.texts = std::move(texts);
    return out;
  }

  Result<QuerySpec> contents(const std::vector<std::string>& given) const {
    std::vector<std::string> read;
    for (const std::string& one : given) {
      QUARRY_ASSIGN_OR_RETURN(std::string text, content_text(one, false, at_));
      read.push_back(std::move(text));
    }
    return texts(std::move(read));
  }

  Result<QuerySpec> content() const {
    const json::value* inner = query_.if_contains("content");
    if (inner == nullptr) {
      const json::value* value = query_.if_contains("value");
      return contents(value != nullptr && value->is_array() ? texts_of(query_, "value")
                                                            : std::vector<std::string>{text_of(query_, "value")});
    }
    std::string base64 = text_of(inner->as_object(), "base64");
    std::string url = text_of(inner->as_object(), "url");
    if (base64.empty() && !url.empty() && !url.starts_with("data:"))
      return not_built("queries by the content of a URL are not available yet; send text or a vector", at_);
    QUARRY_ASSIGN_OR_RETURN(std::string text, content_text(base64.empty() ? url : base64, !base64.empty(), at_));
    return texts({std::move(text)});
  }

  Result<QuerySpec> document() const {
    const json::value* ref = query_.if_contains("document_ref");
    if (ref == nullptr)
      return validation_error("missing", extended(at_, "document_ref"), "a query of input_mode 'document' needs 'document_ref'");
    QuerySpec out;
    out.mode = QuerySpec::Mode::kDocument;
    out.collection = text_of(ref->as_object(), "collection_id");
    out.document_id = text_of(ref->as_object(), "document_id");
    return out;
  }

  // Numbers, lists of numbers or {indices, values}, or a string that holds one of these as JSON.
  Result<QuerySpec> vector() const {
    const json::value* value = query_.if_contains("value");
    json::array at = extended(at_, "value");
    json::value parsed;
    if (value != nullptr && value->is_string()) {
      boost::system::error_code failed;
      parsed = json::parse(value->get_string(), failed);
      value = &parsed;
    }
    if (value == nullptr || !(value->is_array() || value->is_object()))
      return validation_error(
          "type_error", at,
          "a query of input_mode 'vector' needs 'value': an array of numbers, of arrays of numbers, or {indices, values}");
    QuerySpec out;
    if (value->is_array() && value->get_array().empty()) return out;
    out.mode = QuerySpec::Mode::kVector;
    if (Status read = read_vector(*value, out); !read.ok())
      return validation_error("value_error", at, fmt::format("the query vector {}", read.error().message));
    return out;
  }

  static Status read_vector(const json::value& value, QuerySpec& out) {
    if (value.is_object()) {
      SparseVector sparse;
      QUARRY_RETURN_IF_ERROR(read_sparse(value, sparse));
      out.vector = mvs::SparseQuery{std::move(sparse.indices), std::move(sparse.values)};
    } else if (value.get_array().front().is_array()) {
      MultiVector multi;
      QUARRY_RETURN_IF_ERROR(read_multi(value, multi, out.token_dimension));
      out.vector = mvs::MultiVectorQuery{std::move(multi.values)};
    } else {
      DenseVector dense;
      QUARRY_RETURN_IF_ERROR(read_dense(value, dense));
      out.vector = mvs::DenseQuery{std::move(dense.values)};
    }
    return Ok{};
  }

  const json::object& query_;
  const json::array& at_;
};

}  // namespace

Result<QuerySpec> parse_query(const json::value& query, const json::array& at) {
  if (query.is_object()) return QueryReader(query.get_object(), at).read();
  return QueryReader(json::object{{"input_mode", "text"}, {"value", query}}, at).read();
}

}  // namespace quarry::retrieval
