// An object of a bucket, or a document of a source collection, as extractors take it.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "extract/extract.h"
#include "model/document.h"
#include "objects/fetcher.h"
#include "objects/object_store.h"
#include "pipeline/backoff.h"
#include "pipeline/byte_budget.h"
#include "pipeline/object_body.h"

namespace quarry::pipeline {

// A blob that was read from its URL and is now on the object store; the object's row learns it with the next commit.
struct MirroredBlob {
  std::string blob_id, key, mime_type, filename, hash;
  uint64_t size_bytes = 0;
};

struct ReadObject {
  extract::SourceItem item;
  json::object document_fields;  // source, content_type, metadata, source_blobs: what every document of the object carries
  std::vector<MirroredBlob> mirrored;
};

// Which blobs' bytes are needed; the others are passed on without them.
struct BlobDemand {
  bool all = false;
  std::set<std::string> properties;
  std::set<FieldType> types;

  bool wants(const ObjectBlob& blob) const { return all || properties.contains(blob.property) || types.contains(blob.type); }
};

// Thread-safe.
class ObjectReader {
 public:
  struct Place {
    std::string internal_id, namespace_id, bucket_id;
  };
  // Everything outlives the reader.
  ObjectReader(objects::ObjectStore& store, objects::Fetcher* fetcher, const TaskControl& control, RetryPolicy retries)
      : store_(store), fetcher_(fetcher), control_(control), retries_(retries) {}

  // Errors: kNotFound (bytes are gone), kExtraction (content of another type than declared), those of the fetcher, kStorage after the
  // retries.
  Result<ReadObject> read(const json::object& object_body, const Place& place, const BlobDemand& demand) const;

 private:
  Result<std::string> fetch_bytes(ObjectBlob& blob, const json::object& object_body, const Place& place, ReadObject& out) const;
  Status mirror(const ObjectBlob& blob, const std::string& bytes, const std::string& object_id, const Place& place, ReadObject& out) const;

  objects::ObjectStore& store_;
  objects::Fetcher* fetcher_;
  const TaskControl& control_;
  const RetryPolicy retries_;
};

// The bytes that reading this object will hold, as far as known; 32 MiB for what is still behind a URL.
uint64_t expected_bytes(const std::vector<ObjectBlob>& blobs, const BlobDemand& demand);

// A source document as an item: its payload is the fields; what it came from is passed on.
ReadObject read_document(const Document& document);

}  // namespace quarry::pipeline
