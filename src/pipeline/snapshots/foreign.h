// A snapshot that lies in an import place, read as what it may be: a stranger's. Nothing of it is believed that a digest, a size or a rule
// does not show, and nothing but the files below its prefix is read.
#pragma once

#include <set>
#include <string>

#include "pipeline/snapshots/layout.h"

namespace quarry::pipeline {

inline constexpr uint64_t kMaxForeignManifestBytes = 16 << 20;
inline constexpr uint64_t kMaxForeignPartBytes = 32 << 20;  // of a list: a part has 8 MiB, or one longer line
inline constexpr uint64_t kMaxForeignFileBytes = 1 << 30;   // an object has 512 MiB unless the configuration says more

// kBadRequest naming the places there are.
Result<objects::ObjectStore*> find_import_place(const ImportPlaces& places, objects::ObjectStore& own_store, std::string_view name);

struct ForeignManifest {
  Manifest manifest;
  std::string sha256;  // of its bytes
};
// kBadRequest saying what is wrong: none there, too large, another digest than `source` names, a newer format, a member that cannot be.
Result<ForeignManifest> read_foreign_manifest(objects::ObjectStore& place, const ImportSource& source);

// The bytes of a file below `prefix`, after its size and digest were found right; kCorruption naming the key otherwise. Of one that is
// longer than `file` says no more is asked for than that and a byte.
Result<std::string> read_foreign_file(objects::ObjectStore& place, const std::string& prefix, const SnapshotFile& file);

// Makes a foreign snapshot's rows and paths those of a snapshot of `to`'s namespace. Rows must come parents first, as snapshots have them.
class ForeignRows {
 public:
  // Both outlive it. Of `to` the ids are read.
  ForeignRows(const Manifest& from, const Manifest& to);

  // Kinds, ids and parents are what a snapshot may hold, bodies can be read, and keys lead into the namespace's own blobs: those under the
  // source's prefix are moved there, any other is refused. kCorruption naming the row.
  Status adopt(catalog::Resource& row);
  // After the last row. kCorruption if the namespace's row or a table's collection is missing.
  Status finish() const;
  // kCorruption unless it is a file of a table or, where bytes are copied, of a bucket that the rows named.
  Status check_path(std::string_view path) const;

 private:
  Status adopt_namespace(catalog::Resource& row);
  Status check_ids(const catalog::Resource& row);
  Status adopt_keys(catalog::Resource& object) const;

  const Manifest& from_;
  const Manifest& to_;
  std::set<std::string, std::less<>> buckets_, collections_, tables_;
  bool has_namespace_ = false;
};

}  // namespace quarry::pipeline
