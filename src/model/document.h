// A document: one row of a collection's table.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace quarry {

// Where a document comes from. Empty string: absent.
struct Lineage {
  std::string root_object_id;
  std::string root_bucket_id;
  std::string source_type;  // "bucket", "collection", "direct_upsert"
  std::string source_object_id;
  std::string source_collection_id;
  std::string source_document_id;
  std::string lineage_path;  // "bkt_a/col_b/col_c"
  int32_t processing_tier = 1;
};

struct DenseVector {
  std::string name;  // the vector column, as in mvs::VectorSpec
  std::vector<float> values;
};

struct SparseVector {
  std::string name;
  std::vector<uint32_t> indices;  // ascending, distinct
  std::vector<float> values;      // as many
};

struct MultiVector {
  std::string name;
  std::vector<float> values;  // token after token, each of the column's dimension
};

struct Document {
  std::string document_id;
  Lineage lineage;
  json::object payload;              // the user's and the extractor's fields
  std::vector<DenseVector> vectors;  // at most one per name, over all three lists
  std::vector<SparseVector> sparse_vectors;
  std::vector<MultiVector> multi_vectors;
  TimestampUs created_at = 0;
  TimestampUs updated_at = 0;
};

}  // namespace quarry
