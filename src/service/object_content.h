// What a client sends as an object, checked against the bucket's schema and taken apart into catalog JSON and bytes.
#pragma once

#include "service/buckets.h"

namespace quarry::service {

struct PreparedBlob {
  json::object body;  // the blob's catalog form (pipeline.h), storage included
  std::string key;    // where `bytes` go; empty: nothing to put
  std::string bytes;
};

struct TakenUpload {
  std::string id, key;  // the key whose bytes were read and checked
};

struct PreparedObject {
  std::string object_id;  // new; another one's takes its place when a unique key resolves to it
  json::object fields;    // the user's members, defaults filled
  json::value key_prefix, edges;
  std::vector<PreparedBlob> blobs;
  std::string content_hash;          // SHA-256 over fields and blobs, whatever their order
  std::string unique_key;            // SHA-256 over the unique fields' values; empty: the bucket has none
  std::vector<TakenUpload> uploads;  // whose bytes the object takes over
  int64_t bytes = 0;
};

// `given` has the members of the contract's CreateObjectRequest; what is not one of them is the user's. Errors: 422 naming the property or
// blob, kPayloadTooLarge, kNotImplemented (s3://), kNotFound (upload_id).
Result<PreparedObject> prepare_object(const RequestContext& context, const Dependencies& deps, const OpenBucket& bucket,
                                      const json::object& given, std::string object_id);

// Moves bytes that were not put yet to the place of another object.
void assign_object_id(const RequestContext& context, const OpenBucket& bucket, PreparedObject& object, const std::string& object_id);

// As prepare_object for an object that is there: `given` replaces the fields and, if it has blobs, those of the same properties
// (`all_blobs`: all).
Result<PreparedObject> prepare_change(const RequestContext& context, const Dependencies& deps, const OpenBucket& bucket,
                                      const json::object& stored_body, json::object fields, const json::object& given, bool all_blobs);

// Members of a request that say what to do with the object, not what it holds.
bool is_request_member(std::string_view name);

// Where the bytes that an upload has received lie; empty: none has arrived.
std::string uploaded_key(const json::object& upload_body);
// kConflict: another file was put between reading the upload's bytes and recording them.
Error upload_changed(std::string_view upload_id);

}  // namespace quarry::service
