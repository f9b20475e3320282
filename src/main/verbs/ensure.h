// Namespaces, buckets and collections that the verbs need: found by name, made if missing.
#pragma once

#include "main/client.h"

namespace quarry::verbs {

Status ensure_namespace(Client& client, const std::string& name);
// A bucket whose schema takes any kind of file: content (text), document (pdf), image, audio, video, with path, kind, content_hash and
// content_type.
Status ensure_file_bucket(Client& client, const std::string& name);
// A text_extractor collection over the bucket's texts and PDFs.
Status ensure_text_collection(Client& client, const std::string& bucket, const std::string& name);

// The string member, or "".
std::string text_of(const json::value& object, std::string_view key);
int64_t integer_of(const json::value& object, std::string_view key);
const json::array& array_of(const json::value& object, std::string_view key);

}  // namespace quarry::verbs
